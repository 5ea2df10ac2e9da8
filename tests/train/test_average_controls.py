"""The mean control: the training controls alone, each scan once."""

import json
import sys

import numpy as np
import pandas as pd
import pytest

from heatproof.errors import StudyError
from heatproof.store import open_store
from heatproof.tables import write_table
from heatproof.task import PATIENTS
from heatproof.train import average_controls


@pytest.fixture
def store(tmp_path):
    images = np.random.default_rng(0).random((5, 3, 4, 2)).astype(np.float16)
    np.save(tmp_path / "train.npy", images)
    labels = ["patient", "control", "control", "patient", "control"]
    write_table(pd.DataFrame({"scan": list("abcde"), "label": labels}), tmp_path / "train.tsv")
    return tmp_path


def test_it_is_the_mean_of_the_controls(store, monkeypatch):
    files = ["--scans", str(store / "train.npy"), "--out", str(store / "mean_control.npy")]
    files += ["--task", json.dumps(PATIENTS._asdict())]
    monkeypatch.setattr(sys, "argv", ["average_controls", *files])
    average_controls.main()
    mean, images = np.load(store / "mean_control.npy"), np.load(store / "train.npy").astype(np.float64)
    assert mean.dtype == np.float32
    np.testing.assert_array_equal(mean, images[[1, 2, 4]].mean(axis=0).astype(np.float32))


def test_a_store_without_controls_is_refused(store):
    write_table(pd.DataFrame({"scan": list("abcde"), "label": "patient"}), store / "train.tsv")
    with pytest.raises(StudyError, match="no training scan is of a control, and mean_control is their mean"):
        average_controls.average_controls(open_store(store / "train.npy"))
