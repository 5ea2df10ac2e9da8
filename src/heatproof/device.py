"""Where the networks run, and how: the same bytes from the same seed."""

import torch

from heatproof.command import threads
from heatproof.errors import StudyError


def prepare_device(name: str) -> torch.device:
    """Have torch use this job's threads, and operations that repeat to the byte; return the device to run on.

    Parameters
    ----------
    name : str
        ``auto``, the first GPU where there is one, else the CPU; or a device as torch names it: ``cpu``, ``cuda``,
        ``cuda:1``.

    Raises
    ------
    StudyError
        If there is no such device on this machine.
    """
    torch.set_num_threads(threads())
    torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms imports a compiler, which takes seconds
    torch.utils.deterministic.fill_uninitialized_memory = False  # it takes a fifth of the time of training
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # AssertionError is torch's answer when built without CUDA
        reason = str(error).splitlines()[0]
        raise StudyError(f"train.device {name!r} is not available here ({reason}); choose auto or cpu") from error
