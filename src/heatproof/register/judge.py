"""Judge a registration by anatomy: whether the inside of a brain lies where the template's does.

Outlines do not tell: a brain upside down overlaps with the template by 0.95. Limits are fixed, by scans with labels of
other people (docs/real-scans.md), and do not depend on a study's other scans.
"""

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

WINDOW_MM = 5.0
DEEP_MM = 25.0
FLAT = 1e-6
LIMITS = {"inside_agreement": (0.5, 1.0), "brain_overlap": (0.85, 1.0), "brain_mm3": (0.7e6, 2.3e6)}


def local_correlation(one: np.ndarray, other: np.ndarray, within: np.ndarray, edge: float) -> np.ndarray:
    """Correlate two images around each voxel, under a Gaussian window: whatever bias field or contrast either has.

    Parameters
    ----------
    one, other : ndarray, shape (x, y, z)
    within : ndarray of bool, shape (x, y, z)
        The voxels that count.
    edge : float
        Of a voxel, in millimetres; the window's standard deviation is `WINDOW_MM`.

    Returns
    -------
    ndarray, shape (x, y, z)
        From -1 to 1; 0 where an image is flat.
    """
    one, other = (np.where(within, image, 0).astype(np.float64) for image in (one, other))

    def mean(values: np.ndarray) -> np.ndarray:
        return gaussian_filter(values, WINDOW_MM / edge) / weight

    weight = np.maximum(gaussian_filter(within.astype(np.float64), WINDOW_MM / edge), FLAT)
    covariance = mean(one * other) - mean(one) * mean(other)
    spread = [np.maximum(mean(image**2) - mean(image) ** 2, 0) for image in (one, other)]
    flat = FLAT * one[within].var() * other[within].var()
    product = spread[0] * spread[1]
    return np.where(product > flat, covariance / np.sqrt(np.maximum(product, flat + np.finfo(float).tiny)), 0)


def deep(within: np.ndarray, edge: float) -> np.ndarray:
    """Mark what lies `DEEP_MM` and more below the surface of a brain mask: ventricles and the nuclei around them."""
    return distance_transform_edt(within, sampling=edge) >= DEEP_MM


def judge(quality: dict) -> dict:
    """Say what is poor about a registration, whatever the other scans are like.

    Parameters
    ----------
    quality : dict
        The figures of `LIMITS`, correlation with the template, and turned, the degrees by which the scan was turned.

    Returns
    -------
    dict
        poor: the figures beyond their limits; doubts: what this may come from, in words.
    """
    poor = [name for name, (least, most) in LIMITS.items() if not least <= quality[name] <= most]
    doubts = []
    if "brain_mm3" in poor:
        millilitres = quality["brain_mm3"] / 1000
        doubts.append(f"{'a head' if millilitres > 1000 else 'cut off'}? {millilitres:,.0f} ml is no whole brain")
    if quality["correlation"] < 0:
        doubts.append("dark where a T1w is bright: is this a T2w?")
    elif "inside_agreement" in poor:
        doubts.append("inside, it does not look like the template: no brain, another contrast, or a strong bias field?")
    elif "brain_overlap" in poor:
        doubts.append("its outline is not the template's: cut off, or a wrong brain mask?")
    return {"poor": poor, "doubts": doubts}
