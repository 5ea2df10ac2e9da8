"""How far two vectors over units of the brain agree: what maps say of each unit, or what it does to a model."""

from collections.abc import Callable, Mapping

import numpy as np

from heatproof.compare.agreement import correlation
from heatproof.compare.ranks import rank_correlation, settled

SUMS = ("regions", "cubes")  # units whose sums are compared
VALUES = (*SUMS, "cubes_density")  # and the sums by voxel


def unit_pearson(sums: np.ndarray, others: np.ndarray, options: Mapping) -> float:
    """Return the correlation of two vectors over units; NaN where one is constant or does not exist."""
    return correlation(settled(sums), settled(others)) if len(sums) else np.nan


def unit_spearman(sums: np.ndarray, others: np.ndarray, options: Mapping) -> float:
    """Return the correlation of the ranks of two vectors over units; NaN as for `unit_pearson`."""
    return rank_correlation(sums, others)


def single_pearson(sums: np.ndarray, effects: np.ndarray, options: Mapping) -> float:
    """Return the mean of `unit_pearson` over scans; both of shape (scans, units)."""
    return mean_over_scans(unit_pearson, sums, effects, options)


def single_spearman(sums: np.ndarray, effects: np.ndarray, options: Mapping) -> float:
    """Return the mean of `unit_spearman` over scans; both of shape (scans, units)."""
    return mean_over_scans(unit_spearman, sums, effects, options)


def mean_over_scans(function: Callable, sums: np.ndarray, effects: np.ndarray, options: Mapping) -> float:
    """Average a measure over the scans that have a value; NaN where none has."""
    values = np.array([function(*pair, options) for pair in zip(sums, effects, strict=True)], float)
    return float(np.nanmean(values)) if np.isfinite(values).any() else np.nan
