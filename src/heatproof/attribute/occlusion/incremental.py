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
from torch import Tensor

from heatproof.attribute.graph import Node
from heatproof.attribute.occlusion import chain
from heatproof.attribute.occlusion.differences import SEVERAL, Layer, Place, through
from heatproof.attribute.occlusion.patches import Work
from heatproof.attribute.occlusion.windows import Bins, Reader, reached, read, runs, span

ROWS = {"cpu": 2**14, "cuda": 2**19}  # patches in a chunk, at most: a GPU waits for what each chunk asks of a CPU
AT_ONCE = {"cpu": 4, "cuda": 1}  # chunks that memory must have room for
PIECE = {"cpu": 2**20, "cuda": 2**26}  # numbers in the windows of a batch, at most: a few of these fit in a CPU's cache
WIDER = 16  # times as many where channels are many, as torch lays out all weights anew for each batch
SMALL = 2**26  # voxels that plain sliding windows would run through, up to which differences are float64 as well
SHARED = {
    "cpu": 32,
    "cuda": ROWS["cuda"],
}  # patches with one window, on average, from which on it is handled apart


READING = (chain.Convolution, chain.MaxPool, chain.MeanPool)


class Stage(NamedTuple):
    """Layers that a batch goes through without being regrouped.

    Attributes
    ----------
    layers : list of Layer
    windows : dict of 3 ndarray of int, each of shape (2, positions)
        Starts and stops per position of a patch along each axis, of what the stage takes and then of what it makes.
    channels : dict of int
        Channels of these windows.
    shapes, spots : 3 ndarray of int, each of shape (positions,)
        Equal numbers mark windows that differ by a shift alone, and windows that are the same.
    entering : int
        How many numbers a patch has at most when it enters the stage.
    """

    layers: list[Layer]
    windows: dict[int, list]
    channels: dict[int, int]
    shapes: list
    spots: list
    entering: int


@torch.no_grad()
def stages_for(
    nodes: Sequence[Node], image: Tensor, change: Tensor, windows: list[np.ndarray], count: int
) -> list[Stage]:
    """Run an image through a network, and follow through it what patches change.

    Parameters
    ----------
    nodes : sequence of Node
        In float64.
    image : Tensor, shape (C, D, H, W)
    change : Tensor of float64, shape (C, D, H, W)
        By how much hiding changes each voxel.
    windows : list of 3 ndarray of int, each of shape (2, positions)
        First voxels of the patches and those after their last ones, along each axis.
    count : int
        Number of patches that will be measured.
    """
    dtype = torch.float64 if count * image.numel() <= SMALL else torch.float32
    records = [chain.Hidden(change.movedim(0, 3).to(dtype).contiguous()), *chain.keep(nodes, image, dtype)]
    sources = [(), *(tuple(source + 1 for source in node.sources) for node in nodes)]
    if any(len(each) > 1 for each in sources):
        records = [widened(record) for record in records]
    return stages_of(*follow(records, sources, windows))


def widened(record: NamedTuple) -> NamedTuple:
    """Return the record of a layer in a network that branches."""
    if not isinstance(record, chain.Convolution):
        return record
    return chain.Wide(record.readers, record.weight.contiguous(memory_format=torch.channels_last_3d), record.bands)


def incremental_work(stages: list[Stage], target: int, places: np.ndarray, *, memory: int) -> Work:
    """Prepare the patches of one image.

    Parameters
    ----------
    stages : list of Stage
        As `stages_for` returns them.
    target : int
        Class whose score is explained.
    places : ndarray of int, shape (n, 3)
        Positions of the patches to measure, along each axis.
    memory : int
        Bytes that all chunks in work may take, beyond the kept records.
    """
    difference = stages[0].layers[0].record.difference
    places = places[reaching(stages, places)]
    firsts = [next(iter(stage.windows.values())) for stage in stages]
    nearby = [first[axis][0, places[:, axis]] for first in firsts for axis in (2, 1, 0)]
    places = places[np.lexsort(nearby)]
    bytes_each = 3 * difference.element_size() * max(stage.entering for stage in stages)
    device = difference.device.type
    rows = max(1, min(ROWS[device], memory // (AT_ONCE[device] * bytes_each)))
    chunks = [places[first : first + rows] for first in range(0, len(places), rows)]
    workers = None if difference.is_cuda else max(1, min(torch.get_num_threads(), memory // (rows * bytes_each)))
    return Work(chunks, partial(measure, stages, target), workers)


def follow(
    records: Sequence[NamedTuple], sources: Sequence[tuple[int, ...]], window: list[np.ndarray]
) -> tuple[list[Layer], dict[int, list], dict[int, int]]:
    """Follow the windows of all patches from layer to layer.

    Where a branch of a network does not read what a patch changes, it stays in a window of one voxel, without a change;
    a chain has no use for such a patch.

    Returns
    -------
    list of Layer
    windows, channels : dict
        Of what each layer makes, by its number.
    """
    layers, windows, channels, numbers = [], {}, {}, {}
    branches = any(len(each) > 1 for each in sources)

    def append(record: NamedTuple, taken: tuple[int, ...], after: list, width: int) -> int:
        layers.append(Layer(record, taken, len(layers) + 1))
        windows[len(layers)], channels[len(layers)] = after, width
        return len(layers)

    for number, (record, given) in enumerate(zip(records, sources, strict=True), 1):
        taken = tuple(numbers[source] for source in given)
        before, widths = [windows[each] for each in taken] or [window], [channels[each] for each in taken]
        widths = widths or [record.difference.shape[3]]
        after = before[0]
        if isinstance(record, READING):
            after = [np.stack(reached(*axis)) for axis in with_ends(record, before[0])]
            if branches and any((stops <= starts).any() for starts, stops in after):
                larger, after = zip(*map(beside, record.readers, before[0], after), strict=True)
                taken = (append(chain.Summed(), taken, list(larger), widths[0]),)
        elif isinstance(record, SEVERAL):
            after = [np.stack([np.min(ends, 0)[0], np.max(ends, 0)[1]]) for ends in zip(*before, strict=True)]
        width = sum(widths) if isinstance(record, chain.Joined) else widths[0]
        width = len(record.weight) if isinstance(record, chain.Convolution) else width
        numbers[number] = append(record, taken, after, width)
    return layers, windows, channels


def with_ends(record: NamedTuple, window: list[np.ndarray]) -> list[tuple]:
    """Return how a layer reads, and where windows start and stop, along each axis."""
    return [(reader, *ends) for reader, ends in zip(record.readers, window, strict=True)]


def beside(reader: Reader | Bins, before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return windows, (2, positions) each, that are not empty: of what is read, and of what is made by a change."""
    empty = after[1] <= after[0]
    starts = np.where(empty, np.clip(after[0], 0, reader.outputs - 1), after[0])
    stops = np.where(empty, starts + 1, after[1])
    first, last = read(reader, starts, stops)
    larger = np.stack([np.minimum(before[0], first), np.maximum(before[1], last)])
    return np.where(empty, larger, before), np.stack([starts, stops])


def stages_of(layers: list[Layer], windows: dict[int, list], channels: dict[int, int]) -> list[Stage]:
    """Cut a network into stages, a new one beginning with each convolution."""
    last = {source: layer.number for layer in layers for source in layer.sources}
    layers = [
        layer._replace(ends=frozenset(each for each in layer.sources if last[each] == layer.number)) for layer in layers
    ]
    parts = [[]]
    for layer in layers:
        convolves = isinstance(layer.record, chain.Convolution) and (len(parts) > 1 or len(parts[0]) > 1)
        if convolves or isinstance(layer.record, chain.Gather | chain.Flat):
            parts.append([])
        parts[-1].append(layer)
    return [stage_of(part, windows, channels, last) for part in parts]


def stage_of(layers: list[Layer], windows: dict[int, list], channels: dict[int, int], last: dict[int, int]) -> Stage:
    """Number the windows of a stage by their shape and by their spot."""
    first, made = layers[0].number, {layer.number for layer in layers}
    taken = list(dict.fromkeys(each for layer in layers for each in layer.sources if each not in made)) or [first]
    touched = {number: windows[number] for number in (*taken, *sorted(made))}
    waiting = {*taken, *(number for number in range(1, first) if last.get(number, 0) >= first)}
    entering = sum(channels[n] * math.prod(int(np.ptp(ends, axis=0).max()) for ends in windows[n]) for n in waiting)
    spots = [
        np.unique(np.concatenate(along), axis=1, return_inverse=True)[1]
        for along in zip(*map(windows.get, taken), strict=True)
    ]
    shapes = spots
    if not isinstance(layers[0].record, chain.Gather | chain.Flat):
        columns = ([np.ptp(along, axis=0) for along in axis] for axis in zip(*map(windows.get, taken), strict=True))
        shapes = [
            np.unique(np.stack([*sizes, *columns_of(layers, windows, axis)]), axis=1, return_inverse=True)[1]
            for axis, sizes in enumerate(columns)
        ]
    return Stage(layers, touched, {number: channels[number] for number in touched}, shapes, spots, entering)


def columns_of(layers: Sequence[Layer], windows: dict[int, list], axis: int) -> Iterator[np.ndarray]:
    """Yield, for all positions along one axis, what says how the layers of a stage read and lie to each other."""
    for record, sources, number, _ in layers:
        before, outputs = [windows[source][axis] for source in sources], windows[number][axis]
        if isinstance(record, chain.Convolution | chain.MaxPool):
            reader = record.readers[axis]
            edges = (*span(reader, *outputs), *read(reader, *outputs))
            yield from (edge - before[0][0] for edge in edges)
            if isinstance(reader, Bins):
                yield reads_of(reader, read(reader, *outputs), outputs)
        elif isinstance(record, chain.MeanPool):
            yield reads_of(record.readers[axis], before[0], outputs)
        elif isinstance(record, SEVERAL):
            yield from (edge for ends in before for edge in ends - outputs[0])
            yield np.ptp(outputs, axis=0)


def reads_of(reader: Reader | Bins, inputs: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Number windows along one axis, each of shape (2, positions), by what each output reads of its input."""
    numbers = {}
    windows = zip(*(map(tuple, np.asarray(ends).T.tolist()) for ends in (inputs, outputs)), strict=True)
    found = (tuple((run.start, run.stop) for run in runs(reader, *window)) for window in windows)
    return np.array([numbers.setdefault(taken, len(numbers)) for taken in found])


def reaching(stages: Sequence[Stage], places: np.ndarray) -> np.ndarray:
    """Tell for each patch whether a change there can reach the scores."""
    windows = [window for stage in stages for window in stage.windows.values()]
    along = (np.all([window[axis][1] > window[axis][0] for window in windows], axis=0) for axis in range(3))
    return np.all([reaches[position] for reaches, position in zip(along, places.T, strict=True)], axis=0)


def sizes_of(stage: Stage, number: int, places: np.ndarray) -> np.ndarray:
    """Return how many numbers each patch has in what a stage takes, or makes."""
    window = zip(stage.windows[number], places.T, strict=True)
    return stage.channels[number] * math.prod(np.ptp(ends, axis=0)[position] for ends, position in window)


def largest_windows(stage: Stage, places: np.ndarray) -> np.ndarray:
    """Return how many numbers the largest window of each patch has in a stage."""
    return np.max([sizes_of(stage, number, places) for number in stage.windows], axis=0)


def share_of_pass(stages: Sequence[Stage], places: np.ndarray) -> float:
    """Return the multiply-adds that convolutions of windows take for a patch, by those of a whole pass."""
    windows, whole = 0.0, 0
    for stage in stages:
        for record, _, number, _ in stage.layers:
            if isinstance(record, chain.Convolution):
                taps = record.weight.numel() // len(record.weight)
                windows += taps * sizes_of(stage, number, places).mean()
                whole += record.weight.numel() * math.prod(reader.outputs for reader in record.readers)
    return windows / max(whole, 1)


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
    batches, device = [(np.arange(len(places)), {})], stages[0].layers[0].record.difference.device.type
    for stage in stages:
        found = defaultdict(list)
        for rows, changes in batches:
            for members in batches_of(stage, places[rows], device):
                after = through(stage.layers, rows_of(changes, members), places_of(stage, places[rows[members]]))
                found[tuple(change.shape[1:] for change in after.values())].append((rows[members], after))
        batches = [joined(parts) for parts in found.values()]
    ((rows, changes),) = batches
    (change,) = changes.values()
    drops = np.empty(len(places))
    drops[rows] = -change[:, target].cpu().numpy()
    return drops


def rows_of(changes: dict[int, Tensor], members: np.ndarray) -> dict[int, Tensor]:
    """Take some patches out of a batch; what `batches_of` yields as a whole is in the batch's order."""
    if all(len(change) == len(members) for change in changes.values()):
        return changes
    chosen = torch.from_numpy(members).to(next(iter(changes.values())).device)
    return {number: change.index_select(0, chosen) for number, change in changes.items()}


def joined(parts: Sequence[tuple[np.ndarray, dict[int, Tensor]]]) -> tuple[np.ndarray, dict[int, Tensor]]:
    """Make one batch of several with windows of the same sizes."""
    if len(parts) == 1:
        return parts[0]
    rows, changes = zip(*parts, strict=True)
    return np.concatenate(rows), {number: torch.cat([each[number] for each in changes]) for number in changes[0]}


def batches_of(stage: Stage, places: np.ndarray, device: str) -> Iterator[np.ndarray]:
    """Yield the indices of patches that go through a stage together on a kind of device."""
    alike = number(stage.spots, places)
    if len(np.unique(alike)) * SHARED[device] > len(places):
        alike = number(stage.shapes, places)
    order, largest = np.argsort(alike, kind="stable"), largest_windows(stage, places)
    wide = any(isinstance(layer.record, chain.Wide) for layer in stage.layers)
    piece = PIECE[device] * (WIDER if wide else 1)
    for members in np.split(order, np.flatnonzero(np.diff(alike[order])) + 1):
        rows = max(1, piece // largest[members[0]])
        yield from np.split(members, range(rows, len(members), rows))


def number(numbers: Sequence[np.ndarray], places: np.ndarray) -> np.ndarray:
    """Join the numbers along three axes to one number for each place."""
    joined = [along[position] for along, position in zip(numbers, places.T, strict=True)]
    return np.ravel_multi_index(joined, [int(along.max()) + 1 for along in numbers])


def places_of(stage: Stage, places: np.ndarray) -> list[Place]:
    """Say where the windows of a batch lie, for each layer of a stage."""
    starts, spans = {}, {}
    for number, window in stage.windows.items():
        along = [axis[:, position] for axis, position in zip(window, places.T, strict=True)]
        starts[number] = np.stack([start for start, _ in along], 1)
        spans[number] = [tuple(ends[:, 0].tolist()) for ends in along]
    found = []
    for _, sources, number, _ in stage.layers:
        first = sources[0] if sources else number
        parts = [spans[source] for source in sources]
        found.append(Place(starts[first], starts[number], spans[first], spans[number], parts))
    return found
