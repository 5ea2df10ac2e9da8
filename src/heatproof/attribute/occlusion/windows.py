"""Window arithmetic: which outputs of a layer a changed window of its input can change, axis by axis.

A window is a range of voxels ``start <= voxel < stop`` on one axis, or one such range per axis. Convolution and pooling
share one rule: output ``o`` reads the inputs ``o * stride - padding`` to ``o * stride - padding + kernel - 1``, or only
every second or further one of them. Adaptive pooling reads bins that need not be of one size.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Reader(NamedTuple):
    """How a convolution or pooling reads its input along one axis, and how many voxels go in and come out.

    ``kernel`` is the extent of the kernel, of which every ``step``-th voxel is read.
    """

    kernel: int
    stride: int
    padding: int
    inputs: int
    outputs: int
    step: int = 1


class Bins(NamedTuple):
    """How an adaptive pooling reads its input along one axis: output ``o`` from ``starts[o]`` to ``stops[o] - 1``."""

    starts: tuple[int, ...]
    stops: tuple[int, ...]
    inputs: int
    outputs: int
    step: int = 1


class Run(NamedTuple):
    """Inputs ``range(start, stop, step)`` of a window that one output reads, the first of them with tap ``tap``."""

    start: int
    stop: int
    tap: int
    step: int = 1

    @property
    def count(self) -> int:
        """How many inputs are read."""
        return len(range(self.start, self.stop, self.step))

    @property
    def taken(self) -> slice:
        """Which inputs of the window are read."""
        return slice(self.start, self.stop, self.step)

    @property
    def taps(self) -> slice:
        """Which taps of the kernel read them."""
        return slice(self.tap, self.tap + self.count)


def bins_of(inputs: int, outputs: int) -> Bins:
    """Return the bins of torch's adaptive pooling."""
    starts = tuple(output * inputs // outputs for output in range(outputs))
    return Bins(starts, tuple(-(-(output + 1) * inputs // outputs) for output in range(outputs)), inputs, outputs)


def blocks_of(reader: Reader | Bins) -> np.ndarray | None:
    """Return for each input the one output that reads it, or that it lies next to; None if outputs share inputs."""
    voxels = np.arange(reader.inputs)
    if isinstance(reader, Bins):
        shared = any(start < stop for start, stop in zip(reader.starts[1:], reader.stops, strict=False))
        return None if shared else np.searchsorted(reader.stops, voxels, side="right")
    blocks = np.minimum((voxels + reader.padding) // reader.stride, reader.outputs - 1)
    return None if reader.stride < reader.kernel else blocks


def reached(reader: Reader | Bins, start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return start and stop of the outputs that read from a window; stop is not above start where there is none."""
    if isinstance(reader, Bins):
        return np.searchsorted(reader.stops, start, side="right"), np.searchsorted(reader.starts, stop, side="left")
    first = -((reader.kernel - 1 - reader.padding - start) // reader.stride)
    last = (stop - 1 + reader.padding) // reader.stride
    return np.maximum(first, 0), np.minimum(last + 1, reader.outputs)


def span(reader: Reader | Bins, start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return start and stop of what the outputs of a window read, padding included."""
    if isinstance(reader, Bins):
        first, last = (np.clip(output, 0, reader.outputs - 1) for output in (start, np.asarray(stop) - 1))
        return np.array(reader.starts)[first], np.array(reader.stops)[last]
    return start * reader.stride - reader.padding, (stop - 1) * reader.stride - reader.padding + reader.kernel


def read(reader: Reader | Bins, start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return start and stop of the inputs that the outputs of a window read."""
    first, last = span(reader, start, stop)
    return np.maximum(first, 0), np.minimum(last, reader.inputs)


@lru_cache(maxsize=2**16)
def runs(reader: Reader | Bins, inputs: tuple[int, int], outputs: tuple[int, int]) -> tuple[Run, ...]:
    """Return for each output of a window what it reads of a window of the inputs."""
    found = []
    for output in range(*outputs):
        origin, end = (int(edge) for edge in span(reader, output, output + 1))
        start, stop = max(origin, inputs[0]), min(end, inputs[1])
        start += (origin - start) % reader.step
        found.append(Run(start - inputs[0], max(start, stop) - inputs[0], (start - origin) // reader.step, reader.step))
    return tuple(found)


def cut(table: Tensor, starts: np.ndarray, size: tuple[int, int, int]) -> Tensor:
    """Cut windows of equal size out of a table.

    Parameters
    ----------
    table : Tensor, shape (X, Y, Z, C)
    starts : ndarray of int, shape (B, 3)
    size : 3 int

    Returns
    -------
    Tensor, shape (B, *size, C), or (1, *size, C) where all windows are the same
    """
    if (starts == starts[0]).all():
        x, y, z = (slice(start, start + edge) for start, edge in zip(starts[0], size, strict=True))
        return table[None, x, y, z]
    channels, steps = table.shape[3], np.array(table.stride()[:3]) // table.shape[3]
    lines = table.as_strided((table.numel() // channels - size[2] + 1, size[2] * channels), (channels, 1))
    first = np.add.outer(np.arange(size[0]) * steps[0], np.arange(size[1]) * steps[1])
    places = torch.from_numpy(np.add.outer(starts @ steps, first).ravel())
    return lines.index_select(0, places.to(table.device)).view(len(starts), *size, channels)
