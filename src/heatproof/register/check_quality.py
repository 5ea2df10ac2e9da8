"""Stop a study, before anything is trained, where too many of its scans or twins are registered poorly."""

import argparse
import logging
from pathlib import Path

import pandas as pd

from heatproof.command import run
from heatproof.errors import StudyError
from heatproof.tables import read_table, write_table

REMEDIES = {
    "scans": "exclude or mend them",
    "twins": "exclude the patients whose twins they are",
}


def check_quality(quality: pd.DataFrame, most_poor: float) -> pd.DataFrame:
    """Count the poor registrations, those of healthy twins by themselves: each is the truth of one patient.

    Parameters
    ----------
    quality : DataFrame
        scan; poor, the figures that are beyond their limits, empty where none is; twin_of, where there are twins.
    most_poor : float
        The share of scans that may be poor.

    Returns
    -------
    DataFrame
        kind (scans, twins), scans, poor, most_poor.

    Raises
    ------
    StudyError
        If more are; names them all.
    """
    twin = quality.get("twin_of", pd.Series("", quality.index)).fillna("") != ""
    kinds = {"scans": quality[~twin], "twins": quality[twin]}
    rows = [(kind, len(scans), *count_poor(kind, scans, most_poor)) for kind, scans in kinds.items() if len(scans)]
    return pd.DataFrame(rows, columns=["kind", "scans", "poor", "most_poor"])


def count_poor(kind: str, quality: pd.DataFrame, most_poor: float) -> tuple[int, float]:
    """Count the poor registrations of one kind, and return the share that is allowed as well."""
    poor = quality.loc[quality["poor"].fillna("") != "", "scan"]
    if len(poor) > most_poor * len(quality):
        raise StudyError(
            f"{len(poor)} of {len(quality)} {kind} are registered poorly, more than register.most_poor ({most_poor:g}) "
            f"allows; see qc.tsv and contact_sheet.png, {REMEDIES[kind]}, or raise it: {', '.join(poor)}"
        )
    return len(poor), most_poor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quality", type=Path, required=True, help="register/qc.tsv")
    parser.add_argument("--most-poor", type=float, required=True, help="register.most_poor of the config")
    parser.add_argument("--out", type=Path, required=True, help="the table to write where the study may go on")
    arguments = parser.parse_args()
    counts = check_quality(read_table(arguments.quality), arguments.most_poor)
    for row in counts.itertuples():
        logging.info("%d of %d %s are registered poorly", row.poor, row.scans, row.kind)
    write_table(counts, arguments.out)


if __name__ == "__main__":
    run(main)
