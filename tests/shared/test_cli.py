"""The command that runs the installed workflow in any folder."""

import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from heatproof.cli import PARTS, compare, explain, link_workflow, workflow_folder
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


@pytest.fixture
def scan(tmp_path, monkeypatch):
    """A scan, and weights of a network whose function lies beside them; the working folder is theirs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    text = "from torch import nn\ndef build(shape):\n    return nn.Sequential(nn.Flatten(), nn.Linear(512, 2))\n"
    (tmp_path / "linear_network.py").write_text(text)
    torch.manual_seed(0)
    torch.save(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(512, 2)).state_dict(), "weights.pt")
    values = np.random.default_rng(0).random((8, 8, 8)).astype(np.float32)
    nib.save(nib.Nifti1Image(values, np.diag([2, 2, 2, 1])), "scan.nii.gz")
    yield values
    sys.modules.pop("linear_network", None)


def test_one_scan_is_explained_by_one_method_and_what_was_explained_is_said(scan, capsys):
    words = "weights.pt scan.nii.gz --method gradient_input --out map.nii.gz --network"
    explain([*words.split(), "{function: linear_network:build}"])
    weights, biases = (torch.load("weights.pt")[f"1.{name}"].numpy() for name in ("weight", "bias"))
    first, second = weights @ scan.ravel() + biases
    said = (
        f"map.nii.gz explains the margin of class 1 by gradient_input; the model's outputs: {first:.4g}, {second:.4g}\n"
    )
    assert capsys.readouterr().out == said
    heatmap = nib.load("map.nii.gz").get_fdata().ravel()
    np.testing.assert_allclose(heatmap, (weights[1] - weights[0]) * scan.ravel(), rtol=1e-3, atol=1e-6)
    with pytest.raises(StudyError, match="is no model of a study"):
        explain(["weights.pt", "scan.nii.gz", "--method", "lrp", "--out", "map.nii.gz"])


def test_every_two_maps_are_compared_by_every_measure(scan, capsys):
    nib.save(nib.Nifti1Image(-scan, np.diag([2, 2, 2, 1])), "other.nii.gz")
    compare(["scan.nii.gz", "other.nii.gz"])
    head, row = (line.split("\t") for line in capsys.readouterr().out.splitlines())
    found = dict(zip(head, row, strict=True))
    assert (
        found["map_a"] == "scan.nii.gz" and float(found["pearson"]) == pytest.approx(-1) and float(found["dice"]) == 1
    )
    assert set(found) == {"map_a", "map_b", "pearson", "spearman", "ssim", "l2_rms", "dice"}


def test_maps_on_two_grids_are_refused(scan):
    nib.save(nib.Nifti1Image(scan[1:], np.diag([2, 2, 2, 1])), "cut.nii.gz")
    nib.save(nib.Nifti1Image(scan, np.diag([-2, 2, 2, 1])), "flipped.nii.gz")
    for other in ("cut.nii.gz", "flipped.nii.gz"):
        with pytest.raises(StudyError, match=f"{other} and scan.nii.gz are not on one grid"):
            compare(["scan.nii.gz", other])
