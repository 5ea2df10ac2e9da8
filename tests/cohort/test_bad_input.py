"""Tables and names as people have them: each is read, or refused in one sentence that names the file and the remedy."""

import builtins
import time
from pathlib import Path

import pytest
from small_datasets import FILES, SCAN, TABLE, VISITS, dataset, put, with_visits

from heatproof.cohort.bids import read_dataset
from heatproof.cohort.scans import list_scans
from heatproof.errors import StudyError
from heatproof.images import load_image


@pytest.fixture
def options(config) -> dict:
    return config["cohort"] | {"bids": None}


REFUSED_TABLES = {
    "no table": (None, r"participants.tsv does not exist; cohort.bids must name a BIDS dataset with this table"),
    "empty": ("", r"participants.tsv is empty; write a header and one row for each participant"),
    "only a header": ("participant_id\tgroup\n", r"participants.tsv has a header but no row; write one"),
    "commas": (TABLE.replace("\t", ","), r"participants.tsv has no tabs, but commas or semicolons; .* save it so"),
    "semicolons": (TABLE.replace("\t", ";"), r"participants.tsv has no tabs, but commas or semicolons"),
    "another encoding": (
        TABLE.replace("CN", "Müller").encode("latin-1"),
        r"participants.tsv is not a tab-separated table",
    ),
    "a column twice": (
        TABLE.replace("age", "group"),
        r"participants.tsv names the column 'group' more than once; leave one",
    ),
    "a value too many": (
        TABLE.replace("58\tCN", "58\tCN\tF"),
        r"has 3 columns, but 4 values for sub-03; correct that row",
    ),
    "a quote that does not end": (TABLE.replace("CN", '"CN', 1), r"not a tab-separated table .*unexpected end of data"),
    "no participant_id": (
        TABLE.replace("participant_id", "subject"),
        r"no column participant_id; its columns are subject",
    ),
    "no label column": (
        TABLE.replace("group", "dx"),
        r"cohort.label names the column 'group'.*participant_id, age, dx",
    ),
    "a row twice": (TABLE + "sub-01\t70\tAD\n", r"participants.tsv lists sub-01 more than once; leave one row"),
    "an id with ../": (TABLE.replace("sub-03", "sub-../../x"), r"participant_id 'sub-../../x'; write sub- and then"),
    "numeric ids": (TABLE.replace("sub-0", "0"), r"the participant_id '01'; write sub-01, as the files are named"),
    "unknown values": (
        TABLE.replace("AD", "1"),
        r"'group' that cohort.classes.patient names \(AD\); the values are 1, CN",
    ),
    "mixed case": (
        TABLE + "sub-04\t71\tad\n",
        r"the value 'ad' of 'group' is written otherwise in cohort.classes.patient \(AD\)",
    ),
    "a label missing": (TABLE.replace("58\tCN", "58\tn/a"), r"'group' is given for sub-03; .* cohort.unlabelled"),
    "a row too few": (TABLE.replace("sub-03\t58\tCN\n", ""), r"participants.tsv has no row for sub-03, of whom"),
}


@pytest.mark.parametrize("kind", REFUSED_TABLES)
def test_a_table_that_does_not_fit_is_refused_in_one_sentence(options, tmp_path, kind):
    table, message = REFUSED_TABLES[kind]
    files = [*FILES, "sub-04/anat/sub-04_T1w.nii.gz"] if kind == "mixed case" else FILES
    with pytest.raises(StudyError, match=message) as error:
        read_dataset(options | {"bids": dataset(tmp_path, table, files)})
    assert "\n" not in str(error.value)


REFUSED_FILES = {
    "no scan at all": ([], r"holds no file sub-\*/\[ses-\*/\]anat/\*_T1w.nii.gz, .*; correct cohort.bids"),
    "a row without a scan": (
        FILES[:2],
        r"participants.tsv lists sub-03 but there is no T1w scan; add the file or name",
    ),
    "two runs": (
        [*FILES, "sub-01/anat/sub-01_run-2_T1w.nii.gz"],
        r"several files for one scan: sub-01_T1w.nii.gz, sub-01_run-2_T1w.nii.gz; choose by cohort.select",
    ),
    "packed and not": (
        [*FILES, "sub-01/anat/sub-01_T1w.nii"],
        r"several files for one scan: sub-01_T1w.nii, sub-01_T1w.nii.gz; name in cohort.exclude those",
    ),
    "a name of one's own": (
        [*FILES, "sub-01/anat/sub-01 copy_T1w.nii.gz"],
        r"sub-01 copy_T1w.nii.gz: not named, or not in the folder, as BIDS has it",
    ),
}


@pytest.mark.parametrize("kind", REFUSED_FILES)
def test_files_that_do_not_fit_are_refused_in_one_sentence(options, tmp_path, kind):
    files, message = REFUSED_FILES[kind]
    with pytest.raises(StudyError, match=message) as error:
        read_dataset(options | {"bids": dataset(tmp_path, files=files)})
    assert "\n" not in str(error.value)


def test_a_broken_link_as_datalad_leaves_it_is_told_before_any_job(options, tmp_path):
    folder = dataset(tmp_path, files=FILES[:2])
    link = tmp_path / FILES[2]
    link.parent.mkdir(parents=True)
    link.symlink_to("../../.git/annex/objects/MD5E-s3452349--0a.nii.gz")
    with pytest.raises(
        StudyError, match=r"sub-03: a link to a file that is not there; fetch the file \(datalad get\); or"
    ):
        list_scans(options | {"bids": folder}, "unused")
    assert len(read_dataset(options | {"bids": folder, "exclude": ["sub-03"]})) == 2


def test_a_link_that_holds_is_followed(options, tmp_path):
    folder = dataset(tmp_path / "bids", files=FILES[:2])
    put(tmp_path / "elsewhere.nii.gz", SCAN)
    (tmp_path / "bids" / FILES[2]).parent.mkdir(parents=True)
    (tmp_path / "bids" / FILES[2]).symlink_to(tmp_path / "elsewhere.nii.gz")
    assert len(read_dataset(options | {"bids": folder})) == 3


@pytest.mark.parametrize("name", ["my data", "Ärzte-Daten ✓", "it's (1)"])
def test_spaces_and_other_letters_in_paths_are_nothing_special(options, tmp_path, name):
    scans = read_dataset(options | {"bids": dataset(tmp_path / name)})
    assert scans["image"].iloc[0] == str(tmp_path / name / FILES[0])


def test_carriage_returns_a_byte_order_mark_and_blanks_are_read_over(options, tmp_path):
    table = TABLE.replace("\tCN", "\t CN ").replace("group", " group").replace("\n", "\r\n")
    scans = read_dataset(options | {"bids": dataset(tmp_path, b"\xef\xbb\xbf" + table.encode())})
    assert scans["label"].tolist() == ["patient", "control", "control"]


def test_nothing_is_written_into_a_dataset_on_a_read_only_disk(options, tmp_path):
    folder = Path(dataset(tmp_path / "bids"))
    places = [folder, *folder.rglob("*")]
    for place in places:
        place.chmod(0o555 if place.is_dir() else 0o444)
    before = {place: place.stat().st_mtime_ns for place in places}
    assert len(read_dataset(options | {"bids": str(folder)})) == 3
    assert {place: place.stat().st_mtime_ns for place in [folder, *folder.rglob("*")]} == before


def test_visits_without_a_label_are_refused_or_left_out(options, tmp_path):
    options |= {"label": "diagnosis", "bids": with_visits(tmp_path, a=("AD", "n/a"), b=("CN", "CN"))}
    with pytest.raises(
        StudyError, match=r"'diagnosis' is given for sub-a_ses-2; .* set cohort.unlabelled to leave_out"
    ):
        read_dataset(options)
    scans = read_dataset(options | {"unlabelled": "leave_out"})
    assert scans["scan"].tolist() == ["sub-a_ses-1", "sub-b_ses-1", "sub-b_ses-2"]


def test_visits_without_a_scan_count_for_who_is_ever_a_patient_and_for_nothing_else(options, tmp_path):
    options |= {"label": "diagnosis", "bids": with_visits(tmp_path, a=("CN", "AD"), b=("CN", "CN"), c=("AD", "AD"))}
    (tmp_path / "sub-a/ses-2/anat/sub-a_ses-2_T1w.nii.gz").unlink()
    first = read_dataset(options).set_index("scan")["label"]
    assert first["sub-a_ses-1"] == "control" and len(first) == 5
    assert read_dataset(options | {"both_classes": "patient"}).set_index("scan")["label"]["sub-a_ses-1"] == "patient"


@pytest.mark.parametrize(
    ("sessions", "message"),
    [
        (VISITS.format("AD", "AD") + "ses-2\tCN\n", r"sub-a_sessions.tsv lists ses-2 more than once"),
        (
            VISITS.format("AD", "AD").replace("ses-", "M0"),
            r"sub-a_sessions.tsv has the session_id 'M01'; write ses-M01",
        ),
        (VISITS.replace("session_id", "visit"), r"sub-a_sessions.tsv has no column session_id; its columns are visit"),
    ],
)
def test_a_table_of_sessions_that_does_not_fit_is_refused(options, tmp_path, sessions, message):
    options |= {"label": "diagnosis", "bids": with_visits(tmp_path, a=("AD", "AD"), b=("CN", "CN"))}
    put(tmp_path / "sub-a/sub-a_sessions.tsv", sessions)
    with pytest.raises(StudyError, match=message):
        read_dataset(options)


def test_a_cohort_of_969_scans_is_read_checked_and_split_in_seconds_and_no_image_is_opened(
    options, tmp_path, monkeypatch
):
    names = [f"sub-{i:03d}" for i in range(344)]
    put(tmp_path / "participants.tsv", "participant_id\tage\n" + "".join(f"{name}\t70\n" for name in names))
    for i, name in enumerate(names):
        visits = ["ses-1", "ses-2", "ses-3"][: 3 if i < 969 - 688 else 2]
        label = "AD" if i < 193 else "CN"
        put(tmp_path / name / f"{name}_sessions.tsv", "session_id\tdx\n" + "".join(f"{v}\t{label}\n" for v in visits))
        for visit in visits:
            put(tmp_path / name / visit / "anat" / f"{name}_{visit}_T1w.nii.gz", "not an image" * 40)
    options |= {"label": "dx", "bids": str(tmp_path), "split": {"test": 30, "validation": 18, "seed": 0}}
    really_open = builtins.open

    def open_no_image(file, *arguments, **keywords):
        assert ".nii" not in str(file), "an image is opened"
        return really_open(file, *arguments, **keywords)

    monkeypatch.setattr(builtins, "open", open_no_image)
    with pytest.raises(AssertionError, match="an image is opened"):
        load_image(tmp_path / "sub-000/ses-1/anat/sub-000_ses-1_T1w.nii.gz")
    start = time.process_time()
    scans = list_scans(options, "unused")
    assert time.process_time() - start < 5
    people = scans.groupby("split")["participant_id"].nunique().to_dict()
    assert len(scans) == 969 and people == {"test": 60, "train": 248, "validation": 36}
