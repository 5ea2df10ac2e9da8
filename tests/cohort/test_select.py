"""Choosing files by entities, as BIDS filters do, from raw datasets, fMRIPrep's derivatives and Clinica's CAPS."""

from pathlib import Path

import pytest
from small_datasets import SCAN, TABLE, dataset, put

from heatproof.cohort.bids import read_dataset
from heatproof.cohort.bids_files import check_spaces
from heatproof.errors import StudyError

SPACE = "space-MNI152NLin2009cAsym"
PLACED = {"transform": "none", "space": "MNI152NLin2009cAsym"}
FMRIPREP = {"space": "MNI152NLin2009cAsym", "desc": "preproc"}


@pytest.fixture
def derivatives(config, tmp_path) -> dict:
    """fMRIPrep's output for three participants, whose table lies in the raw dataset."""
    for name in ("sub-01", "sub-02", "sub-03"):
        for end in (f"{SPACE}_desc-preproc_T1w", "desc-preproc_T1w", f"{SPACE}_desc-brain_mask", "dseg"):
            put(tmp_path / f"fmriprep/{name}/anat/{name}_{end}.nii.gz", SCAN)
    put(tmp_path / "raw/participants.tsv", TABLE)
    places = {"bids": str(tmp_path / "fmriprep"), "participants": str(tmp_path / "raw/participants.tsv")}
    return config["cohort"] | places


def names(options: dict) -> list[str]:
    return [image.rpartition("/")[2] for image in read_dataset(options)["image"]]


def test_fmriprep_s_scans_in_the_template_s_space_are_chosen_and_labelled_from_elsewhere(derivatives):
    scans = read_dataset(derivatives | {"select": FMRIPREP})
    assert scans["scan"].tolist() == ["sub-01", "sub-02", "sub-03"]
    assert scans["label"].tolist() == ["patient", "control", "control"]
    assert all(image.endswith(f"_{SPACE}_desc-preproc_T1w.nii.gz") for image in scans["image"])
    check_spaces(scans["image"], PLACED)


def test_two_files_for_one_scan_are_told_with_the_entity_to_choose_by(derivatives):
    with pytest.raises(StudyError, match=r"several files for one scan: .*; choose by cohort.select \(space\)"):
        read_dataset(derivatives | {"select": {"desc": "preproc"}})


def test_what_matches_nothing_is_told(derivatives):
    with pytest.raises(StudyError, match=r"cohort.select.space names MNI305, which no file has; they have MNI152"):
        read_dataset(derivatives | {"select": {"space": "MNI305"}})
    put(Path(derivatives["bids"], "sub-01/anat/sub-01_desc-other_T1w.nii.gz"), SCAN)
    with pytest.raises(StudyError, match=r"no scan in .* is left by cohort.only and cohort.select"):
        read_dataset(derivatives | {"select": {"space": "MNI152NLin2009cAsym", "desc": "other"}})


def test_files_of_another_space_than_the_template_s_are_refused_before_any_job(derivatives):
    scans = read_dataset(derivatives | {"select": FMRIPREP})
    with pytest.raises(StudyError, match=r"_T1w.nii.gz and 2 more: not in the template's space, MNI152NLin6Asym, but"):
        check_spaces(scans["image"], PLACED | {"space": "MNI152NLin6Asym"})
    check_spaces(scans["image"], {"transform": "SyN", "space": "MNI152NLin6Asym"})


def test_a_table_that_is_not_there_is_told_with_the_key(derivatives):
    with pytest.raises(StudyError, match=r"participants.tsv does not exist; .* or cohort.participants the table"):
        read_dataset(derivatives | {"participants": None, "select": FMRIPREP})


@pytest.mark.parametrize(
    ("select", "chosen"),
    [
        ({"session": "first", "run": "first"}, "sub-01_ses-M6_T1w.nii.gz"),
        ({"session": "first", "run": "last"}, "sub-01_ses-M6_run-10_T1w.nii.gz"),
        ({"session": "last", "run": 2}, "sub-01_ses-M12_run-02_T1w.nii.gz"),
        ({"run": [2, 10], "session": "last"}, "sub-01_ses-M12_run-02_T1w.nii.gz"),
        ({"session": "M6", "run": None, "suffix": "T1w", "datatype": "anat"}, "sub-01_ses-M6_T1w.nii.gz"),
        ({"acquisition": "fast"}, "sub-01_ses-M24_acq-fast_T1w.nii.gz"),
    ],
)
def test_filters_take_long_names_and_the_first_or_last_session_and_run(config, tmp_path, select, chosen):
    folder = tmp_path / "bids"
    ends = ["M12_run-02", "M6_run-02", "M6_run-10", "M6", "M24_acq-fast"] if "acquisition" in select else []
    for end in ends or ["M12_run-02", "M6_run-02", "M6_run-10", "M6"]:
        put(folder / f"sub-01/ses-{end.split('_')[0]}/anat/sub-01_ses-{end}_T1w.nii.gz", SCAN)
    for name in ("sub-02", "sub-03"):
        for end in ("M6_run-02", "M6_run-10", "M6", "M12_run-02", "M24_acq-fast"):
            put(folder / f"{name}/ses-{end.split('_')[0]}/anat/{name}_ses-{end}_T1w.nii.gz", SCAN)
    put(folder / "participants.tsv", TABLE)
    assert names(config["cohort"] | {"bids": str(folder), "select": select})[0] == chosen


def test_first_of_anything_else_is_refused(config, tmp_path):
    folder = dataset(tmp_path, files=[f"sub-0{i}/anat/sub-0{i}_acq-a_T1w.nii.gz" for i in (1, 2, 3)])
    with pytest.raises(StudyError, match=r"cohort.select.acq is first, which is told of sessions and runs alone"):
        read_dataset(config["cohort"] | {"bids": folder, "select": {"acq": "first"}})


def test_a_caps_is_read_with_labels_of_visits_beside_the_table_of_participants(config, tmp_path):
    for name in ("sub-01", "sub-02", "sub-03"):
        for session in ("ses-M000", "ses-M006"):
            stem = f"{name}_{session}_space-MNI152NLin2009cSym"
            for end in ("desc-Crop_res-1x1x1_T1w.nii.gz", "res-1x1x1_T1w.nii.gz", "res-1x1x1_affine.mat"):
                put(tmp_path / f"caps/subjects/{name}/{session}/t1_linear/{stem}_{end}", SCAN)
        put(tmp_path / f"bids/{name}/{name}_sessions.tsv", f"session_id\tdx\nses-M000\tCN\nses-M006\t{name[-1]}\n")
    put(tmp_path / "bids/participants.tsv", TABLE)
    places = {"bids": str(tmp_path / "caps"), "participants": str(tmp_path / "bids/participants.tsv")}
    labels = {"label": "dx", "patient": 1, "control": [2, 3], "select": {"desc": "Crop", "session": "last"}}
    scans = read_dataset(config["cohort"] | places | labels)
    assert scans["scan"].tolist() == ["sub-01_ses-M006", "sub-02_ses-M006", "sub-03_ses-M006"]
    assert scans["label"].tolist() == ["patient", "control", "control"]


def test_labels_may_be_in_a_table_of_phenotype(config, tmp_path):
    options = config["cohort"] | {"bids": dataset(tmp_path), "label": "cdr.global", "patient": "> 0", "control": 0}
    put(tmp_path / "phenotype/cdr.tsv", "participant_id\tglobal\nsub-03\t0.5\nsub-01\t0\nsub-02\t0\n")
    assert read_dataset(options)["label"].tolist() == ["control", "control", "patient"]
    with pytest.raises(StudyError, match=r"the column 'mmse.sum', which neither participants.tsv"):
        read_dataset(options | {"label": "mmse.sum"})
    visits = "participant_id\tsession_id\tglobal\n" + "".join(
        f"sub-0{i}\tses-{j}\t{int(i == j)}\n" for i in (1, 2, 3) for j in (1, 2)
    )
    put(tmp_path / "phenotype/cdr.tsv", visits)
    for i in (1, 2, 3):
        (tmp_path / f"sub-0{i}/anat/sub-0{i}_T1w.nii.gz").unlink()
        put(tmp_path / f"sub-0{i}/ses-2/anat/sub-0{i}_ses-2_T1w.nii.gz", SCAN)
    assert read_dataset(options)["label"].tolist() == ["control", "patient", "control"]
