"""Batches for training: in random order and augmented as in Eitel and Ritter 2019."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from heatproof.running import batches

AXES = {"x": 1, "y": 2, "z": 3}  # of a scan (channels, x, y, z)


class Change(NamedTuple):
    """Whether a scan is mirrored, and by how many voxels it is shifted."""

    mirrored: bool
    by: int


def draw_change(augmentation: dict, random: np.random.Generator) -> Change:
    """Draw how one scan is changed.

    Parameters
    ----------
    augmentation : dict
        ``flip: {axis, probability}`` and ``shift: {axis, voxels}``; a shift is uniform in -voxels..voxels.
    random : Generator
    """
    voxels = augmentation["shift"]["voxels"]
    return Change(random.random() < augmentation["flip"]["probability"], int(random.integers(-voxels, voxels + 1)))


def changed(scans: Tensor, changes: Sequence[Change], augmentation: dict) -> Tensor:
    """Mirror scans and shift them, zeros moving in.

    Parameters
    ----------
    scans : Tensor, shape (N, channels, x, y, z)
        On any device, where the result is as well.
    changes : sequence of N Change
    augmentation : dict
        As for `draw_change`.

    Returns
    -------
    Tensor of float32, shape (N, channels, x, y, z)
    """
    flip, shift = AXES[augmentation["flip"]["axis"]], AXES[augmentation["shift"]["axis"]]
    inputs = torch.zeros(scans.shape, device=scans.device)
    for scan, target, (mirrored, by) in zip(scans, inputs, changes, strict=True):
        scan = scan.flip(flip) if mirrored else scan
        left, length = min(max(-by, 0), scan.shape[shift]), max(scan.shape[shift] - abs(by), 0)
        target.narrow(shift, max(by, 0) if length else 0, length).copy_(scan.narrow(shift, left, length))
    return inputs


def training_batches(
    scans: Tensor,
    targets: np.ndarray,
    batch_size: int,
    augmentation: dict,
    random: np.random.Generator,
    device: torch.device,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield one epoch of augmented batches in random order.

    A scan that would be left for a batch of its own joins the batch before: behind the last voxels a batch norm cannot
    learn from one scan.

    Parameters
    ----------
    scans : Tensor of float16, shape (scans, channels, x, y, z)
        As `heatproof.running.resident` returns them.
    targets : ndarray, shape (scans,)
    batch_size : int
    augmentation : dict
        As for `draw_change`.
    random : Generator
    device : device
        Where the network runs.

    Yields
    ------
    images : Tensor of float32, shape (N, channels, x, y, z)
    targets : Tensor, shape (N,)
    """
    order = random.permutation(len(scans))
    chosen = np.split(order, range(batch_size, len(order) - (batch_size > 1), batch_size))
    for rows, batch in zip(chosen, batches(scans, chosen, device), strict=True):
        changes = [draw_change(augmentation, random) for _ in rows]
        yield changed(batch, changes, augmentation), torch.from_numpy(targets[rows]).to(device, non_blocking=True)
