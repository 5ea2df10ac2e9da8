"""Read a raw T1w scan: refuse what cannot be one, and settle what its header and its background leave open."""

from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.ndimage import label

from heatproof.errors import StudyError
from heatproof.images import open_image, read_voxels
from heatproof.space import voxel_sizes

EXTENT_MM = (60, 600)
DISAGREEMENT_MM = 1.0
MOST_SKEW = 0.02
LEAST_SKEW = 1e-4
LEAST_SHIFT = 0.05
MOST_MISSING = 0.01  # of the known voxels, NaN within the head: more is no dark spot that a mask left out


def read_scan(path: Path) -> tuple[nib.Nifti1Image, list[str]]:
    """Read a scan in its own voxel order.

    Parameters
    ----------
    path : Path
        NIfTI, packed or not, of integers or floats, with or without a scale factor.

    Returns
    -------
    scan : Nifti1Image of float32
        Three-dimensional; its axes are at right angles, its header is in millimetres, its background is 0 or near it.
    notes : list of str
        What had to be settled, for a person to read.

    Raises
    ------
    StudyError
        If this cannot be a T1w scan; says why.
    """
    voxels, affine, notes = read_volume(path)
    extent = voxel_sizes(affine) * voxels.shape
    if extent.min() < EXTENT_MM[0] or extent.max() > EXTENT_MM[1]:
        spans = " x ".join(f"{edge:.4g}" for edge in extent)
        raise StudyError(f"{path} spans {spans} mm by its header, which holds no head; correct its voxel sizes")
    check_values(voxels, path)
    voxels, more = settle_background(voxels)
    return with_space(voxels, affine), notes + more


def read_volume(path: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Read the one volume of an image as float32, with the affine that `settle_space` chooses and its notes."""
    stored = open_image(path)
    if stored.get_data_dtype().kind not in "iuf":
        raise StudyError(f"{path} holds colours or complex numbers, not intensities; replace or exclude it")
    shape = stored.shape + (1,) * (3 - len(stored.shape))
    if np.prod(shape[3:]) != 1:
        raise StudyError(f"{path} has {np.prod(shape[3:])} volumes; a T1w scan has one: replace or exclude it")
    if min(shape[:3]) < 2:
        raise StudyError(f"{path} is a single slice of shape {shape[:3]}; a T1w scan has three dimensions: exclude it")
    affine, notes = settle_space(stored, path)
    return read_voxels(stored, path).reshape(shape[:3]), affine, notes


def check_values(voxels: np.ndarray, path: Path) -> None:
    """Refuse values that are infinite, missing in much of the head, or the same all but everywhere."""
    missing = np.isnan(voxels)
    within = np.count_nonzero(missing & ~outer(missing))
    if np.isinf(voxels).any() or within > MOST_MISSING * np.count_nonzero(~missing):
        raise StudyError(
            f"{path} has voxels that are infinite, or NaN in much of the head; correct or exclude it (cohort.exclude)"
        )
    known = voxels[~missing]
    if not known.size or np.percentile(known, 99.9) <= known.min():
        raise StudyError(f"{path} has one value in all or nearly all voxels; replace it or exclude the scan")


def outer(mask: np.ndarray) -> np.ndarray:
    """Keep the connected pieces of a mask that reach an outer face of the array."""
    if not mask.any():
        return mask
    pieces, _ = label(mask)
    return mask & np.isin(pieces, np.unique(faces(pieces)))


def faces(array: np.ndarray) -> np.ndarray:
    """Return the values on the six outer faces of an array, as one list."""
    return np.concatenate([array.take(end, axis).ravel() for axis in range(3) for end in (0, -1)])


def settle_background(voxels: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Make the background 0 and the darkest there is, as registration and masks take it to be.

    NaN that `check_values` lets pass lies around the head, or in dark spots of it, and becomes background. Where one
    value fills most of the outer faces it is the background's; else the background is noise, and the darkest there is.
    Where it is 0 already and little is darker, all other voxels stay as they are.

    Parameters
    ----------
    voxels : ndarray of float32, shape (x, y, z)

    Returns
    -------
    settled : ndarray of float32, shape (x, y, z)
    notes : list of str
    """
    outside = np.isnan(voxels)
    notes = ["NaN is taken for background"] if outside.any() else []
    filling = background_value(voxels)
    if filling is not None:
        outside |= pieces_of(voxels == filling)
    darkest, brightest = np.percentile(voxels[~outside], [0.1, 99.9])
    level = min(darkest, 0) if outside.any() else darkest
    if max(abs(level), abs(filling or 0)) < LEAST_SHIFT * (brightest - darkest):
        return np.where(np.isnan(voxels), 0, voxels).astype(np.float32), notes
    background = "" if filling is None else f"the background is {filling:.4g}, "
    notes.append(f"{background}the darkest value {darkest:.4g}; intensities are moved so that this is 0")
    return np.where(outside, 0, np.maximum(voxels - darkest, 0)).astype(np.float32), notes


def background_value(voxels: np.ndarray) -> float | None:
    """Return the value that fills most of the known voxels on the outer faces; None where none does."""
    known = faces(voxels)
    values, counts = np.unique(known[~np.isnan(known)], return_counts=True)
    return float(values[counts.argmax()]) if counts.size and counts.max() > counts.sum() / 2 else None


def pieces_of(mask: np.ndarray) -> np.ndarray:
    """Drop the pieces of a mask that are smaller than a cube of three voxels: chance made them."""
    pieces, _ = label(mask)
    return mask & (np.bincount(pieces.ravel()) >= 27)[pieces]


def settle_space(image: nib.Nifti1Image, path: Path) -> tuple[np.ndarray, list[str]]:
    """Choose between the two transforms of a NIfTI header: the sform where it can be used, else the qform.

    Returns
    -------
    affine : ndarray, shape (4, 4)
    notes : list of str
        Says so where both are set and place a corner of the image more than a millimetre apart.
    """
    forms = {"affine": image.affine}
    if hasattr(image.header, "get_sform"):
        forms = {"sform": image.header.get_sform(coded=True)[0], "qform": qform(image.header)}
    forms = {name: affine for name, affine in forms.items() if affine is not None}
    used = next((name for name, affine in forms.items() if skew(affine) < MOST_SKEW), None)
    if used is None:
        state = "can be used" if forms else "is set"
        raise StudyError(f"neither sform nor qform of {path} {state}: left and right are unknown; correct its header")
    apart = max(distance(forms[used], affine, image.shape) for affine in forms.values())
    notes = [f"sform and qform disagree by {apart:.3g} mm; the {used} is used"] if apart > DISAGREEMENT_MM else []
    return forms[used], notes


def qform(header: nib.Nifti1Header) -> np.ndarray | None:
    """Return the qform; None where it is not set or is no rotation."""
    try:
        return header.get_qform(coded=True)[0]
    except (ValueError, nib.spatialimages.HeaderDataError):
        return None


def skew(affine: np.ndarray) -> float:
    """Return the largest cosine between two axes, 0 at right angles; infinity where an axis has no length."""
    edges = voxel_sizes(affine)
    if not np.isfinite(affine).all() or edges.min() == 0:
        return np.inf
    axes = affine[:3, :3] / edges
    return float(np.abs(axes.T @ axes - np.eye(3)).max())


def distance(one: np.ndarray, other: np.ndarray, shape: tuple[int, ...]) -> float:
    """Return how far apart two affines place the corners of an image, in millimetres, at most."""
    corners = np.stack(np.meshgrid(*[(0, edge - 1) for edge in shape[:3]], [1], indexing="ij")).reshape(4, -1)
    apart = np.sqrt(np.square(((one - other) @ corners)[:3]).sum(axis=0)).max()
    return float(apart) if np.isfinite(apart) else np.inf


def with_space(voxels: np.ndarray, affine: np.ndarray) -> nib.Nifti1Image:
    """Put voxels into an image whose header says one thing only, in millimetres, with axes at right angles."""
    image = nib.Nifti1Image(voxels, affine)
    image.header.set_xyzt_units("mm")
    image.set_qform(affine, code=1, strip_shears=True)
    image.set_sform(image.get_qform() if skew(affine) > LEAST_SKEW else affine, code=1)
    return image
