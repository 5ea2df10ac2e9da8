"""Scans of which units are taken from another scan: one unit at a time, or one after another in an order.

A unit changes the first layers of a network only near its own voxels. `outputs_one_by_one` runs those layers on windows
around the unit, cut out of what they made of the untouched scan, and the rest of the network, where windows would be
nearly as large as the grid, as a whole. The result is that of plain passes, to float32 rounding. A network that does
not begin with layers known here runs as a whole for every unit.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import find_objects
from torch import Tensor, nn

from heatproof.attribute.layers import apply_apart, is_one_of, outputs_of, require_evaluation, unfold
from heatproof.attribute.occlusion.windows import Reader, reached, span
from heatproof.running import in_order

READING = (nn.Conv3d, nn.MaxPool3d, nn.AvgPool3d)  # what reads a neighbourhood
VOXELWISE = (nn.BatchNorm3d, nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SiLU, nn.GELU, nn.Dropout, nn.Dropout3d, nn.Identity)
LARGEST = 0.25  # share of the grid that windows may have, on average, for a stage to run on them

Box = list[tuple[int, int]]  # first voxel and the voxel after the last, along each axis
Cut = Callable[[int, Box], Tensor]  # from a unit's place in a list and a box to the changed values in it


class Stage(NamedTuple):
    """A convolution or pooling, and the layers up to the next that look at single voxels.

    Attributes
    ----------
    layers : list of Module
    readers : tuple of 3 Reader
        How the first reads its input along each axis.
    before, after : Tensor, shape (C, x, y, z)
        The untouched scan on its way in and out.
    """

    layers: list[nn.Module]
    readers: tuple[Reader, ...]
    before: Tensor
    after: Tensor


@torch.no_grad()
def outputs_one_by_one(
    model: nn.Module, image: Tensor, other: Tensor, units: Tensor, chosen: Sequence[int], *, batch_size: int
) -> Tensor:
    """Return a network's outputs for a scan of which one unit is taken from another scan, for each of some units.

    Parameters
    ----------
    model : Module
        Network in evaluation mode, images to (N, classes).
    image, other : Tensor, shape (C, x, y, z)
    units : Tensor of int, shape (x, y, z)
        Number of each voxel's unit, on the device of the scans.
    chosen : sequence of int
        Numbers of units that have voxels.
    batch_size : int
        Whole scans that the network is given at once.

    Returns
    -------
    Tensor, shape (len(chosen), classes)
    """
    require_evaluation(model)
    boxes = find_objects(units.cpu().numpy())
    corners = [[(axis.start, axis.stop) for axis in boxes[unit - 1]] for unit in chosen]
    windows = np.array(corners, int).reshape(-1, 3, 2)
    stages, rest = split_network(model, image, windows)
    room, whole = batch_size * image.numel(), image

    def cut(place: int, box: Box) -> Tensor:
        here = within(box)
        return torch.where(units[here[1:]] == chosen[place], other[here], image[here])

    for stage in stages:
        windows, whole = windows_after(stage.readers, windows), stage.after
        cut = pasted(whole, windows, run_windows(stage, cut, windows, room))
    everything = grid_box(whole)
    batches = in_order(len(chosen), max(1, room // whole.numel()))
    changed = (torch.stack([cut(place, everything) for place in range(rows.start, rows.stop)]) for rows in batches)
    return torch.cat([outputs_of(rest, scans) for scans in changed])


def falls(
    network: nn.Module, image: Tensor, other: Tensor, units: Tensor, before: float, *, target: int, batch_size: int
) -> np.ndarray:
    """Return by how much an output of a network falls when each unit of a scan alone is taken from another scan.

    Parameters
    ----------
    network : Module
    image, other : Tensor, shape (C, x, y, z)
    units : Tensor of int64, shape (x, y, z)
    before : float
        The output for the whole scan.
    target : int
        The output.
    batch_size : int

    Returns
    -------
    ndarray of float64, shape (units,)
    """
    differing = units[(image != other).any(dim=0)].unique().tolist()
    chosen = [unit for unit in differing if unit]
    found = np.zeros(int(units.max()))
    if chosen:
        after = outputs_one_by_one(network, image, other, units, chosen, batch_size=batch_size)[:, target]
        found[np.array(chosen) - 1] = before - after.double().cpu().numpy()
    return found


def grid_box(values: Tensor) -> Box:
    """Return the box of all voxels of a tensor (C, x, y, z)."""
    return [(0, edge) for edge in values.shape[1:]]


def within(box: Box, outer: Box | None = None) -> tuple[slice, ...]:
    """Index a box in a tensor (C, x, y, z) of the grid, or of a box of it that contains it."""
    origins = (0, 0, 0) if outer is None else [start for start, _ in outer]
    return slice(None), *[slice(a - o, b - o) for (a, b), o in zip(box, origins, strict=True)]


def overlap(one: Box, two: Box) -> Box:
    """Return the box that two boxes have in common; a stop is not above its start where that is empty."""
    return [(max(a, c), min(b, d)) for (a, b), (c, d) in zip(one, two, strict=True)]


def split_network(model: nn.Module, image: Tensor, windows: np.ndarray) -> tuple[list[Stage], nn.Module]:
    """Return the stages that are worth running on windows, in order, and the rest of the network.

    Parameters
    ----------
    model : Module
    image : Tensor, shape (C, x, y, z)
    windows : ndarray of int, shape (units, 3, 2)
        First voxel that changes, and the voxel after the last, along each axis.
    """
    layers, stages, whole = unfold(model), [], image
    while layers and is_known(layers[0]):
        last = next((i for i, layer in enumerate(layers) if i and not is_one_of(layer, VOXELWISE)), len(layers))
        after = whole[None]
        for layer in layers[:last]:
            after = apply_apart(layer, after)
        stage = Stage(layers[:last], readers_of(layers[0], whole.shape[1:], after.shape[2:]), whole, after[0])
        windows = windows_after(stage.readers, windows)
        sizes = np.ptp(boxes_read(stage.readers, windows), axis=2)
        if np.prod(sizes, axis=1).mean() > LARGEST * np.prod(whole.shape[1:]):
            break
        stages.append(stage)
        layers, whole = layers[last:], stage.after
    rest = nn.Sequential(*layers) if stages else model
    rest.training = False  # eval() would reach the model's own layers
    return stages, rest


def is_known(layer: nn.Module) -> bool:
    """Tell whether a layer can run on windows: a convolution that pads with zeros, or a pooling that does not pad."""
    if not is_one_of(layer, READING):
        return False
    if isinstance(layer, nn.Conv3d):
        return layer.padding_mode == "zeros"
    return not np.any(layer.padding) and not layer.ceil_mode and not getattr(layer, "return_indices", False)


def readers_of(layer: nn.Module, inputs: Sequence[int], outputs: Sequence[int]) -> tuple[Reader, ...]:
    """Describe how a layer reads along each axis."""
    kernel, stride, dilation = (
        np.broadcast_to(getattr(layer, name, 1), 3) for name in ("kernel_size", "stride", "dilation")
    )
    reach = dilation * (kernel - 1)
    padding = (
        {"same": reach // 2, "valid": 0}.get(layer.padding, 0) if isinstance(layer.padding, str) else layer.padding
    )
    axes = zip(reach + 1, stride, np.broadcast_to(padding, 3), inputs, outputs, strict=True)
    return tuple(Reader(*map(int, axis)) for axis in axes)


def windows_after(readers: Sequence[Reader], windows: np.ndarray) -> np.ndarray:
    """Return which outputs can change, (units, 3, 2), where inputs change within windows; no voxel is 0 to 0."""
    ends = [reached(reader, *windows[:, axis].T) for axis, reader in enumerate(readers)]
    after = np.stack([np.stack(pair, axis=1) for pair in ends], axis=1)
    empty = (after[..., 1] <= after[..., 0]).any(axis=1) | (windows[..., 1] <= windows[..., 0]).any(axis=1)
    after[empty] = 0
    return after


def boxes_read(readers: Sequence[Reader], windows: np.ndarray) -> np.ndarray:
    """Return what the outputs in windows read, (units, 3, 2), padding included; 0 to 0 where a window is empty."""
    boxes = np.stack([np.stack(span(reader, *windows[:, axis].T), 1) for axis, reader in enumerate(readers)], axis=1)
    boxes[windows[:, 0, 1] == 0] = 0
    return boxes


def run_windows(stage: Stage, cut: Cut, windows: np.ndarray, room: int) -> list[Tensor | None]:
    """Run a stage on what changed outputs read, windows of one size together.

    Parameters
    ----------
    stage : Stage
    cut : callable
        Gives the stage's changed inputs.
    windows : ndarray of int, shape (units, 3, 2)
        Of the outputs.
    room : int
        Numbers that a batch may have on its way in or out.

    Returns
    -------
    list of Tensor or None
        For each unit its outputs (C, x, y, z) in its window; None where that is empty.
    """
    boxes, grid = boxes_read(stage.readers, windows).tolist(), grid_box(stage.before)
    alike, found = defaultdict(list), [None] * len(windows)
    for place in np.flatnonzero(windows[:, 0, 1]):
        alike[tuple(stop - start for start, stop in boxes[place])].append(place)
    for size, places in alike.items():
        numbers = math.prod(size) * max(len(stage.before), len(stage.after))
        for rows in in_order(len(places), max(1, room // numbers)):
            batch = stage.before.new_zeros(rows.stop - rows.start, len(stage.before), *size)
            for scan, place in zip(batch, places[rows], strict=True):
                inside = overlap(boxes[place], grid)
                scan[within(inside, boxes[place])] = cut(place, inside)
            for place, after in zip(places[rows], run_unpadded(stage.layers, batch), strict=True):
                found[place] = after
    return found


def run_unpadded(layers: Sequence[nn.Module], windows: Tensor) -> Tensor:
    """Run the layers of a stage on windows (N, C, x, y, z) that contain the padding already."""
    first, *others = layers
    if isinstance(first, nn.Conv3d):
        windows = F.conv3d(windows, first.weight, first.bias, first.stride, 0, first.dilation, first.groups)
    else:
        windows = first(windows)
    for layer in others:
        windows = layer(windows)
    return windows


def pasted(whole: Tensor, windows: np.ndarray, changed: Sequence[Tensor | None]) -> Cut:
    """Return a function that cuts boxes out of a grid, shape (C, x, y, z), with each unit's window pasted in."""
    boxes = windows.tolist()

    def cut(place: int, box: Box) -> Tensor:
        values, common = whole[within(box)].clone(), overlap(boxes[place], box)
        if all(stop > start for start, stop in common):
            values[within(common, box)] = changed[place][within(common, boxes[place])]
        return values

    return cut


@torch.no_grad()
def outputs_in_order(
    model: nn.Module,
    image: Tensor,
    other: Tensor,
    units: Tensor,
    order: Sequence[int],
    points: Sequence[int],
    *,
    batch_size: int,
) -> Tensor:
    """Return a network's outputs for a scan whose units are taken from another scan, one after another.

    Parameters
    ----------
    model, image, other, units, batch_size
        As for `outputs_one_by_one`.
    order : sequence of int
        Numbers of units, the first to be taken first; those of no unit in it are never taken.
    points : sequence of int
        Numbers of units that have been taken, at which the network is asked.

    Returns
    -------
    Tensor, shape (len(points), classes)
    """
    turn = torch.full((int(units.max()) + 1,), len(order), dtype=torch.int64)
    turn[torch.as_tensor(order, dtype=torch.int64)] = torch.arange(len(order))
    turns = turn.to(units.device)[units.long()]
    depths = torch.tensor(points, device=units.device)[:, None, None, None, None]
    mixed = (torch.where(turns < depths[rows], other, image) for rows in in_order(len(points), batch_size))
    return torch.cat([outputs_of(model, scans) for scans in mixed])
