"""A patient is a positive; only test scans count."""

import pandas as pd

from heatproof.compare.outcomes import scans_by_outcome


def test_every_test_scan_is_in_the_one_group_that_its_label_and_prediction_name():
    predictions = pd.DataFrame(
        [
            ("sub-5", "test", "patient", "patient"),
            ("sub-2", "test", "patient", "control"),
            ("sub-3", "test", "control", "patient"),
            ("sub-4", "test", "control", "control"),
            ("sub-1", "test", "patient", "patient"),
            ("sub-6", "validation", "patient", "patient"),
        ],
        columns=["scan", "split", "label", "predicted"],
    )
    assert scans_by_outcome(predictions) == {
        "TP": ["sub-1", "sub-5"],
        "TN": ["sub-4"],
        "FP": ["sub-3"],
        "FN": ["sub-2"],
    }


def test_a_group_without_scans_is_an_empty_list():
    predictions = pd.DataFrame({"scan": ["sub-1"], "split": "test", "label": "control", "predicted": "control"})
    assert scans_by_outcome(predictions) == {"TP": [], "TN": ["sub-1"], "FP": [], "FN": []}
