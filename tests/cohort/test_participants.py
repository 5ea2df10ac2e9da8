"""The simulated people: each follows from the seed and the own name alone."""

import copy

import nibabel as nib
import numpy as np
import pytest

from heatproof.cohort.bids_files import FEWEST_BYTES
from heatproof.cohort.participants import simulated_participants, simulated_sessions
from heatproof.cohort.scans import COLUMNS, list_scans, read_cohort
from heatproof.errors import StudyError


def test_adding_participants_changes_no_one_else(config):
    few = simulated_participants(config["cohort"]).set_index("participant_id")
    more = copy.deepcopy(config["cohort"])
    more["simulate"] |= {"patients": 50, "controls": 60}
    many = simulated_participants(more).set_index("participant_id")
    assert len(many) == 110
    assert many.loc[few.index].equals(few)


def test_patients_have_atrophy_that_progresses_and_controls_that_of_their_range(config):
    config["cohort"]["simulate"]["sessions"] = [0.5, 0.25, 0.25]
    sessions = simulated_sessions(config["cohort"])
    severity = config["cohort"]["simulate"]["severity"]
    first = sessions.drop_duplicates("participant_id")
    for label, (low, high) in severity.items():
        assert first.loc[first["label"] == label, "severity"].between(low, high).all()
    steps = sessions.groupby("participant_id")["severity"].diff().dropna()
    patients = sessions.loc[steps.index, "label"] == "patient"
    assert (steps[patients] - 0.05).abs().max() < 1e-12 and (steps[~patients] == 0).all()
    assert patients.any() and not patients.all()
    assert set(sessions.groupby("participant_id").size()) == {1, 2, 3}


def test_people_of_three_classes_have_their_names_and_their_severity(config):
    options = config["cohort"] | {"classes": {"CN": "CN", "MCI": "MCI", "AD": "AD"}}
    severity = {"CN": [0.0, 0.1], "MCI": [0.4, 0.5], "AD": [1.0, 1.1]}
    options["simulate"] |= {"participants": {"CN": 3, "MCI": 4, "AD": 5}, "severity": severity}
    options["simulate"]["sessions"] = [0.001, 0.999]
    sessions = simulated_sessions(options)
    assert sessions.groupby("label")["participant_id"].nunique().to_dict() == {"AD": 5, "CN": 3, "MCI": 4}
    assert "sub-MCI004" in set(sessions["participant_id"])
    first = sessions.drop_duplicates("participant_id")
    for label, (low, high) in severity.items():
        assert first.loc[first["label"] == label, "severity"].between(low, high).all()
    grown = sessions.groupby("participant_id")["severity"].agg(np.ptp) > 0
    assert not grown[grown.index.str.startswith("sub-CN")].any() and grown[grown.index.str.startswith("sub-AD")].any()


def test_shares_say_how_many_participants_are_scanned_how_often(config):
    options = config["cohort"]
    options["simulate"] |= {"patients": 500, "controls": 500}
    for shares in ([1], [0.8, 0.2], [2, 1, 1]):
        options["simulate"]["sessions"] = shares
        scanned = simulated_participants(options)["sessions"].value_counts(normalize=True).sort_index()
        assert scanned.index.tolist() == list(range(1, len(shares) + 1))
        assert scanned.to_list() == pytest.approx([share / sum(shares) for share in shares], abs=0.05)


def test_exclusion_leaves_out_participants_and_scans(config):
    config["cohort"]["exclude"] = ["sub-P001", "sub-C001_ses-M00"]
    scans = list_scans(config["cohort"], "cohort")
    assert "sub-P001" not in set(scans["participant_id"]) and "sub-C001_ses-M00" not in set(scans["scan"])


def test_the_table_of_scans_names_split_and_image(config):
    config["cohort"]["simulate"]["sessions"] = [0.5, 0.5]
    scans = list_scans(config["cohort"], "cohort")
    assert list(scans.columns) == COLUMNS
    row = scans.iloc[0]
    folders = f"cohort/bids/{row['participant_id']}/{row['session_id']}/anat"
    assert row["image"] == f"{folders}/{row['scan']}_T1w.nii.gz"
    test = scans[scans["split"] == "test"].groupby("label")["participant_id"].nunique()
    assert test.tolist() == [config["cohort"]["split"]["test"]] * 2 and (scans["split"] == "test").sum() > test.sum()


@pytest.fixture
def on_real(config, tmp_path) -> dict:
    """A cohort that is made from four brains."""
    for i in range(1, 5):
        path = tmp_path / f"sub-{i:02d}/ses-1/anat/sub-{i:02d}_ses-1_T1w.nii.gz"
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(FEWEST_BYTES))
    config["cohort"]["simulate"] |= {"anatomy_from": str(tmp_path), "patients": 8, "controls": 8}
    return config["cohort"]


def test_every_brain_gives_as_many_patients_as_controls_and_nobody_s_changes_with_more(on_real):
    people = simulated_participants(on_real)
    assert people.groupby(["anatomy", "label"]).size().tolist() == [2] * 8
    more = copy.deepcopy(on_real)
    more["simulate"] |= {"patients": 12, "controls": 12}
    grown = simulated_participants(more).set_index("participant_id")["anatomy"]
    assert grown[people["participant_id"]].tolist() == people["anatomy"].tolist()


def test_numbers_that_would_let_a_brain_tell_the_class_are_refused(on_real):
    for patients, controls in ((8, 12), (9, 9)):
        on_real["simulate"] |= {"patients": patients, "controls": controls}
        with pytest.raises(StudyError, match=r"a multiple of the 4 brains in .*, so that no brain tells the class"):
            simulated_participants(on_real)


def test_a_brain_that_is_not_there_is_refused_or_left_out_with_the_reason(on_real, tmp_path):
    (tmp_path / "sub-02/ses-1/anat/sub-02_ses-1_T1w.nii.gz").write_bytes(b"")
    with pytest.raises(StudyError, match=r"^sub-02_ses-1: a file of 0 bytes, which is no scan"):
        simulated_participants(on_real)
    for name in ("sub-01", "sub-03", "sub-04"):
        path = tmp_path / f"{name}/ses-1/anat/{name}_ses-1_T1w.nii.gz"
        nib.save(nib.Nifti1Image(np.random.default_rng(0).random((9, 9, 9)), np.eye(4)), path)
    on_real["simulate"] |= {"patients": 9, "controls": 9}
    on_real |= {"unreadable": "leave_out", "split": {"test": 3, "validation": 3, "seed": 0}}
    cohort = read_cohort(on_real, "cohort")
    assert cohort.unreadable["scan"].tolist() == ["sub-02_ses-1"] and (cohort.scans["label"] == "patient").sum() >= 9
