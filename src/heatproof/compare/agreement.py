"""How far two maps agree, voxel by voxel: distance, correlations, SSIM and the overlap of the top voxels."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import maximum_filter, uniform_filter
from scipy.stats import rankdata

from heatproof.voxels import crop_box, in_volume

WINDOW = 7  # voxels, edge of the cube that SSIM compares
SAMPLE = WINDOW**3 / (WINDOW**3 - 1)  # makes a mean square deviation in such a cube a sample variance
STABILISERS = 0.01**2, 0.03**2  # Wang's K1 and K2 squared, for a data range of 1


@dataclass
class BrainMap:
    """A map of one model, and what is found once however many others it is compared with.

    Attributes
    ----------
    values : ndarray of float32, shape (voxels,)
        The map's voxels in the brain.
    brain : ndarray of bool, shape (x, y, z)
    percent : float
        Voxels that count as top ones.
    compared : ndarray of float32, shape (voxels compared,), or None
        Voxels that the L2 norm is taken over; None for those in the brain.
    """

    values: np.ndarray
    brain: np.ndarray
    percent: float
    compared: np.ndarray | None = None

    @property
    def exists(self) -> bool:
        """Whether any voxel in the brain has relevance."""
        return bool(self.values.any())

    @cached_property
    def ranks(self) -> np.ndarray:
        """Ranks of the values, equal ones at their mean rank; float32."""
        return rankdata(self.values).astype(np.float32)

    @cached_property
    def top(self) -> np.ndarray:
        """The voxels of largest absolute value, as `top_voxels` marks them."""
        return top_voxels(self.values, self.percent)

    @cached_property
    def inside(self) -> np.ndarray:
        """The brain in the smallest box that holds it."""
        return self.brain[crop_box(self.brain)]

    @cached_property
    def rms(self) -> float:
        """The root mean square of the values."""
        return float(np.sqrt(np.mean(np.square(self.values, dtype=float))))

    @cached_property
    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and sample variance of the cube of `WINDOW` voxels around each voxel, in the map scaled to `rms` 1."""
        unit = self.values.astype(float) / self.rms
        mean = cube_means(unit, self.inside)
        return mean, SAMPLE * (cube_means(unit**2, self.inside) - mean**2)

    @cached_property
    def near(self) -> np.ndarray:
        """The voxels near which the map has a value, as `near_values` marks them."""
        return near_values(self.values, self.inside)


def l2_rms(a: BrainMap, b: BrainMap, options: Mapping) -> float:
    """Return the root mean square of the difference of two maps, each divided by its largest absolute value."""
    voxels = [one.values if one.compared is None else one.compared for one in (a, b)]
    peaks = [np.abs(of_map).max().astype(float) for of_map in voxels]
    if not all(peaks):
        return np.nan
    return float(np.sqrt(np.mean(np.square(voxels[0] / peaks[0] - voxels[1] / peaks[1]))))


def pearson(a: BrainMap, b: BrainMap, options: Mapping) -> float:
    """Return the correlation of the values of two maps."""
    return correlation(a.values, b.values)


def spearman(a: BrainMap, b: BrainMap, options: Mapping) -> float:
    """Return the correlation of the ranks of two maps' values."""
    return correlation(a.ranks, b.ranks)


def ssim(a: BrainMap, b: BrainMap, options: Mapping) -> float:
    """Return the structural similarity of two maps, averaged over the voxels near which either has a value.

    Wang et al. 2004 in three dimensions, as scikit-image has it: cubes of `WINDOW` voxels with equal weights, K1 0.01,
    K2 0.03, sample variances. Means and variances are those of each map; only the covariance is computed for a pair.

    SSIM is made for grey values: both maps are lifted by the largest absolute value of the two, so that no voxel is
    negative; else a map and its negative would be alike. The data range, which only sets the constants that keep the
    ratios finite, is 1: the root mean square of each map. A range from peak to peak would make these constants as
    large as the variance of most windows, and maps with nothing in common alike. Voxels near which neither map has a
    value are left out, so that sparse maps do not agree by their zeros.

    References
    ----------
    Wang, Bovik, Sheikh and Simoncelli 2004, doi:10.1109/TIP.2003.819861
    """
    if not (a.exists and b.exists):
        return np.nan
    counted = a.near | b.near
    lift = max(float(np.abs(one.values).max()) / one.rms for one in (a, b))
    product = np.multiply(a.values, b.values, dtype=float) / (a.rms * b.rms)
    (mean_a, variance_a), (mean_b, variance_b) = ([moment[counted] for moment in one.moments] for one in (a, b))
    covariance = SAMPLE * (cube_means(product, a.inside)[counted] - mean_a * mean_b)
    mean_a, mean_b = mean_a + lift, mean_b + lift
    c1, c2 = STABILISERS
    alike = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return float(np.mean(alike * (2 * covariance + c2) / (variance_a + variance_b + c2)))


def dice(a: BrainMap, b: BrainMap, options: Mapping) -> float:
    """Return the Dice coefficient of the top voxels of two maps."""
    size = np.count_nonzero(a.top) + np.count_nonzero(b.top)
    return 2 * np.count_nonzero(a.top & b.top) / size if a.exists and b.exists else np.nan


def chance_dice(a: BrainMap, b: BrainMap, options: Mapping) -> float:
    """Return what `dice` is on average for two random sets of as many voxels."""
    sizes = np.count_nonzero(a.top), np.count_nonzero(b.top)
    return 2 * sizes[0] * sizes[1] / sum(sizes) / len(a.top) if a.exists and b.exists else np.nan


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


def cube_means(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Average, around each voxel of a mask, the cube of `WINDOW` voxels, which is 0 outside of the mask; (voxels,)."""
    return uniform_filter(in_volume(values, mask), WINDOW, mode="constant")[mask]


def near_values(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mark the voxels of a mask whose cube of `WINDOW` voxels holds a value other than 0; bool, shape (voxels,)."""
    return maximum_filter(in_volume(values != 0, mask), WINDOW, mode="constant")[mask]
