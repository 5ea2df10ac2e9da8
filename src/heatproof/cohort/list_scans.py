"""Write the table of all scans, of one split, of the healthy twins, or of scans left out, with the reason."""

import argparse
import logging
from pathlib import Path

from heatproof.cohort.scans import read_cohort
from heatproof.cohort.split import SPLITS
from heatproof.cohort.twins import healthy_label, list_twins
from heatproof.command import json_option, run
from heatproof.tables import write_table
from heatproof.task import plural


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--options", type=json_option, required=True, help="the config's cohort section, as JSON")
    parser.add_argument("--folder", required=True, help="the cohort's results folder")
    parser.add_argument("--table", choices=["scans", *SPLITS, "twins", "unreadable"], required=True, help="which scans")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    scans, unreadable = read_cohort(arguments.options, arguments.folder)
    for row in unreadable.itertuples():
        logging.warning("%s is left out: %s", row.image, row.reason)
    if arguments.table in SPLITS:
        scans = scans[scans["split"] == arguments.table]
    if arguments.table == "twins":
        scans = list_twins(scans, f"{arguments.folder}/twins", healthy_label(arguments.options))
    write_table(unreadable if arguments.table == "unreadable" else scans, arguments.out)
    kinds = scans if scans["label"].map(type).eq(str).all() else scans.assign(label="participant")
    counts = kinds.groupby(["split", "label"])["participant_id"].agg(["nunique", "size"])
    for (split, label), row in counts.iterrows():
        logging.info("%s: %d %s, %d scans", split, row["nunique"], plural(label), row["size"])


if __name__ == "__main__":
    run(main)
