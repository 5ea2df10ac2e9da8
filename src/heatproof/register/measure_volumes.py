"""Measure what a registration says of volumes: how it swells space, and how large each region is in the individual."""

import tempfile

import ants
import numpy as np
import pandas as pd

from heatproof.errors import StudyError
from heatproof.images import load_array


def check_written(path: str) -> None:
    """Refuse a displacement field that was not written whole: ANTs goes on where a disk is full."""
    try:
        if path.endswith(".nii.gz"):
            load_array(path)
    except StudyError as error:
        raise StudyError(f"{tempfile.gettempdir()} has no room for a transform; make some, or set TMPDIR") from error


def volume_change(template: ants.ANTsImage, scan: ants.ANTsImage, transforms: list[str], folder: str) -> np.ndarray:
    """Return the volume in the individual that one volume at each voxel of the template becomes.

    The transforms carry points of the template to points of the scan; this is the Jacobian determinant of all of them
    together, affine times warp. It is 0 or less where space is turned inside out.

    Parameters
    ----------
    template, scan : ANTsImage
        The fixed and the moving image of the registration.
    transforms : list of str
        The forward transforms as ``ants.registration`` returns them.
    folder : str
        Receives the composed displacement field.

    Returns
    -------
    ndarray, shape (x, y, z) of the template
        Not to be relied on in the outermost layer of voxels, where a field has no neighbours.
    """
    composed = ants.apply_transforms(template, scan, transforms, compose=f"{folder}/")
    check_written(composed)
    return ants.create_jacobian_determinant_image(template, composed).numpy()


def region_volumes(change: np.ndarray, labels: np.ndarray, regions: pd.DataFrame, voxel_mm3: float) -> pd.DataFrame:
    """Integrate the volume change over each region: its volume in the individual.

    Parameters
    ----------
    change : ndarray, shape (x, y, z)
        As `volume_change` returns it.
    labels : ndarray of int, shape (x, y, z)
        The atlas on the working grid.
    regions : DataFrame
        index, name of each label.
    voxel_mm3 : float
        Volume of a working voxel.

    Returns
    -------
    DataFrame
        index, name, volume_mm3, in the order of ``regions``; 0 for a region without a voxel.
    """
    sums = np.bincount(labels.ravel(), change.ravel(), minlength=regions["index"].max() + 1)
    return regions[["index", "name"]].assign(volume_mm3=sums[regions["index"]] * voxel_mm3)


def region_means(values: np.ndarray, labels: np.ndarray, regions: pd.DataFrame) -> np.ndarray:
    """Average a map over each region, in the order of ``regions``; NaN for a region without a voxel."""
    length = regions["index"].max() + 1
    sums = np.bincount(labels.ravel(), values.ravel(), minlength=length)[regions["index"]]
    voxels = np.bincount(labels.ravel(), minlength=length)[regions["index"]]
    return np.where(voxels > 0, sums / np.maximum(voxels, 1), np.nan)
