"""Make the voxel-wise t-map of two classes, or of a value: what scans show with no network at all.

It is written as the mean map over true positives of every model, the other outcomes as maps that do not exist, and once
more without each group of the participants that it is made of.
"""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from heatproof.command import run
from heatproof.compare.average_maps import output_arguments, write_maps
from heatproof.compare.outcomes import divide_participants
from heatproof.store import Store, open_store, strongest
from heatproof.task import PATIENTS, Task, task_in

SLAB_BYTES = 2**26  # of all scans together, read at a time


def welch(images: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Compare two groups by Welch's t.

    Parameters
    ----------
    images : ndarray of float, shape (participants, voxels)
    first : ndarray of bool, shape (participants,)
        Who is in the first group.

    Returns
    -------
    ndarray of float, shape (voxels,)
        Positive where the first group's values are higher; 0 where nothing varies, and with fewer than two of a group.
    """
    groups = images[first], images[~first]
    if min(map(len, groups)) < 2:
        return np.zeros(images.shape[1])
    difference = groups[0].mean(axis=0) - groups[1].mean(axis=0)
    error = np.sqrt(sum(group.var(axis=0, ddof=1) / len(group) for group in groups))
    return np.divide(difference, error, out=np.zeros_like(difference), where=error > 0)


def slope(images: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Regress every voxel on a value by least squares, and return the t of its slope.

    Parameters
    ----------
    images : ndarray of float, shape (participants, voxels)
    values : ndarray of float, shape (participants,)

    Returns
    -------
    ndarray of float, shape (voxels,)
        Positive where voxels are brighter the higher the value; 0 where nothing varies, and with fewer than three.
    """
    freedom, centred = len(values) - 2, values - values.mean() if len(values) else values
    if freedom < 1 or not centred.any():
        return np.zeros(images.shape[1])
    spread = (centred**2).sum()
    slopes = centred @ images / spread
    residuals = images - images.mean(axis=0) - np.outer(centred, slopes)
    error = np.sqrt((residuals**2).sum(axis=0) / freedom / spread)
    return np.divide(slopes, error, out=np.zeros_like(slopes), where=error > 0)


def t_maps(store: Store, chosen: np.ndarray) -> np.ndarray:
    """Compare the target with the class it is held against in each voxel, by Welch's t; one mean image per participant.

    Where a value is learned, it is the t of the voxel's `slope` on the participant's mean value. Scans are read slab by
    slab, so that memory grows neither with their number nor with the size of an image. Of several channels each voxel
    has the t that is largest in size.

    Parameters
    ----------
    store : Store
    chosen : ndarray of bool, shape (maps, scans)
        The scans behind each map: of each participant all or none.

    Returns
    -------
    ndarray of float32, shape (maps, x, y, z)
        Positive where the target's voxels are brighter, or voxels are brighter the higher the value.
    """
    people, first = np.unique(store.scans["participant_id"], return_index=True)
    own = people[:, None] == store.scans["participant_id"].to_numpy()
    held, compare = comparison(store, own, first)
    chosen = chosen[:, first]
    (count, channels), shape = store.images.shape[:2], store.grid
    maps = np.empty((len(chosen), *shape), np.float32)
    depth = max(1, SLAB_BYTES // (8 * count * channels * shape[1] * shape[2]))
    for start in range(0, shape[0], depth):
        slab = store.images[:, :, start : start + depth]
        voxels = slab.reshape(count, -1).astype(float)
        images = np.stack([voxels[scans].mean(axis=0) for scans in own])
        for volume, members in zip(maps, chosen, strict=True):
            members = members & held
            found = compare(images[members], members).reshape(slab.shape[1:])
            volume[start : start + depth] = strongest(found)
    return maps


def comparison(store: Store, own: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, Callable]:
    """Return which participants have a part in a t-map, and what makes it of some of them: images, and who they are.

    Parameters
    ----------
    store : Store
    own : ndarray of bool, shape (participants, scans)
    first : ndarray of int, shape (participants,)
        Row of each participant's first scan.
    """
    labels, task = store.scans["label"].to_numpy(), store.task
    if not task.classes:
        values = np.array([labels[scans].mean() for scans in own], float)
        return np.isfinite(values), lambda images, members: slope(images, values[members])
    labels = labels[first]
    target, held = labels == task.target, np.isin(labels, [task.target, task.reference])
    return held, lambda images, members: welch(images, target[members])


def without_groups(scans: pd.DataFrame, count: int, task: Task = PATIENTS) -> np.ndarray:
    """Choose all scans, then those without each group of participants; bool, shape (1 + count, scans)."""
    return divide_participants(scans, count, task).to_numpy() != np.arange(1 + count)[:, None]


def write_t_maps(maps: np.ndarray, chosen: np.ndarray, template: Path, out: Path, options: Mapping) -> None:
    """Write t-maps of all participants and without each group as mean maps of a model; arguments as of `write_maps`.

    Their signs say where the target is brighter, and nothing of what speaks for it.
    """
    task = task_in(options)
    volumes = {group: maps if group == task.explained else np.zeros_like(maps) for group in task.groups}
    sizes = {group: (chosen.sum(axis=1) * (group == task.explained)).tolist() for group in task.groups}
    write_maps(volumes, sizes, template, out, options, signs=False)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", required=True, help="store of the scans")
    output_arguments(parser)
    args = parser.parse_args()

    store = open_store(args.scans, task_in(args.options))
    chosen = without_groups(store.scans, args.options["participant_groups"], store.task)
    write_t_maps(t_maps(store, chosen), chosen, args.template, args.out, args.options)


if __name__ == "__main__":
    run(main)
