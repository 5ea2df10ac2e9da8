"""Files of a dataset as people have them: leftovers are passed over, of several one is chosen, of all bad ones told."""

import gzip
import time

import nibabel as nib
import numpy as np
import pytest
from small_datasets import FILES, SCAN, TABLE, dataset, put

from heatproof.cohort.bids import read_dataset
from heatproof.cohort.scans import list_scans, read_cohort
from heatproof.config_checks import check_config
from heatproof.errors import StudyError

SCANS = ["sub-01", "sub-02", "sub-03"]


@pytest.fixture
def options(config, tmp_path) -> dict:
    return config["cohort"] | {"bids": dataset(tmp_path / "bids")}


@pytest.fixture
def bids(options, tmp_path):
    return tmp_path / "bids"


@pytest.mark.parametrize(
    "name",
    [
        *["._sub-01_T1w.nii.gz", ".sub-01_T1w.nii.gz.x7f", ".DS_Store", "Thumbs.db", "sub-01_T1w.nii.gz.tmp"],
        *["sub-01_T1w.nii.gz.part", "sub-01_T1w.nii.gz~", "sub-01_T1w.json", "sub-01_T1w.nii.gz.aria2", "notes.txt"],
        *["sub-01_part-phase_T1w.nii.gz", "sub-01_part-real_T1w.nii.gz", "sub-01_part-imag_T1w.nii.gz"],
    ],
)
def test_what_lies_beside_a_scan_and_is_none_is_passed_over(options, bids, name):
    put(bids / "sub-01/anat" / name, SCAN)
    scans = read_dataset(options)
    assert scans["scan"].tolist() == SCANS and scans["image"][0] == str(bids / FILES[0])


def test_a_phase_image_alone_is_no_scan_and_a_magnitude_image_is_one(options, bids):
    (bids / FILES[0]).rename(bids / "sub-01/anat/sub-01_part-phase_T1w.nii.gz")
    with pytest.raises(StudyError, match="lists sub-01 but there is no T1w scan"):
        read_dataset(options)
    put(bids / "sub-01/anat/sub-01_part-mag_T1w.nii.gz", SCAN)
    assert read_dataset(options)["image"][0].endswith("sub-01_part-mag_T1w.nii.gz")


@pytest.mark.parametrize("session", ["", "_ses-1"])
def test_the_registered_scans_of_a_study_are_a_dataset(options, bids, tmp_path, session):
    for name in SCANS:
        put(tmp_path / f"register/{name}{session}/{name}{session}_space-MNI_T1w.nii.gz", SCAN)
        put(tmp_path / f"register/{name}{session}/qc.json", "{}")
    put(tmp_path / "register/template/T1w.nii.gz", SCAN)
    options |= {"bids": str(tmp_path / "register"), "participants": str(bids / "participants.tsv")}
    scans = read_dataset(options)
    assert scans["scan"].tolist() == [f"{name}{session}" for name in SCANS]
    assert scans["participant_id"].tolist() == SCANS and set(scans["session_id"]) == {session[1:]}
    put(bids / "sub-01/sub-01_T1w.nii.gz", SCAN)
    assert read_dataset(options | {"bids": str(bids)})["image"].tolist() == [str(bids / file) for file in FILES[:3]]


def test_entities_may_have_a_plus(options, bids):
    put(bids / "participants.tsv", TABLE.replace("sub-01", "sub-0+1"))
    (bids / "sub-01").rename(bids / "sub-0+1")
    (bids / "sub-0+1/anat/sub-01_T1w.nii.gz").rename(bids / "sub-0+1/anat/sub-0+1_acq-a+b_T1w.nii.gz")
    assert read_dataset(options)["scan"].tolist() == ["sub-0+1", *SCANS[1:]]


@pytest.mark.parametrize("name", ["sub-02/anat/sub-01_acq-a_T1w.nii.gz", "sub-02/ses-1/anat/sub-02_ses-2_T1w.nii.gz"])
def test_a_file_in_another_s_folder_is_refused_since_nobody_knows_whose_it_is(options, bids, name):
    put(bids / name, SCAN)
    with pytest.raises(StudyError, match=rf"{name.split('/')[-1]}: not named, or not in the folder, as BIDS has it"):
        read_dataset(options)


ODD_NAMES = ["sub-04_acq-a b_T1w.nii.gz", "sub-04_acq-hi-res_T1w.nii.gz", "sub-04_ses-1_T1w.nii.gz"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_an_odd_name_matters_where_the_scan_does(options, bids, name):
    put(bids / "participants.tsv", TABLE + "sub-04\t60\tMCI\n")
    put(bids / "sub-04/anat" / name, SCAN)
    assert read_dataset(options)["scan"].tolist() == SCANS
    put(bids / "participants.tsv", TABLE + "sub-04\t60\tCN\n")
    with pytest.raises(StudyError, match=rf"{name}: not named, or not in the folder, as BIDS has it"):
        read_dataset(options)
    for excluded in ("sub-04", name):
        assert read_dataset(options | {"exclude": ["sub-04", excluded]})["scan"].tolist() == SCANS


def test_entries_of_exclude_that_name_nothing_are_all_told(options):
    with pytest.raises(StudyError, match=r"cohort.exclude names 03, sub-02_run-1_T1w.nii.gz, sub-3, which is no part"):
        read_dataset(options | {"exclude": ["sub-01", "sub-3", "03", "sub-02_run-1_T1w.nii.gz"]})
    assert len(read_dataset(options | {"exclude": ["sub-03_T1w.nii.gz", "sub-03"]})) == 2


def test_in_a_simulated_cohort_as_well(config):
    with pytest.raises(StudyError, match=r"cohort.exclude names sub-P1, which is no participant, .* simulated cohort"):
        list_scans(config["cohort"] | {"exclude": ["sub-P1", "sub-P001", "sub-P002_ses-M00"]}, "cohort")


TWINS = {
    "run": ["run-1", "run-02"],
    "acq": ["acq-mprage", "acq-spgr"],
    "rec": ["rec-norm", ""],
    "chunk": ["chunk-1", "chunk-2"],
    "desc": ["desc-defaced", ""],
    "inv": ["inv-1", "inv-2"],
}


def with_twins(bids, entity: str) -> None:
    for name in SCANS:
        (bids / name / f"anat/{name}_T1w.nii.gz").unlink()
        for part in TWINS[entity]:
            put(bids / name / "anat" / "_".join(filter(None, [name, part, "T1w.nii.gz"])), SCAN)


@pytest.mark.parametrize("entity", TWINS)
def test_several_files_for_one_scan_are_all_told_with_the_entity_to_choose_by(options, bids, entity):
    with_twins(bids, entity)
    with pytest.raises(StudyError) as error:
        read_dataset(options)
    assert f"choose by cohort.select ({entity})" in str(error.value)
    assert all(path.name in str(error.value) for path in bids.rglob("*.nii.gz"))


@pytest.mark.parametrize(
    ("entity", "wanted", "taken"),
    [
        ("run", 2, "_run-02"),
        ("run", "01", "_run-1"),
        ("acq", "spgr", "_acq-spgr"),
        ("rec", None, ""),
        ("rec", "norm", "_rec-norm"),
        ("chunk", [2], "_chunk-2"),
        ("desc", None, ""),
        ("inv", 2, "_inv-2"),
    ],
)
def test_of_several_files_those_are_taken_that_are_selected(config, options, bids, entity, wanted, taken):
    with_twins(bids, entity)
    options["select"] = {entity: wanted}
    check_config(config | {"cohort": options})
    scans = read_dataset(options)
    assert [image.split("/")[-1] for image in scans["image"]] == [f"{name}{taken}_T1w.nii.gz" for name in SCANS]


def test_files_without_the_entity_are_taken_where_null_is_listed_and_values_that_no_file_has_are_told(options, bids):
    put(bids / "sub-02/anat/sub-02_run-2_T1w.nii.gz", SCAN)
    assert read_dataset(options | {"select": {"run": None}})["scan"].tolist() == SCANS
    with pytest.raises(StudyError, match=r"lists sub-01, sub-03 but there is no T1w scan that cohort.select takes"):
        read_dataset(options | {"select": {"run": 2}})
    with pytest.raises(StudyError, match=r"cohort.select.run names 3, which no file has; they have 2, null"):
        read_dataset(options | {"select": {"run": [3, None]}})


@pytest.mark.parametrize("wanted", [None, "mprage"])
def test_an_entity_that_no_file_has_is_told_with_those_there_are(options, bids, wanted):
    put(bids / "sub-01/anat/sub-01_acq-mprage_T1w.nii.gz", SCAN)
    with pytest.raises(StudyError, match="names the entity 'recording', which no file has; they have acq, sub"):
        read_dataset(options | {"select": {"recording": wanted}})


def spoil(path, kind: str) -> None:
    """Make of a scan what people have in its place."""
    path.unlink()
    if kind == "link":
        path.symlink_to("../../.git/annex/objects/MD5E-s3452349--0a.nii.gz")
    elif kind == "folder":
        path.mkdir()
    else:
        put(path, {"empty": "", "annex": "/annex/objects/MD5E-s34--0a.nii.gz\n"}[kind])


REASONS = {
    "link": "a link to a file that is not there; fetch the file",
    "folder": "a folder, no file",
    "empty": "a file of 0 bytes, which is no scan",
    "annex": r"a file of 35 bytes, which is no scan; fetch \(datalad get",
}


@pytest.mark.parametrize("kind", REASONS)
def test_a_scan_that_is_not_there_is_told_before_any_job_or_left_out_with_the_reason(options, bids, kind):
    put(bids / "participants.tsv", TABLE + "sub-04\t60\tCN\nsub-05\t61\tAD\nsub-06\t60\tCN\nsub-07\t61\tAD\n")
    for number in (4, 5, 6, 7):
        put(bids / FILES[0].replace("01", f"0{number}"), SCAN)
    for file in (FILES[1], FILES[2].replace("03", "06")):
        spoil(bids / file, kind)
    with pytest.raises(StudyError, match=rf"^sub-02, sub-06: {REASONS[kind]}"):
        list_scans(options, "unused")
    for number in (8, 9):
        put(bids / FILES[0].replace("01", f"0{number}"), SCAN)
    put(bids / "participants.tsv", (bids / "participants.tsv").read_text() + "sub-08\t60\tCN\nsub-09\t61\tCN\n")
    for path in bids.rglob("sub-0[134578]_T1w.nii.gz"):
        save_scan(path)
    save_scan(bids / FILES[0].replace("01", "09"))
    cohort = read_cohort(options | {"unreadable": "leave_out", "split": {"test": 1, "validation": 1, "seed": 0}}, "")
    assert cohort.unreadable["scan"].tolist() == ["sub-02", "sub-06"]
    assert cohort.unreadable["reason"].str.match(REASONS[kind]).all() and len(cohort.scans) == 7


@pytest.mark.parametrize("kind", REASONS)
def test_scans_of_neither_class_may_be_absent_or_doubled(options, bids, kind):
    put(bids / "participants.tsv", TABLE + "sub-04\t60\tMCI\nsub-05\t61\tMCI\n")
    for name in (
        "sub-04/anat/sub-04_T1w.nii.gz",
        "sub-05/anat/sub-05_run-1_T1w.nii.gz",
        "sub-05/anat/sub-05_T1w.nii.gz",
    ):
        put(bids / name, SCAN)
    spoil(bids / "sub-04/anat/sub-04_T1w.nii.gz", kind)
    with pytest.raises(StudyError, match="leaves none of the 1 patients for training"):
        list_scans(options, "unused")
    assert read_dataset(options)["scan"].tolist() == SCANS


def save_scan(path) -> None:
    nib.save(nib.Nifti1Image(np.random.default_rng(0).integers(0, 99, (40, 40, 40), np.int16), np.eye(4)), path)


def damage(path, kind: str) -> None:
    """Damage a scan as copying does."""
    content = path.read_bytes()
    if kind == "cut off":
        content = content[:-9000]
    elif kind == "cut off, not packed":
        path.unlink()
        path, content = path.with_suffix(""), gzip.decompress(content)[:-9000]
    else:
        content = b"<html>not found</html>" * 40
    path.write_bytes(content)


@pytest.mark.parametrize("kind", ["cut off", "cut off, not packed", "no image"])
def test_damaged_scans_are_left_out_with_the_reason_and_others_never(options, bids, kind):
    rows = [f"sub-{number:02d}\t60\t{'AD' if number % 2 else 'CN'}\n" for number in range(1, 9)]
    put(bids / "participants.tsv", TABLE.split("\n")[0] + "\n" + "".join(rows))
    paths = [bids / FILES[0].replace("01", f"{number:02d}") for number in range(1, 9)]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_scan(path)
    packed_twice = gzip.decompress(paths[1].read_bytes())
    paths[1].write_bytes(gzip.compress(packed_twice[:1000]) + gzip.compress(packed_twice[1000:]))
    damage(paths[2], kind)
    settings = options | {"split": {"test": 1, "validation": 1, "seed": 0}}
    assert len(list_scans(settings, "")) == 8
    cohort = read_cohort(settings | {"unreadable": "leave_out"}, "")
    assert cohort.unreadable["scan"].tolist() == ["sub-03"] and len(cohort.scans) == 7
    assert cohort.unreadable["reason"].str.match(r"(ends too early or is damaged|cannot be read as an image) \(").all()


def test_no_scan_and_too_few_still_stop_a_study(options, bids):
    settings = options | {"unreadable": "leave_out"}
    with pytest.raises(StudyError, match=r"none of the 3 scans can be read; .*sub-01_T1w.nii.gz: "):
        list_scans(settings, "")
    save_scan(bids / FILES[1])
    with pytest.raises(StudyError, match=r"no scan of a patient can be read; .*sub-01_T1w.nii.gz: "):
        list_scans(settings, "")
    save_scan(bids / FILES[0])
    with pytest.raises(StudyError, match="leaves none of the 1 patients for training"):
        list_scans(settings, "")


def test_a_thousand_headers_are_looked_at_in_seconds(options, bids, tmp_path):
    save_scan(bids / FILES[0])
    content = (bids / FILES[0]).read_bytes()
    names = [f"sub-{number:04d}" for number in range(1000)]
    for number, name in enumerate(names):
        put(tmp_path / f"many/{name}/anat/{name}_T1w.nii.gz", content if number else content[:-900])
    rows = "".join(f"{name}\t{'AD' if i % 2 else 'CN'}\n" for i, name in enumerate(names))
    put(tmp_path / "many/participants.tsv", "participant_id\tgroup\n" + rows)
    start = time.process_time()
    cohort = read_cohort(options | {"bids": str(tmp_path / "many"), "unreadable": "leave_out"}, "")
    assert time.process_time() - start < 5
    assert cohort.unreadable["scan"].tolist() == ["sub-0000"]
