"""Write the tables that make the simulated scans a valid BIDS dataset, and each scan's true severity."""

import argparse
import json
from pathlib import Path

from heatproof import __version__
from heatproof.cohort.conditions import listed
from heatproof.cohort.participants import simulated_sessions
from heatproof.command import json_option, run
from heatproof.tables import write_table
from heatproof.task import classes_of

README = """A simulated cohort: T1w scans of brains with atrophy of known place and size.

Every scan is {brain}, warped to an individual anatomy, shrunk {where}
a bias field and noise of its own. What the truth is lies in ../{truth}.
"""
TEMPLATE_BRAIN = "the ICBM 2009c template brain (Fonov et al. 2011)"
REAL_BRAIN = "the brain of a real person, whom participants.tsv names in the column anatomy, from {dataset}"
TEMPLATE_LICENCE = "the licence of the ICBM 2009c template; see its authors"

COLUMNS = {
    "age": {"Description": "age at the first session; without influence on the scan", "Units": "year"},
    "sex": {"Description": "without influence on the scan", "Levels": {"F": "female", "M": "male"}},
}
ANATOMY = {"Description": "the real person whose brain the scans are made from"}


def describe_dataset(options: dict, dataset: Path, truth: Path) -> None:
    """Write dataset_description.json, README, participants and sessions tables, and the truth's scans.tsv.

    Parameters
    ----------
    options : dict
        The config's ``cohort`` section.
    dataset, truth : Path
        The folders of the dataset and of what is true of it.
    """
    dataset.mkdir(parents=True, exist_ok=True)
    sessions, source = simulated_sessions(options), options["simulate"]["anatomy_from"]
    brain = REAL_BRAIN.format(dataset=source) if source else TEMPLATE_BRAIN
    column = "group" if isinstance(options["label"], dict) else options["label"]
    values = {name: listed(wanted)[0] for name, wanted in classes_of(options).items()}
    people = sessions.drop_duplicates("participant_id")
    people = people.assign(**{column: people["label"].map(values)} if values else {})
    kept = ["participant_id", "age", "sex", *(["anatomy"] if source else []), column]
    write_table(people[kept], dataset / "participants.tsv")
    described = COLUMNS | ({"anatomy": ANATOMY} if source else {}) | {column: describe_label(values)}
    write_json(described, dataset / "participants.json")
    description = describe("Simulated T1w scans with atrophy of known place and size", source)
    write_json(description, dataset / "dataset_description.json")
    where = "where\nparticipants.tsv says that its owner is a patient"
    where = where if values else "as its\nowner's severity in participants.tsv says"
    (dataset / "README").write_text(
        README.format(
            brain=brain,
            where=f"{where}, and sampled as a scanner would: with a voxel size, a position,",
            truth=truth.name,
        )
    )
    for participant, rows in sessions.groupby("participant_id"):
        write_table(
            rows[["session_id", *([] if values else [column])]], dataset / participant / f"{participant}_sessions.tsv"
        )
    write_table(sessions[["scan", "label", "severity"]], truth / "scans.tsv")


def describe_label(values: dict[str, str]) -> dict:
    """Describe the column of the label, by the value that stands for each class; without classes it is the severity."""
    if not values:
        return {"Description": "of the atrophy at the first session; 1 is what the truth's regions.tsv says"}
    healthy = next(iter(values))
    levels = {
        value: f"{name}, with {'little or none' if name == healthy else 'atrophy'}"
        for name, value in reversed(values.items())
    }
    return {"Levels": levels}


def describe(name: str, source: str | None) -> dict:
    """Describe a simulated dataset made from the brains of the dataset ``source``; None is the template."""
    return {
        "Name": name,
        "BIDSVersion": "1.10.0",
        "DatasetType": "raw",
        "License": f"that of {source}" if source else TEMPLATE_LICENCE,
        "GeneratedBy": [{"Name": "heatproof", "Version": __version__}],
    }


def write_json(content: dict, path: Path) -> None:
    """Write JSON that a person can read."""
    path.write_text(json.dumps(content, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--options", type=json_option, required=True, help="the config's cohort section, as JSON")
    parser.add_argument("--dataset", type=Path, required=True, help="the BIDS folder to write")
    parser.add_argument("--truth", type=Path, required=True, help="the folder that receives every scan's severity")
    arguments = parser.parse_args()
    describe_dataset(arguments.options, arguments.dataset, arguments.truth)


if __name__ == "__main__":
    run(main)
