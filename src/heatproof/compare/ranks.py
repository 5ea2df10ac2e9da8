"""How far two rankings of regions agree: overlap at every depth, rank-biased overlap, rank correlation."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

DIGITS = 32  # binary, of the 53 of float64: the rest may be rounding in sums of many terms


def rankable(values: np.ndarray) -> np.ndarray:
    """Return the values of regions as they are, or NaN for all if every one is 0: these cannot be ranked."""
    return values if np.nan_to_num(values).any() else np.full_like(values, np.nan)


def settled(values: np.ndarray) -> np.ndarray:
    """Round computed values to `DIGITS` significant binary digits, so that equal ones are equal.

    Sums and means of equal numbers differ by rounding, and every rank that is made up of that is chance.
    """
    share, power = np.frexp(values)
    return np.ldexp(np.round(np.ldexp(share, DIGITS)), power - DIGITS)


def first_regions(values: np.ndarray) -> np.ndarray:
    """Mark the first d regions of a ranking, for every depth d.

    Regions of equal value (see `settled`) all stand at the first of the ranks that they take up together, so that more
    than d may be marked: no order is made up that two models would then share.

    Parameters
    ----------
    values : ndarray of float, shape (regions,)
        The highest value ranks first; NaN does not rank.

    Returns
    -------
    ndarray of bool, shape (ranked regions, regions)
    """
    values = settled(values)
    ranked = np.sort(values[~np.isnan(values)])[::-1]
    return values >= ranked[:, None]


def first_of_both(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return `first_regions` of two rankings, for every depth that both have."""
    firsts = first_regions(a), first_regions(b)
    depth = min(map(len, firsts))
    return firsts[0][:depth], firsts[1][:depth]


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the share of the first d regions that two rankings have in common, for every depth d.

    With equal values, the first d of the two are sets S and T of more than d, and the share is
    ``2 |S & T| / (|S| + |T|)``, as Webber et al. 2010 have it for ties.

    Parameters
    ----------
    a, b : ndarray of float, shape (regions,)
        One metric of two models, NaN for regions that are not ranked.

    Returns
    -------
    ndarray of float, shape (depths,)
        For d = 1 to the length of the shorter ranking.
    """
    s, t = first_of_both(a, b)
    return 2 * (s & t).sum(axis=1) / (s.sum(axis=1) + t.sum(axis=1))


def chance_overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return what `overlaps` is on average where both models rank their regions at random.

    The number that two random choices share is hypergeometric. With n regions ranked by both, none of them equal, d
    regions share d² / n on average.
    """
    ranked_a, ranked_b = ~np.isnan(a), ~np.isnan(b)
    sizes_a, sizes_b = (first.sum(axis=1) for first in first_of_both(a, b))
    drawn = np.count_nonzero(ranked_a & ranked_b) / max(np.count_nonzero(ranked_a) * np.count_nonzero(ranked_b), 1)
    return 2 * sizes_a * sizes_b * drawn / (sizes_a + sizes_b)


def why_unranked(values: np.ndarray, k: int) -> str | None:
    """Say in words why the first k regions cannot be named; None if they can.

    Parameters
    ----------
    values : ndarray of float, shape (regions,)
        One metric; NaN for regions that do not have it.
    k : int
        How many regions.
    """
    ranked = np.count_nonzero(~np.isnan(values))
    if ranked < k:
        return f"only {ranked} of {len(values)} regions have a value, fewer than {k}"
    other = np.count_nonzero(np.nan_to_num(values))
    if other < k:
        return f"only {other} of {len(values)} regions have a value other than 0, fewer than {k}"
    return None


def top_overlap(a: np.ndarray, b: np.ndarray, options: Mapping) -> float:
    """Return the share of the first ``top_k`` regions that two rankings share; NaN where one cannot name them."""
    k = options["top_k"]
    return np.nan if why_unranked(a, k) or why_unranked(b, k) else float(overlaps(a, b)[k - 1])


def chance_top_overlap(a: np.ndarray, b: np.ndarray, options: Mapping) -> float:
    """Return what `top_overlap` is on average for random choices among the regions that each ranks: k / n of n."""
    k = options["top_k"]
    return np.nan if why_unranked(a, k) or why_unranked(b, k) else float(chance_overlaps(a, b)[k - 1])


def rbo(a: np.ndarray, b: np.ndarray, options: Mapping) -> float:
    """Return the `rank_biased_overlap` of two rankings, its p the option ``rbo_p``."""
    return rank_biased_overlap(overlaps(rankable(a), rankable(b)), options["rbo_p"])


def chance_rbo(a: np.ndarray, b: np.ndarray, options: Mapping) -> float:
    """Return the `rank_biased_overlap` of two rankings of which every depth is at its chance."""
    return rank_biased_overlap(chance_overlaps(rankable(a), rankable(b)), options["rbo_p"])


def region_spearman(a: np.ndarray, b: np.ndarray, options: Mapping) -> float:
    """Return the `rank_correlation` of two rankings."""
    return rank_correlation(rankable(a), rankable(b))


def overlap_curve(rankings: list[np.ndarray]) -> pd.DataFrame:
    """Average the overlap at every depth over all pairs of models.

    Parameters
    ----------
    rankings : list of ndarray of float, each of shape (regions,)
        One metric per model, NaN for regions that are not ranked.

    Returns
    -------
    DataFrame
        k, overlap_mean, chance; no row beyond the depth that some pair has.
    """
    pairs = [
        pd.DataFrame({"overlap_mean": overlaps(a, b), "chance": chance_overlaps(a, b)})
        for a, b in combinations(map(rankable, rankings), 2)
    ]
    curves = [table.assign(k=table.index + 1) for table in pairs]
    if not curves:
        return pd.DataFrame(columns=["k", "overlap_mean", "chance"])
    return pd.concat(curves).groupby("k", as_index=False)[["overlap_mean", "chance"]].mean()


def rank_biased_overlap(overlap: np.ndarray, p: float) -> float:
    """Return the extrapolated rank-biased overlap of two rankings of equal length, RBO_ext.

    The overlap A_d of the first d regions, averaged over depths with weights that fall by the factor p from each
    depth to the next; beyond the last, k, the overlap is taken to stay what it is there:
    ``A_k * p**k + (1 - p) / p * sum(A_d * p**d for d in 1..k)``.

    Parameters
    ----------
    overlap : ndarray, shape (k,)
        A_d, what `overlaps` returns; of rankings that differ in length, up to the end of the shorter one.
    p : float
        Between 0 and 1; at 0.9 the first 10 regions have 86 % of the weight.

    References
    ----------
    Webber, Moffat and Zobel 2010, doi:10.1145/1852102.1852106, equation 23.
    """
    if not len(overlap):
        return np.nan
    depths = np.arange(1, len(overlap) + 1)
    return float(overlap[-1] * p ** depths[-1] + (1 - p) / p * np.sum(overlap * p**depths))


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Spearman's correlation over the regions that both have; NaN with fewer than 3, or all equal.

    Equal values, as `settled` has them, share their mean rank.
    """
    both = ~np.isnan(a) & ~np.isnan(b)
    a, b = settled(a[both]), settled(b[both])
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return np.nan
    return float(spearmanr(a, b).statistic)


def concordance(mean_correlation: float, rankings: int) -> float:
    """Return Kendall's W of m rankings from the mean of Spearman's correlation over their pairs: (1 + (m - 1) r) / m.

    This is Kendall's identity, exact where all rank the same regions without ties. W is 1 where all agree and 1 / m on
    average where all are random.

    References
    ----------
    Kendall and Babington Smith 1939, doi:10.1214/aoms/1177732186
    """
    return (1 + (rankings - 1) * mean_correlation) / rankings
