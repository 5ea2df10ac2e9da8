"""Drops by plain sliding windows: the whole network once per patch, for any network."""

import copy
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse

from heatproof.attribute.layers import outputs_of
from heatproof.attribute.occlusion.patches import Work

NUMBERS = 64  # what a forward pass is assumed to hold at once, for each voxel of its input
VOXELS = 2**20  # of a batch on a CPU, at most: larger ones do not fit in its caches
ROUNDING = 1e-4  # of the largest output, that merged batch norms may change: far above float32's


def plain_work(
    model: nn.Module,
    image: Tensor,
    target: int,
    places: np.ndarray,
    *,
    hide: Callable[[Tensor, np.ndarray], None],
    memory: int,
) -> Work:
    """Prepare the patches of one image, for any network.

    Parameters
    ----------
    model : Module
        Maps (N, C, D, H, W) to scores (N, classes).
    image : Tensor, shape (C, D, H, W)
    target : int
        Class whose score is explained.
    places : ndarray of int, shape (n, 3)
        Positions of the patches to measure.
    hide : callable
        Takes a copy of the image and the position of a patch, and hides that patch in the copy.
    memory : int
        Bytes that a batch may take.
    """
    rows = max(1, memory // (NUMBERS * image.element_size() * image.numel()))
    rows = rows if image.is_cuda else min(rows, max(2, VOXELS // image.numel()))  # one scan alone is slow
    chunks = [places[first : first + rows] for first in range(0, len(places), rows)]
    with torch.no_grad():
        before = outputs_of(model, image[None])[0, target].double()
    return Work(chunks, partial(measure, model, image, target, hide, before), None, whole=True)


@torch.no_grad()
def measure(
    model: nn.Module,
    image: Tensor,
    target: int,
    hide: Callable[[Tensor, np.ndarray], None],
    before: Tensor,
    places: np.ndarray,
) -> np.ndarray:
    """Return the score of the untouched image minus the score with a patch hidden, for each of a batch of patches."""
    hidden = image.repeat(len(places), 1, 1, 1, 1)
    for scan, place in zip(hidden, places, strict=True):
        hide(scan, place)
    return (before - outputs_of(model, hidden)[:, target].double()).cpu().numpy()


@torch.no_grad()
def quickened(model: nn.Module, image: Tensor) -> nn.Module:
    """Return a network of equal outputs that runs faster: batch norms merged where they can be, channels last on a CPU.

    A network that cannot be traced, or whose outputs for the image and an empty one change by more than rounding,
    keeps its batch norms.
    """
    quick, scans = copy.deepcopy(model), torch.stack([image, torch.zeros_like(image)])
    with suppress(Exception):  # what tracing meets in a network of someone's own can be anything
        merged = fuse(quick)
        before, after = outputs_of(model, scans), outputs_of(merged, scans)
        if (before - after).abs().max() <= ROUNDING * before.abs().max():
            quick = merged
    for weight in quick.parameters():
        if weight.ndim == 5 and not image.is_cuda:
            weight.data = weight.data.to(memory_format=torch.channels_last_3d)
    return quick
