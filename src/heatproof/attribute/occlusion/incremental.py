"""Drops by window arithmetic: each patch goes through the network with the windows alone that it changes.

The result is that of plain sliding windows. Patches are taken in chunks; within a chunk and a stage of the network (a
convolution and what follows it up to the next), patches whose windows differ by a shift alone go through together.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from heatproof.attribute.occlusion import chain
from heatproof.attribute.occlusion.differences import Place, through
from heatproof.attribute.occlusion.patches import Work
from heatproof.attribute.occlusion.windows import Bins, Reader, reached, read, runs, span

ROWS = {"cpu": 2**14, "cuda": 2**17}  # patches in a chunk, at most
PIECE = {"cpu": 2**20, "cuda": 2**26}  # numbers in the windows of a batch, at most: a few of these fit in a CPU's cache
SMALL = 2**26  # voxels that plain sliding windows would run through, up to which differences are float64 as well
SHARED = {
    "cpu": 32,
    "cuda": ROWS["cuda"],
}  # patches with one window, on average, from which on it is handled apart


class Stage(NamedTuple):
    """Layers that a batch goes through without being regrouped.

    Attributes
    ----------
    layers : list of records
    windows : list of 3 ndarray of int, each of shape (2, positions)
        Starts and stops per position of a patch along each axis: of each layer's input, and of the last one's output.
    channels : list of int
        Channels of these windows.
    shapes, spots : 3 ndarray of int, each of shape (positions,)
        Equal numbers mark windows that differ by a shift alone, and windows that are the same.
    """

    layers: list
    windows: list
    channels: list
    shapes: list
    spots: list


def incremental_work(
    layers: list[nn.Module],
    image: Tensor,
    change: Tensor,
    target: int,
    windows: list[np.ndarray],
    places: np.ndarray,
    *,
    memory: int,
) -> Work:
    """Prepare the patches of one image, for a network that is a chain of layers.

    Parameters
    ----------
    layers : list of Module
        As `chain.as_chain` returns them.
    image : Tensor, shape (1, D, H, W)
    change : Tensor of float64, shape (D, H, W)
        By how much hiding changes each voxel.
    target : int
        Class whose score is explained.
    windows : list of 3 ndarray of int, each of shape (2, positions)
        First voxels of the patches and those after their last ones, along each axis.
    places : ndarray of int, shape (n, 3)
        Positions of the patches to measure, along each axis.
    memory : int
        Bytes that all chunks in work may take, beyond the kept records.
    """
    dtype = torch.float64 if len(places) * image.numel() <= SMALL else torch.float32
    first = chain.Hidden(change[..., None].to(dtype).contiguous())
    stages = stages_of([first, *chain.keep(layers, image, dtype)], windows)
    places = places[reaching(stages, places)]
    nearby = [stage.windows[0][axis][0, places[:, axis]] for stage in stages for axis in (2, 1, 0)]
    places = places[np.lexsort(nearby)]
    bytes_each = 3 * first.difference.element_size() * max(map(entering, stages))
    rows = max(1, min(ROWS[image.device.type], memory // (4 * bytes_each)))
    chunks = [places[first : first + rows] for first in range(0, len(places), rows)]
    workers = None if image.is_cuda else max(1, min(torch.get_num_threads(), memory // (rows * bytes_each)))
    return Work(chunks, partial(measure, stages, target), workers)


def stages_of(records: Sequence[NamedTuple], window: list[np.ndarray]) -> list[Stage]:
    """Follow the windows of all patches through the network, a new stage beginning with each convolution."""
    width = 1
    layers, windows, channels, stages = [], [window], [width], []
    for record in records:
        convolves = isinstance(record, chain.Convolution) and (stages or len(layers) > 1)
        if convolves or isinstance(record, chain.Gather | chain.Flat):
            stages.append(stage_of(layers, windows, channels))
            layers, windows, channels = [], [window], [width]
        if isinstance(record, chain.Convolution | chain.MaxPool | chain.MeanPool):
            window = [np.stack(reached(reader, *ends)) for reader, ends in zip(record.readers, window, strict=True)]
        if isinstance(record, chain.Convolution):
            width = len(record.weight)
        layers.append(record)
        windows.append(window)
        channels.append(width)
    return [*stages, stage_of(layers, windows, channels)]


def stage_of(layers: list, windows: list, channels: list) -> Stage:
    """Number the windows of a stage by their shape and by their spot."""
    spots = [np.unique(window, axis=1, return_inverse=True)[1] for window in windows[0]]
    if isinstance(layers[0], chain.Gather | chain.Flat):
        return Stage(layers, windows, channels, spots, spots)
    shapes = []
    for axis in range(3):
        columns = [np.ptp(windows[0][axis], axis=0)]
        for layer, before, after in zip(layers, windows, windows[1:], strict=False):
            if isinstance(layer, chain.Convolution | chain.MaxPool):
                reader, outputs = layer.readers[axis], after[axis]
                edges = (*span(reader, *outputs), *read(reader, *outputs))
                columns += [edge - before[axis][0] for edge in edges]
                columns += [reads_of(reader, read(reader, *outputs), outputs)] * isinstance(reader, Bins)
            elif isinstance(layer, chain.MeanPool):
                columns.append(reads_of(layer.readers[axis], before[axis], after[axis]))
        shapes.append(np.unique(np.stack(columns), axis=1, return_inverse=True)[1])
    return Stage(layers, windows, channels, shapes, spots)


def reads_of(reader: Reader | Bins, inputs: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Number windows along one axis, each of shape (2, positions), by what each output reads of its input."""
    numbers = {}
    windows = zip(*(map(tuple, np.asarray(ends).T.tolist()) for ends in (inputs, outputs)), strict=True)
    found = (tuple((run.start, run.stop) for run in runs(reader, *window)) for window in windows)
    return np.array([numbers.setdefault(taken, len(numbers)) for taken in found])


def reaching(stages: Sequence[Stage], places: np.ndarray) -> np.ndarray:
    """Tell for each patch whether a change there can reach the scores."""
    windows = [window for stage in stages for window in stage.windows]
    along = (np.all([window[axis][1] > window[axis][0] for window in windows], axis=0) for axis in range(3))
    return np.all([reaches[position] for reaches, position in zip(along, places.T, strict=True)], axis=0)


def largest_windows(stage: Stage, places: np.ndarray) -> np.ndarray:
    """Return how many numbers the largest window of each patch has in a stage."""
    sizes = [
        width * math.prod(np.ptp(ends, axis=0)[position] for ends, position in zip(window, places.T, strict=True))
        for window, width in zip(stage.windows, stage.channels, strict=True)
    ]
    return np.max(sizes, axis=0)


def entering(stage: Stage) -> int:
    """Return how many numbers a patch has at most when it enters a stage."""
    return stage.channels[0] * math.prod(int(np.ptp(ends, axis=0).max()) for ends in stage.windows[0])


@torch.no_grad()
def measure(stages: Sequence[Stage], target: int, places: np.ndarray) -> np.ndarray:
    """Return the drops of a chunk of patches.

    Parameters
    ----------
    stages : list of Stage
    target : int
    places : ndarray of int, shape (n, 3)
        Positions in the grid of patches.

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    batches, device = [(np.arange(len(places)), None)], stages[0].layers[0].difference.device.type
    for stage in stages:
        found = defaultdict(list)
        for rows, change in batches:
            for members in batches_of(stage, places[rows], device):
                before = None if change is None else change.index_select(0, torch.from_numpy(members).to(change.device))
                after = through(stage.layers, before, places_of(stage, places[rows[members]]))
                found[after.shape[1:]].append((rows[members], after))
        alike = (zip(*parts, strict=True) for parts in found.values())
        batches = [(np.concatenate(rows), torch.cat(changes)) for rows, changes in alike]
    ((rows, change),) = batches
    drops = np.empty(len(places))
    drops[rows] = -change[:, target].cpu().numpy()
    return drops


def batches_of(stage: Stage, places: np.ndarray, device: str) -> Iterator[np.ndarray]:
    """Yield the indices of patches that go through a stage together on a kind of device."""
    alike = number(stage.spots, places)
    if len(np.unique(alike)) * SHARED[device] > len(places):
        alike = number(stage.shapes, places)
    order, largest = np.argsort(alike, kind="stable"), largest_windows(stage, places)
    for members in np.split(order, np.flatnonzero(np.diff(alike[order])) + 1):
        rows = max(1, PIECE[device] // largest[members[0]])
        yield from np.split(members, range(rows, len(members), rows))


def number(numbers: Sequence[np.ndarray], places: np.ndarray) -> np.ndarray:
    """Join the numbers along three axes to one number for each place."""
    joined = [along[position] for along, position in zip(numbers, places.T, strict=True)]
    return np.ravel_multi_index(joined, [int(along.max()) + 1 for along in numbers])


def places_of(stage: Stage, places: np.ndarray) -> list[Place]:
    """Say where the windows of a batch lie, for each layer of a stage."""
    starts, spans = [], []
    for window in stage.windows:
        along = [axis[:, position] for axis, position in zip(window, places.T, strict=True)]
        starts.append(np.stack([start for start, _ in along], 1))
        spans.append([tuple(ends[:, 0].tolist()) for ends in along])
    return [Place(*place) for place in zip(starts, starts[1:], spans, spans[1:], strict=False)]
