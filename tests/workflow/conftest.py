"""Whole runs, each in a folder that looks like the checkout."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from killing import FINISHED, SHARES, SMALLER, Kill, kill_and_resume

ROOT = Path(__file__).parents[2]
HEAD = str(ROOT / ".venv-head/bin/python")
VOLUME_LABELS = (
    "study=volume",
    "cohort={label: {volume: Lateral Ventricle}, split: {test: 2, validation: 1, seed: 0}, "
    "simulate: {patients: 8, controls: 8}}",
    "register={transform: 'antsRegistrationSyNQuick[s]'}",
    "attribute={deletion_scans: 0, effects: null, recovery_scans: 0, convergence_scans: 0, "
    "methods: {gradient_input: null, integrated_gradients_mean_control: null, guided_backprop: null, occlusion: null, "
    "occlusion_mean_control: null}}",
    "compare={checks: []}",
)
COVERAGE = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")
PARTS = ("Snakefile", "config", "envs", "profiles", "src", "tests", "workflow")


def as_checkout(folder: Path) -> Path:
    """Link the checkout's parts into a folder, so that results and Snakemake's memory stay there."""
    folder.mkdir(exist_ok=True)
    for part in PARTS:
        (folder / part).symlink_to(ROOT / part)
    return folder


class Checkout:
    """A folder that looks like the checkout, in which Snakemake runs.

    Attributes
    ----------
    python : str
        The interpreter that runs Snakemake.
    path : str
        The search path on which jobs find theirs.
    covered : bool
        Whether the lines that jobs run count as tested. Counting makes a
        short job half as long again, so that one study of all rules does it.
    """

    def __init__(self, folder: Path, python: str = sys.executable, covered: bool = False):
        self.folder = as_checkout(folder)
        self.results = folder / "results/tiny"
        self.python = python
        self.path = os.environ["PATH"]
        self.covered = covered

    def start(self, *arguments: str, stdout=subprocess.PIPE, **options) -> subprocess.Popen:
        """Start Snakemake, with options of Popen; output and errors come as one text."""
        unset = ("PYTHONPATH",) if self.covered else ("PYTHONPATH", *COVERAGE)
        environment = {key: value for key, value in os.environ.items() if key not in unset} | {"PATH": self.path}
        command = [self.python, "-m", "snakemake", "--nocolor", *arguments]
        return subprocess.Popen(
            command, cwd=self.folder, env=environment, stdout=stdout, stderr=subprocess.STDOUT, text=True, **options
        )

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess:
        """Run Snakemake to its end."""
        process = self.start(*arguments)
        text, _ = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, text)

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


@pytest.fixture
def head_checkout(tmp_path) -> Checkout:
    """A fresh checkout whose Snakemake is that of the environment for a cluster's head."""
    return Checkout(tmp_path / "head_checkout", python=HEAD)


@pytest.fixture(scope="session")
def tiny_study(tmp_path_factory) -> Checkout:
    """A checkout in which the tiny study has run whole; not to be changed."""
    study = Checkout(tmp_path_factory.mktemp("tiny") / "checkout")
    done = study.tiny("--cores", "2")
    assert done.returncode == 0, done.stdout[-5000:]
    return study


@pytest.fixture(scope="session")
def apart_study(tmp_path_factory) -> Checkout:
    """A checkout in which the smaller study has run whole, every rule in the environment that it names; not to change.

    The environments are those of ``make cluster-test``: virtual ones of exactly the packages in ``envs/``. Each run
    goes as far as the rules of one environment can.
    """
    study = Checkout(tmp_path_factory.mktemp("apart") / "checkout", python=HEAD)
    for environment, *limits in [
        ("analysis", "--until", "prepare_template", "simulate_scan"),
        ("torch", "--until", "check_network"),
        ("ants", "--until", "register_scan"),
        ("analysis", "--until", "pack_scans"),
        ("analysis", "--until", "check_leakage", "check_quality", "average_controls"),
        ("torch", "--until", "fit_model"),
        ("torch", "--until", "predict_scans", "predict_by_check", "explain_scans", "measure_effects"),
        ("torch", "--until", "delete_regions", "recover_by_map", "trace_convergence"),
        ("analysis",),
    ]:
        study.path = f"{ROOT}/.venv-{environment}/bin:/usr/bin:/bin"
        done = study.snakemake("--cores", "2", *SMALLER, *limits)
        assert done.returncode == 0, done.stdout[-5000:]
        started = set(re.findall(r"^(?:local)?rule (\w+):", done.stdout, re.MULTILINE))
        assert started and started <= rules_of(environment) | {"all"}, environment
    return study


def rules_of(environment: str) -> set[str]:
    """List the rules that name an environment; the rule without a name draws each figure of a table."""
    text = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    rules = re.split(r"^ *rule ?(?=\w*:$)", text, flags=re.MULTILINE)[1:]
    names = {rule.partition(":")[0] for rule in rules if f"envs/{environment}.yaml" in rule}
    names |= {name for of, name in re.findall(r"^ *use rule (\w+) as (\w+) with:$", text, re.MULTILINE) if of in names}
    return names | (set(re.findall(r'^    "(draw_\w+)": {$', text, re.MULTILINE)) if "" in names else set())


def run_over_smaller(folder: Path, study: str) -> Path:
    """Run whole the study of tests/workflow/{study}.yaml, laid over the smaller one, and return its results."""
    checkout = Checkout(folder / "checkout")
    done = checkout.snakemake("--cores", "2", *SMALLER, f"tests/workflow/{study}.yaml")
    assert done.returncode == 0, done.stdout[-5000:]
    return checkout.folder / f"results/{study}"


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


@pytest.fixture(scope="session")
def smaller_study(tmp_path_factory) -> tuple[Checkout, int]:
    """A checkout in which a still smaller study has run whole on two cores, and the number of its jobs."""
    study = Checkout(tmp_path_factory.mktemp("smaller") / "checkout", covered=True)
    done = study.snakemake("--cores", "2", *SMALLER)
    assert done.returncode == 0, done.stdout[-5000:]
    return study, len(FINISHED.findall(done.stdout))


@pytest.fixture(scope="session")
def resumed_study(tmp_path_factory, smaller_study) -> tuple[Checkout, list[Kill]]:
    """A copy of the checkout's files elsewhere, in which the smaller study ended after three kills; and these kills."""
    study = Checkout(tmp_path_factory.mktemp("elsewhere") / "some other folder")
    for part in ("config", "src", "workflow"):
        (study.folder / part).unlink()
        shutil.copytree(ROOT / part, study.folder / part, copy_function=shutil.copyfile)
    return study, kill_and_resume(study, SHARES[:3], smaller_study[1], SMALLER)
