"""Tables are tab-separated with a header, one row per fact; an empty cell is a value that does not exist."""

from pathlib import Path

import pandas as pd


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table of this study. Identifiers stay text; empty cells become NaN, but an empty check is no check."""
    identifiers = {"participant_id": str, "session_id": str, "scan": str}
    table = pd.read_csv(path, sep="\t", dtype=identifiers)
    return table.fillna({"check": ""}).astype({"check": str}) if "check" in table else table


def own(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows about methods' own maps, not those of their sanity checks."""
    return table[table["check"] == ""]


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table, its folder made where it is missing. Floats keep the digits that identify them."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, sep="\t", index=False)
