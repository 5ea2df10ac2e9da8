"""Read a raw T1w scan: refuse what can not be one, and settle what its header leaves open."""

from pathlib import Path

import nibabel as nib
import numpy as np

from heatproof.errors import StudyError
from heatproof.images import open_image, read_voxels
from heatproof.space import voxel_sizes

EXTENT_MM = (60, 600)
DISAGREEMENT_MM = 1.0
MOST_SKEW = 0.02
LEAST_SKEW = 1e-4


def read_scan(path: Path) -> tuple[nib.Nifti1Image, list[str]]:
    """Read a scan in its own voxel order.

    Parameters
    ----------
    path : Path
        NIfTI, packed or not, of integers or floats, with or without a scale factor.

    Returns
    -------
    scan : Nifti1Image of float32
        Three-dimensional; its axes are at right angles.
    notes : list of str
        What had to be settled, for a person to read.

    Raises
    ------
    StudyError
        If this can not be a T1w scan; says why.
    """
    stored = open_image(path)
    if stored.get_data_dtype().kind not in "iuf":
        raise StudyError(f"{path} holds colours or complex numbers, not intensities; replace or exclude it")
    shape = stored.shape + (1,) * (3 - len(stored.shape))
    if np.prod(shape[3:]) != 1:
        raise StudyError(f"{path} has {np.prod(shape[3:])} volumes; a T1w scan has one: replace or exclude it")
    if min(shape[:3]) < 2:
        raise StudyError(f"{path} is a single slice of shape {shape[:3]}; a T1w scan has three dimensions: exclude it")
    affine, notes = settle_space(stored, path)
    extent = voxel_sizes(affine) * shape[:3]
    if extent.min() < EXTENT_MM[0] or extent.max() > EXTENT_MM[1]:
        spans = " x ".join(f"{edge:.4g}" for edge in extent)
        raise StudyError(f"{path} spans {spans} mm by its header, which holds no head; correct its voxel sizes")
    voxels = read_voxels(stored, path).reshape(shape[:3])
    check_values(voxels, path)
    return with_space(voxels, affine, stored.header), notes


def check_values(voxels: np.ndarray, path: Path) -> None:
    """Refuse values that are not finite, or the same all but everywhere."""
    if not np.isfinite(voxels).all():
        raise StudyError(f"{path} has voxels that are NaN or infinite; correct them or name the scan in cohort.exclude")
    if np.percentile(voxels, 99.9) <= voxels.min():
        raise StudyError(f"{path} has one value in all or nearly all voxels; replace it or exclude the scan")


def settle_space(image: nib.Nifti1Image, path: Path) -> tuple[np.ndarray, list[str]]:
    """Choose between the two transforms of a NIfTI header: the sform where it can be used, else the qform.

    Returns
    -------
    affine : ndarray, shape (4, 4)
    notes : list of str
        Says so where both are set and place a corner of the image more than a millimetre apart.
    """
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


def with_space(voxels: np.ndarray, affine: np.ndarray, header: nib.Nifti1Header) -> nib.Nifti1Image:
    """Put voxels into an image whose header says one thing only; nothing is written where it does already."""
    image = nib.Nifti1Image(voxels, affine, header)
    image.header.set_data_dtype(np.float32)
    forms = [form for form in (image.header.get_sform(coded=True)[0], qform(image.header)) if form is not None]
    if skew(affine) > LEAST_SKEW or any(distance(affine, form, voxels.shape) > DISAGREEMENT_MM for form in forms):
        image.set_qform(affine, code=1, strip_shears=True)
        image.set_sform(image.get_qform(), code=1)
    return image
