"""How many jobs run at once on the GPUs of a machine: as many shares as its GPUs have, trainings taking one each."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLAN = """
import sys
from pathlib import Path
from heatproof import gpus
gpus.DEVICES = Path({devices!r})
from snakemake.cli import main
from snakemake.workflow import Workflow
register = Workflow.register_resource
Workflow.register_resource = lambda self, name, value: print(name, "at once:", value) or register(self, name, value)
main(sys.argv[1:])
"""


@pytest.fixture
def folder(checkout) -> Path:
    """A checkout on a machine with two GPUs, device files of which lie beside it."""
    devices = checkout.folder.parent / "devices"
    devices.mkdir()
    for number in range(2):
        (devices / f"nvidia{number}").touch()
    return checkout.folder


def plan(folder: Path, *arguments: str, per_gpu: int = 1) -> tuple[int | None, dict[str, int]]:
    """Plan a study; return the shares that there are at once, and how many a job of each rule takes."""
    code = PLAN.format(devices=str(folder.parent / "devices"))
    command = [sys.executable, "-c", code, "--dry-run", "--nocolor", *arguments]
    command += ["--configfile", "tests/workflow/tiny.yaml", "--config", f"train={{per_gpu: {per_gpu}}}"]
    environment = {name: value for name, value in os.environ.items() if not name.endswith("VISIBLE_DEVICES")}
    environment |= {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=folder, env=environment, stdout=-1, stderr=-2, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    there = re.search(r"^gpu at once: (\d+)", done.stdout, re.MULTILINE)
    jobs = re.split(r"^(?:local)?rule (?=\w+:)", done.stdout, flags=re.MULTILINE)[1:]
    asked = {job.partition(":")[0]: re.search(r"resources: .*\bgpu=(\d+)", job) for job in jobs}
    return int(there[1]) if there else None, {rule: int(found[1]) for rule, found in asked.items() if found}


@pytest.mark.parametrize(
    ("arguments", "per_gpu", "shares"), [((), 1, 2), ((), 3, 6), (("--resources", "gpu=1"), 3, 3)], ids=str
)
def test_jobs_take_all_gpus_of_the_machine_or_as_many_as_they_may_in_shares(folder, arguments, per_gpu, shares):
    there, asked = plan(folder, "--cores", "8", *arguments, per_gpu=per_gpu)
    assert there == shares
    assert asked["fit_model"] == asked["predict_scans"] == 1
    assert asked["explain_scans"] == per_gpu
    assert {rule for rule, number in asked.items() if number} >= {"fit_model", "explain_scans", "measure_effects"}


def test_on_a_cluster_each_job_has_a_gpu_and_only_slurm_limits_them(folder):
    profile = folder.parent / "profile"
    profile.mkdir()
    sections = (ROOT / "profiles/slurm/config.yaml").read_text().partition("set-resources:")
    (profile / "config.yaml").write_text("jobs: 100\n" + "".join(sections[1:]).partition("retries:")[0])
    there, asked = plan(folder, "--workflow-profile", str(profile), per_gpu=3)
    assert there is None
    assert {asked["fit_model"], asked["explain_scans"]} == {1}
