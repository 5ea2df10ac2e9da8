"""Whole runs, each in a folder that looks like the checkout."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VOLUME_LABELS = (
    "study=volume",
    "cohort={label: {volume: Lateral Ventricle}, split: {test: 2, validation: 1, seed: 10}, "
    "simulate: {patients: 8, controls: 8}}",
    "register={transform: 'antsRegistrationSyNQuick[s]'}",
)
PARTS = ("Snakefile", "config", "envs", "profiles", "src", "tests", "workflow")


def as_checkout(folder: Path) -> Path:
    """Link the checkout's parts into a folder, so that results and Snakemake's memory stay there."""
    folder.mkdir(exist_ok=True)
    for part in PARTS:
        (folder / part).symlink_to(ROOT / part)
    return folder


def run_snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run Snakemake in a folder; output and errors come as one text."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-m", "snakemake", "--nocolor", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


class Checkout:
    """A folder that looks like the checkout, in which Snakemake runs."""

    def __init__(self, folder: Path):
        self.folder = as_checkout(folder)
        self.results = folder / "results/tiny"

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess:
        """Run Snakemake; output and errors come as one text."""
        return run_snakemake(self.folder, *arguments)

    def tiny(self, *arguments: str) -> subprocess.CompletedProcess:
        """Run Snakemake on the tiny study."""
        return self.snakemake("--configfile", "tests/workflow/tiny.yaml", *arguments)

    def jobs(self, *arguments: str) -> dict[str, int]:
        """Count the jobs of each rule that a dry run plans."""
        dry = self.snakemake("--dry-run", "--quiet", "rules", *arguments)
        assert dry.returncode == 0, dry.stdout
        lines = [line.split() for line in dry.stdout.splitlines()]
        return {line[0]: int(line[1]) for line in lines if len(line) == 2 and line[1].isdigit()}


@pytest.fixture
def checkout(tmp_path) -> Checkout:
    """A fresh checkout."""
    return Checkout(tmp_path / "checkout")


@pytest.fixture(scope="session")
def tiny_study(tmp_path_factory) -> Checkout:
    """A checkout in which the tiny study has run whole; not to be changed."""
    study = Checkout(tmp_path_factory.mktemp("tiny") / "checkout")
    done = study.tiny("--cores", "2")
    assert done.returncode == 0, done.stdout[-5000:]
    return study


@pytest.fixture(scope="session")
def volume_study(tmp_path_factory) -> Checkout:
    """A checkout in which the tiny study has run whole with labels from a region's volume; not to be changed."""
    study = Checkout(tmp_path_factory.mktemp("volume") / "checkout")
    done = study.tiny("--cores", "2", "--config", *VOLUME_LABELS)
    assert done.returncode == 0, done.stdout[-5000:]
    return study


@pytest.fixture
def copied_study(tiny_study, tmp_path) -> Checkout:
    """A copy of the finished tiny study that may be changed."""
    copy = Checkout(tmp_path / "copy")
    for part in ("results", ".snakemake"):
        shutil.copytree(tiny_study.folder / part, copy.folder / part)
    return copy
