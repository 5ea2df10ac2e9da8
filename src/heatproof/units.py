"""Units: the parts of the brain that a model's effects and a map's sums are measured on.

Regions of the atlas differ in size by a factor of hundreds, and a few of them (white matter, ventricles) outweigh all
others; cubes are of one size and know nothing of the atlas.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from heatproof.errors import StudyError
from heatproof.images import load_array, load_image
from heatproof.regions import merge_regions, relabel
from heatproof.space import voxel_sizes
from heatproof.tables import read_table

KINDS = ("regions", "cubes")
LEAST_SHARE = 0.1  # of a whole cube's voxels that must be brain


def units_of(kind: str, template: str | Path, scheme: str | None, edge: float) -> tuple[np.ndarray, list[str]]:
    """Number the units of one kind in the brain, on the working grid.

    Parameters
    ----------
    kind : {"regions", "cubes"}
    template : str or Path
        Folder of brain_mask.nii.gz, regions.nii.gz and regions.tsv.
    scheme : {"atlas", "hemispheres", "boehle"}
        How regions are joined (`heatproof.regions.merge_regions`); cubes do not ask.
    edge : float
        Of a cube, in millimetres.

    Returns
    -------
    numbers : ndarray of int32, shape (x, y, z)
        1..n; 0 is outside of every unit and of the brain. A region that has no voxel on a coarse grid keeps its number.
    names : list of str
        Unit ``i + 1`` is ``names[i]``.

    Raises
    ------
    StudyError
        If the kind is unknown, or there is no unit.
    """
    template = Path(template)
    image = load_image(template / "brain_mask.nii.gz")
    brain = np.asarray(image.dataobj) > 0
    if kind == "regions":
        merged = merge_regions(read_table(template / "regions.tsv"), scheme)
        numbers, names = relabel(load_array(template / "regions.nii.gz", np.int32), merged)
        numbers[~brain] = 0
    elif kind == "cubes":
        numbers, names = cubes(brain, image.affine, edge)
    else:
        raise StudyError(f"{kind} is no kind of unit; choose {' or '.join(KINDS)}")
    if not numbers.any():
        raise StudyError(f"{template} has no {kind} on its grid; give a finer register.voxel_size or smaller cubes")
    return numbers, names


def cubes(brain: np.ndarray, affine: np.ndarray, edge: float) -> tuple[np.ndarray, list[str]]:
    """Cut a brain into cubes of a lattice that begins at the grid's first voxel.

    A cube that touches the brain only by an edge or a corner, with less than a tenth of its voxels, is no unit.

    Parameters
    ----------
    brain : ndarray of bool, shape (x, y, z)
    affine : ndarray, shape (4, 4)
        From voxel indices to millimetres (RAS), axis-aligned.
    edge : float
        Millimetres; rounded to whole voxels, at least one.

    Returns
    -------
    numbers : ndarray of int32, shape (x, y, z)
        1..n from left to right, back to front, bottom to top (the first axis slowest); 0 outside of the brain.
    names : list of str
        The centre of each whole cube in millimetres, such as ``[-34 -12 -20]``.
    """
    edges = np.maximum(1, np.floor(edge / voxel_sizes(affine) + 0.5)).astype(int)
    places = [np.arange(size) // voxels for size, voxels in zip(brain.shape, edges, strict=True)]
    lattice = [int(place[-1]) + 1 for place in places]
    cells = np.ravel_multi_index(np.ix_(*places), lattice)
    counts = np.bincount(cells[brain], minlength=np.prod(lattice))
    kept = np.flatnonzero(counts >= max(1, LEAST_SHARE * np.prod(edges)))
    number = np.zeros(len(counts), np.int32)
    number[kept] = np.arange(1, len(kept) + 1)
    corners = np.stack(np.unravel_index(kept, lattice), axis=1) * edges
    centres = (corners + (edges - 1) / 2) @ affine[:3, :3].T + affine[:3, 3]
    return np.where(brain, number[cells], 0).astype(np.int32), [centre_name(centre) for centre in centres]


def centre_name(centre: np.ndarray) -> str:
    """Name a place by its millimetres, to a tenth."""
    return f"[{' '.join(f'{value + 0.0:g}' for value in centre.round(1))}]"


def unit_table(kind: str, numbers: np.ndarray, names: list[str]) -> pd.DataFrame:
    """List the units that have voxels: unit_kind, number, unit (its name), voxels."""
    voxels = np.bincount(numbers.ravel(), minlength=len(names) + 1)[1:]
    table = pd.DataFrame({"unit_kind": kind, "number": range(1, len(names) + 1), "unit": names, "voxels": voxels})
    return table[table["voxels"] > 0].reset_index(drop=True)
