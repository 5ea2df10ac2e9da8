"""The tables of effects and of recovery that the commands write, from stores of patients, twins and controls."""

import importlib
import json
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from heatproof.attribute.deletion import rank_units
from heatproof.attribute.effects import unit_effects
from heatproof.attribute.outputs import with_margin
from heatproof.attribute.recover_health import rank_by_effects, shared_orders
from heatproof.errors import StudyError
from heatproof.images import load_array, save_image
from heatproof.tables import read_table, write_table
from heatproof.task import PATIENTS
from heatproof.train.network import create_network, load_model, save_model
from heatproof.units import KINDS, units_of

EFFECTS = {"regions": "hemispheres", "cubes": 40.0, "controls": 2, "shapley": 0}
NETWORK = {
    **{"function": "heatproof.train.network:build_network", "filters": [3, 4], "kernel": 3, "padding": 1},
    **{"pools": [2, 2], "dropout": 0.4, "hidden": 5},
}
LABELS = {
    "test": ["patient", "control", "patient"],
    "twins": ["control", "control"],
    "train": ["patient", "control", "control", "control"],
}
NAMES = {"test": ["sub-2", "sub-3", "sub-1"], "twins": ["sub-2", "sub-1"]}


class Study:
    """A model, the stores of its scans and a template in a folder, and the commands."""

    def __init__(self, folder, brain):
        self.folder, self.template = folder, brain.folder
        rng, shape = np.random.default_rng(0), brain.mask.shape
        for store, labels in LABELS.items():
            names = NAMES.get(store, [f"sub-train{i}" for i in range(len(labels))])
            images = (rng.random((len(labels), *shape)) * brain.mask).astype(np.float16)
            np.save(folder / f"{store}.npy", images)
            write_table(pd.DataFrame({"scan": names, "label": labels}), folder / f"{store}.tsv")
        np.save(folder / "mean_control.npy", np.load(folder / "train.npy")[1:].astype(np.float32).mean(axis=0))
        torch.manual_seed(0)
        save_model(create_network(shape, NETWORK), shape, NETWORK, folder / "model.safetensors")
        self.model = load_model(folder / "model.safetensors")
        predicted = {"scan": NAMES["test"], "split": "test", "label": LABELS["test"], "predicted": "patient"}
        write_table(pd.DataFrame(predicted), folder / "predictions.tsv")
        for name in NAMES["test"]:
            save_image(rng.normal(size=shape).astype(np.float32), brain.affine, folder / f"{name}_heatmap.nii.gz")

    def scan(self, store, name):
        """A scan (1, 1, x, y, z) by its name."""
        row = read_table(self.folder / f"{store}.tsv")["scan"].tolist().index(name)
        return torch.from_numpy(np.load(self.folder / f"{store}.npy")[row].astype(np.float32))[None, None]

    @torch.no_grad()
    def margin(self, image):
        """The patients' margin."""
        return float(with_margin(self.model)(image)[0, 1])

    def run(self, command, **options):
        """Run ``python -m heatproof.attribute.{command}`` within this process."""
        words = [
            command,
            "--task",
            json.dumps(PATIENTS._asdict()),
            "--batch-size",
            2,
            "--device",
            "cpu",
            "--template",
            self.template,
        ]
        words += ["--model", self.folder / "model.safetensors", "--scans", self.folder / "test.npy"]
        for name, value in options.items():
            value = json.dumps(value) if isinstance(value, dict) else value
            words += [f"--{name.replace('_', '-')}", value]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", list(map(str, words)))
            importlib.import_module(f"heatproof.attribute.{command}").main()

    def measure(self, twins=True, **options):
        """Run `measure_effects`; return both tables."""
        files = {"out": self.folder / "effects.tsv", "margins": self.folder / "margins.tsv"}
        known = {"twins": self.folder / "twins.npy"} if twins else {}
        self.run("measure_effects", train=self.folder / "train.npy", options=EFFECTS | options, **known, **files)
        return tuple(read_table(file) for file in files.values())

    def recover(self, out="recovery.tsv", **options):
        """Run `recover_health`; return its table."""
        known = {"twins": self.folder / "twins.npy"} if "mean_control" not in options else {}
        known |= {"predictions": self.folder / "predictions.tsv", "cubes": 40.0, "most_scans": 5}
        self.run("recover_health", out=self.folder / out, **known, **options)
        return read_table(self.folder / out)


@pytest.fixture
def study(tmp_path, small_brain):
    return Study(tmp_path, small_brain)


def test_all_test_scans_of_patients_have_effects_by_twin_and_by_controls(study):
    effects, margins = study.measure()
    columns = ["scan", "reference", "unit_kind", "unit", "effect_first", "effect_last", "effect"]
    assert effects.columns.tolist() == columns
    assert margins.columns.tolist() == ["scan", "reference", "margin", "margin_reference"]
    pairs = [("sub-2", "twin"), ("sub-2", "controls"), ("sub-1", "twin"), ("sub-1", "controls")]
    assert list(margins[["scan", "reference"]].itertuples(index=False, name=None)) == pairs
    assert margins["margin"].tolist() == pytest.approx([study.margin(study.scan("test", scan)) for scan, _ in pairs])
    assert margins["margin_reference"][0] == pytest.approx(study.margin(study.scan("twins", "sub-2")), rel=1e-4)
    for kind in KINDS:
        numbers, names = units_of(kind, study.template, "hemispheres", 40.0)
        own = effects[(effects["scan"] == "sub-1") & (effects["reference"] == "twin") & (effects["unit_kind"] == kind)]
        found = unit_effects(study.model, study.scan("test", "sub-1"), study.scan("twins", "sub-1"), numbers, 1)
        present = np.unique(numbers[numbers > 0]) - 1
        assert own["unit"].tolist() == [names[place] for place in present]
        np.testing.assert_allclose(own["effect_first"], found.first[0, present], rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(own["effect_last"], found.last[0, present], rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(own["effect"], (own["effect_first"] + own["effect_last"]) / 2)


def test_effects_by_controls_are_the_mean_over_the_training_controls(study):
    effects, margins = study.measure(twins=False, controls=7)  # there are 3
    assert set(effects["reference"]) == set(margins["reference"]) == {"controls"}
    numbers, _ = units_of("cubes", study.template, "hemispheres", 40.0)
    controls = [study.scan("train", f"sub-train{i}") for i in (1, 2, 3)]
    single = [unit_effects(study.model, study.scan("test", "sub-2"), other, numbers, 1) for other in controls]
    own = effects[(effects["scan"] == "sub-2") & (effects["unit_kind"] == "cubes")]
    np.testing.assert_allclose(own["effect_first"], np.mean([e.first[0] for e in single], axis=0), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(own["effect_last"], np.mean([e.last[0] for e in single], axis=0), rtol=1e-4, atol=1e-7)
    assert margins["margin_reference"][0] == pytest.approx(np.mean([study.margin(c) for c in controls]), rel=1e-4)


def test_shapley_values_are_written_where_they_are_asked_for_and_the_same_bytes_come_again(study):
    effects, _ = study.measure(shapley=4, cubes=60.0, controls=0)
    before = (study.folder / "effects.tsv").read_bytes()
    study.measure(shapley=4, cubes=60.0, controls=0)
    assert (study.folder / "effects.tsv").read_bytes() == before
    cubes = effects[effects["unit_kind"] == "cubes"]
    assert (cubes["shapley_error"] > 0).any()
    numbers, _ = units_of("cubes", study.template, None, 60.0)
    for scan, sums in cubes.groupby("scan")["shapley"].sum().items():
        image, twin = study.scan("test", scan), study.scan("twins", scan)
        healthy = torch.where(torch.from_numpy(numbers > 0), twin, image)
        assert sums == pytest.approx(study.margin(image) - study.margin(healthy), rel=1e-3)


def test_a_patient_without_a_twin_is_named(study):
    write_table(pd.DataFrame({"scan": ["sub-2", "sub-9"], "label": "control"}), study.folder / "twins.tsv")
    with pytest.raises(StudyError, match=r"twins\.npy has no scan sub-1; delete that file"):
        study.measure()


def test_scans_on_another_grid_than_the_template_are_refused(study):
    np.save(study.folder / "test.npy", np.load(study.folder / "test.npy")[:, 1:])
    with pytest.raises(StudyError, match="delete the older of the two"):
        study.measure()


def test_recovery_follows_the_map_the_effects_and_random_orders(study):
    effects, margins = study.measure()
    shared = study.recover("shared.tsv", effects=study.folder / "effects.tsv")
    table = study.recover(heatmaps=study.folder, shared=study.folder / "shared.tsv")
    gaps = margins[margins["reference"] == "twin"].set_index("scan").eval("margin - margin_reference")
    assert set(table["scan"]) == set(gaps.index[gaps > 0])  # sub-3 is no patient
    assert set(table["order"]) == {"map", "effects", "random"} and set(shared["order"]) == {"effects", "random"}
    pd.testing.assert_frame_equal(table[table["order"] != "map"].reset_index(drop=True), shared)

    scan = table["scan"][0]
    image, twin = study.scan("test", scan), study.scan("twins", scan)
    numbers, names = units_of("cubes", study.template, None, 40.0)
    heatmap = load_array(study.folder / f"{scan}_heatmap.nii.gz")
    by_effects = rank_by_effects(effects, scan, names)
    own = effects.query("scan == @scan and reference == 'twin' and unit_kind == 'cubes'").set_index("unit")["effect"]
    assert [names[number - 1] for number in by_effects] == own.sort_values(ascending=False).index.tolist()
    orders = {"map": [rank_units(heatmap, numbers, by="density")], **shared_orders(by_effects, scan)}
    assert len(orders["random"]) == 5
    for name, drawn in orders.items():
        rows = table[(table["scan"] == scan) & (table["order"] == name)]
        depth = rows["n_units"].iloc[2]
        mixed = [torch.where(torch.from_numpy(np.isin(numbers, order[:depth])), twin, image) for order in drawn]
        expected = np.mean([study.margin(image) - study.margin(one) for one in mixed]) / gaps[scan]
        assert rows["value"].iloc[2] == pytest.approx(expected, rel=1e-3, abs=1e-4)
        assert rows["value"].iloc[0] == 0 and rows["share"].iloc[-1] == 1


def test_without_twins_health_is_the_mean_controls(study):
    study.measure(twins=False)
    healthy = study.folder / "mean_control.npy"
    table = study.recover(mean_control=healthy, effects=study.folder / "effects.tsv")
    mean = torch.from_numpy(np.load(healthy))[None, None]
    gaps = {scan: study.margin(study.scan("test", scan)) - study.margin(mean) for scan in ("sub-1", "sub-2")}
    assert set(table["scan"]) == {scan for scan, gap in gaps.items() if gap > 0}
