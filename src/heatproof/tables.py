"""Tables are tab-separated with a header, one row per fact; an empty cell is a value that does not exist."""

from pathlib import Path

import pandas as pd


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table of this study. Identifiers stay text; empty cells become NaN."""
    identifiers = {"participant_id": str, "session_id": str, "scan": str}
    return pd.read_csv(path, sep="\t", dtype=identifiers)


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table, its folder made where it is missing. Floats keep the digits that identify them."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, sep="\t", index=False)
