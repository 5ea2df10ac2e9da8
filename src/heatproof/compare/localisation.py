"""How well a map localises the regions that truly changed, where these are known."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from heatproof.compare.ranks import rank_correlation
from heatproof.compare.regions import region_sums
from heatproof.errors import StudyError


def true_effects(labels: np.ndarray, atlas: pd.DataFrame, truth: pd.DataFrame) -> np.ndarray:
    """Paint the absolute effect that was prescribed for each label of the atlas.

    Parameters
    ----------
    labels : ndarray of int, shape (x, y, z)
    atlas : DataFrame
        index, name of each label.
    truth : DataFrame
        ``ground_truth/regions.tsv``: region, prescribed; 0 where nothing was changed. Regions of the atlas that it does
        not name have no effect.

    Returns
    -------
    ndarray of float, shape (x, y, z)
        0 outside of the true regions.
    """
    effects = atlas["name"].map(truth.set_index("region")["prescribed"].abs()).fillna(0)
    lookup = np.zeros(max(labels.max(), atlas["index"].max()) + 1)
    lookup[atlas["index"]] = effects
    return lookup[labels]


def true_voxels(effects: np.ndarray, brain: np.ndarray, source: str) -> np.ndarray:
    """Mark which voxels in the brain have a true effect.

    Parameters
    ----------
    effects : ndarray of float, shape (x, y, z)
        As `true_effects` returns it.
    brain : ndarray of bool, shape (x, y, z)
    source : str
        The file of the truth, for the error.

    Returns
    -------
    ndarray of bool, shape (voxels,)

    Raises
    ------
    StudyError
        If none has.
    """
    true = effects[brain] > 0
    if not true.any():
        raise StudyError(f"{source} names no region of the study's atlas that has a voxel in the brain; use its atlas")
    return true


def top_share(relevance: np.ndarray, true: np.ndarray) -> float:
    """Return the share of the top voxels that are true ones, with as many top voxels as there are true ones.

    Voxels of equal relevance at the edge count in proportion, so that a map without differences is at chance.
    """
    wanted = np.count_nonzero(true)
    edge = -np.partition(-relevance, wanted - 1)[wanted - 1]
    above, equal = relevance > edge, relevance == edge
    missing = wanted - np.count_nonzero(above)
    return float((np.count_nonzero(true & above) + missing * np.mean(true[equal])) / wanted)


def pr_auc(values: np.ndarray, true: np.ndarray, options: Mapping) -> float:
    """Return the area under the precision-recall curve of a map's absolute values, as the average precision."""
    return float(average_precision_score(true, np.abs(values))) if values.any() else np.nan


def true_mass(values: np.ndarray, true: np.ndarray, options: Mapping) -> float:
    """Return the share of a map's absolute relevance that is inside the true regions."""
    relevance = np.abs(values)
    return float(relevance[true].sum(dtype=float) / relevance.sum(dtype=float)) if values.any() else np.nan


def true_top(values: np.ndarray, true: np.ndarray, options: Mapping) -> float:
    """Return the `top_share` of a map's absolute values."""
    return top_share(np.abs(values), true) if values.any() else np.nan


def true_share(values: np.ndarray, true: np.ndarray, options: Mapping) -> float:
    """Return the share of voxels that are true: what a map without any information has by the three measures above."""
    return float(true.mean())


def changed_voxels(change: np.ndarray, count: int) -> np.ndarray:
    """Mark the voxels that changed most, as many as asked for, or more where some at the edge are equal.

    Parameters
    ----------
    change : ndarray of float, shape (voxels,)
        Mean scan less twin, as `heatproof.compare.make_change` makes it.
    count : int
    """
    size = np.abs(change)
    return size >= -np.partition(-size, count - 1)[count - 1]


def change_auc(values: np.ndarray, change: np.ndarray, changed: np.ndarray, options: Mapping) -> float:
    """Return the `pr_auc` for finding the voxels that changed most."""
    return pr_auc(values, changed, options)


def change_share(values: np.ndarray, change: np.ndarray, changed: np.ndarray, options: Mapping) -> float:
    """Return the share of voxels that count as changed."""
    return true_share(values, changed, options)


def change_rank(values: np.ndarray, change: np.ndarray, changed: np.ndarray, options: Mapping) -> float:
    """Return Spearman's correlation of a map's absolute values with how far each voxel changed."""
    return rank_correlation(np.abs(values), np.abs(change))


def effect_rank(scores: np.ndarray, effects: np.ndarray, options: Mapping) -> float:
    """Return Spearman's correlation of regions' absolute scores with their true absolute effects.

    Parameters
    ----------
    scores, effects : ndarray of float, shape (regions,)
        A metric of the map, and what `region_effects` returns.
    """
    return rank_correlation(np.abs(scores), effects)


def region_effects(effects: np.ndarray, numbers: np.ndarray, count: int) -> np.ndarray:
    """Average true effects (x, y, z) over each of the regions 1..count; NaN for a region without a voxel."""
    voxels = region_sums(np.ones_like(effects), numbers, count, "signed")
    return region_sums(effects, numbers, count, "signed") / np.where(voxels > 0, voxels, np.nan)
