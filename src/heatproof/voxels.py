"""The voxels of a brain as a vector: cut out, put back, and smoothed within the brain."""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from scipy.ndimage import gaussian_filter

from heatproof.space import FWHM_TO_SIGMA


def crop_box(mask: np.ndarray) -> tuple[slice, ...]:
    """Return the smallest box that holds a mask."""
    extents = [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    return tuple(slice(extent[0], extent[-1] + 1) for extent in extents)


def in_volume(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Put values, shape (voxels,), into the voxels of a mask (x, y, z), zeros around them."""
    volume = np.zeros(mask.shape, values.dtype)
    volume[mask] = values
    return volume


def smoother(brain: np.ndarray, sizes: Sequence[float], fwhm: float) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that smooths the voxels of a brain by a Gaussian, as if there were nothing outside of it.

    Normalised convolution: the smoothed values, divided by the smoothed brain mask. A constant stays what it is up to
    the brain's edge.

    Parameters
    ----------
    brain : ndarray of bool, shape (x, y, z)
    sizes : sequence of 3 float
        Of a voxel, mm.
    fwhm : float
        Full width at half maximum, mm; 0 leaves maps as they are.

    Returns
    -------
    callable
        Takes and returns ndarray of float, shape (voxels,), of the same type.

    References
    ----------
    Knutsson and Westin 1993, doi:10.1109/CVPR.1993.341081
    """
    if not fwhm:
        return np.asarray
    inside, widths = brain[crop_box(brain)], fwhm * FWHM_TO_SIGMA / np.asarray(sizes)

    def spread(values: np.ndarray) -> np.ndarray:
        return gaussian_filter(in_volume(values, inside), widths, mode="constant")[inside]

    @cache
    def weights(dtype: np.dtype) -> np.ndarray:
        return spread(np.ones(np.count_nonzero(inside), dtype))

    return lambda values: spread(values) / weights(values.dtype)
