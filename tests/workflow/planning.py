"""Plan the paper's preset over a dataset of images without a brain, and measure what that takes."""

import gzip
import re
import sys
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
from measured import run_measured

NOISE = np.random.default_rng(0).standard_normal((8, 8, 8), dtype=np.float32)


class Plan(NamedTuple):
    """What a dry run gave and took: jobs of each rule, seconds on the clock and of a processor, GB of memory."""

    jobs: dict[str, int]
    seconds: float
    processor_seconds: float
    memory_gb: float


def make_adni(folder: Path, participants: int = 344, patients: int = 193, scans: int = 969) -> None:
    """Make tiny images in place of scans of patients and controls, two or three sessions each, labels per session."""
    image = gzip.compress(nib.Nifti1Image(NOISE, np.eye(4)).to_bytes())
    sessions = ["ses-M000", "ses-M006", "ses-M012"]
    surplus = scans - 2 * participants
    folder.mkdir(parents=True)
    names = [f"sub-ADNI{i:04d}" for i in range(participants)]
    (folder / "participants.tsv").write_text("participant_id\tsex\n" + "".join(f"{name}\tF\n" for name in names))
    for i, name in enumerate(names):
        label, visits = "AD" if i < patients else "CN", sessions[: 3 if i < surplus else 2]
        for session in visits:
            (folder / name / session / "anat").mkdir(parents=True)
            (folder / name / session / "anat" / f"{name}_{session}_T1w.nii.gz").write_bytes(image)
        rows = "".join(f"{session}\t{label}\n" for session in visits)
        (folder / name / f"{name}_sessions.tsv").write_text("session_id\tdiagnosis\n" + rows)


def plan(checkout: Path, *options: str) -> Plan:
    """Plan the paper's preset in a checkout whose ``data/adni`` is there."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--nocolor", "--quiet", "rules"]
    with open(checkout / "plan.txt", "w") as output:
        usage = run_measured([*command, "--configfile", "config/paper.yaml", *options], cwd=checkout, stdout=output)
    rows = re.findall(r"^(\w+) +(\d+)$", (checkout / "plan.txt").read_text(), re.MULTILINE)
    return Plan({rule: int(n) for rule, n in rows}, usage.seconds, usage.processor_seconds, usage.memory / 2**30)
