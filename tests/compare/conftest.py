"""A small study as the earlier stages leave it: a template of four labels, predictions and random heatmaps."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from heatproof.images import save_image
from heatproof.tables import write_table
from heatproof.task import PATIENTS

SHAPE = (6, 7, 5)
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
OPTIONS = {
    **{"regions": "hemispheres", "relevance": "absolute", "gain_controls": "true_negatives", "participant_groups": 5},
    **{"within": "brain", "top_k": 10, "top_percent": 5, "rbo_p": 0.9, "cubes": None},
}
LABELS = pd.DataFrame(
    {"index": [4, 7, 9, 30], "name": ["Left Hippocampus", "Right Hippocampus", "Brain Stem", "3rd Ventricle"]}
)


def predictions(outcomes: dict[str, str]) -> pd.DataFrame:
    """Make predictions of test scans from the outcome of each, and one of a validation scan that must not count."""
    label = {"TP": "patient", "FN": "patient", "TN": "control", "FP": "control"}
    rows = [
        (scan, "test", label[outcome], 0.9 if outcome[1] == "P" else 0.2, {"P": "patient", "N": "control"}[outcome[1]])
        for scan, outcome in outcomes.items()
    ]
    rows.append(("sub-validation", "validation", "patient", 0.9, "patient"))
    table = pd.DataFrame(rows, columns=["scan", "split", "label", "probability", "predicted"])
    table.insert(1, "participant_id", table["scan"])
    return table


def random_curves(scans: list[str], rng: np.random.Generator) -> pd.DataFrame:
    """Make curves of deletion and insertion over three points, as ``attribute`` leaves them."""
    points = {"n_units": [0, 1, 4], "share": [0.0, 0.25, 1.0]}
    tables = [
        pd.DataFrame({"scan": scan, "curve": curve, "order": order, **points, "value": rng.random(3)})
        for scan in scans
        for curve in ("deletion", "insertion")
        for order in ("map", "random")
    ]
    columns = ["scan", "curve", "order", "n_units", "share", "value"]
    return pd.concat(tables) if tables else pd.DataFrame(columns=columns)


class Study:
    """Files of a study below one folder, and the stage's commands run on them."""

    methods = ("smooth", "rough")
    options = OPTIONS

    def __init__(self, root: Path):
        self.root, self.template, self.compare = root, root / "register" / "template", root / "compare"
        self.labels = np.random.default_rng(0).choice([0, 4, 7, 9, 30], size=SHAPE)
        self.brain = self.labels > 0
        self.seeds, self.possible = [], root / "attribute/possible.tsv"
        save_image(self.brain, AFFINE, self.template / "brain_mask.nii.gz")
        save_image(self.labels.astype(np.int16), AFFINE, self.template / "regions.nii.gz")
        write_table(LABELS.assign(volume_mm3=8.0), self.template / "regions.tsv")
        self.truth = root / "cohort/ground_truth/regions.tsv"
        truth = pd.DataFrame({"region": LABELS["name"], "prescribed": [-0.4, -0.4, 0.0, 0.0]})
        write_table(truth, self.truth)

    def add_model(self, seed: int, outcomes: dict[str, str], **heatmaps: dict[str, np.ndarray]) -> None:
        """Write a model's predictions and heatmaps: random ones, save those given as ``method={scan: array}``."""
        rng = np.random.default_rng(seed if isinstance(seed, int) else list(seed.encode()))
        self.seeds.append(seed)
        write_table(predictions(outcomes), self.root / f"train/seed-{seed}/predictions.tsv")
        for method in self.methods:
            for scan in outcomes:
                heatmap = heatmaps.get(method, {}).get(scan, rng.normal(size=SHAPE).astype(np.float32))
                save_image(heatmap, AFFINE, self.heatmap(method, seed, scan))
            patients = [scan for scan, outcome in outcomes.items() if outcome == "TP"]
            write_table(random_curves(patients, rng), self.root / f"attribute/{method}/deletion_seed-{seed}.tsv")

    def heatmap(self, method: str, seed: int, scan: str) -> Path:
        """Return the path of a heatmap."""
        return self.root / f"attribute/{method}/seed-{seed}/{scan}_heatmap.nii.gz"

    def average(self, method: str, seed: int, **options) -> Path:
        """Run `average_maps` for one method and model; return the folder that it wrote."""
        folder = self.compare / method / f"seed-{seed}"
        train = self.root / f"train/seed-{seed}/predictions.tsv"
        heatmaps = self.root / f"attribute/{method}/seed-{seed}"
        made = {"predictions": train, "heatmaps": heatmaps, "template": self.template, "out": folder}
        call("average_maps", **made, options=OPTIONS | options)
        return folder

    def run(self, command: str, **options) -> None:
        """Run any other command of the stage."""
        call(command, **options)

    def tabulate(self, options: dict = OPTIONS) -> None:
        """Run `write_tables` on what was measured of every method."""
        tables = {"measures": [self.compare / method / "measures.tsv" for method in self.methods]}
        tables |= {"methods": self.methods, "judged": self.methods, "modelled": self.methods, "seeds": self.seeds}
        mask = self.template / "brain_mask.nii.gz"
        known = {"possible": self.possible} if self.possible.exists() else {}
        call("write_tables", folder=self.compare, **tables, **known, mask=mask, options=options)

    def finish(self, within: str = "brain", top_k: int = 2) -> Path:
        """Run every command of the stage; return the stage's folder."""
        options = OPTIONS | {"within": within, "top_k": top_k}
        for method in self.methods:
            for seed in self.seeds:
                self.average(method, seed)
        predicted = [self.root / f"train/seed-{seed}/predictions.tsv" for seed in self.seeds]
        call(
            "measure_accuracy",
            task=PATIENTS._asdict(),
            predictions=predicted,
            seeds=self.seeds,
            out=self.compare / "accuracy.tsv",
        )
        for method in self.methods:
            one = {"folder": self.compare, "method": method, "seeds": self.seeds, "template": self.template}
            one |= {"truth": self.truth, "options": options}
            out = self.compare / method
            curves = [self.root / f"attribute/{method}/deletion_seed-{seed}.tsv" for seed in self.seeds]
            call("measure_method", **one, curves=curves, predictions=predicted, out=out / "measures.tsv")
            call("measure_ensembles", **one, out=out / "ensembles.tsv")
        self.tabulate(options)
        return self.compare


def call(command: str, **options) -> None:
    """Run ``python -m heatproof.compare.{command}`` within this process."""
    words = [command]
    for name, value in options.items():
        value = json.dumps(value) if isinstance(value, dict) else value
        words += [f"--{name.replace('_', '-')}", *(value if isinstance(value, list | tuple) else [value])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(word) for word in words])
        importlib.import_module(f"heatproof.compare.{command}").main()


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


@pytest.fixture(scope="session")
def make_study():
    """What makes a study in a folder."""
    return Study


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The folder of the stage in which every command has run on four models and ten scans; not to be changed."""
    study = Study(tmp_path_factory.mktemp("finished"))
    for seed in (5, 2, 9, 4):
        study.add_model(seed, {f"sub-{i}": "TP" if i % 2 else "TN" for i in range(10)})
    return study.finish(top_k=2)
