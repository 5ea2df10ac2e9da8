"""Where the networks run."""

import torch

from heatproof.errors import StudyError


def choose_device(name: str) -> torch.device:
    """Return the device of that name, or for ``auto`` the first GPU where there is one, else the CPU.

    Parameters
    ----------
    name : str
        ``auto``, or a device as torch names it: ``cpu``, ``cuda``, ``cuda:1``.

    Raises
    ------
    StudyError
        If there is no such device on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # AssertionError is torch's answer when built without CUDA
        reason = str(error).splitlines()[0]
        raise StudyError(f"train.device {name!r} is not available here ({reason}); choose auto or cpu") from error
