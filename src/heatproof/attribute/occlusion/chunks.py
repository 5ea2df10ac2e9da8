"""Measuring the chunks of an image, among threads, and on disk, so that what was measured outlives the process."""

import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from heatproof.attribute.occlusion.patches import Work


def measured(work: Work, first: int = 0) -> Iterator[np.ndarray]:
    """Yield the drops of each chunk in order, from chunk ``first`` on."""
    if work.workers is None:
        yield from map(work.measure, work.chunks[first:])
        return
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(work.workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield from pool.map(work.measure, work.chunks[first:])
    finally:
        torch.set_num_threads(threads)


def continued(work: Work, path: Path) -> Iterator[np.ndarray]:
    """Yield the drops of each chunk in order: those that a file has, and then the others, written to it first.

    Parameters
    ----------
    work : Work
        Of the image, network and options that the file was begun with.
    path : Path
        A journal: drops in float64, chunk by chunk, a checksum after each. What follows the last whole chunk is cut.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as file:
        known = whole_chunks(file, work.chunks)
        yield from known
        for drops in measured(work, first=len(known)):
            data = drops.tobytes()
            file.write(data + checksum(data))
            file.flush()
            yield drops


def whole_chunks(file: BinaryIO, chunks: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Read the drops of the first chunks, as many as a journal has whole, and cut what follows them."""
    file.seek(0)
    found, end = [], 0
    for chunk in chunks:
        data, check = file.read(8 * len(chunk)), file.read(4)
        if check != checksum(data):
            break
        found.append(np.frombuffer(data, np.float64))
        end = file.tell()
    file.truncate(end)
    return found


def checksum(data: bytes) -> bytes:
    """Return four bytes that tell whole data from data cut short."""
    return zlib.crc32(data).to_bytes(4, "little")
