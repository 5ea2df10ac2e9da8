"""Averaging over models as a remedy: how robust the mean map of several models is."""

from collections.abc import Iterator
from itertools import combinations
from math import comb

import numpy as np

Subset = tuple[int, ...]


def draw_subsets(models: int, size: int, most: int, generator: np.random.Generator) -> list[Subset]:
    """Return sets of that many models: all of them, or ``most`` drawn ones where there are more."""
    if comb(models, size) <= most:
        return list(combinations(range(models), size))
    return [tuple(generator.permutation(models)[:size]) for _ in range(most)]


def draw_disjoint(models: int, size: int, most: int, generator: np.random.Generator) -> list[tuple[Subset, Subset]]:
    """Return pairs of sets of that many models that share none: all of them, or ``most`` drawn ones.

    Empty where two such sets need more models than there are.
    """
    count = comb(models, size) * comb(models - size, size) // 2
    if count <= most:
        return list(disjoint_pairs(models, size))
    drawn = [generator.permutation(models) for _ in range(most)]
    return [(tuple(order[:size]), tuple(order[size : 2 * size])) for order in drawn]


def disjoint_pairs(models: int, size: int) -> Iterator[tuple[Subset, Subset]]:
    """Yield every pair of disjoint sets of that many models once."""
    for a in combinations(range(models), size):
        others = [model for model in range(models) if model not in a]
        yield from ((a, b) for b in combinations(others, size) if a < b)


def unit_maps(maps: np.ndarray) -> np.ndarray:
    """Scale maps to a root mean square of 1, so that no model outweighs the others in a mean.

    Parameters
    ----------
    maps : ndarray of float, shape (models, voxels)
        None of them zero everywhere.
    """
    return maps / np.sqrt(np.mean(np.square(maps, dtype=float), axis=1, keepdims=True))


def covariances(maps: np.ndarray) -> np.ndarray:
    """Return the covariance over voxels of every two maps, shape (models, models)."""
    return np.atleast_2d(np.cov(maps))


def correlation_of_means(covariance: np.ndarray, a: Subset, b: Subset) -> float:
    """Return Pearson's correlation of the mean map of the models in ``a`` with that of those in ``b``.

    It follows from the covariances of single maps, since a mean is a sum of them: the maps are not needed again.
    """
    a, b = list(a), list(b)
    between = covariance[np.ix_(a, b)].sum()
    return float(between / np.sqrt(covariance[np.ix_(a, a)].sum() * covariance[np.ix_(b, b)].sum()))


def spearman_brown(correlation: float, size: int) -> float:
    """Predict the correlation of two mean maps of that many models each from that of two single ones.

    The Spearman-Brown formula, m r / (1 + (m - 1) r): exact if a map is what all models share and a part of its own,
    unrelated to all others and of the same variance in every model. NaN where the single maps do not correlate, since
    then they share nothing that averaging could bring out.

    References
    ----------
    Spearman 1910, doi:10.1111/j.2044-8295.1910.tb00206.x; Brown 1910, doi:10.1111/j.2044-8295.1910.tb00207.x
    """
    return size * correlation / (1 + (size - 1) * correlation) if correlation > 0 else np.nan
