"""Where the results of one method and one model lie, and in which order methods and models are gathered."""

from collections.abc import Iterable
from itertools import product
from pathlib import Path

import pandas as pd

from heatproof.tables import read_table


def model_folder(folder: str | Path, method: str, seed: int) -> Path:
    """Return the folder of one method and model below the stage's own, ``results/{study}/compare``."""
    return Path(folder) / method / f"seed-{seed}"


def gather_tables(folder: str | Path, methods: Iterable[str], seeds: Iterable[int], name: str) -> pd.DataFrame:
    """Read one table of every method and model into one, in the order given.

    Parameters
    ----------
    folder : path
        The stage's folder, ``results/{study}/compare``.
    methods, seeds : iterable
        Names of methods and seeds of models.
    name : str
        File name of the table in each `model_folder`.

    Returns
    -------
    DataFrame
        The columns of the tables, then method and seed.
    """
    tables = [
        read_table(model_folder(folder, method, seed) / name).assign(method=method, seed=seed)
        for method, seed in product(methods, seeds)
    ]
    return pd.concat(tables, ignore_index=True)
