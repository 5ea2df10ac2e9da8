"""How right a map is where the regions that truly changed are known."""

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from heatproof.compare.ranks import rank_correlation
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


def score_voxels(values: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Score where a map puts its relevance.

    Parameters
    ----------
    values : ndarray of float, shape (voxels,)
        A map's voxels in the brain; not zero everywhere.
    true : ndarray of bool, shape (voxels,)
        Whether a voxel is in a true region.

    Returns
    -------
    dict of float
        ``pr_auc``, the area under the precision-recall curve of the absolute values, as the average precision;
        ``true_mass``, the share of the absolute relevance inside the true regions; ``true_top``, what `top_share`
        returns. A map without any information is at the share of voxels that are true in all three.
    """
    relevance = np.abs(values)
    return {
        "pr_auc": float(average_precision_score(true, relevance)),
        "true_mass": float(relevance[true].sum(dtype=float) / relevance.sum(dtype=float)),
        "true_top": top_share(relevance, true),
    }


def score_regions(regions: pd.DataFrame, effects: np.ndarray) -> dict[str, float]:
    """Rank regions by their relevance and by their true effect, and correlate the ranks.

    Parameters
    ----------
    regions : DataFrame
        One row per region: sum, density.
    effects : ndarray of float, shape (regions,)
        Mean true absolute effect over the region's voxels; NaN for a region without a voxel.

    Returns
    -------
    dict of float
        ``effect_rank_sum`` and ``effect_rank_density``: Spearman's correlation of absolute scores with the effects.
    """
    return {
        f"effect_rank_{metric}": rank_correlation(regions[metric].abs().to_numpy(float), effects)
        for metric in ("sum", "density")
    }
