"""The workflow as a module of another one, and run from a folder that has none of its files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
OUTER = """\
configfile: "own.yaml"


module heatproof:
    snakefile:
        "{snakefile}"
    config:
        config["heatproof"]


use rule * from heatproof as heatproof_*


rule summarise:
    default_target: True
    input:
        "results/mine/register/template/regions.tsv",
    output:
        "summary.txt",
    shell:
        "echo $PYTHONPATH > {{output}}; wc -l < {{input}} >> {{output}}"
"""
CONFIG = "heatproof:\n  study: mine\n  register: {most_poor: 0.2}\n"
TEMPLATE = "results/tiny/register/template/regions.tsv"


def snakemake(folder, *arguments):
    environment = os.environ | {"PYTHONPATH": "/somewhere/else"}
    command = [sys.executable, "-m", "snakemake", "--nocolor", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, stdout=-1, stderr=-2, text=True)


@pytest.fixture
def outer(tmp_path):
    """A folder with a small workflow of which this one is a module."""
    (tmp_path / "Snakefile").write_text(OUTER.format(snakefile=ROOT / "Snakefile"))
    (tmp_path / "own.yaml").write_text(CONFIG)
    return tmp_path


def test_a_module_writes_its_results_into_the_folder_of_the_workflow_that_uses_it(outer):
    done = snakemake(outer, "--cores", "1")
    assert done.returncode == 0, done.stdout[-3000:]
    path, lines = (outer / "summary.txt").read_text().split()
    assert path.endswith(":/somewhere/else") and int(lines) == 137
    written = {entry.name for entry in outer.iterdir()} - {"Snakefile", "own.yaml"}
    assert written == {"results", "summary.txt", ".snakemake"}


def test_a_module_plans_its_whole_study_over_the_embedded_default(outer):
    done = snakemake(outer, "heatproof_all", "--dry-run", "--quiet", "rules")
    assert done.returncode == 0, done.stdout[-3000:]
    jobs = dict(line.split() for line in done.stdout.splitlines() if len(line.split()) == 2)
    assert jobs["heatproof_fit_model"] == "4" and jobs["heatproof_write_page"] == "1"


def test_a_mistake_in_a_module_s_config_is_one_sentence(outer):
    (outer / "own.yaml").write_text(CONFIG + "  trian: {seeds: [0]}\n")
    done = snakemake(outer, "--dry-run", "heatproof_all")
    assert done.returncode == 1 and "config: unknown key 'trian' in the top level; did you mean 'train'?" in done.stdout


def test_the_workflow_runs_in_another_folder(tmp_path):
    options = ["--snakefile", ROOT / "Snakefile", "--directory", tmp_path / "elsewhere"]
    options += ["--configfile", ROOT / "tests/workflow/tiny.yaml"]
    done = snakemake(tmp_path, "--cores", "1", TEMPLATE, *options)
    assert done.returncode == 0, done.stdout[-3000:]
    assert (tmp_path / "elsewhere" / TEMPLATE).is_file()
    assert {entry.name for entry in (tmp_path / "elsewhere").iterdir()} == {"results", ".snakemake"}
