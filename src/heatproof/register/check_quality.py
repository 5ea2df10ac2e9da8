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


def by_kind(quality: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Part the quality of scans from that of healthy twins, where there are any: each is the truth of one patient.

    Parameters
    ----------
    quality : DataFrame
        scan; poor, the figures that are beyond their limits, empty where none is; twin_of, where there are twins.
    """
    twin = quality.get("twin_of", pd.Series("", quality.index)).fillna("") != ""
    kinds = {"scans": quality[~twin], "twins": quality[twin]}
    return {kind: rows for kind, rows in kinds.items() if len(rows)}


def poor_names(quality: pd.DataFrame) -> list[str]:
    """List the scans that are registered poorly."""
    return quality.loc[quality["poor"].fillna("") != "", "scan"].tolist()


def describe_poor(quality: pd.DataFrame) -> str:
    """Say how many scans and twins are registered poorly, and which; nothing where none is.

    Parameters
    ----------
    quality : DataFrame
        As `by_kind` takes it.
    """
    return "; ".join(
        f"{len(poor)} of {len(rows)} {kind} ({len(poor) / len(rows):.1%}) are registered poorly: {', '.join(poor)}"
        for kind, rows in by_kind(quality).items()
        if (poor := poor_names(rows))
    )


def check_quality(quality: pd.DataFrame, most_poor: float) -> pd.DataFrame:
    """Count the poor registrations of each kind.

    Parameters
    ----------
    quality : DataFrame
        As `by_kind` takes it.
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
    kinds = by_kind(quality)
    for kind, rows in kinds.items():
        if len(poor_names(rows)) > most_poor * len(rows):
            raise StudyError(
                f"{describe_poor(rows)}. That is more than register.most_poor ({most_poor:g}) allows: see qc.tsv and "
                f"contact_sheet.png, {REMEDIES[kind]}, or raise it"
            )
    counts = [(kind, len(rows), len(poor_names(rows)), most_poor) for kind, rows in kinds.items()]
    return pd.DataFrame(counts, columns=["kind", "scans", "poor", "most_poor"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quality", type=Path, required=True, help="register/qc.tsv")
    parser.add_argument("--most-poor", type=float, required=True, help="register.most_poor of the config")
    parser.add_argument("--out", type=Path, required=True, help="the table to write where the study may go on")
    arguments = parser.parse_args()
    quality = read_table(arguments.quality)
    write_table(check_quality(quality, arguments.most_poor), arguments.out)
    logging.info(describe_poor(quality) or "no scan is registered poorly")


if __name__ == "__main__":
    run(main)
