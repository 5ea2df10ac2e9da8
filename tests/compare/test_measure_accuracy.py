"""Accuracy over the test scans, against scikit-learn's own balanced accuracy and by hand."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from heatproof.compare.measure_accuracy import main, measure_accuracy
from heatproof.tables import read_table, write_table
from heatproof.task import PATIENTS, Task

TASK = ("--task", json.dumps(PATIENTS._asdict()))


def random_predictions(n, seed):
    rng = np.random.default_rng(seed)
    names = np.array(["control", "patient"])
    probability = rng.random(n)
    return pd.DataFrame(
        {
            "scan": [f"sub-{i}" for i in range(n)],
            "split": rng.choice(["test", "validation"], n),
            "label": names[rng.integers(0, 2, n)],
            "probability": probability,
            "predicted": names[(probability > 0.5).astype(int)],
        }
    )


@pytest.mark.parametrize("seed", range(5))
def test_random_predictions_equal_scikit_learn(seed):
    predictions = random_predictions(60, seed)
    test = predictions[predictions["split"] == "test"]
    measured = measure_accuracy(predictions)
    assert measured["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(test["label"], test["predicted"]))
    assert measured["auc"] == pytest.approx(roc_auc_score(test["label"] == "patient", test["probability"]))
    assert measured["accuracy"] == np.mean(test["label"] == test["predicted"])


def test_by_hand():
    predictions = pd.DataFrame(
        {
            "scan": ["1", "2", "3", "4", "5"],
            "split": "test",
            "label": ["patient"] * 4 + ["control"],
            "probability": [0.9, 0.8, 0.7, 0.1, 0.6],
            "predicted": ["patient"] * 3 + ["control", "patient"],
        }
    )
    assert measure_accuracy(predictions) == {
        "balanced_accuracy": 0.375,
        "sensitivity": 0.75,
        "specificity": 0.0,
        "accuracy": 0.6,
        "auc": 0.75,
        "n_TP": 3,
        "n_TN": 0,
        "n_FP": 1,
        "n_FN": 1,
    }


def test_models_of_checks_have_rows_of_their_own(tmp_path, monkeypatch):
    paths = [tmp_path / f"{number}.tsv" for number in range(4)]
    for number, path in enumerate(paths):
        write_table(random_predictions(40, number), path)
    named = ["--checks", "untrained", "untrained", "random_head", "random_head", "--seeds", "3", "5", "3", "5"]
    files = ["--predictions", *map(str, paths), "--out", str(tmp_path / "out.tsv")]
    monkeypatch.setattr("sys.argv", ["measure_accuracy", *TASK, *named, *files])
    main()
    found = read_table(tmp_path / "out.tsv")
    assert found[["check", "seed"]].to_numpy().tolist() == [
        ["untrained", 3], ["untrained", 5], ["random_head", 3], ["random_head", 5]
    ]  # fmt: skip
    expected = [measure_accuracy(random_predictions(40, number))["balanced_accuracy"] for number in range(4)]
    np.testing.assert_allclose(found["balanced_accuracy"], expected)


def test_models_that_are_left_out_have_no_row_and_their_table_has_its_columns(tmp_path, monkeypatch):
    write_table(random_predictions(40, 0)[:0], tmp_path / "none.tsv")
    files = ["--predictions", str(tmp_path / "none.tsv"), "--out", str(tmp_path / "out.tsv")]
    monkeypatch.setattr("sys.argv", ["measure_accuracy", *TASK, "--checks", "cascade", "--seeds", "3", *files])
    main()
    found = read_table(tmp_path / "out.tsv")
    assert not len(found) and list(found.columns) == ["check", "seed", *measure_accuracy(random_predictions(40, 0))]


@pytest.mark.parametrize(
    ("missing", "empty", "left"),
    [
        ("patient", "sensitivity", "specificity"),
        ("control", "specificity", "sensitivity"),
    ],
)
def test_what_a_missing_class_leaves_undefined_is_empty(missing, empty, left):
    predictions = random_predictions(40, 0)
    measured = measure_accuracy(predictions[predictions["label"] != missing])
    assert all(np.isnan(measured[name]) for name in (empty, "balanced_accuracy", "auc"))
    assert measured[left] == measured["accuracy"]


def test_three_classes_by_hand():
    rows = [
        ("AD", "AD", 0.9),
        ("AD", "MCI", 0.3),
        ("MCI", "MCI", 0.2),
        ("MCI", "CN", 0.1),
        ("CN", "CN", 0.0),
        ("CN", "AD", 0.6),
    ]
    rows += [("CN", "CN", 0.1), ("CN", "CN", 0.05)]
    table = pd.DataFrame(rows, columns=["label", "predicted", "probability"]).assign(split="test")
    table["scan"] = [f"sub-{i}" for i in range(len(table))]
    found = measure_accuracy(table, Task(["CN", "MCI", "AD"], "AD"))
    assert found["balanced_accuracy"] == pytest.approx((1 / 2 + 1 / 2 + 3 / 4) / 3)
    assert (found["sensitivity"], found["specificity"], found["accuracy"]) == (1 / 2, 5 / 6, 5 / 8)
    assert found["auc"] == pytest.approx(11 / 12)  # of 12 pairs of an AD scan and another, one is in the wrong order
    assert (found["n_recognised-AD"], found["n_missed-CN"], found["CN_as_AD"], found["MCI_as_CN"]) == (1, 1, 1, 1)
    assert sum(value for name, value in found.items() if "_as_" in name) == 8


def test_errors_of_a_value_by_hand():
    table = pd.DataFrame({"label": [50.0, 60.0, 70.0, 80.0], "predicted": [52.0, 57.0, 70.0, 75.0], "split": "test"})
    table["participant_id"] = table["scan"] = ["a", "b", "c", "d"]
    measured = measure_accuracy(table, Task([], "age"))
    assert measured["mae"] == 2.5 and measured["mae_constant"] == 10  # of 65
    assert measured["rmse"] == pytest.approx(np.sqrt((4 + 9 + 0 + 25) / 4))
    assert measured["r2"] == pytest.approx(1 - 38 / 500) and measured["spearman"] == 1
    assert measured["pearson"] == pytest.approx(np.corrcoef(table["label"], table["predicted"])[0, 1])
    assert (measured["n_all"], measured["n_high"], measured["n_low"]) == (4, 1, 1)
    constant = measure_accuracy(table.assign(predicted=65.0), Task([], "age"))
    assert np.isnan(constant["pearson"]) and constant["r2"] == 0 and constant["mae"] == constant["mae_constant"]
