"""How scans get to a device and maps come back: where a store lies, batches, memory format, outputs, writing."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

SHARE = 0.5  # of a GPU's free memory, up to which a store lies there
WAITING = 4  # calls that wait in the background, for each thread, before the next one is waited for


def to_device(model: nn.Module, device: str | torch.device) -> nn.Module:
    """Move a network to a device, its weights in the memory format in which 3D convolutions are fastest."""
    model.to(device)
    for weight in [*model.parameters(), *model.buffers()]:
        if weight.ndim == 5:
            weight.data = weight.data.to(memory_format=torch.channels_last_3d)
    return model


def resident(images: np.ndarray, device: torch.device) -> Tensor:
    """Return scans as a tensor: on a GPU if they fit there, else where they are.

    Parameters
    ----------
    images : ndarray of float16, shape (scans, channels, x, y, z)
        As in a `heatproof.store.Store`.
    device : device
        Where the network runs.
    """
    scans = torch.from_numpy(images)
    if device.type != "cuda" or images.nbytes > SHARE * torch.cuda.mem_get_info(device)[0]:
        return scans
    there = torch.empty(scans.shape, dtype=scans.dtype, device=device)
    for scan, place in zip(scans, there, strict=True):
        place.copy_(scan)
    return there


def in_order(number: int, size: int) -> list[slice]:
    """Split a number of scans into batches of a size."""
    return [slice(start, min(start + size, number)) for start in range(0, number, size)]


def batches(scans: Tensor, chosen: Sequence[np.ndarray | slice], device: torch.device) -> Iterator[Tensor]:
    """Yield scans on a device, one batch after the other; the next is read while a GPU is busy with the last.

    Parameters
    ----------
    scans : Tensor of float16, shape (scans, channels, x, y, z)
        As `resident` returns them.
    chosen : sequence of ndarray of int, or of slice
        Rows of each batch.
    device : device
        Where the network runs.

    Yields
    ------
    Tensor of float16, shape (N, channels, x, y, z)
    """
    if device.type != "cuda" or scans.is_cuda:
        yield from (scans[rows] for rows in chosen)
        return
    with ThreadPoolExecutor(1) as reader:
        ahead: list[Future] = []
        for rows in chosen:
            ahead.append(reader.submit(lambda rows: scans[rows].pin_memory(), rows))
            if len(ahead) > 1:
                yield ahead.pop(0).result().to(device, non_blocking=True)
        for last in ahead:
            yield last.result().to(device, non_blocking=True)


def as_input(scans: Tensor) -> Tensor:
    """Turn scans (N, channels, x, y, z) into a network's input: a copy in float32."""
    return scans.to(torch.float32, copy=True)


@torch.no_grad()
def outputs(model: nn.Module, scans: Tensor, size: int, device: torch.device) -> Tensor:
    """Run a network over all scans in batches of a size; return its outputs (scans, classes) on the CPU."""
    model.eval()
    found = [model(as_input(batch)) for batch in batches(scans, in_order(len(scans), size), device)]
    return torch.cat(found).cpu()


@contextmanager
def in_background(workers: int) -> Iterator[Callable[..., None]]:
    """Give a function that calls others in threads, and at the end wait for them; with no worker it calls them at once.

    An exception in a thread is raised by a later call, or at the end.
    """
    if not workers:
        yield lambda function, *arguments: function(*arguments)
        return
    waiting: list[Future] = []
    with ThreadPoolExecutor(workers) as pool:

        def call(function: Callable, *arguments: object) -> None:
            while len(waiting) >= WAITING * workers:
                waiting.pop(0).result()
            waiting.append(pool.submit(function, *arguments))

        yield call
        for future in waiting:
            future.result()
