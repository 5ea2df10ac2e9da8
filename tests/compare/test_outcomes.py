"""A patient is a positive; only test scans count."""

import pandas as pd

from heatproof.compare.outcomes import participant_groups, scans_by_outcome


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


def test_groups_hold_whole_participants_and_equally_many_of_each_class():
    people = [f"sub-{i:02d}" for i in range(10)]
    table = pd.DataFrame({"participant_id": people, "label": ["patient", "control"] * 5, "split": "test"})
    table = pd.concat([table.assign(scan=table["participant_id"] + visit) for visit in ("_ses-1", "_ses-2")])
    groups = participant_groups(table.sample(frac=1, random_state=0), 5)
    table["group"] = table["scan"].map(groups)
    assert (table.groupby("participant_id")["group"].nunique() == 1).all()
    assert (table.groupby(["group", "label"])["participant_id"].nunique() == 1).all()
    assert sorted(table["group"].unique()) == [1, 2, 3, 4, 5]
