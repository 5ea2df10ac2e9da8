"""How much relevance a region of the atlas receives: sum, density and gain."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from heatproof.regions import merge_regions, relabel

METRICS = ("sum", "density", "gain")


def regions_in_brain(
    labels: np.ndarray, atlas: pd.DataFrame, brain: np.ndarray, scheme: str
) -> tuple[np.ndarray, list[str]]:
    """Number the regions that maps are measured over: those of the atlas, joined, as far as they lie in the brain.

    The atlas may reach beyond the template's brain, to where no registered scan has a value.

    Parameters
    ----------
    labels : ndarray of int, shape (x, y, z)
    atlas : DataFrame
        index, name of each label.
    brain : ndarray of bool, shape (x, y, z)
    scheme : str
        A key of `heatproof.regions.SCHEMES`.

    Returns
    -------
    numbers : ndarray of int32, shape (x, y, z)
        Regions 1..n; 0 is outside of every region.
    names : list of n str
        Their names; a region may have no voxel.
    """
    numbers, names = relabel(labels, merge_regions(atlas, scheme))
    return np.where(brain, numbers, 0), names


def region_sums(volume: np.ndarray | None, numbers: np.ndarray, count: int, relevance: str) -> np.ndarray:
    """Sum a map over each region.

    Parameters
    ----------
    volume : ndarray of float, shape (x, y, z), or None
        A map; None, for a map that does not exist, gives NaN.
    numbers : ndarray of int, shape (x, y, z)
        Regions 1..count; 0 is outside of every region.
    count : int
        Number of regions.
    relevance : {"absolute", "signed"}
        Whether absolute values are summed, as in Eitel and Ritter 2019, or signed ones, as in Böhle et al. 2019.

    Returns
    -------
    ndarray of float64, shape (count,)
    """
    if volume is None:
        return np.full(count, np.nan)
    values = np.abs(volume) if relevance == "absolute" else volume
    return np.bincount(numbers.ravel(), values.ravel(), minlength=count + 1)[1:]


def reference_map(maps: dict[str, np.ndarray], counts: dict[str, int], groups: Sequence[str]) -> np.ndarray | None:
    """Return the mean map over the scans of some groups: of those that gain divides by.

    Parameters
    ----------
    maps : dict of ndarray, each of shape (x, y, z)
        Mean map of each group.
    counts : dict of int
        Scans behind each of them.
    groups : sequence of str

    Returns
    -------
    ndarray of shape (x, y, z), or None
        The signed mean over those scans; None where there are none.
    """
    weights = [counts[group] for group in groups]
    if not any(weights):
        return None
    return sum(maps[group] * (weight / sum(weights)) for group, weight in zip(groups, weights, strict=True))


def measure_regions(
    explained: np.ndarray | None,
    reference: np.ndarray | None,
    numbers: np.ndarray,
    names: Sequence[str],
    *,
    voxel_volume: float,
    relevance: str = "absolute",
) -> pd.DataFrame:
    """Measure sum, density and gain of every region, as Eitel and Ritter 2019 define them.

    Parameters
    ----------
    explained, reference : ndarray of shape (x, y, z), or None
        Mean map over true positives and over scans of the other class; None where there is no such scan.
    numbers : ndarray of int, shape (x, y, z)
        Regions 1..n; 0 is outside of every region.
    names : sequence of n str
        Their names.
    voxel_volume : float
        Cubic millimetres.
    relevance : {"absolute", "signed"}
        Which values are summed.

    Returns
    -------
    DataFrame
        One row per region: region, n_voxels, volume_mm3, sum (relevance of the first), density (sum / n_voxels),
        gain (sum / controls_sum) and controls_sum. NaN marks what does not exist: everything of a region without a
        voxel, what is of a map that does not exist, and gain where the other class's sum is not
        positive, as a signed one may be.
    """
    n_voxels = np.bincount(numbers.ravel(), minlength=len(names) + 1)[1:]
    exists = n_voxels > 0
    total = np.where(exists, region_sums(explained, numbers, len(names), relevance), np.nan)
    controls_sum = np.where(exists, region_sums(reference, numbers, len(names), relevance), np.nan)
    return pd.DataFrame(
        {
            "region": list(names),
            "n_voxels": n_voxels,
            "volume_mm3": n_voxels * voxel_volume,
            "sum": total,
            "density": total / np.where(exists, n_voxels, np.nan),
            "gain": total / np.where(controls_sum > 0, controls_sum, np.nan),
            "controls_sum": controls_sum,
        }
    )
