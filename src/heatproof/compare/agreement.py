"""How far the mean maps of two models agree, voxel by voxel: correlations, SSIM and the overlap of the top voxels."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.ndimage import maximum_filter
from scipy.stats import rankdata
from skimage.metrics import structural_similarity

WINDOW = 7  # voxels, edge of the cube that SSIM compares


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return Pearson's correlation of two vectors; NaN where one of them is constant."""
    a, b = a - a.mean(dtype=float), b - b.mean(dtype=float)
    norms = np.sqrt(np.dot(a, a) * np.dot(b, b))
    return float(np.dot(a, b) / norms) if norms else np.nan


def top_voxels(values: np.ndarray, percent: float) -> np.ndarray:
    """Mark the voxels of largest absolute value.

    Parameters
    ----------
    values : ndarray, shape (voxels,)
    percent : float
        How many of all voxels. A voxel of value 0 is never marked, so that there may be fewer; of equal values at the
        edge all are, so that there may be more.

    Returns
    -------
    ndarray of bool, shape (voxels,)
    """
    size = np.abs(values)
    wanted = min(round(len(size) * percent / 100), np.count_nonzero(size))
    return size >= np.partition(size, -wanted)[-wanted] if wanted else np.zeros(len(size), bool)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Return the Dice coefficient of two sets of voxels, given as booleans."""
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def chance_dice(a: np.ndarray, b: np.ndarray) -> float:
    """Return what `dice` is on average for two random sets of as many voxels as these have."""
    sizes = np.count_nonzero(a), np.count_nonzero(b)
    return 2 * sizes[0] * sizes[1] / sum(sizes) / len(a)


def crop_box(mask: np.ndarray) -> tuple[slice, ...]:
    """Return the smallest box that holds a mask."""
    extents = [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    return tuple(slice(extent[0], extent[-1] + 1) for extent in extents)


def unit_volume(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Scale the voxels in a mask to a root mean square of 1, and put them into their box with a border of zeros."""
    box = mask[crop_box(mask)]
    volume = np.zeros(box.shape)
    volume[box] = values / np.sqrt(np.mean(np.square(values, dtype=float)))
    return np.pad(volume, WINDOW // 2)


def near_values(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mark the voxels of a mask whose cube of `WINDOW` voxels holds a value other than 0; bool, shape (voxels,)."""
    box = mask[crop_box(mask)]
    volume = np.zeros(box.shape, bool)
    volume[box] = values != 0
    return maximum_filter(volume, WINDOW, mode="constant")[box]


def mean_ssim(a: np.ndarray, b: np.ndarray, inside: np.ndarray, counted: np.ndarray) -> float:
    """Return the structural similarity of two volumes, averaged over those voxels in a mask that count.

    Wang et al. 2004 in three dimensions, by scikit-image: cubes of `WINDOW` voxels with equal weights, K1 0.01,
    K2 0.03. It is made for grey values: both volumes are lifted by the largest absolute value of the two, so that no
    voxel is negative; else a map and its negative would be alike. The data range, which only sets the constants that
    keep the ratios finite, is 1: the root mean square of each map, as `unit_volume` scales it. A range from peak to
    peak would make these constants as large as the variance of most windows, and maps with nothing in common alike.

    References
    ----------
    Wang, Bovik, Sheikh and Simoncelli 2004, doi:10.1109/TIP.2003.819861
    """
    lift = max(np.abs(a).max(), np.abs(b).max())
    _, similarity = structural_similarity(a + lift, b + lift, win_size=WINDOW, data_range=1.0, full=True)
    return float(similarity[inside][counted].mean())


def compare_voxels(values: Sequence[np.ndarray], brain: np.ndarray, percent: float) -> pd.DataFrame:
    """Compare the maps of every two models within the brain.

    Structural similarity leaves out voxels near which neither map has a value, so that sparse maps do not agree by
    their zeros. Ranks, top voxels and these are found once per map: besides the maps' voxels in the brain, one rank and
    two bits each, two volumes are held at a time.

    Parameters
    ----------
    values : sequence of ndarray of float32, each of shape (voxels,)
        One map per model, its voxels in the brain; not zero everywhere.
    brain : ndarray of bool, shape (x, y, z)
    percent : float
        Voxels that count as top ones.

    Returns
    -------
    DataFrame
        One row per pair, in the order of `itertools.combinations`: pearson, spearman, ssim, ``dice_{percent}``, and
        chance, that of the last.
    """
    ranks = [rankdata(vector).astype(np.float32) for vector in values]
    tops = [top_voxels(vector, percent) for vector in values]
    near = [near_values(vector, brain) for vector in values]
    inside = np.pad(brain[crop_box(brain)], WINDOW // 2)
    rows = []
    for a in range(len(values)):
        volume = unit_volume(values[a], brain)
        for b in range(a + 1, len(values)):
            rows.append(
                (
                    correlation(values[a], values[b]),
                    correlation(ranks[a], ranks[b]),
                    mean_ssim(volume, unit_volume(values[b], brain), inside, near[a] | near[b]),
                    dice(tops[a], tops[b]),
                    chance_dice(tops[a], tops[b]),
                )
            )
    columns = ["pearson", "spearman", "ssim", f"dice_{percent:g}", "chance"]
    return pd.DataFrame(rows, list(combinations(range(len(values)), 2)), columns, dtype=float)
