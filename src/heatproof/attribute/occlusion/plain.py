"""Drops by plain sliding windows: the whole network once per patch, for any network."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from heatproof.attribute.layers import outputs_of
from heatproof.attribute.occlusion.patches import Work

NUMBERS = 64  # what a forward pass is assumed to hold at once, for each voxel of its input


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
        Maps (N, 1, D, H, W) to scores (N, classes).
    image : Tensor, shape (1, D, H, W)
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
    chunks = [places[first : first + rows] for first in range(0, len(places), rows)]
    return Work(chunks, partial(measure, model, image, target, hide), None)


@torch.no_grad()
def measure(
    model: nn.Module, image: Tensor, target: int, hide: Callable[[Tensor, np.ndarray], None], places: np.ndarray
) -> np.ndarray:
    """Return the score of the untouched image minus the score with a patch hidden, for each of a batch of patches."""
    hidden = image.repeat(len(places), 1, 1, 1, 1)
    for copy, place in zip(hidden, places, strict=True):
        hide(copy, place)
    before, after = (outputs_of(model, scans)[:, target].double() for scans in (image[None], hidden))
    return (before - after).cpu().numpy()
