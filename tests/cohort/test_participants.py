"""The simulated people: each follows from the seed and the own name alone."""

import copy

from heatproof.cohort.participants import simulated_participants, simulated_sessions
from heatproof.cohort.scans import COLUMNS, list_scans


def test_adding_participants_changes_no_one_else(config):
    few = simulated_participants(config["cohort"]).set_index("participant_id")
    more = copy.deepcopy(config["cohort"])
    more["simulate"] |= {"patients": 50, "controls": 60}
    many = simulated_participants(more).set_index("participant_id")
    assert len(many) == 110
    assert many.loc[few.index].equals(few)


def test_patients_have_atrophy_that_progresses_and_controls_little(config):
    sessions = simulated_sessions(config["cohort"])
    low, high = config["cohort"]["simulate"]["severity"]["patient"]
    first = sessions.drop_duplicates("participant_id")
    assert first.loc[first["label"] == "patient", "severity"].between(low, high).all()
    assert first.loc[first["label"] == "control", "severity"].max() <= 0.2
    steps = sessions.groupby("participant_id")["severity"].diff().dropna()
    patients = sessions.loc[steps.index, "label"] == "patient"
    assert (steps[patients] - 0.05).abs().max() < 1e-12 and (steps[~patients] == 0).all()
    assert set(sessions.groupby("participant_id").size()) == {1, 2, 3}


def test_exclusion_leaves_out_participants_and_scans(config):
    config["cohort"]["exclude"] = ["sub-P001", "sub-C001_ses-M00"]
    scans = list_scans(config["cohort"], "cohort")
    assert "sub-P001" not in set(scans["participant_id"]) and "sub-C001_ses-M00" not in set(scans["scan"])


def test_the_table_of_scans_names_split_and_image(config):
    scans = list_scans(config["cohort"], "cohort")
    assert list(scans.columns) == COLUMNS
    row = scans.iloc[0]
    folders = f"cohort/bids/{row['participant_id']}/{row['session_id']}/anat"
    assert row["image"] == f"{folders}/{row['scan']}_T1w.nii.gz"
    assert (scans["split"] == "test").sum() >= 20
