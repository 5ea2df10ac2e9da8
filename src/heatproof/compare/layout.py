"""Where the results of one method and one model lie, and in which order methods and models are gathered."""

from collections.abc import Iterable
from itertools import product
from pathlib import Path

import pandas as pd

from heatproof.tables import read_table


def model_folder(folder: str | Path, method: str, seed: int) -> Path:
    """Return the folder of one method and model below the stage's own, ``results/{study}/compare``."""
    return Path(folder) / method / f"seed-{seed}"


def mean_map_path(folder: str | Path, outcome: str, left_out: int = 0) -> Path:
    """Return the path of a mean map in a `model_folder`: of all participants, or without one group of them."""
    name = f"left_out/group-{left_out}_mean_{outcome}" if left_out else f"mean_{outcome}"
    return Path(folder) / f"{name}.nii.gz"


def split_name(name: str) -> tuple[str, str]:
    """Split the name of a method's maps, ``{method}`` or ``{method}.{check}``, into method and check (or no text)."""
    method, _, check = name.partition(".")
    return method, check


def gather_tables(folder: str | Path, methods: Iterable[str], seeds: Iterable[int], name: str) -> pd.DataFrame:
    """Read one table of every method and model into one, in the order given.

    Parameters
    ----------
    folder : path
        The stage's folder, ``results/{study}/compare``.
    methods, seeds : iterable
        Names of methods, or of checks of them, as `split_name` has them, and seeds of models.
    name : str
        File name of the table in each `model_folder`.

    Returns
    -------
    DataFrame
        The columns of the tables, then method, check and seed.
    """
    tables = [
        read_table(model_folder(folder, method, seed) / name).assign(
            **dict(zip(("method", "check"), split_name(method), strict=True)), seed=seed
        )
        for method, seed in product(methods, seeds)
    ]
    return pd.concat(tables, ignore_index=True)


def gather_replicates(folder: str | Path, method: str, seeds: Iterable[int], name: str) -> pd.DataFrame:
    """Read one table of every model of a method, and the same without each group of participants.

    Returns
    -------
    DataFrame
        The columns of the tables, then left_out (0: nobody, or the group), method, check and seed.
    """
    whole = gather_tables(folder, [method], seeds, name).assign(left_out=0)
    return pd.concat([whole, gather_tables(folder, [method], seeds, f"left_out/{name}")], ignore_index=True)


def left_out_groups(maps: pd.DataFrame) -> list[int]:
    """List 0, for nobody, and the groups of participants without which some map is another one.

    Parameters
    ----------
    maps : DataFrame
        One row per model, outcome and left_out: n_scans.
    """
    sizes = maps.pivot(index=["seed", "outcome"], columns="left_out", values="n_scans")
    return [0, *(group for group in sizes.columns[1:] if (sizes[group] < sizes[0]).any())]
