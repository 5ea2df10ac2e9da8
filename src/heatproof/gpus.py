"""How many GPUs a job takes, and whether it got one: known without torch, while jobs are planned."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

DRIVERS = ("/dev/nvidia0", "/dev/kfd")
NAMED = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "SLURM_JOB_GPUS")
NO_GPU = ("", "-1", "NoDevFiles")  # what these variables say where there is none


def gpus_of_job(device: str, drivers: Sequence[str | Path] = DRIVERS) -> int:
    """Return 1 where this machine has a GPU and the config's ``train.device`` lets jobs use it, else 0."""
    return int(device != "cpu" and any(Path(driver).exists() for driver in drivers))


def gpu_was_given(environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether a job was given a GPU: by its rule, by Slurm, or by whoever names one in the environment."""
    by_rule = int(environment.get("HEATPROOF_GPUS", "0")) > 0
    return by_rule or any(environment.get(name, "") not in NO_GPU for name in NAMED)
