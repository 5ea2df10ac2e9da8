"""docs/your-own.md, followed: every block runs, and the study that it describes is planned."""

import importlib
import json
import re
import shlex
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from planning import make_adni

pytestmark = pytest.mark.long

BLOCKS = re.findall(r"```(python|yaml)\n(.*?)```", Path("docs/your-own.md").read_text(), re.DOTALL)


@pytest.fixture
def followed(tmp_path, monkeypatch):
    """A folder with the network's module, weights of it and a scan, which is the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_network.py").write_text(BLOCKS[0][1])
    torch.manual_seed(0)
    build = importlib.import_module("my_network").build
    torch.save({"state_dict": build((24, 28, 24)).state_dict()}, "my-model.pt")
    scan = np.random.default_rng(0).random((24, 28, 24)).astype(np.float32)
    nib.save(nib.Nifti1Image(scan, np.diag([8, 8, 8, 1])), "scan.nii.gz")
    yield tmp_path
    sys.modules.pop("my_network")


def test_from_a_model_to_a_map(followed):
    names = {}
    for kind, block in BLOCKS[1:]:
        if kind == "python":
            exec(block, names)
    heatmap = nib.load("heatmap.nii.gz")
    assert heatmap.shape == (24, 28, 24) and np.asarray(heatmap.dataobj).any()
    assert -1 <= names["agreement"] <= 1


def test_from_a_model_to_a_study(checkout):
    make_adni(checkout.folder / "data/my-dataset", participants=6, patients=3, scans=12)
    (checkout.folder / "my-study.yaml").write_text(next(block for kind, block in BLOCKS if kind == "yaml"))
    (checkout.folder / "my-model.pt").touch()
    jobs = checkout.jobs("--configfile", "my-study.yaml")
    assert jobs["import_model"] == 1 and jobs["register_scan"] == 12 and jobs["pack_scans"] == 1
    assert not {"fit_model", "draw_training", "average_controls", "check_leakage"} & jobs.keys()
    assert jobs["check_quality"] == 1 and jobs["write_page"] == 1
    printed = checkout.snakemake("--dry-run", "--printshellcmds", "--configfile", "my-study.yaml").stdout
    command = shlex.split(re.search(r"python -m heatproof.train.import_model .*", printed)[0])
    network = next(word for word in command if word.startswith("--network=")).removeprefix("--network=")
    assert json.loads(network) == {"function": "my_network:build", "width": 4}
