"""How many GPUs a job takes, and whether it got one: known without torch, while jobs are planned."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

DRIVERS = ("/dev/nvidia0", "/dev/kfd")
NAMED = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "SLURM_JOB_GPUS")
NO_GPU = ("", "-1", "NoDevFiles")  # what these variables say where there is none


def has_gpu(drivers: Sequence[str | Path] = DRIVERS) -> bool:
    """Tell whether this machine has the driver of a GPU; whether torch can use it is another question."""
    return any(Path(driver).exists() for driver in drivers)


def gpus_of_job(device: str, drivers: Sequence[str | Path] = DRIVERS) -> int:
    """Return 1 where this machine has a GPU and the config's ``train.device`` lets jobs use it, else 0."""
    return int(device != "cpu" and has_gpu(drivers))


def gpu_was_given(environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether a job was given a GPU: by Slurm, by whoever names one in the environment, or by a profile.

    What a rule asks for by itself, since the machine has a driver (``HEATPROOF_FOUND_GPUS``), nobody gave.
    """
    asked, found = (int(environment.get(name, "0")) for name in ("HEATPROOF_GPUS", "HEATPROOF_FOUND_GPUS"))
    return asked > found or any(environment.get(name, "") not in NO_GPU for name in NAMED)
