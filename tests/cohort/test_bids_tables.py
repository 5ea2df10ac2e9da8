"""What participants.tsv and sessions.tsv tell of a scan: the visit's own first, whatever the columns are called."""

import logging

import pytest
from small_datasets import FILES, SCAN, TABLE, dataset, put, with_visits

from heatproof.cohort.bids import read_dataset
from heatproof.errors import StudyError

OURS = ["scan", "image", "label", "split", "anatomy", "session", "reason", "index", "participant"]


@pytest.fixture
def options(config, tmp_path) -> dict:
    return config["cohort"] | {"label": "diagnosis", "bids": str(tmp_path)}


def labels(options: dict) -> dict[str, str]:
    return read_dataset(options).set_index("scan")["label"].to_dict()


@pytest.mark.parametrize("ours", OURS)
def test_columns_named_as_ours_are_nothing_special(options, tmp_path, ours):
    table = TABLE.replace("age", ours)
    options["bids"] = dataset(tmp_path, table)
    assert labels(options | {"label": "group"}) == {"sub-01": "patient", "sub-02": "control", "sub-03": "control"}
    assert list(labels(options | {"label": "group", "only": {ours: [70, 58]}})) == ["sub-01", "sub-03"]
    options["bids"] = dataset(tmp_path, TABLE.replace("group", ours))
    assert labels(options | {"label": ours})["sub-01"] == "patient"


@pytest.mark.parametrize("ours", OURS)
def test_in_tables_of_sessions_as_well(options, tmp_path, ours):
    with_visits(tmp_path, a=("AD", "AD"), b=("CN", "CN"))
    for table in tmp_path.glob("sub-*/*.tsv"):
        put(table, table.read_text().replace("diagnosis", ours))
    assert labels(options | {"label": ours})["sub-a_ses-1"] == "patient"


def test_scans_may_be_chosen_by_session_and_by_participant(options, tmp_path):
    with_visits(tmp_path, a=("AD", "AD"), b=("CN", "CN"), c=("CN", "CN"))
    assert list(labels(options | {"only": {"session_id": "ses-2"}})) == ["sub-a_ses-2", "sub-b_ses-2", "sub-c_ses-2"]
    assert list(labels(options | {"only": {"participant_id": ["sub-a", "sub-b"], "session_id": "ses-1"}})) == [
        "sub-a_ses-1",
        "sub-b_ses-1",
    ]
    with pytest.raises(StudyError, match=r"'session_id' that cohort.only.session_id names \(M2\); .* are ses-1, ses-2"):
        labels(options | {"only": {"session_id": "M2"}})


def test_the_visit_s_label_goes_before_the_participant_s_and_those_that_differ_are_named(options, tmp_path, caplog):
    with_visits(tmp_path, a=("CN", "AD"), b=("CN", "n/a"), c=("AD", "AD"))
    rows = ["participant_id\tdiagnosis", "sub-a\tCN", "sub-b\tCN", "sub-c\tAD", "sub-d\tCN"]
    put(tmp_path / "participants.tsv", "\n".join(rows))
    put(tmp_path / "sub-d/ses-1/anat/sub-d_ses-1_T1w.nii.gz", SCAN)
    with pytest.raises(StudyError, match="no value of 'diagnosis' is given for sub-b_ses-2;"):
        labels(options)
    with caplog.at_level(logging.INFO):
        found = labels(options | {"unlabelled": "leave_out", "both_classes": "patient", "exclude": ["sub-a_ses-1"]})
    assert found["sub-a_ses-2"] == "patient" and found["sub-d_ses-1"] == "control" and "sub-b_ses-2" not in found
    assert "the visit's diagnosis is taken, not that of participants.tsv, which is another: sub-a_ses-2" in caplog.text


def test_a_participants_table_with_a_row_for_each_session_is_read_by_session(options, tmp_path):
    with_visits(tmp_path, a=("x", "x"), b=("x", "x"))
    for table in tmp_path.glob("sub-*/*.tsv"):
        table.unlink()
    rows = [("sub-a", "ses-1", "CN"), ("sub-a", "ses-2", "AD"), ("sub-b", "ses-1", "CN"), ("sub-b", "ses-2", "MCI")]
    lines = ["\t".join(row) for row in [("participant_id", "session_id", "diagnosis"), *rows]]
    put(tmp_path / "participants.tsv", "\n".join(lines))
    options["exclude"] = ["sub-a_ses-1"]
    assert labels(options) == {"sub-a_ses-2": "patient", "sub-b_ses-1": "control"}
    put(tmp_path / "participants.tsv", "\n".join([*lines, lines[1], lines[2]]))
    with pytest.raises(StudyError, match="lists sub-a at ses-1, sub-a at ses-2 more than once; leave one row for each"):
        labels(options)


def test_one_row_a_participant_holds_for_all_sessions_though_it_names_one(options, tmp_path):
    with_visits(tmp_path, a=("x", "x"), b=("x", "x"))
    for table in tmp_path.glob("sub-*/*.tsv"):
        table.unlink()
    put(tmp_path / "participants.tsv", "participant_id\tsession_id\tdiagnosis\nsub-a\tses-1\tAD\nsub-b\t1\tCN\n")
    assert list(labels(options).values()) == ["patient", "patient", "control", "control"]


def test_all_names_that_are_missing_are_told(options, tmp_path):
    options |= {"label": "group", "bids": dataset(tmp_path, TABLE + "sub-04\t60\tCN\nsub-05\t60\tAD\n")}
    with pytest.raises(StudyError, match="lists sub-04, sub-05 but there is no T1w scan"):
        labels(options)
    put(tmp_path / "participants.tsv", "".join(TABLE.splitlines(True)[:2]))
    with pytest.raises(StudyError, match="has no row for sub-02, sub-03, of whom"):
        labels(options)
    put(tmp_path / "participants.tsv", TABLE.replace("CN", "None"))
    with pytest.raises(StudyError, match="no value of 'group' is given for sub-02, sub-03;"):
        labels(options)
    assert list(labels(options | {"control": "None"}).values()) == ["patient", "control", "control"]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            {"patient": ["AD", "Dementia"]},
            r"that cohort.classes.patient names \(Dementia\); the values are AD, CN",
        ),
        ({"only": {"age": [70, 64, 59]}}, r"'age' that cohort.only.age names \(59\); the values are 58, 64, 70"),
        ({"patient": 8}, r"names \(8\); the values are AD, CN$"),
        ({"only": {"age": "> 70"}}, r"'age' that cohort.only.age names \(> 70\)"),
        ({"only": {"group": ["ad", "CN"]}}, r"'group' that cohort.only.group names \(ad\); the values are AD, CN"),
    ],
)
def test_a_value_that_nobody_has_is_told_with_those_there_are(options, tmp_path, section, message):
    with pytest.raises(StudyError, match=message):
        labels(options | {"label": "group", "bids": dataset(tmp_path)} | section)


READ = {
    "lines of blanks": TABLE.replace("sub-02", " \t\t \nsub-02") + "\t\t\n   \n",
    "a column without a name": TABLE.replace("group", "group\t\t").replace("CN", "CN\tx\ty"),
    "quoted cells": TABLE.replace("AD", '"AD"').replace("age", '"age"'),
    "old line ends": TABLE.replace("\n", "\r"),
    "short rows": TABLE + "sub-04\n",
    "hard blanks": TABLE.replace("CN", "CN\u00a0"),
    "a column of numbers": TABLE.replace("age", "1"),
}


@pytest.mark.parametrize("kind", READ)
def test_odd_tables_are_read(options, tmp_path, kind):
    options |= {"label": "group", "bids": dataset(tmp_path, READ[kind]), "unlabelled": "leave_out"}
    assert list(labels(options).values()) == ["patient", "control", "control"]


def test_what_is_no_file_is_told(options, tmp_path):
    (tmp_path / "participants.tsv").mkdir()
    with pytest.raises(StudyError, match=r"participants.tsv cannot be read \(Is a directory\)"):
        labels(options | {"bids": dataset(tmp_path, None)})
    put(tmp_path / "file")
    with pytest.raises(StudyError, match=r"file/participants.tsv does not exist; cohort.bids must name a BIDS dataset"):
        labels(options | {"bids": str(tmp_path / "file")})


def test_sessions_tables_of_some_participants_only_add_to_those_of_all(options, tmp_path):
    folder = dataset(tmp_path, TABLE.replace("58\tCN", "58\tn/a"), FILES[:2])
    put(tmp_path / "sub-03/ses-1/anat/sub-03_ses-1_T1w.nii.gz", SCAN)
    put(tmp_path / "sub-03/sub-03_sessions.tsv", "session_id\tgroup\tacq_time\nses-1\tAD\tn/a\n")
    assert labels(options | {"label": "group", "bids": folder})["sub-03_ses-1"] == "patient"


def test_values_that_only_scans_left_out_have_are_no_mistake(options, tmp_path):
    table = TABLE + "sub-04\t50\tMCI\nsub-05\told\tMCI\n"
    files = [*FILES, *(FILES[0].replace("01", number) for number in ("04", "05"))]
    options |= {"label": "group", "bids": dataset(tmp_path, table, files), "patient": ["AD", "MCI"]}
    only = {"participant_id": ["sub-01", "sub-02", "sub-03"], "age": ["> 55", 50]}
    assert list(labels(options | {"only": only}).values()) == ["patient", "control", "control"]
    with pytest.raises(StudyError, match=r"no scan that is left by cohort.only and cohort.select is a patient"):
        labels(options | {"only": {"participant_id": ["sub-02", "sub-03"]}})
