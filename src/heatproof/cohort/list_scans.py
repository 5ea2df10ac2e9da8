"""Write the table of scans, or that of one split: who they are, their label, their split and where the image is."""

import argparse
import logging
from pathlib import Path

from heatproof.cohort.scans import list_scans
from heatproof.cohort.split import SPLITS
from heatproof.command import json_option, run
from heatproof.tables import write_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--options", type=json_option, required=True, help="the config's cohort section, as JSON")
    parser.add_argument("--folder", required=True, help="the cohort's results folder")
    parser.add_argument("--table", choices=["scans", *SPLITS], default="scans", help="all scans, or those of a split")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    scans = list_scans(arguments.options, arguments.folder)
    if arguments.table in SPLITS:
        scans = scans[scans["split"] == arguments.table]
    write_table(scans, arguments.out)
    counts = scans.groupby(["split", "label"])["participant_id"].agg(["nunique", "size"])
    for (split, label), row in counts.iterrows():
        logging.info("%s: %d %ss, %d scans", split, row["nunique"], label, row["size"])


if __name__ == "__main__":
    run(main)
