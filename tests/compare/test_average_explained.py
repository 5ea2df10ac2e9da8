"""Means without heatmaps: the bytes of those that are averaged from heatmaps, also after a job was killed."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from heatproof.attribute import explain
from heatproof.attribute.deletion import recognised_scans
from heatproof.compare import average_explained
from heatproof.images import load_array
from heatproof.possible import is_left_out
from heatproof.tables import read_table, write_table
from heatproof.task import PATIENTS
from heatproof.train.network import create_network, save_model

NETWORK = {"filters": [3, 4], "pools": [2, 2], "padding": 1, "hidden": 5}
OUTCOMES = ["TP", "TP", "TN", "FN", "TP", "TN", "TP"]
COMPARED = {"regions": "hemispheres", "relevance": "absolute", "gain_controls": "true_negatives"}
COMPARED |= {"participant_groups": 3, "cubes": 4.0, "task": PATIENTS._asdict()}
METHODS = {
    "gradient_input": {"method": "gradient_input"},
    "occlusion": {"method": "occlusion", "patch": 2, "stride": 2, "mask": "brain"},
}


class Explained:
    """A model, a store of scans and what the model predicts for them, and both ways to their mean maps."""

    def __init__(self, study):
        self.study, self.folder = study, study.root
        self.shape = load_array(study.template / "brain_mask.nii.gz").shape
        torch.manual_seed(0)
        save_model(create_network(self.shape, NETWORK), self.shape, NETWORK, self.folder / "model.safetensors")
        images = np.random.default_rng(0).random((len(OUTCOMES), *self.shape))
        np.save(self.folder / "test.npy", images.astype(np.float16))
        names = [f"sub-{number}" for number in range(len(OUTCOMES))]
        study.add_model(0, dict(zip(names, OUTCOMES, strict=True)))
        self.predicted = self.folder / "train/seed-0/predictions.tsv"
        write_table(read_table(self.predicted)[: len(names)][["scan", "label"]], self.folder / "test.tsv")

    def arguments(self, options: dict, **more) -> dict:
        """Return what both commands that explain are given."""
        files = {"model": self.folder / "model.safetensors", "scans": self.folder / "test.npy"}
        given = {"name": "mine", "options": options, "task": PATIENTS._asdict(), "batch_size": 3, "device": "cpu"}
        return files | {"template": self.study.template} | given | more

    def with_maps(self, options: dict, monkeypatch) -> dict[Path, bytes]:
        """Write heatmaps, then average them."""
        out, words = self.folder / "averaged", ["explain"]
        for name, value in self.arguments(options, out_dir=self.folder / "maps").items():
            words += [f"--{name.replace('_', '-')}", json.dumps(value) if isinstance(value, dict) else str(value)]
        with monkeypatch.context() as patched:
            patched.setattr(sys, "argv", words)
            explain.main()
        files = {"predictions": self.predicted, "heatmaps": self.folder / "maps", "template": self.study.template}
        self.study.run("average_maps", **files, options=COMPARED, out=out)
        return contents(out)

    def without_maps(self, options: dict, **more) -> dict[Path, bytes]:
        """Average what is explained at once."""
        out = self.folder / "explained"
        folders = {"predictions": self.predicted, "compare": COMPARED, "single_dir": self.folder / "few", "out": out}
        self.study.run("average_explained", **self.arguments(options, **more), **folders, single=[1, 2])
        return contents(out)


def contents(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def explained(study):
    return Explained(study)


@pytest.mark.parametrize("method", METHODS)
def test_the_means_are_the_bytes_of_those_of_heatmaps_and_few_heatmaps_are_written(explained, method, monkeypatch):
    averaged = explained.with_maps(METHODS[method], monkeypatch)
    assert explained.without_maps(METHODS[method]) == averaged
    assert Path("units.tsv") in averaged and Path("left_out/group-3_mean_TP.nii.gz") in averaged
    scans = {scan for most in (1, 2) for scan in recognised_scans(read_table(explained.predicted), most)}
    few, maps = contents(explained.folder / "few"), contents(explained.folder / "maps")
    assert few == {Path(f"{scan}_heatmap.nii.gz"): maps[Path(f"{scan}_heatmap.nii.gz")] for scan in scans}


@pytest.mark.parametrize(("method", "broken", "last"), [("gradient_input", 3, 1), ("occlusion", 5, 3)])
def test_a_job_that_was_killed_goes_on_with_its_sums(explained, method, broken, last, monkeypatch):
    whole, calls, batch = explained.without_maps(METHODS[method]), [], average_explained.explain_batch
    monkeypatch.setattr(average_explained, "PAUSE", 0)

    def counted(*arguments):
        calls.append(arguments)
        if len(calls) == broken:
            raise KeyboardInterrupt
        return batch(*arguments)

    monkeypatch.setattr(average_explained, "explain_batch", counted)
    with pytest.raises(KeyboardInterrupt):
        explained.without_maps(METHODS[method])
    assert explained.without_maps(METHODS[method]) == whole
    assert len(calls) - broken == last


def test_what_a_network_cannot_have_has_means_of_no_scan(explained, tmp_path):
    possible = tmp_path / "possible.tsv"
    possible.write_text("what\tname\tpossible\tnote\nmethod\tmine\tno\tit has gates\n")
    explained.without_maps(METHODS["gradient_input"], possible=possible)
    assert not read_table(explained.folder / "explained/mean_maps.tsv")["n_scans"].any()
    assert is_left_out(explained.folder / "few")
