"""How a difference goes through each layer: from the change of a layer's input to the change of its output.

Differences are never taken between two large numbers. Linear layers map a difference as they map an input, without
bias. A ReLU or a maximum is asked how far it moves, given how far its untouched input is from switching. Activations
that have no such formula are asked in float64. So a small difference keeps its digits, whatever the size of the
activations.

A difference is a tensor (B, x, y, z, C) of windows, one per patch, or (B, features). The functions may overwrite the
difference that they are given.
"""

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from heatproof.attribute.occlusion import chain
from heatproof.attribute.occlusion.windows import Run, cut, read, runs, span
from heatproof.attribute.outputs import others

CALL = 200_000  # multiply-adds that one more matrix product costs before it starts, on a CPU
WHOLE = 2**24  # weights up to which a GPU convolves windows by one matrix, zeros included
KEPT = 2**28  # numbers in such matrices of a layer that are kept for later patches
SEVERAL = (chain.Summed, chain.Joined)  # what takes several changes
AT_ONCE = {torch.maximum: torch.amax, torch.add: torch.sum}  # on a GPU


class Place(NamedTuple):
    """Where the windows of a batch lie: they differ by shifts alone.

    Attributes
    ----------
    starts, firsts : ndarray of int, shape (B, 3)
        First voxel of each window, in the layer's input and output.
    inputs, outputs : 3 pairs of int
        Start and stop of the first patch's window in the layer's input and output.
    parts : list of 3 pairs of int
        The same of each input, where a layer has several.
    """

    starts: np.ndarray
    firsts: np.ndarray
    inputs: Sequence[tuple[int, int]]
    outputs: Sequence[tuple[int, int]]
    parts: Sequence[Sequence[tuple[int, int]]] = ()


class Layer(NamedTuple):
    """A layer's record, and the numbers of what it takes and makes.

    Attributes
    ----------
    record : record
    sources : tuple of int
    number : int
        Of what it makes.
    ends : set of int
        What no later layer takes.
    """

    record: NamedTuple
    sources: tuple[int, ...]
    number: int
    ends: frozenset[int] = frozenset()


def on_gpu(values: Tensor) -> bool:
    """Tell whether a call costs more than what it does."""
    return values.is_cuda


def hide(layer: chain.Hidden, change: None, place: Place) -> Tensor:
    """Begin with what hiding changes in the scan."""
    return cut(layer.difference, place.starts, tuple(stop - start for start, stop in place.inputs)).clone()


def convolve(layer: chain.Convolution, change: Tensor, place: Place) -> Tensor:
    """Convolve windows, in whichever of three ways takes least time.

    On a CPU that is what takes fewest multiply-adds. A GPU has those to spare: there calls and passes over memory cost.
    """
    reads = [runs(*axis) for axis in zip(layer.readers, place.inputs, place.outputs, strict=True)]
    if on_gpu(change):
        weights = math.prod([*change.shape[1:], *map(len, reads), layer.weight.shape[0]])
        return convolve_whole(layer, change, reads) if weights <= WHOLE else convolve_dense(layer, change, place)
    planes, lines = (sum(run.count for run in axis) for axis in reads[:2])
    products = planes * len(reads[1])
    line = change.shape[3] * len(reads[2]) * math.prod(layer.weight.shape[:2])
    banded = len(change) * planes * lines * line + products * CALL
    dense = len(change) * math.prod(map(len, reads)) * layer.weight.numel() + CALL
    return convolve_banded(layer, change, reads) if banded < dense else convolve_dense(layer, change, place)


def convolve_banded(layer: chain.Convolution, change: Tensor, reads: Sequence[Sequence[Run]]) -> Tensor:
    """Convolve windows but not the zeros around them, in one matrix product per plane read and line made."""
    channels = layer.weight.shape[0]
    band = banded_weight(layer, change.shape[3], reads[2])
    after = change.new_empty(len(change), len(reads[0]), len(reads[1]), len(reads[2]) * channels)
    for x, plane in enumerate(reads[0]):
        for y, line in enumerate(reads[1]):
            total = after[:, x, y]
            if not plane.count * line.count:
                total.zero_()
            weights = band[plane.taps, line.taps].flatten(1, 2)
            for number, lines in enumerate(change[:, plane.taken, line.taken].unbind(1) if line.count else ()):
                total.addmm_(lines.flatten(1), weights[number], beta=min(number, 1))
    return after.unflatten(3, (len(reads[2]), channels))


def banded_weight(layer: chain.Convolution, length: int, reads: Sequence[Run]) -> Tensor:
    """Write the convolution along z as a matrix: (kx, ky, z and channel that is read, z and channel that is made)."""
    key = (length, tuple(reads))
    if key not in layer.bands:
        outputs, inputs, kx, ky, _ = layer.weight.shape
        band = layer.weight.new_zeros(kx, ky, length, inputs, len(reads), outputs)
        for z, run in enumerate(reads):
            band[:, :, run.taken, :, z] = layer.weight[..., run.taps].permute(2, 3, 4, 1, 0)
        layer.bands[key] = band.flatten(4, 5).flatten(2, 3)
    return layer.bands[key]


def convolve_whole(layer: chain.Convolution, change: Tensor, reads: Sequence[Sequence[Run]]) -> Tensor:
    """Convolve windows in one matrix product, from all that is read to all that is made."""
    after = change.flatten(1) @ whole_weight(layer, change.shape[1:4], reads)
    return after.view(len(change), *map(len, reads), layer.weight.shape[0])


def whole_weight(layer: chain.Convolution, edges: Sequence[int], reads: Sequence[Sequence[Run]]) -> Tensor:
    """Write the convolution as a matrix: (voxel and channel that is read, voxel and channel that is made)."""
    key = (*edges, *map(tuple, reads))
    if key not in layer.bands:
        outputs, inputs = layer.weight.shape[:2]
        matrix = layer.weight.new_zeros(*edges, inputs, *map(len, reads), outputs)
        for place in product(*map(enumerate, reads)):
            made, found = zip(*place, strict=True)
            x, y, z = (run.taken for run in found)
            taps = layer.weight[:, :, *(run.taps for run in found)]
            matrix[x, y, z, :, *made] = taps.permute(2, 3, 4, 1, 0)
        if matrix.numel() + sum(kept.numel() for kept in layer.bands.values()) > KEPT:
            layer.bands.clear()
        layer.bands[key] = matrix.flatten(4).flatten(0, 3)
    return layer.bands[key]


def convolve_dense(layer: chain.Convolution, change: Tensor, place: Place) -> Tensor:
    """Convolve windows with zeros around them, as a whole."""
    edges = []
    for reader, (start, stop), outputs in zip(layer.readers, place.inputs, place.outputs, strict=True):
        first, last = span(reader, *outputs)
        edges = [start - first, last - stop, *edges]
    padded = F.pad(change, [0, 0, *edges])
    # conv3d with steps is wrong for one channel in a channels-last view (torch 2.13, more than one window)
    padded = padded.movedim(4, 1) if padded.shape[4] > 1 else padded[..., 0].unsqueeze(1)
    strides, steps = ([getattr(reader, name) for reader in layer.readers] for name in ("stride", "step"))
    after = F.conv3d(padded, layer.weight, stride=strides, dilation=steps)
    return after.movedim(1, 4).contiguous()


def convolve_wide(layer: chain.Wide, change: Tensor, place: Place) -> Tensor:
    """Convolve windows as a whole; zeros around them, as many on both sides, are left to torch, which skips them."""
    if on_gpu(change):
        return convolve(layer, change, place)
    same, others = [], []
    for reader, (start, stop), outputs in zip(layer.readers, place.inputs, place.outputs, strict=True):
        first, last = span(reader, *outputs)
        near, far = int(start - first), int(last - stop)
        same.append(max(0, min(near, far, reader.kernel - 1)))
        others = [near - same[-1], far - same[-1], *others]
    if any(others):
        change = F.pad(change, [0, 0, *others])
    windows = change.movedim(4, 1) if change.shape[4] > 1 else change[..., 0].unsqueeze(1)  # as in convolve_dense
    strides, steps = ([getattr(reader, name) for reader in layer.readers] for name in ("stride", "step"))
    if change.dtype == torch.float32 and torch.backends.mkldnn.is_available():  # which conv3d leaves out for one window
        after = torch.mkldnn_convolution(windows, layer.weight, None, same, strides, steps, 1)
    else:
        after = F.conv3d(windows, layer.weight, None, strides, same, steps)
    return after.movedim(1, 4).contiguous()


def embedded(change: Tensor, window: Sequence[tuple[int, int]], outer: Sequence[tuple[int, int]]) -> Tensor:
    """Return a copy of windows in larger ones, where nothing else changes; features are as they are."""
    if change.ndim == 2:
        return change.clone()
    pairs = zip(window[::-1], outer[::-1], strict=True)
    return F.pad(change, [0, 0, *(edge for (a, b), (c, d) in pairs for edge in (a - c, d - b))])


def add(layer: chain.Summed, changes: Sequence[Tensor], place: Place) -> Tensor:
    """Add windows that lie within the sum's."""
    total = embedded(changes[0], place.parts[0], place.outputs)
    for change, window in zip(changes[1:], place.parts[1:], strict=True):
        total[box(window, place.outputs) if change.ndim > 2 else ...] += change
    return total


def join(layer: chain.Joined, changes: Sequence[Tensor], place: Place) -> Tensor:
    """Lay the channels of windows that lie within the whole's behind each other."""
    parts = zip(changes, place.parts, strict=True)
    return torch.cat([embedded(change, window, place.outputs) for change, window in parts], -1)


def pool_maximum(layer: chain.MaxPool, change: Tensor, place: Place) -> Tensor:
    """Ask how far the largest of each block moves, levels being counted from the largest that it was."""
    whole = [read(reader, *window) for reader, window in zip(layer.readers, place.outputs, strict=True)]
    offset = np.array([start for start, _ in whole]) - [start for start, _ in place.inputs]
    inner = [(max(a, c), min(b, d)) for (a, b), (c, d) in zip(whole, place.inputs, strict=True)]
    change = change[box(inner, place.inputs)]
    levels = cut(layer.levels, place.starts + offset, tuple(stop - start for start, stop in whole))
    blocks = [runs(*axis) for axis in zip(layer.readers, whole, place.outputs, strict=True)]
    if len(levels) == 1:
        touched = [runs(*axis) for axis in zip(layer.readers, inner, place.outputs, strict=True)]
        untouched = levels.clone()
        untouched[box(inner, whole)] = -torch.inf
        moved = combine(torch.maximum, change.to(levels.dtype).add_(levels[box(inner, whole)]), touched)
        largest = torch.maximum(moved, combine(torch.maximum, untouched, blocks), out=moved)
    else:
        levels[box(inner, whole)] += change
        largest = combine(torch.maximum, levels, blocks)
    if layer.reference is None:
        return largest
    return (largest - cut(layer.reference, place.firsts, largest.shape[1:4])).to(change.dtype)


def box(windows: Sequence[tuple[int, int]], outer: Sequence[tuple[int, int]]) -> tuple[slice, ...]:
    """Index windows within outer windows, for all patches."""
    inner = (slice(start - origin, stop - origin) for (start, stop), (origin, _) in zip(windows, outer, strict=True))
    return slice(None), *inner


def combine(operation: Callable[..., Tensor], values: Tensor, reads: Sequence[Sequence[Run]]) -> Tensor:
    """Reduce blocks along one axis after the other, or on a GPU all at once if they lie side by side."""
    if on_gpu(values) and all(side_by_side(found, edge) for found, edge in zip(reads, values.shape[1:4], strict=True)):
        for axis in (3, 2, 1):
            values = values.unflatten(axis, (len(reads[axis - 1]), -1))
        return AT_ONCE[operation](values, dim=(2, 4, 6))
    for axis, found in enumerate(reads, start=1):
        if [(run.start, run.stop) for run in found] == [(i, i + 1) for i in range(values.shape[axis])]:
            continue
        lines = values.unbind(axis)
        values = values.new_empty(*values.shape[:axis], len(found), *values.shape[axis + 1 :])
        for total, run in zip(values.unbind(axis), found, strict=True):
            first, *others = lines[run.start : run.stop]
            if not others:
                total.copy_(first)
            for number, line in enumerate(others):
                operation(total if number else first, line, out=total)
    return values


def side_by_side(found: Sequence[Run], length: int) -> bool:
    """Tell whether runs cut an axis into pieces of one length."""
    edge, rest = divmod(length, len(found))
    return not rest and [(run.start, run.stop) for run in found] == [(i, i + edge) for i in range(0, length, edge)]


def pool_mean(layer: chain.MeanPool, change: Tensor, place: Place) -> Tensor:
    """Sum the differences of each block, and share them out."""
    reads = [runs(*axis) for axis in zip(layer.readers, place.inputs, place.outputs, strict=True)]
    total = combine(torch.add, change, reads)
    return total * cut(layer.share, place.firsts, total.shape[1:4])


def rectify(layer: chain.Relu | chain.Leaky, change: Tensor, place: Place) -> Tensor:
    """Ask how far each unit moves: relu(a + d) - relu(a) = max(d + min(a, 0), -max(a, 0))."""
    before = layer.before if change.ndim == 2 else cut(layer.before, place.starts, change.shape[1:4])
    return torch.maximum(change.add_(before.clamp(max=0)), -before.clamp(min=0), out=change)


def lean(layer: chain.Leaky, change: Tensor, place: Place) -> Tensor:
    """Ask how far each unit moves: its slope times the change, and the rest of the change where it is positive."""
    leaning = layer.slope * change
    return leaning.add_((1 - layer.slope) * rectify(layer, change, place))


def activate(layer: chain.Pointwise, change: Tensor, place: Place) -> Tensor:
    """Ask how far each unit moves, in float64."""
    before = layer.before if change.ndim == 2 else cut(layer.before, place.starts, change.shape[1:4])
    before = before.double()
    return (layer.function(before + change) - layer.function(before)).to(change.dtype)


def scale(layer: chain.Scale, change: Tensor, place: Place) -> Tensor:
    """Multiply each channel."""
    return change * layer.factor


def gather(layer: chain.Gather, change: Tensor, place: Place) -> Tensor:
    """Go through the first linear layer with the window alone; all windows of the batch are the same."""
    x, y, z = (slice(*window) for window in place.inputs)
    return (change.flatten(1) @ layer.weight[x, y, z].flatten(0, 3)).double()


def flatten(layer: chain.Flat, change: Tensor, place: Place) -> Tensor:
    """Make features of the window; all windows of the batch are the same."""
    after = change.new_zeros(len(change), *layer.shape, dtype=torch.float64)
    after[:, :, *(slice(*window) for window in place.inputs)] = change.movedim(4, 1).double()
    return after.flatten(1)


def multiply(layer: chain.Linear, change: Tensor, place: Place) -> Tensor:
    """Go through a later linear layer."""
    return change @ layer.weight


def soften(layer: chain.Softmax, change: Tensor, place: Place) -> Tensor:
    """Ask how far each probability moves from p to q: q_i - p_i = sum_j (q_i p_j - q_j p_i).

    With g = d_i - d_j, a summand is q_i p_j (1 - exp(-g)) where g is positive, and q_j p_i (exp(g) - 1) elsewhere.
    """
    before, after = torch.softmax(layer.before, 0), torch.softmax(layer.before + change, 1)
    gap = change[:, :, None] - change[:, None, :]
    mass = torch.where(gap > 0, after[:, :, None] * before, before[:, None] * after[:, None, :])
    return -(mass * gap.sign() * torch.expm1(-gap.abs())).sum(2)


def log_soften(layer: chain.LogSoftmax, change: Tensor, place: Place) -> Tensor:
    """Ask how far each log probability moves: its own score does, less the log-sum-exp of all."""
    return change - log_sum_exp(torch.log_softmax(layer.before, 0), change)[:, None]


def log_sum_exp(shares: Tensor, moves: Tensor) -> Tensor:
    """Return log sum_j p_j exp(d_j) for logarithms of shares p and moves d; small ones keep their digits."""
    near = torch.log1p((shares.exp() * torch.expm1(moves)).sum(-1))
    return torch.where(moves.abs().amax(-1) < 1, near, torch.logsumexp(shares + moves, -1))


def lead(layer: chain.Leads, change: Tensor, place: Place) -> Tensor:
    """Ask how far each margin moves: its own score does, less the others' log-sum-exp, log sum_j p_j exp(d_j).

    p is the softmax of the others' untouched scores. A single score moves by itself.
    """
    if change.shape[1] == 1:
        return change
    rest = others(change.shape[1]).to(change.device)
    shares, moves = torch.log_softmax(layer.before[rest], 1), change[:, rest]
    return change - log_sum_exp(shares, moves)


CHANGES = {
    chain.Hidden: hide,
    chain.Convolution: convolve,
    chain.Wide: convolve_wide,
    chain.Summed: add,
    chain.Joined: join,
    chain.MaxPool: pool_maximum,
    chain.MeanPool: pool_mean,
    chain.Relu: rectify,
    chain.Leaky: lean,
    chain.Pointwise: activate,
    chain.Scale: scale,
    chain.Flat: flatten,
    chain.Gather: gather,
    chain.Linear: multiply,
    chain.Softmax: soften,
    chain.LogSoftmax: log_soften,
    chain.Leads: lead,
}


def through(layers: Sequence[Layer], changes: dict[int, Tensor], places: Sequence[Place]) -> dict[int, Tensor]:
    """Carry differences through layers, one after the other.

    Parameters
    ----------
    layers : sequence of Layer
    changes : dict of Tensor
        What has been made before and is still needed, by its number.
    places : sequence of Place
        Of each layer.

    Returns
    -------
    dict of Tensor
        The same after these layers.
    """
    changes = dict(changes)
    for layer, place in zip(layers, places, strict=True):
        inputs = [changes[source] for source in layer.sources]
        for source in layer.ends:
            del changes[source]
        if isinstance(layer.record, SEVERAL):
            changes[layer.number] = CHANGES[type(layer.record)](layer.record, inputs, place)
        else:
            change = inputs[0] if inputs else None
            spare = set(layer.sources) <= layer.ends or isinstance(layer.record, chain.Convolution)
            changes[layer.number] = CHANGES[type(layer.record)](
                layer.record, change if spare else change.clone(), place
            )
    return changes
