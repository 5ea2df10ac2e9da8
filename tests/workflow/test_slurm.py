"""A real Slurm: the smaller study runs through the profile while its jobs are cancelled, killed and out of memory."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml
from killing import SMALLER

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("apt-get"), reason="needs root on Debian to run Slurm"),
]

SLURM = Path(__file__).with_name("slurm.sh")
ON_GPU = set(yaml.safe_load(Path("profiles/slurm/config.yaml").read_text())["set-resources"])
# Written by a clock, or from what else is installed beside a job's packages.
VARYING = {"report.html", "dataset_description.json", "provenance.json", "ro-crate-metadata.json"}


def job_process(module: str, folder: Path) -> psutil.Process | None:
    """Find the process of a module that a job runs in a folder."""
    for process in psutil.process_iter():
        try:
            if module in process.cmdline() and process.cwd() == str(folder):
                return process
        except psutil.Error:
            continue
    return None


def cancel(process: psutil.Process) -> None:
    """Cancel the Slurm job that a process is part of."""
    subprocess.run(["scancel", process.environ()["SLURM_JOB_ID"]], check=True)


def kill(process: psutil.Process) -> None:
    """Kill a process outright."""
    process.send_signal(signal.SIGKILL)


@pytest.fixture(scope="module")
def slurm():
    """A running Slurm."""
    subprocess.run([SLURM, "start"], check=True)
    yield
    subprocess.run([SLURM, "stop"], check=True)


def write_profile(folder: Path) -> None:
    """Write the profile as a user would edit it for this Slurm, and one rule's memory too low for a first try."""
    profile = yaml.safe_load(Path("profiles/slurm/config.yaml").read_text())
    del profile["default-resources"]["slurm_account"]
    profile["set-resources"]["summarise_quality"] = {"mem_mb": "150 * 8 ** (attempt - 1)"}
    profile |= {"slurm-status-command": "squeue", "slurm-init-seconds-before-status-checks": 2}
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(profile))


@pytest.fixture(scope="module")
def slurm_study(slurm, apart_study, tmp_path_factory):
    """The smaller study, run through Slurm; meanwhile a training is cancelled and an explanation killed."""
    study = type(apart_study)(tmp_path_factory.mktemp("slurm") / "checkout", python=apart_study.python)
    write_profile(study.folder / "profile")
    wounds = {"heatproof.train.fit_model": cancel, "heatproof.attribute.explain": kill}
    log = study.folder / "run.log"
    with log.open("w") as output:
        options = ["--workflow-profile", "profile", *SMALLER]
        run = study.start(*options, stdout=output)
        while run.poll() is None:
            for module in list(wounds):
                if process := job_process(module, study.folder):
                    wounds.pop(module)(process)
            time.sleep(0.3)
    assert run.returncode == 0, log.read_text()[-5000:]
    assert not wounds
    return study


@pytest.fixture(scope="module")
def jobs(slurm_study) -> dict[str, list[dict[str, str]]]:
    """What Slurm knows of the study's jobs: by rule and wildcards, every try in order."""
    text = subprocess.run(["scontrol", "--oneliner", "show", "jobs"], capture_output=True, text=True, check=True).stdout
    found: dict[str, list] = {}
    for line in text.splitlines():
        job = dict(re.findall(r"(\w+)=(\S*)", line))
        if job["WorkDir"] == str(slurm_study.folder):
            found.setdefault(job["Comment"].removeprefix("rule_"), []).append(job)
    return {name: sorted(tries, key=lambda job: int(job["JobId"])) for name, tries in found.items()}


def files(results: Path) -> dict[str, bytes]:
    """Read all results, but not the logs and the benchmarks."""
    paths = [path for path in results.rglob("*") if path.is_file()]
    names = {str(path.relative_to(results)): path for path in paths}
    return {name: path.read_bytes() for name, path in names.items() if not name.startswith(("logs/", "benchmarks/"))}


def megabytes(job: dict[str, str]) -> int:
    """Return the memory that a job asked for."""
    return int(re.fullmatch(r"(\d+)M", job["MinMemoryNode"])[1])


def test_the_results_are_those_of_a_local_run_byte_for_byte(slurm_study, apart_study):
    ours, local = files(slurm_study.results), files(apart_study.results)
    assert set(ours) == set(local)
    assert {Path(name).name for name in ours if ours[name] != local[name]} <= VARYING


def test_training_and_attribution_run_where_the_gpus_are_and_all_else_does_not(jobs):
    for name, tries in jobs.items():
        on_gpu = name.partition("_wildcards")[0] in ON_GPU
        for job in tries:
            assert job["Partition"] == ("gpu" if on_gpu else "cpu"), name
            assert job.get("TresPerJob") == ("gres:gpu:1" if on_gpu else None), name
            assert job["NumTasks"] == "1" and job["TimeLimit"] != "UNLIMITED" and megabytes(job) > 0, name


def time_limit(job: dict[str, str]) -> pd.Timedelta:
    """Return the time that a job asked for."""
    return pd.Timedelta(job["TimeLimit"].replace("-", " days "))


def tries_again(jobs: dict, rule: str) -> list[dict[str, str]]:
    """Return the tries of the one job of a rule that was tried more than once."""
    (tries,) = [tries for name, tries in jobs.items() if name.startswith(rule) and len(tries) > 1]
    return tries


@pytest.mark.parametrize(("rule", "end"), [("fit_model", "CANCELLED"), ("explain_scans", "FAILED")])
def test_a_job_that_was_ended_is_tried_again_with_twice_the_memory_and_time(jobs, rule, end):
    first, second = tries_again(jobs, rule)
    assert (first["JobState"], second["JobState"]) == (end, "COMPLETED")
    assert megabytes(second) == pytest.approx(2 * megabytes(first), abs=1)
    assert time_limit(second) == 2 * time_limit(first)


def test_a_job_over_its_memory_is_ended_by_slurm_and_tried_again_with_more(jobs, slurm_study):
    first, second = tries_again(jobs, "summarise_quality")
    assert (first["JobState"], second["JobState"]) == ("FAILED", "COMPLETED")
    assert (megabytes(first), megabytes(second)) == (150, 1200)
    assert "exceeded memory limit" in Path(first["StdOut"]).read_text()


def test_no_other_job_was_tried_twice(jobs):
    assert sum(len(tries) > 1 for tries in jobs.values()) == 3
    assert all(tries[-1]["JobState"] == "COMPLETED" for tries in jobs.values())
