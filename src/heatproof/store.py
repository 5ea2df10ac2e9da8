"""The scans of one split in one memory-mapped array: what networks are trained on and explained for.

A store is two files: ``{name}.npy``, float16 of shape (scans, x, y, z), or (scans, channels, x, y, z) where a scan has
several images, on the working grid, 0 outside the brain and within it as ``train.intensity`` says (from percentiles
0..1, mean 0 and standard deviation 1, or as the scans are), and ``{name}.tsv``, one row per scan in the same order
(scan, participant_id, label). In the store of healthy twins, scan and participant_id are those of the patient whose
twin it is. Read, every scan has an axis of channels.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from heatproof.errors import StudyError
from heatproof.tables import read_table
from heatproof.task import PATIENTS, Task


class Store(NamedTuple):
    """Scans and who they are.

    Attributes
    ----------
    images : ndarray, shape (scans, channels, x, y, z)
        Memory-mapped float16 on the working grid, 0 outside the brain.
    scans : DataFrame
        scan, participant_id, label, in the order of ``images``.
    task : Task
        What networks learn of the scans.
    """

    images: np.ndarray
    scans: pd.DataFrame
    task: Task = PATIENTS

    @property
    def grid(self) -> tuple[int, ...]:
        """Voxels of the working grid along x, y, z."""
        return self.images.shape[2:]

    @property
    def targets(self) -> np.ndarray:
        """What the network should say of each scan, int64: the output that is of its label, -1 without a label.

        Where a value is learned, that value, float32; NaN without one.
        """
        if not self.task.classes:
            return self.scans["label"].to_numpy(np.float32)
        return pd.Index(self.task.classes).get_indexer(self.scans["label"]).astype(np.int64)

    def image_of(self, scan: str) -> np.ndarray:
        """Return one scan by its name, float32 of shape (channels, x, y, z).

        Raises
        ------
        StudyError
            If the store does not have it.
        """
        rows = np.flatnonzero(self.scans["scan"] == scan)
        if not len(rows):
            raise StudyError(
                f"{getattr(self.images, 'filename', 'the store')} has no scan {scan}; delete that file to make it again"
            )
        return np.asarray(self.images[rows[0]], np.float32)


def mean_image(images: Iterable[np.ndarray]) -> np.ndarray:
    """Return the mean of some images, at least one, in float32, holding one at a time."""
    total, count = np.float64(0), 0
    for image in images:
        total, count = total + image, count + 1
    return (total / count).astype(np.float32)


def strongest(images: np.ndarray) -> np.ndarray:
    """Return in each voxel of images (channels, x, y, z) the value of the channel where it is largest in size."""
    return np.take_along_axis(images, np.abs(images).argmax(0)[None], 0)[0]


def with_channels(array: np.ndarray, axes: int) -> np.ndarray:
    """Return what is stored of scans with its axis of channels, which is left out on disk where there is but one.

    Parameters
    ----------
    array : ndarray, shape (..., x, y, z) or (..., channels, x, y, z)
    axes : int
        How many there are with that of channels.
    """
    return array if array.ndim == axes else array.reshape(*array.shape[:-3], 1, *array.shape[-3:])


def without_channels(array: np.ndarray) -> np.ndarray:
    """Return scans (..., channels, x, y, z) as they are stored: without the axis of channels where there is but one."""
    return array.squeeze(-4) if array.shape[-4] == 1 else array


def open_store(path: str | Path, task: Task = PATIENTS) -> Store:
    """Open ``{name}.npy`` and the table beside it, without reading the images; writing to them changes no file."""
    return Store(with_channels(np.load(path, mmap_mode="c"), 5), read_table(Path(path).with_suffix(".tsv")), task)
