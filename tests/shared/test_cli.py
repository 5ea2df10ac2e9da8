"""The command that runs the installed workflow in any folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from heatproof.cli import PARTS, link_workflow, workflow_folder
from heatproof.errors import StudyError

ROOT = Path(__file__).parents[2]


def test_without_an_installed_one_the_workflow_is_the_checkout_s():
    assert workflow_folder() == ROOT


def test_the_workflow_is_linked_into_a_folder_and_linked_anew_after_an_upgrade(tmp_path):
    (tmp_path / "config").symlink_to("elsewhere")
    link_workflow(tmp_path)
    assert all((tmp_path / part).resolve() == ROOT / part for part in (*PARTS, "src/heatproof"))
    link_workflow(tmp_path)
    assert all((tmp_path / part).exists() for part in (*PARTS, "src/heatproof"))


def test_only_this_package_is_below_src_so_that_fingerprints_are_of_it_alone(tmp_path):
    link_workflow(tmp_path)
    assert [path.name for path in (tmp_path / "src").iterdir()] == ["heatproof"]


def test_nothing_of_the_user_s_is_replaced(tmp_path):
    (tmp_path / "config").mkdir()
    with pytest.raises(StudyError, match="config is there already"):
        link_workflow(tmp_path)


def test_a_plan_from_an_empty_folder(tmp_path):
    command = [sys.executable, ROOT / "src/heatproof/cli.py", "run", "-n", "results/demo/cohort/train.tsv"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT / "src")})
    assert done.returncode == 0, done.stderr
    assert "Cost: 1 jobs" in done.stdout + done.stderr
