"""How many GPUs a job takes: known while jobs are planned, where torch is not at hand."""

from collections.abc import Sequence
from pathlib import Path

DRIVERS = ("/dev/nvidia0", "/dev/kfd")


def gpus_of_job(device: str, drivers: Sequence[str | Path] = DRIVERS) -> int:
    """Return 1 where this machine has a GPU and the config's ``train.device`` lets jobs use it, else 0."""
    return int(device != "cpu" and any(Path(driver).exists() for driver in drivers))
