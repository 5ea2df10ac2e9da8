"""Tables of scans and predictions that stand for scans and models which are not there."""

import pandas as pd
import pytest

from heatproof.cohort.scans import listed_scans
from heatproof.config_checks import check_config
from heatproof.errors import StudyError
from heatproof.task import Task
from heatproof.train.take_predictions import read_predictions

COHORT = {"patient": "AD", "control": "CN"}


def table(folder, text, name="table.tsv"):
    path = folder / name
    path.write_text(text.replace(" ", "\t"))
    return path


@pytest.fixture
def scans():
    return pd.DataFrame({"scan": ["a", "b"], "participant_id": "p", "label": ["patient", "control"], "split": "test"})


def test_a_table_of_scans_is_a_cohort_of_test_scans(tmp_path):
    path = table(tmp_path, "scan label\nsub-2_ses-1 CN\nsub-2_ses-2 control\nother patient\n")
    found = listed_scans(COHORT | {"scans": str(path)})
    assert found["scan"].tolist() == ["other", "sub-2_ses-1", "sub-2_ses-2"]
    assert found["participant_id"].tolist() == ["other", "sub-2", "sub-2"]
    assert found["label"].tolist() == ["patient", "control", "control"] and set(found["split"]) == {"test"}
    path = table(tmp_path, "scan label participant_id\na CN x\nb AD x\n")
    assert listed_scans(COHORT | {"scans": str(path)})["participant_id"].tolist() == ["x", "x"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scan diagnosis\na CN\n", r"table.tsv has no column label; its columns are scan, diagnosis"),
        ("scan label\na CN\na AD\n", r"table.tsv .*a.*leave one row for each"),
        ("scan label\na/b CN\n", r"has the scan 'a/b'; use letters, digits, _ and - alone"),
        ("scan label\na MCI\n", r"the label 'MCI' is not of one of cohort.classes, control, patient"),
    ],
)
def test_a_table_of_scans_that_cannot_be_meant_is_refused(tmp_path, text, message):
    with pytest.raises(StudyError, match=message):
        listed_scans(COHORT | {"scans": str(table(tmp_path, text))})


def test_predictions_are_classes_probabilities_or_both(tmp_path, scans):
    found = read_predictions(table(tmp_path, "scan predicted\nb AD\na patient\n"), scans, COHORT)
    assert found["predicted"].tolist() == ["patient", "patient"] and found["probability"].isna().all()
    found = read_predictions(table(tmp_path, "scan probability\na 0.5\nb 0.51\nc 1\n"), scans, COHORT)
    assert found["predicted"].tolist() == ["control", "patient"] and found["probability"].tolist() == [0.5, 0.51]
    found = read_predictions(table(tmp_path, "scan probability predicted label\na 0.4 AD x\nb 1 CN x\n"), scans, COHORT)
    assert found["predicted"].tolist() == ["patient", "control"] and found["label"].tolist() == ["patient", "control"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scan outcome\na AD\n", r"has no column predicted or probability; its columns are scan, outcome"),
        ("scan predicted\na AD\n", r"has no prediction for b, a test scan; add its row"),
        ("scan probability\na 0.3\nb 1.3\n", r"has the probability 1.3; give numbers from 0 to 1"),
        ("scan predicted\na AD\nb yes\n", r"predicted 'yes' is not of one of"),
    ],
)
def test_predictions_that_cannot_be_meant_are_refused(tmp_path, scans, text, message):
    with pytest.raises(StudyError, match=message):
        read_predictions(table(tmp_path, text), scans, COHORT)


def test_what_takes_scans_or_a_model_is_refused_where_there_are_none(config):
    config["cohort"]["scans"] = "scans.tsv"
    with pytest.raises(StudyError, match=r"cohort.scans is of .* maps alone, which needs train.predictions as well"):
        check_config(config)
    config["train"]["predictions"] = {"0": "predictions.tsv"}
    for key, off in [("effects", None), ("recovery_scans", 0)]:
        with pytest.raises(StudyError, match=f"attribute.{key} takes scans or a model, and cohort.scans names"):
            check_config(config)
        config["attribute"] |= {key: off}
    with pytest.raises(StudyError, match=r"compare.checks: t_map takes scans or a model"):
        check_config(config)
    config["compare"]["checks"] = ["noise"]
    with pytest.raises(StudyError, match=r"attribute.methods.gradient_input takes scans or a model"):
        check_config(config)


def test_a_probability_does_not_tell_three_classes(tmp_path, scans):
    task = Task(["CN", "MCI", "AD"], "AD")
    with pytest.raises(StudyError, match="has no column predicted, and a probability tells two classes alone; add it"):
        read_predictions(table(tmp_path, "scan probability\na 0.3\nb 0.4\n"), scans, COHORT, task)
