"""Judge a registration by anatomy: whether the inside of a brain lies where the template's does.

Outlines do not tell: a brain upside down overlaps with the template by 0.95. Limits are fixed, by scans with labels of
other people (docs/real-scans.md), and do not depend on a study's other scans.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter

from heatproof.errors import StudyError
from heatproof.register.find_pose import GOOD_FIT

WINDOW_MM = 5.0
DEEP_MM = 25.0
FLAT = 1e-6
BROAD_MM = 20.0
LEAST_INSIDE = 0.2  # of a brain: between other poses, noise and phantoms, and brains with a strong bias field
LIMITS = {"inside_agreement": (0.5, 1.0), "brain_overlap": (0.85, 1.0), "brain_mm3": (0.7e6, 2.3e6)}
CAUSES = {
    "cut_cm2": (0.0, 15.0, "{:.0f} cm2 of the brain lie on the edge of its field of view: is it cut off?"),
    "unevenness": (0.0, 0.06, "its brightness runs unlike the template's (unevenness {:.2f}): a bias field?"),
    "largest_edge_mm": (0.0, 3.0, "its voxels are {:.3g} mm long: too coarse?"),
    "pose_fit": (GOOD_FIT, 1.0, "how the brain lies is in doubt (correlation {:.2f}): not as its header says?"),
}


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


def unevenness(one: np.ndarray, other: np.ndarray, within: np.ndarray, edge: float) -> float:
    """Measure how unlike the brightness of two images runs over the brain: what a bias field leaves.

    Parameters
    ----------
    one, other : ndarray, shape (x, y, z)
    within : ndarray of bool, shape (x, y, z)
    edge : float
        Of a voxel, in millimetres.

    Returns
    -------
    float
        Standard deviation of the logarithm of their ratio, both averaged under a Gaussian window of `BROAD_MM`.
    """
    broad = [gaussian_filter(np.where(within, image, 0).astype(np.float64), BROAD_MM / edge) for image in (one, other)]
    lit = within & (broad[0] > 0) & (broad[1] > 0)
    return float(np.log(broad[0][lit] / broad[1][lit]).std()) if lit.any() else 0.0


def cut_area(brain: np.ndarray, spacing: tuple[float, ...]) -> float:
    """Return how much of a brain, shape (x, y, z), lies on the faces of its field of view, in square centimetres."""
    areas = np.prod(spacing) / np.array(spacing) / 100
    on_faces = [brain.take(end, axis).sum() for axis in range(3) for end in (0, -1)]
    return float(np.repeat(areas, 2) @ on_faces)


def write_quality(quality: dict, images: Sequence[Path], path: Path) -> None:
    """Write the figures of a registration, with the checksums of the scan's images, of further ones by their path."""
    first, *further = [(str(image), hashlib.sha256(image.read_bytes()).hexdigest()) for image in images]
    checksums = {"scan_sha256": first[1]} | ({"further_sha256": dict(further)} if further else {})
    path.write_text(json.dumps(quality | checksums, indent=2) + "\n")


def check_inside(agreement: float, correlation: float, path: Path) -> None:
    """Refuse a scan whose inside has nothing of the template's, neither as a T1w nor with dark and bright exchanged."""
    if abs(agreement) < LEAST_INSIDE:
        doubt = ", and it is dark where a T1w is bright: is it a T2w?" if correlation < 0 else "."
        raise StudyError(
            f"no brain is found in {path}: its inside agrees with the template's by {agreement:.2f}, not by "
            f"{LEAST_INSIDE:g}{doubt} Exclude it, or where it is a T1w, correct its header or give a brain mask"
        )


def judge(quality: dict) -> dict:
    """Say what is poor about a registration, whatever the other scans are like.

    Parameters
    ----------
    quality : dict
        The figures of `LIMITS` and `CAUSES` that are known, and correlation, with the template.

    Returns
    -------
    dict
        poor: the figures beyond their limits; doubts: what this may come from, in words.
    """
    poor = [name for name, (least, most) in LIMITS.items() if not least <= quality.get(name, least) <= most]
    doubts = []
    if "brain_mm3" in poor:
        millilitres = quality["brain_mm3"] / 1000
        doubts.append(f"{'a head' if millilitres > 1000 else 'cut off'}? {millilitres:,.0f} ml is no whole brain")
    if quality["correlation"] < 0:
        return {"poor": poor, "doubts": [*doubts, "dark where a T1w is bright: is this a T2w?"]}
    if poor:
        off = [name for name, (least, most, _) in CAUSES.items() if not least <= quality.get(name, least) <= most]
        doubts += [CAUSES[name][2].format(quality[name]) for name in off]
    if "inside_agreement" in poor and not doubts:
        doubts.append("inside, it does not look like the template: another contrast, a large lesion, or no brain?")
    if "brain_overlap" in poor and not doubts:
        doubts.append("its outline is not the template's: a wrong brain mask?")
    return {"poor": poor, "doubts": doubts}
