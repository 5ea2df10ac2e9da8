"""Volumes that a page holds for its viewer: small, cut to the brain, and on their place in the template's space."""

import gzip
from base64 import b64encode
from collections.abc import Mapping
from typing import NamedTuple

import matplotlib.pyplot as plt
import nibabel as nib
import numpy as np
from nibabel.affines import from_matvec

from heatproof.report.brains import LEVELS, Scale, average, colour_scale
from heatproof.space import Grid, grid_of, resample, voxel_sizes, working_grid

STEPS = 500  # in which the largest absolute value of a map is stored
COLOURS = ("RdYlBu_r", "RdBu_r", "PuOr_r", "BrBG_r")  # told apart with every kind of colour vision
WHITE = 255
MEAN = "mean over models"


class View(NamedTuple):
    """What the maps of a viewer have in common.

    Attributes
    ----------
    brain : Nifti1Image
        The brain mask, on the grid that maps are read on.
    grid : Grid
        On which they are shown, see `shown_grid`.
    colormap : str
        A diverging colormap.
    threshold : float
        Share of the colour scale that is left transparent around zero.
    """

    brain: nib.Nifti1Image
    grid: Grid
    colormap: str
    threshold: float

    @property
    def mask(self) -> np.ndarray:
        """Where the brain is, on the grid that maps are read on."""
        return np.asarray(self.brain.dataobj) > 0

    def show(self, values: np.ndarray, *, labels: bool = False) -> np.ndarray:
        """Bring values to the grid on which they are shown."""
        own = grid_of(self.brain)
        return values if self.grid.shape == own.shape else resample(values, own, self.grid, labels=labels)


def shown_grid(own: Grid, voxel_size: float) -> Grid:
    """Return the grid that maps are shown on: their own, or one of larger voxels where theirs are smaller than that."""
    return own if voxel_size <= voxel_sizes(own.affine).min() else working_grid(own, voxel_size)


def coarsen(template: nib.Nifti1Image, mask: np.ndarray, voxel_size: float) -> nib.Nifti1Image:
    """Sample the template brain on voxels of another size.

    Parameters
    ----------
    template : Nifti1Image
        T1w of the brain, zero outside.
    mask : ndarray of bool
        The brain on the template's grid.
    voxel_size : float
        Millimetres.
    """
    grid, own = working_grid(grid_of(template), voxel_size), grid_of(template)
    share = resample(mask.astype(np.float32), own, grid)
    voxels = resample(np.asarray(template.dataobj), own, grid) / np.maximum(share, 0.5)
    return nib.Nifti1Image(np.where(share > 0.5, voxels, 0), grid.affine)


def pack_volume(values: np.ndarray, affine: np.ndarray, dtype: type, step: float = 1.0) -> str:
    """Write a volume as base64 of packed NIfTI, cut to the voxels that are not 0.

    Parameters
    ----------
    values : ndarray, shape (x, y, z)
    affine : ndarray, shape (4, 4)
        Of the whole grid; that of the file leads to the same millimetres.
    dtype : type
        Of integers, in which multiples of the step are stored.
    step : float
    """
    inside = np.argwhere(values)
    low, high = (inside.min(0), inside.max(0) + 1) if len(inside) else (np.zeros(3, int), np.ones(3, int))
    cut = np.rint(values[tuple(map(slice, low, high))] / step).astype(dtype)
    image = nib.Nifti1Image(cut, affine @ from_matvec(np.eye(3), low), dtype=dtype)
    image.header.set_slope_inter(step, 0)
    return b64encode(gzip.compress(image.to_bytes(), 9, mtime=0)).decode()


def pack_grey(values: np.ndarray, mask: np.ndarray, affine: np.ndarray) -> str:
    """Write a T1w as grey levels up to 255, 0 outside of the brain only."""
    top = np.percentile(values[mask], 99.8) if mask.any() else 1
    grey = np.clip(np.rint(WHITE * values / (top if top > 0 else 1)), 1, WHITE)
    return pack_volume(np.where(mask, grey, 0), affine, np.uint8)


def map_entry(view: View, names: tuple[str, str, str], image: nib.Nifti1Image | None, scale: Scale, **more) -> dict:
    """Describe one map: what it is of, how its colours are scaled, and its volume, None where there is no map.

    Parameters
    ----------
    view : View
    names : tuple of str
        What is shown, of which model, and of which scans.
    image : Nifti1Image or None
    scale : Scale
    **more
        unit: what the numbers are; background: the name of the scan under the map.
    """
    entry = dict(zip(("what", "model", "scans"), names, strict=True)) | more
    entry |= {"limit": scale.limit, "threshold": scale.threshold, "signed": scale.signed, "volume": None}
    if image is None:
        return entry
    values = view.show(np.asarray(image.dataobj, dtype=np.float32))
    return entry | {"volume": pack_volume(values, view.grid.affine, np.int16, float(np.abs(values).max() or 1) / STEPS)}


def map_entries(
    view: View, what: str, scans: str, maps: Mapping[str, nib.Nifti1Image | None], **more: str
) -> list[dict]:
    """Describe the maps of all models, and before them their mean, in one colour scale."""
    maps = {MEAN: average(maps.values()), **maps} if len(maps) > 1 else dict(maps)
    scale = colour_scale(maps.values(), view.colormap, view.threshold)
    more = {"unit": "1 is a map’s largest absolute value in the brain"} | more
    return [map_entry(view, (what, model, scans), image, scale, **more) for model, image in maps.items()]


def plain_scale(values: np.ndarray, colormap: str, threshold: float) -> Scale:
    """Scale values to their own largest, none of them cut off."""
    limit = float(np.abs(values).max()) or 1.0
    return Scale(limit, threshold * limit, bool(values.min() < 0), plt.get_cmap(colormap))


def half_colours(colormap: str) -> dict[str, list[int]]:
    """Sample the halves of a diverging colormap from the middle on: red, green, blue of each of 256 levels in turn."""
    colours = plt.get_cmap(colormap)
    ends = {"positive": np.linspace(0.5, 1, LEVELS), "negative": np.linspace(0.5, 0, LEVELS)}
    return {half: np.rint(WHITE * colours(shares)[:, :3]).astype(int).ravel().tolist() for half, shares in ends.items()}
