"""Healthy twins: one for each test scan of a patient, outside the cohort, in a dataset of their own."""

import json

import pytest

from heatproof.cohort.describe_twins import describe_twins
from heatproof.cohort.participants import simulated_sessions
from heatproof.cohort.scans import COLUMNS, read_cohort
from heatproof.cohort.twins import has_twins, healthy_label, list_twins
from heatproof.tables import read_table, write_table


@pytest.fixture
def scans(config):
    config["cohort"]["simulate"]["sessions"] = [0.5, 0.5]
    return read_cohort(config["cohort"], "cohort").scans


def test_every_test_scan_of_a_patient_has_a_twin_in_their_order(scans):
    twins = list_twins(scans, "cohort/twins")
    patients = scans[(scans["split"] == "test") & (scans["label"] == "patient")]
    assert twins["scan"].tolist() == patients["scan"].tolist() and len(twins) > patients["participant_id"].nunique()
    assert set(twins["label"]) == {"control"} and list(twins.columns) == [*COLUMNS, "twin"]
    row = twins.iloc[0]
    person, session = row["participant_id"], row["session_id"]
    assert row["twin"] == f"{person}twin_{session}"
    assert row["image"] == f"cohort/twins/{person}twin/{session}/anat/{person}twin_{session}_T1w.nii.gz"


def test_twins_share_no_name_and_no_file_with_the_cohort_which_knows_nothing_of_them(config, scans):
    twins = list_twins(scans, "cohort/twins")
    assert not set(twins["twin"]) & set(scans["scan"]) and not set(twins["image"]) & set(scans["image"])
    sessions = simulated_sessions(config["cohort"])
    config["cohort"]["simulate"]["twins"] = False
    assert read_cohort(config["cohort"], "cohort").scans.equals(scans)
    assert simulated_sessions(config["cohort"]).equals(sessions)


def test_there_are_twins_only_where_simulated_atrophy_makes_a_patient(config):
    options = config["cohort"]
    assert has_twins(options)
    assert not has_twins(options | {"simulate": options["simulate"] | {"twins": False}})
    assert not has_twins(options | {"bids": "data/adni"})
    assert not has_twins(options | {"label": {"volume": "Lateral Ventricle"}})


@pytest.mark.parametrize("source", [None, "data/ds002748"])
def test_their_dataset_names_each_twin_s_patient_once(tmp_path, scans, source):
    write_table(list_twins(scans, str(tmp_path)), tmp_path / "twins.tsv")
    describe_twins(read_table(tmp_path / "twins.tsv"), source, tmp_path)
    people = read_table(tmp_path / "participants.tsv")
    patients = scans[(scans["split"] == "test") & (scans["label"] == "patient")]
    assert people["twin_of"].tolist() == patients["participant_id"].unique().tolist()
    assert (people["participant_id"] == people["twin_of"] + "twin").all()
    description = json.loads((tmp_path / "dataset_description.json").read_text())
    assert description["DatasetType"] == "raw"
    assert (source or "ICBM 2009c") in description["License"]


def test_where_the_severity_is_learned_every_test_scan_has_a_twin_of_severity_0(config):
    simulate = config["cohort"]["simulate"] | {"participants": 36, "severity": [0.0, 1.0], "sessions": [0.5, 0.5]}
    options = config["cohort"] | {"value": "severity", "label": "severity", "classes": None, "simulate": simulate}
    options["split"] = {"test": 3, "validation": 2, "seed": 0}
    scans = read_cohort(options, "cohort").scans
    severity = simulated_sessions(options).set_index("scan")["severity"]
    assert (scans.set_index("scan")["label"] == severity.sort_index()).all()
    twins = list_twins(scans, "cohort/twins", healthy_label(options))
    assert twins["scan"].tolist() == scans.loc[scans["split"] == "test", "scan"].tolist()
    assert twins["participant_id"].nunique() == 9 and (twins["label"] == 0).all()


def test_of_no_scans_there_are_no_twins(scans):
    assert list_twins(scans[:0], "cohort/twins").empty
