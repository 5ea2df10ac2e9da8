"""GPUs of this machine: how many there are, how many jobs share one, and which one a job takes; known without torch."""

import fcntl
import logging
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

DEVICES = Path("/dev")
DRIVERS = ("nvidia0", "kfd")
NAMED = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "SLURM_JOB_GPUS")
NO_GPU = ("", "-1", "NoDevFiles")  # what these variables say where there is none
LOCKS = Path(f"/tmp/heatproof-gpus-{os.getuid()}")  # of one user's jobs on this machine, whatever their TMPDIR


def has_gpu() -> bool:
    """Tell whether this machine has the driver of a GPU; whether torch can use it is another question."""
    return any((DEVICES / driver).exists() for driver in DRIVERS)


def gpus_of_job(device: str) -> int:
    """Return 1 where this machine has a GPU and the config's ``train.device`` lets jobs use it, else 0."""
    return int(device != "cpu" and has_gpu())


def gpus_here(device: str, environment: Mapping[str, str] = os.environ) -> int:
    """Return among how many GPUs of this machine jobs may choose.

    One where ``train.device`` names it, as many as the environment lets jobs see, else all that have a device file.
    """
    if device == "cpu" or ":" in device or not has_gpu():
        return gpus_of_job(device)
    seen = [environment[name].split(",") for name in NAMED[:3] if environment.get(name, "") not in NO_GPU]
    return len(seen[0] if seen else list(DEVICES.glob("nvidia[0-9]*"))) or 1


def gpu_was_given(environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether a job was given a GPU: by Slurm, by whoever names one in the environment, or by a profile.

    What a rule asks for by itself, since the machine has a driver (``HEATPROOF_FOUND_GPUS``), nobody gave.
    """
    asked, found = asked_and_whole(environment)
    return asked > found or any(environment.get(name, "") not in NO_GPU for name in NAMED)


def asked_and_whole(environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """Return how many shares of a GPU a job asked for, and how many make one: 0 where the workflow found none."""
    asked, whole = (int(environment.get(name, "0")) for name in ("HEATPROOF_GPUS", "HEATPROOF_FOUND_GPUS"))
    return asked, whole


class Taken(NamedTuple):
    """A GPU that a job has taken: its number among those that the job sees, and what to close to give it back."""

    number: int
    held: ExitStack


def take_gpu(names: Sequence[str], share: int | None = None, folder: Path = LOCKS, pause: float = 1) -> Taken:
    """Wait until a GPU of this machine is free, and take it as long as what is returned is kept.

    Locks of files say which GPUs are taken; they end with the process that holds them, however it ends. Jobs that share
    GPUs fill one after the other, and jobs that need a whole one begin with the last.

    Parameters
    ----------
    names : sequence of str
        Of all GPUs that the job sees; a GPU has the same name in every job.
    share : int, optional
        How many jobs may share a GPU with this one, itself included; by default it needs the whole.
    folder : Path
        Of the locks.
    pause : float
        Seconds until it tries again.
    """
    folder.mkdir(exist_ok=True)
    numbers, told = range(len(names)), False
    while True:
        for number in numbers if share else reversed(numbers):
            held = ExitStack()
            if lock_gpu(folder / names[number], share, held):
                return Taken(number, held)
            held.close()
        if not told:
            logging.info("waits for a GPU: other jobs have taken all %d", len(names))
            told = True
        time.sleep(pause)


def lock_gpu(path: Path, share: int | None, held: ExitStack) -> bool:
    """Lock a GPU for one job, or for others beside it and one of its places; tell whether it was free."""
    if not share:
        return lock(path, fcntl.LOCK_EX, held)
    places = (path.with_name(f"{path.name}.{place}") for place in range(share))
    return lock(path, fcntl.LOCK_SH, held) and any(lock(place, fcntl.LOCK_EX, held) for place in places)


def lock(path: Path, kind: int, held: ExitStack) -> bool:
    """Lock a file if nobody else has; it is unlocked with ``held``."""
    file = os.open(path, os.O_CREAT | os.O_RDONLY)
    held.callback(os.close, file)
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
