"""Write the tables that make the healthy twins a BIDS dataset of their own."""

import argparse
from pathlib import Path

import pandas as pd

from heatproof.cohort.describe_dataset import describe, write_json
from heatproof.command import run
from heatproof.tables import read_table, write_table

README = """The healthy twins of the simulated cohort's test patients.

Each scan is that of its patient in ../bids, whom participants.tsv names in the column twin_of, with the same anatomy,
scanner and noise, but without atrophy. No network is trained, chosen or judged by them.
"""
TWIN_OF = {"Description": "the patient, a participant of ../bids, whose scans these are without atrophy"}


def describe_twins(twins: pd.DataFrame, source: str | None, dataset: Path) -> None:
    """Write dataset_description.json, README and participants.

    Parameters
    ----------
    twins : DataFrame
        As `heatproof.cohort.twins.list_twins` returns it.
    source : str or None
        ``anatomy_from`` of the config's ``cohort.simulate`` section.
    dataset : Path
        The folder of the twins' dataset.
    """
    dataset.mkdir(parents=True, exist_ok=True)
    people = pd.DataFrame({"participant_id": twins["twin"].str.split("_").str[0], "twin_of": twins["participant_id"]})
    write_table(people.drop_duplicates(), dataset / "participants.tsv")
    write_json({"twin_of": TWIN_OF}, dataset / "participants.json")
    write_json(describe("Simulated T1w scans: healthy twins of patients", source), dataset / "dataset_description.json")
    (dataset / "README").write_text(README)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--twins", type=Path, required=True, help="cohort/twins.tsv")
    parser.add_argument("--anatomy-from", help="cohort.simulate.anatomy_from of the config")
    parser.add_argument("--dataset", type=Path, required=True, help="the BIDS folder to write")
    arguments = parser.parse_args()
    describe_twins(read_table(arguments.twins), arguments.anatomy_from, arguments.dataset)


if __name__ == "__main__":
    run(main)
