"""How far two rankings of regions agree: overlap at every depth, rank-biased overlap, rank correlation."""

import numpy as np
from scipy.stats import spearmanr


def rankable(values: np.ndarray) -> np.ndarray:
    """Return the values of regions as they are, or NaN for all if every one is 0: these can not be ranked."""
    return values if np.nan_to_num(values).any() else np.full_like(values, np.nan)


def shared_counts(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Count the regions that the first d of two rankings share, for every depth d.

    Parameters
    ----------
    a, b : ndarray of float, shape (regions,)
        One metric of two models, NaN for regions that are not ranked. The highest value ranks first; of equal ones, the
        one that comes first in the atlas.

    Returns
    -------
    ndarray of int, shape (depths,)
        For d = 1 to the length of the shorter ranking.
    """
    depth = min(np.count_nonzero(~np.isnan(a)), np.count_nonzero(~np.isnan(b)))
    both = ~np.isnan(a) & ~np.isnan(b)
    later = np.maximum(positions(a), positions(b))[both]
    return np.bincount(later, minlength=len(a))[:depth].cumsum()


def positions(values: np.ndarray) -> np.ndarray:
    """Return the place of each region in a ranking from 0 on, those without a value last."""
    places = np.empty(len(values), int)
    places[np.argsort(-values, kind="stable")] = np.arange(len(values))
    return places


def chance_counts(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return what `shared_counts` is on average where both models rank their regions at random.

    The number that two random choices of d share is hypergeometric; with n regions ranked by both, its mean is d² / n.
    """
    ranked_a, ranked_b = ~np.isnan(a), ~np.isnan(b)
    sizes = np.count_nonzero(ranked_a), np.count_nonzero(ranked_b)
    depths = np.arange(1, min(sizes) + 1)
    return depths**2 * (np.count_nonzero(ranked_a & ranked_b) / max(sizes[0] * sizes[1], 1))


def rank_biased_overlap(shared: np.ndarray, p: float) -> float:
    """Return the extrapolated rank-biased overlap of two rankings of equal length, RBO_ext.

    The overlap of the first d regions, X_d / d, averaged over depths with weights that fall by the factor p from each
    depth to the next; beyond the last, k, the overlap is taken to stay what it is there:
    ``X_k / k * p**k + (1 - p) / p * sum(X_d / d * p**d for d in 1..k)``.

    Parameters
    ----------
    shared : ndarray, shape (k,)
        X_d, what `shared_counts` returns; of rankings that differ in length, up to the end of the shorter one.
    p : float
        Between 0 and 1; at 0.9 the first 10 regions have 86 % of the weight.

    References
    ----------
    Webber, Moffat and Zobel 2010, doi:10.1145/1852102.1852106, equation 23.
    """
    if not len(shared):
        return np.nan
    depths = np.arange(1, len(shared) + 1)
    agreement = shared / depths
    return float(agreement[-1] * p ** depths[-1] + (1 - p) / p * np.sum(agreement * p**depths))


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Spearman's correlation over the regions that both have; NaN with fewer than 3, or all equal."""
    both = ~np.isnan(a) & ~np.isnan(b)
    if np.count_nonzero(both) < 3 or np.ptp(a[both]) == 0 or np.ptp(b[both]) == 0:
        return np.nan
    return float(spearmanr(a[both], b[both]).statistic)


def concordance(mean_correlation: float, rankings: int) -> float:
    """Return Kendall's W of m rankings from the mean of Spearman's correlation over their pairs: (1 + (m - 1) r) / m.

    This is Kendall's identity, exact where all rank the same regions without ties. W is 1 where all agree and 1 / m on
    average where all are random.

    References
    ----------
    Kendall and Babington Smith 1939, doi:10.1214/aoms/1177732186
    """
    return (1 + (rankings - 1) * mean_correlation) / rankings
