"""Write the tables that make the simulated scans a valid BIDS dataset, and each scan's true severity."""

import argparse
import json
from pathlib import Path

from heatproof import __version__
from heatproof.cohort.bids import listed
from heatproof.cohort.participants import simulated_sessions
from heatproof.command import json_option, run
from heatproof.tables import write_table

README = """A simulated cohort: T1w scans of brains with atrophy of known place and size.

Every scan is the ICBM 2009c template brain (Fonov et al. 2011), warped to an individual anatomy, shrunk where
participants.tsv says that its owner is a patient, and sampled as a scanner would: with a voxel size, a position,
a bias field and noise of its own. No scan shows a person. What the truth is lies in ../ground_truth.
"""

COLUMNS = {
    "age": {"Description": "age at the first session; without influence on the scan", "Units": "year"},
    "sex": {"Description": "without influence on the scan", "Levels": {"F": "female", "M": "male"}},
}


def describe_dataset(options: dict, folder: Path) -> None:
    """Write dataset_description.json, README, participants and sessions tables, and ground_truth/scans.tsv.

    Parameters
    ----------
    options : dict
        The config's ``cohort`` section.
    folder : Path
        The cohort's results folder.
    """
    dataset = folder / "bids"
    dataset.mkdir(parents=True, exist_ok=True)
    sessions = simulated_sessions(options)
    values = {label: listed(options[label])[0] for label in ("patient", "control")}
    people = sessions.drop_duplicates("participant_id")
    people = people.assign(**{options["label"]: people["label"].map(values)})
    write_table(people[["participant_id", "age", "sex", options["label"]]], dataset / "participants.tsv")
    levels = {values["patient"]: "patient, with atrophy", values["control"]: "control, with little or none"}
    write_json(COLUMNS | {options["label"]: {"Levels": levels}}, dataset / "participants.json")
    description = {
        "Name": "Simulated T1w scans with atrophy of known place and size",
        "BIDSVersion": "1.10.0",
        "DatasetType": "raw",
        "License": "the licence of the ICBM 2009c template; see its authors",
        "GeneratedBy": [{"Name": "heatproof", "Version": __version__}],
    }
    write_json(description, dataset / "dataset_description.json")
    (dataset / "README").write_text(README)
    for participant, rows in sessions.groupby("participant_id"):
        write_table(rows[["session_id"]], dataset / participant / f"{participant}_sessions.tsv")
    write_table(sessions[["scan", "label", "severity"]], folder / "ground_truth" / "scans.tsv")


def write_json(content: dict, path: Path) -> None:
    """Write JSON that a person can read."""
    path.write_text(json.dumps(content, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--options", type=json_option, required=True, help="the config's cohort section, as JSON")
    parser.add_argument("--folder", type=Path, required=True, help="the cohort's results folder")
    arguments = parser.parse_args()
    describe_dataset(arguments.options, arguments.folder)


if __name__ == "__main__":
    run(main)
