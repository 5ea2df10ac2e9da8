"""Stop a study, before anything is trained, where too many of its scans are registered poorly."""

import argparse
import logging
from pathlib import Path

import pandas as pd

from heatproof.command import run
from heatproof.errors import StudyError
from heatproof.tables import read_table, write_table


def check_quality(quality: pd.DataFrame, most_poor: float) -> pd.DataFrame:
    """Count the poor registrations.

    Parameters
    ----------
    quality : DataFrame
        scan; poor, the figures that are beyond their limits, empty where none is; notes.
    most_poor : float
        The share of scans that may be poor.

    Returns
    -------
    DataFrame
        One row: scans, poor, most_poor.

    Raises
    ------
    StudyError
        If more are; names them all.
    """
    poor = quality[quality["poor"].fillna("") != ""]
    if len(poor) > most_poor * len(quality):
        raise StudyError(
            f"{len(poor)} of {len(quality)} scans are registered poorly, more than register.most_poor ({most_poor:g}) "
            f"allows; see qc.tsv and contact_sheet.png, exclude or mend them, or raise it: {', '.join(poor['scan'])}"
        )
    return pd.DataFrame({"scans": [len(quality)], "poor": [len(poor)], "most_poor": [most_poor]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quality", type=Path, required=True, help="register/qc.tsv")
    parser.add_argument("--most-poor", type=float, required=True, help="register.most_poor of the config")
    parser.add_argument("--out", type=Path, required=True, help="the table to write where the study may go on")
    arguments = parser.parse_args()
    counts = check_quality(read_table(arguments.quality), arguments.most_poor)
    logging.info("%d of %d scans are registered poorly", *counts.loc[0, ["poor", "scans"]])
    write_table(counts, arguments.out)


if __name__ == "__main__":
    run(main)
