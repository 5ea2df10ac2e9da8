"""What maps say of each unit of the brain, a region of the atlas or a cube: the signed sum of its voxels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from heatproof.compare.regions import region_sums
from heatproof.units import KINDS, unit_table, units_of

MEAN = "mean"  # stands for a scan where the sums are those of the mean map over true positives


class Units(NamedTuple):
    """The units of one kind in the brain.

    Attributes
    ----------
    numbers : ndarray of int32, shape (x, y, z)
        1..n; 0 is outside of every unit.
    table : DataFrame
        unit_kind, number, unit and voxels of those that have voxels.
    """

    numbers: np.ndarray
    table: pd.DataFrame


def read_units(template: Path, options: Mapping) -> list[Units]:
    """Number the units of every kind in a template's brain; none where a study has no effects.

    Parameters
    ----------
    template : Path
        Folder of brain_mask.nii.gz, regions.nii.gz and regions.tsv.
    options : mapping
        regions as in the config's ``compare``, and cubes, their edge in mm, or None where a study has no effects.
    """
    if options["cubes"] is None:
        return []
    found = []
    for kind in KINDS:
        numbers, names = units_of(kind, template, options["regions"], options["cubes"])
        found.append(Units(numbers, unit_table(kind, numbers, names)))
    return found


def sum_units(volume: np.ndarray | None, units: Sequence[Units], scan: str, relevance: str = "signed") -> pd.DataFrame:
    """Sum a map over every unit.

    Parameters
    ----------
    volume : ndarray of float, shape (x, y, z), or None
        A map; None, for one that does not exist, gives NaN.
    units : sequence of at least one Units
    scan : str
        Whose map it is, or `MEAN`.
    relevance : {"signed", "absolute"}
        Which values are summed.

    Returns
    -------
    DataFrame
        scan, unit_kind, unit, sum, voxels.
    """
    tables = []
    for numbers, table in units:
        sums = region_sums(volume, numbers, table["number"].max(), relevance)[table["number"] - 1]
        tables.append(table.assign(scan=scan, sum=sums)[["scan", "unit_kind", "unit", "sum", "voxels"]])
    return pd.concat(tables)


def spread_units(rows: pd.DataFrame, value: str, column: str = "sum") -> pd.DataFrame:
    """Spread sums, or effects, over units: one row per scan, one column per unit, both sorted by name.

    Parameters
    ----------
    rows : DataFrame
        scan, unit_kind, unit, voxels and the column.
    value : str
        One of `heatproof.compare.faithfulness.VALUES`; a density is the column by voxels.
    column : str
    """
    kind, _, density = value.partition("_")
    chosen = rows[rows["unit_kind"] == kind]
    values = chosen[column] / chosen["voxels"] if density else chosen[column]
    return chosen.assign(value=values).pivot(index="scan", columns="unit", values="value")
