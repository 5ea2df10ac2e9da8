"""Where the patches lie, and how their drops become one value per voxel."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from heatproof.errors import StudyError


class Patches(NamedTuple):
    """A grid of patches over a volume; patches that overhang its far border are cut there.

    Attributes
    ----------
    starts, stops : tuple of 3 ndarray of int
        First voxel of a patch and the voxel after its last, along each axis, per grid position.
    placed : ndarray of bool
        The grid, positions along x, y, z: True where a patch is placed.
    """

    starts: tuple[np.ndarray, np.ndarray, np.ndarray]
    stops: tuple[np.ndarray, np.ndarray, np.ndarray]
    placed: np.ndarray


class Work(NamedTuple):
    """The patches of one image that are to be measured.

    Attributes
    ----------
    chunks : list of ndarray of int, each of shape (n, 3)
        Positions in the grid of patches. A chunk's drops do not depend on other chunks.
    measure : callable
        Returns the drops of a chunk: ndarray of float64, shape (n,).
    workers : int or None
        Threads among which chunks are shared out; None if the calling thread takes them all.
    whole : bool
        Whether the whole network runs for each patch.
    """

    chunks: list[np.ndarray]
    measure: Callable[[np.ndarray], np.ndarray]
    workers: int | None
    whole: bool = False


def per_axis(name: str, value: int | Sequence[int]) -> tuple[int, int, int]:
    """Give an edge length or step in voxels as three numbers, one per axis."""
    values = (value,) * 3 if np.ndim(value) == 0 else tuple(value)
    if len(values) != 3 or any(v != int(v) or v < 1 for v in values):
        raise StudyError(f"occlusion: {name} {value!r} is not a whole number of voxels from 1 on, nor three of them")
    return tuple(int(v) for v in values)


def place_patches(
    shape: Sequence[int], patch: int | Sequence[int], stride: int | Sequence[int], mask: np.ndarray | None = None
) -> Patches:
    """Place patches of one size in equal steps from the first voxel on, until the volume is covered.

    Parameters
    ----------
    shape : sequence of 3 int
        Voxels of the volume.
    patch, stride : int or sequence of 3 int
        Edge of a patch and step from one to the next, in voxels.
    mask : ndarray, shape ``shape``, optional
        Only patches that touch its nonzero voxels are placed.

    Raises
    ------
    StudyError
        If a patch is larger than the volume, steps are below 1 or leave gaps between patches, or the mask has
        another shape.
    """
    patch, stride = per_axis("patch", patch), per_axis("stride", stride)
    volume = " x ".join(map(str, shape))
    if any(p > n for p, n in zip(patch, shape, strict=True)):
        raise StudyError(f"occlusion: a patch of {list(patch)} voxels is larger than the volume ({volume}); reduce it")
    if any(s > p and p < n for s, p, n in zip(stride, patch, shape, strict=True)):
        raise StudyError(
            f"occlusion: a stride of {list(stride)} leaves voxels between patches of {list(patch)} that none of them "
            "hides; choose a stride that is at most the patch"
        )
    starts = tuple(s * np.arange(-(-(n - p) // s) + 1) for n, p, s in zip(shape, patch, stride, strict=True))
    stops = tuple(np.minimum(first + p, n) for first, n, p in zip(starts, shape, patch, strict=True))
    everywhere = Patches(starts, stops, np.ones([len(first) for first in starts], bool))
    if mask is None:
        return everywhere
    if tuple(mask.shape) != tuple(shape):
        raise StudyError(
            f"occlusion: the mask has {' x '.join(map(str, mask.shape))} voxels and the volume {volume}; "
            "give a mask on the volume's grid"
        )
    return everywhere._replace(placed=touching(everywhere, mask != 0))


def touching(patches: Patches, voxels: np.ndarray) -> np.ndarray:
    """Tell for each position of the grid whether its patch contains a voxel that is True."""
    for axis, (starts, stops) in enumerate(zip(patches.starts, patches.stops, strict=True)):
        slabs = [voxels.take(range(a, b), axis).any(axis) for a, b in zip(starts, stops, strict=True)]
        voxels = np.stack(slabs, axis)
    return voxels


def spread_drops(patches: Patches, drops: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Give each voxel the mean drop of the patches that cover it, and 0 where there is none.

    Parameters
    ----------
    patches : Patches
    drops : ndarray of float64, shape of ``patches.placed``
        Drop of the score per position of the grid; ignored where no patch is placed.
    shape : sequence of 3 int
        Voxels of the volume.

    Returns
    -------
    ndarray of float64, shape ``shape``
    """
    count = cover(patches, patches.placed.astype(np.float64), shape)
    return cover(patches, np.where(patches.placed, drops, 0.0), shape) / np.maximum(count, 1.0)


def cover(patches: Patches, values: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Sum per voxel the values of the patches that cover it, one axis after the other."""
    for axis, (starts, stops) in enumerate(zip(patches.starts, patches.stops, strict=True)):
        values = np.moveaxis(values, axis, 0)
        total = np.zeros((shape[axis], *values.shape[1:]))
        for value, start, stop in zip(values, starts, stops, strict=True):
            total[start:stop] += value
        values = np.moveaxis(total, 0, axis)
    return values
