"""Whole runs, each in a folder that looks like the checkout."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
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


@pytest.fixture
def checkout(tmp_path) -> Callable[..., subprocess.CompletedProcess]:
    """A fresh checkout, as a function that runs Snakemake in it; its folder is ``checkout.folder``."""
    folder = as_checkout(tmp_path / "checkout")

    def run(*arguments: str) -> subprocess.CompletedProcess:
        return run_snakemake(folder, *arguments)

    run.folder = folder
    return run


@pytest.fixture(scope="session")
def tiny_study(tmp_path_factory) -> Path:
    """The tiny study, run whole once: the folder it ran in."""
    folder = as_checkout(tmp_path_factory.mktemp("tiny") / "checkout")
    done = run_snakemake(folder, "--cores", "2", "--configfile", "tests/workflow/tiny.yaml")
    assert done.returncode == 0, done.stdout[-5000:]
    return folder
