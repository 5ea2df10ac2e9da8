"""Classes are names, and groups are what is averaged."""

import pandas as pd
import pytest

from heatproof.errors import StudyError
from heatproof.task import PATIENTS, Task, classes_of, scans_by_group, task_of, thirds


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


AGE = Task([], "age")


def people(values: dict[str, list[float | None]]) -> pd.DataFrame:
    rows = [(f"{name}_{i}", name, value) for name, own in values.items() for i, value in enumerate(own)]
    return pd.DataFrame(rows, columns=["scan", "participant_id", "label"])


def test_thirds_are_of_participants_by_their_mean_and_the_middle_one_takes_what_is_left():
    scans = people({"a": [10.0, 90.0], "b": [20.0], "c": [60.0], "d": [70.0], "e": [None], "f": [40.0]})
    assert thirds(scans).tolist() == ["middle", "middle", "low", "middle", "high", "", "middle"]  # a has 50
    equal = people({name: [1.0] for name in "abc"})
    assert thirds(equal).tolist() == ["low", "middle", "high"]
    assert thirds(equal[:2]).tolist() == ["middle", "middle"]


def test_where_a_value_is_learned_all_test_scans_are_a_group_and_so_are_those_of_both_ends():
    predictions = people({"a": [1.0, 2.0], "b": [5.0], "c": [9.0], "d": [0.0]}).assign(split="test", predicted=3.0)
    predictions.loc[predictions["participant_id"] == "d", "split"] = "validation"
    assert scans_by_group(predictions, AGE) == {
        "all": ["a_0", "a_1", "b_0", "c_0"],
        "high": ["c_0"],
        "low": ["a_0", "a_1"],
    }
    assert (AGE.explained, AGE.compared, AGE.outputs, AGE.index) == ("all", ["all", "high", "low"], 1, 0)
    assert AGE.reference_groups("all") == AGE.reference_groups("true_negatives") == ["low"]
    assert AGE.is_explained(people({"a": [1.0, None]})).tolist() == [True, False]


def test_a_config_that_names_a_value_has_no_classes():
    cohort = {"value": "age", "classes": None, "patient": "AD"}
    assert not classes_of(cohort) and task_of({"cohort": cohort, "attribute": {"methods": {}}}) == AGE
