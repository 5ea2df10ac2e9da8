"""Where the networks run, and how: the same bytes from the same seed, and floats of one precision."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from heatproof.command import threads
from heatproof.errors import StudyError
from heatproof.gpus import Taken, asked_and_whole, gpu_was_given, has_gpu, take_gpu

PRECISIONS = ("float32", "tf32", "bfloat16")
TAKEN: list[Taken] = []  # the GPU that this process holds until it ends


def prepare_device(name: str, *, precision: str = "float32") -> torch.device:
    """Have torch use this job's threads, and operations that repeat to the byte; return the device, and log it.

    Parameters
    ----------
    name : str
        ``auto``, a GPU where there is one, else the CPU; or a device as torch names it: ``cpu``, ``cuda``, ``cuda:1``.
        Where a job of the workflow sees several GPUs and none is named, it takes one that no other job has.
    precision : {"float32", "tf32", "bfloat16"}
        Of products and convolutions of float32 on a GPU. TF32, which is torch's own choice for convolutions, keeps 10
        bits of 23. With bfloat16, what is not in it is in TF32.

    Raises
    ------
    StudyError
        If there is no such device on this machine or precision, or none but the CPU in a job that was given a GPU.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts; products repeat only with it
    torch.set_num_threads(threads())
    torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms imports a compiler, which takes seconds
    torch.utils.deterministic.fill_uninitialized_memory = False  # it takes a fifth of the time of training
    if precision not in PRECISIONS:
        raise StudyError(f"train.precision is {precision!r}; choose one of {', '.join(PRECISIONS)}")
    set_tf32(precision != "float32")
    device = find_device(name)
    if device.type == "cuda" and device.index is None and asked_and_whole()[0] and torch.cuda.device_count() > 1:
        device = own_gpu()
    if device.type == "cuda":
        logging.info("on %s (%s), in %s", device, torch.cuda.get_device_name(device), precision)
    else:
        logging.info("on the CPU, %d thread(s)", threads())
    return device


def find_device(name: str) -> torch.device:
    """Return the device of a name, as `prepare_device` does."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        if gpu_was_given():
            finds = "finds none" if torch.version.cuda or torch.version.hip else "is built for CPUs"
            raise StudyError(
                f"this job was given a GPU, and torch {torch.__version__} {finds}; install a torch that fits the GPU "
                "and its driver (docs/environments.md), or set train.device to cpu"
            )
        if has_gpu():
            logging.warning("this machine has a GPU that torch %s cannot use (docs/environments.md)", torch.__version__)
        return torch.device("cpu")
    try:
        device = torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # AssertionError is torch's answer when built without CUDA
        reason = str(error).splitlines()[0]
        raise StudyError(f"train.device {name!r} is not available here ({reason}); choose auto or cpu") from error
    if device.type not in ("cpu", "cuda"):
        raise StudyError(f"train.device {name!r} is not tried, and may have no float64; choose auto, cpu or cuda")
    return device


def own_gpu() -> torch.device:
    """Take a GPU of several, or the share of one that the job asked for, and have torch use it."""
    asked, whole = asked_and_whole()
    names = [str(torch.cuda.get_device_properties(number).uuid) for number in range(torch.cuda.device_count())]
    TAKEN.append(take_gpu(names, whole if asked < whole else None))
    torch.cuda.set_device(TAKEN[-1].number)
    return torch.device("cuda", TAKEN[-1].number)


def set_tf32(allowed: bool) -> None:
    """Allow products and convolutions of float32 to be rounded to TF32 on a GPU, or forbid it."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed


@contextmanager
def in_float32() -> Iterator[None]:
    """Forbid TF32 for a while."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    set_tf32(False)
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before
