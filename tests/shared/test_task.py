"""Classes are names, and groups are what is averaged."""

import pandas as pd
import pytest

from heatproof.errors import StudyError
from heatproof.task import PATIENTS, Task, classes_of, scans_by_group, task_of


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
    assert scans_by_group(predictions, PATIENTS) == {
        "TP": ["sub-1", "sub-5"],
        "TN": ["sub-4"],
        "FP": ["sub-3"],
        "FN": ["sub-2"],
    }


def test_a_group_without_scans_is_an_empty_list():
    predictions = pd.DataFrame({"scan": ["sub-1"], "split": "test", "label": "control", "predicted": "control"})
    assert scans_by_group(predictions, PATIENTS) == {"TP": [], "TN": ["sub-1"], "FP": [], "FN": []}


def test_groups_do_not_depend_on_the_classes_names():
    predictions = pd.DataFrame(
        [("a", "AD", "AD"), ("b", "CN", "AD"), ("c", "CN", "CN")], columns=["scan", "label", "predicted"]
    ).assign(split="test")
    assert scans_by_group(predictions, Task(["CN", "AD"], "AD")) == {"TP": ["a"], "TN": ["c"], "FP": ["b"], "FN": []}
    assert scans_by_group(predictions, Task(["CN", "AD"], "CN")) == {"TP": ["c"], "TN": ["a"], "FP": [], "FN": ["b"]}


def test_the_order_of_the_classes_is_that_of_the_outputs_and_the_former_keys_name_two():
    assert list(classes_of({"classes": {"CN": 0, "AD": 1}})) == ["CN", "AD"]
    assert classes_of({"patient": "AD", "control": "CN"}) == {"control": "CN", "patient": "AD"}
    assert list(classes_of({"patient": "AD", "control": "CN"})) == list(PATIENTS.classes)


def test_the_last_class_is_explained_or_the_one_that_a_method_names():
    config = {"cohort": {"classes": {"CN": 0, "AD": 1}}, "attribute": {"methods": {"lrp": {"target": "predicted"}}}}
    assert task_of(config) == Task(["CN", "AD"], "AD")
    config["attribute"]["methods"] |= {"occlusion": {"target": "CN"}, "gone": None}
    task = task_of(config)
    assert (task.target, task.index, task.reference, task.shown) == ("CN", 0, "AD", ["CN", "AD"])


def test_a_name_that_is_no_class_is_refused():
    with pytest.raises(StudyError, match=r"'MCI' is no class; the classes are CN, AD"):
        Task(["CN", "AD"], "AD").output_of("MCI")


def test_of_three_classes_each_has_a_group_of_scans_that_were_recognised_and_one_of_those_missed():
    task = Task(["CN", "MCI", "AD"], "MCI")
    rows = [("a", "MCI", "MCI"), ("b", "MCI", "AD"), ("c", "CN", "CN"), ("d", "AD", "MCI")]
    table = pd.DataFrame(rows, columns=["scan", "label", "predicted"]).assign(split="test")
    assert scans_by_group(table, task) == {
        **{"recognised-MCI": ["a"], "recognised-CN": ["c"], "recognised-AD": []},
        **{"missed-MCI": ["b"], "missed-CN": [], "missed-AD": ["d"]},
    }
    assert task.explained == "recognised-MCI" and task.compared == ["recognised-MCI", "recognised-CN", "recognised-AD"]
    assert task.reference_groups("true_negatives") == ["recognised-CN"]
    assert task.reference_groups("all") == ["recognised-CN", "missed-CN"]
