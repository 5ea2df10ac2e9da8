"""Batches of scans from a store, in random order and augmented as in Eitel and Ritter 2019."""

from collections.abc import Iterator

import numpy as np
import torch

from heatproof.store import Store

AXES = {"x": 0, "y": 1, "z": 2}


def augment(image: np.ndarray, augmentation: dict, random: np.random.Generator) -> np.ndarray:
    """Mirror a scan with some probability, and shift it by a few voxels, zeros moving in.

    Parameters
    ----------
    image : ndarray, shape (x, y, z)
    augmentation : dict
        ``flip: {axis, probability}`` and ``shift: {axis, voxels}``; a shift is uniform in -voxels..voxels.
    random : Generator
    """
    flip, shift = augmentation["flip"], augmentation["shift"]
    if random.random() < flip["probability"]:
        image = np.flip(image, AXES[flip["axis"]])
    return shifted(image, AXES[shift["axis"]], int(random.integers(-shift["voxels"], shift["voxels"] + 1)))


def shifted(image: np.ndarray, axis: int, by: int) -> np.ndarray:
    """Move an array by some voxels along an axis; what it leaves behind is 0."""
    moved = np.zeros_like(image)
    source, target = np.moveaxis(image, axis, 0), np.moveaxis(moved, axis, 0)
    target[max(by, 0) : len(target) + min(by, 0)] = source[max(-by, 0) : len(source) - max(by, 0)]
    return moved


def training_batches(
    store: Store, batch_size: int, augmentation: dict, random: np.random.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield one epoch of augmented batches in random order.

    A scan that would be left for a batch of its own joins the batch before: behind the last voxels a batch norm can not
    learn from one scan.

    Yields
    ------
    images : Tensor of float32, shape (N, 1, x, y, z)
    classes : Tensor of int64, shape (N,)
    """
    order = random.permutation(len(store.images))
    for chosen in np.split(order, range(batch_size, len(order) - (batch_size > 1), batch_size)):
        images = np.stack([augment(store.images[i], augmentation, random) for i in chosen])
        yield as_input(images), torch.from_numpy(store.classes[chosen])


def plain_batches(store: Store, batch_size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield all scans in their order as they are, with their classes."""
    for start in range(0, len(store.images), batch_size):
        chosen = slice(start, start + batch_size)
        yield as_input(store.images[chosen]), torch.from_numpy(store.classes[chosen])


def as_input(images: np.ndarray) -> torch.Tensor:
    """Turn scans (N, x, y, z) into a network's input, float32 (N, 1, x, y, z)."""
    return torch.from_numpy(np.asarray(images, np.float32))[:, None]
