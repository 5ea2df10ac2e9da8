"""Window arithmetic: which outputs of a layer a changed window of its input can change, axis by axis.

A window is a range of voxels ``start <= voxel < stop`` on one axis, or one such range per axis. Convolution and pooling
share one rule: output ``o`` reads the inputs ``o * stride - padding`` to ``o * stride - padding + kernel - 1``.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Reader(NamedTuple):
    """How a convolution or pooling reads its input along one axis, and how many voxels go in and come out."""

    kernel: int
    stride: int
    padding: int
    inputs: int
    outputs: int


class Run(NamedTuple):
    """Inputs ``start`` to ``stop - 1`` of a window that one output reads, the first of them with kernel tap ``tap``."""

    start: int
    stop: int
    tap: int


def reached(reader: Reader, start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return start and stop of the outputs that read from a window; stop is not above start where there is none."""
    first = -((reader.kernel - 1 - reader.padding - start) // reader.stride)
    last = (stop - 1 + reader.padding) // reader.stride
    return np.maximum(first, 0), np.minimum(last + 1, reader.outputs)


def span(reader: Reader, start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return start and stop of what the outputs of a window read, padding included."""
    return start * reader.stride - reader.padding, (stop - 1) * reader.stride - reader.padding + reader.kernel


def read(reader: Reader, start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return start and stop of the inputs that the outputs of a window read."""
    first, last = span(reader, start, stop)
    return np.maximum(first, 0), np.minimum(last, reader.inputs)


@lru_cache(maxsize=2**16)
def runs(reader: Reader, inputs: tuple[int, int], outputs: tuple[int, int]) -> tuple[Run, ...]:
    """Return for each output of a window what it reads of a window of the inputs."""
    found = []
    for output in range(*outputs):
        origin = output * reader.stride - reader.padding
        start, stop = max(origin, inputs[0]), min(origin + reader.kernel, inputs[1])
        found.append(Run(start - inputs[0], stop - inputs[0], start - origin))
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
