"""Reading a BIDS dataset: every T1w scan of the two classes, or one sentence that says what is wrong."""

from pathlib import Path

import pytest

from heatproof.cohort.bids import read_dataset
from heatproof.cohort.bids_files import FEWEST_BYTES
from heatproof.errors import StudyError


def make_dataset(folder: Path, rows: dict[str, str], scans: list[str], header: str = "participant_id\tgroup") -> dict:
    folder.mkdir(exist_ok=True)
    lines = [header, *(f"{name}\t{label}" for name, label in rows.items())]
    (folder / "participants.tsv").write_text("\n".join(lines) + "\n")
    for scan in scans:
        participant, _, session = scan.partition("_")
        path = folder / participant / session / "anat" / f"{scan}_T1w.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(FEWEST_BYTES))
    return {
        "bids": str(folder),
        "label": "group",
        "patient": "AD",
        "control": "CN",
        "both_classes": "refuse",
        "unlabelled": "refuse",
        "unreadable": "refuse",
        "only": {},
        "participants": None,
        "select": {},
        "exclude": [],
    }


def test_all_sessions_of_both_classes_are_read_and_others_left_out(tmp_path, caplog):
    caplog.set_level("INFO")
    rows = {"sub-01": "AD", "sub-02": "CN", "sub-03": "MCI"}
    options = make_dataset(tmp_path, rows, ["sub-01_ses-M00", "sub-01_ses-M06", "sub-02", "sub-03"])
    table = read_dataset(options)
    assert "no class are left out, by their group: MCI (1)" in caplog.text
    assert table["scan"].tolist() == ["sub-01_ses-M00", "sub-01_ses-M06", "sub-02"]
    assert table["label"].tolist() == ["patient", "patient", "control"]
    assert table["session_id"].tolist() == ["ses-M00", "ses-M06", ""]
    assert all(Path(image).is_file() for image in table["image"])


def test_a_label_may_have_several_values_and_be_a_number(tmp_path):
    options = make_dataset(tmp_path, {"sub-1": "1", "sub-2": "0.5", "sub-3": "0"}, ["sub-1", "sub-2", "sub-3"])
    table = read_dataset(options | {"patient": [1, 0.5], "control": 0})
    assert table["label"].tolist() == ["patient", "patient", "control"]


def of_three_classes(options: dict) -> dict:
    former = {"patient", "control"}
    classes = {"CN": "CN", "MCI": ["EMCI", "LMCI"], "AD": "AD"}
    return {key: value for key, value in options.items() if key not in former} | {"classes": classes}


def test_there_may_be_three_classes_and_each_has_a_scan(tmp_path):
    rows = {"sub-1": "LMCI", "sub-2": "AD", "sub-3": "CN", "sub-4": "EMCI", "sub-5": "other"}
    options = of_three_classes(make_dataset(tmp_path, rows, list(rows)))
    assert read_dataset(options)["label"].tolist() == ["MCI", "AD", "CN", "MCI"]
    with pytest.raises(StudyError, match=r"no scan has a value of 'group' that cohort.classes.AD names \(AD\)"):
        read_dataset(options | {"exclude": ["sub-2"]})
    with pytest.raises(StudyError, match=r"no scan that is left by cohort.only and cohort.select is AD; loosen their"):
        read_dataset(options | {"only": {"group": ["LMCI", "EMCI", "CN"]}})
    options["classes"] = options["classes"] | {"AD": ["AD", "EMCI"]}
    with pytest.raises(StudyError, match=r"classes.AD and cohort.classes.MCI both name 'EMCI'; take it out of one"):
        read_dataset(options)


def with_sessions(tmp_path, diagnoses: dict[str, dict[str, str]]) -> dict:
    scans = [f"{participant}_{session}" for participant, visits in diagnoses.items() for session in visits]
    options = make_dataset(tmp_path, dict.fromkeys(diagnoses, "70"), scans, "participant_id\tage")
    for participant, visits in diagnoses.items():
        lines = ["session_id\tgroup", *(f"{session}\t{value}" for session, value in visits.items())]
        (tmp_path / participant / f"{participant}_sessions.tsv").write_text("\n".join(lines))
    return options


def test_a_label_may_be_given_per_session(tmp_path):
    options = with_sessions(tmp_path, {"sub-1": {"ses-a": "MCI", "ses-b": "AD"}, "sub-2": {"ses-a": "CN"}})
    assert read_dataset(options)["scan"].tolist() == ["sub-1_ses-b", "sub-2_ses-a"]


def test_blanks_in_a_table_of_sessions_do_not_count_and_a_missing_value_is_none(tmp_path):
    options = with_sessions(tmp_path, {"sub-1": {"ses-a": "CN", "ses-b": "AD"}, "sub-2": {"ses-a": "CN"}})
    (tmp_path / "sub-1/sub-1_sessions.tsv").write_text(" session_id\tgroup \n ses-a \tn/a \nses-b\t AD\t\n\n")
    assert read_dataset(options | {"unlabelled": "leave_out"})["scan"].tolist() == ["sub-1_ses-b", "sub-2_ses-a"]


def test_a_participant_in_both_classes_is_refused_or_a_patient(tmp_path):
    options = with_sessions(tmp_path, {"sub-1": {"ses-a": "CN", "ses-b": "AD"}, "sub-2": {"ses-a": "CN"}})
    with pytest.raises(StudyError, match="sub-1: scans of patients and of controls"):
        read_dataset(options)
    table = read_dataset(options | {"both_classes": "patient"})
    assert table["label"].tolist() == ["patient", "patient", "control"]


def test_excluded_participants_scans_and_files_are_left_out(tmp_path):
    rows = {"sub-1": "AD", "sub-2": "CN", "sub-3": "CN"}
    options = make_dataset(tmp_path, rows, ["sub-1_ses-a", "sub-1_ses-b", "sub-2", "sub-3"])
    table = read_dataset(options | {"exclude": ["sub-3", "sub-1_ses-b"]})
    assert table["scan"].tolist() == ["sub-1_ses-a", "sub-2"]
    (tmp_path / "sub-2/anat/sub-2_run-1_T1w.nii").write_bytes(bytes(FEWEST_BYTES))
    with pytest.raises(StudyError, match=r"several files for one scan: sub-2_T1w.nii.gz, sub-2_run-1_T1w.nii;"):
        read_dataset(options)
    assert len(read_dataset(options | {"exclude": ["sub-2_run-1_T1w.nii"]})) == 4


def test_a_table_with_a_byte_order_mark_and_carriage_returns_is_read(tmp_path):
    options = make_dataset(tmp_path, {"sub-1": "AD", "sub-2": "CN"}, ["sub-1", "sub-2"])
    path = tmp_path / "participants.tsv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert len(read_dataset(options)) == 2


@pytest.mark.parametrize(
    ("rows", "scans", "message"),
    [
        ({"sub-1": "AD", "sub-2": "CN", "sub-3": "CN"}, ["sub-1", "sub-2"], "lists sub-3 but there is no T1w scan"),
        ({"sub-1": "AD"}, ["sub-1", "sub-2"], "has no row for sub-2"),
        ({"sub-1": "AD", "sub-2": "n/a"}, ["sub-1", "sub-2"], "no value of 'group' is given for sub-2"),
        (
            {"sub-1": "ad", "sub-2": "CN"},
            ["sub-1", "sub-2"],
            r"classes.patient names \(AD\); the values are CN, ad",
        ),
        ({"sub-1": "AD", "../x": "CN"}, ["sub-1"], r"participant_id '\.\./x'"),
        ({"sub-1": "AD"}, [], "holds no file"),
    ],
)
def test_what_does_not_fit_is_told_in_one_sentence(tmp_path, rows, scans, message):
    with pytest.raises(StudyError, match=message) as error:
        read_dataset(make_dataset(tmp_path, rows, scans))
    assert "\n" not in str(error.value)


def test_a_missing_label_column_is_told_with_the_columns_there_are(tmp_path):
    options = make_dataset(tmp_path, {"sub-1": "AD", "sub-2": "CN"}, ["sub-1", "sub-2"])
    with pytest.raises(StudyError, match=r"'diagnosis'.*participant_id, group"):
        read_dataset(options | {"label": "diagnosis"})


def test_a_missing_dataset_is_told(tmp_path):
    options = make_dataset(tmp_path, {"sub-1": "AD"}, ["sub-1"])
    with pytest.raises(StudyError, match=r"participants.tsv does not exist; cohort.bids"):
        read_dataset(options | {"bids": str(tmp_path / "nowhere")})


def test_a_participant_listed_twice_is_refused(tmp_path):
    options = make_dataset(tmp_path, {"sub-1": "AD", "sub-2": "CN"}, ["sub-1", "sub-2"])
    with open(tmp_path / "participants.tsv", "a") as file:
        file.write("sub-1\tCN\n")
    with pytest.raises(StudyError, match="sub-1 more than once"):
        read_dataset(options)


def of_ages(folder: Path, ages: dict[str, str], **options) -> dict:
    known = make_dataset(folder, ages, [*ages], header="participant_id\tage")
    return known | {"label": "age", "value": "age", "classes": None} | options


def test_a_value_to_learn_is_the_label(tmp_path):
    table = read_dataset(of_ages(tmp_path, {"sub-1": "61", "sub-2": "7.5e1", "sub-3": "n/a"}, unlabelled="leave_out"))
    assert table["label"].tolist() == [61.0, 75.0] and table["label"].dtype == float


@pytest.mark.parametrize(
    ("ages", "message"),
    [
        (
            {"sub-1": "61", "sub-2": "89+"},
            r"'age' of sub-2 is '89\+', and cohort.value takes numbers; .*exclude",
        ),
        ({"sub-1": "61", "sub-2": "inf"}, r"'age' of sub-2 is 'inf'"),
        ({"sub-1": "61", "sub-2": ""}, r"no value of 'age' is given for sub-2; .* cohort.unlabelled to leave_out"),
        ({"sub-1": "61", "sub-2": "61.0"}, r"all scans have the same 'age', 61"),
    ],
)
def test_a_value_that_cannot_be_learned_is_told(tmp_path, ages, message):
    with pytest.raises(StudyError, match=message):
        read_dataset(of_ages(tmp_path, ages))
