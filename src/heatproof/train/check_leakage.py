"""Refuse a test or validation scan that is also, or nearly, a scan of another split; a table names the nearest.

Registered scans of different people all resemble the template, so that they are compared by what is individual in
them: the difference from the mean of all scans. Its correlation is 1 for copies, however they are packed, scaled or
named, and far below for two people.
"""

import argparse
import logging
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from heatproof.command import run
from heatproof.errors import StudyError
from heatproof.store import Store, open_store
from heatproof.tables import read_table, write_table

NEAR_COPY = 0.7
SAMPLED_VOXELS = 30_000


def sample_scans(stores: dict[str, Store]) -> np.ndarray:
    """Take the same coarse grid of voxels of all scans, split after split: float32 of shape (scans, voxels)."""
    voxels = np.prod(next(iter(stores.values())).images.shape[1:])
    step = max(1, round((voxels / SAMPLED_VOXELS) ** (1 / 3)))
    return np.concatenate(
        [
            np.asarray(store.images[:, :, ::step, ::step, ::step], np.float32).reshape(len(store.images), -1)
            for store in stores.values()
        ]
    )


def standardise(samples: np.ndarray) -> np.ndarray:
    """Shift and scale every row (scans, voxels) to mean 0 and length 1; rows without contrast become 0."""
    centred = samples - samples.mean(1, keepdims=True)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), np.finfo(np.float32).tiny)


def likeness(samples: np.ndarray) -> np.ndarray:
    """Correlate what is individual in scans (scans, voxels): a matrix (scans, scans), 1 for copies."""
    standard = standardise(samples)
    individual = standardise(standard - standard.mean(0))
    return individual @ individual.T


def nearest_scans(stores: dict[str, Store]) -> pd.DataFrame:
    """Find the nearest two scans of every two splits, and all others that are near copies.

    Parameters
    ----------
    stores : dict of Store
        By the name of the split, train first.

    Returns
    -------
    DataFrame
        split_a, scan_a, split_b, scan_b, likeness.
    """
    names = np.concatenate([store.scans["scan"] for store in stores.values()])
    split = np.repeat(list(stores), [len(store.scans) for store in stores.values()])
    matrix, rows = likeness(sample_scans(stores)), []
    for one, other in combinations(stores, 2):
        between = np.where((split == one)[:, None] & (split == other), matrix, -np.inf)
        for a, b in np.argwhere(between >= min(between.max(), NEAR_COPY)):
            rows.append((one, names[a], other, names[b], float(between[a, b])))
    return pd.DataFrame(rows, columns=["split_a", "scan_a", "split_b", "scan_b", "likeness"])


def check_leakage(nearest: pd.DataFrame, images: pd.Series) -> None:
    """Refuse near copies; ``images`` names each scan's file.

    Raises
    ------
    StudyError
        With both files of every two scans that are nearer than two people ever are.
    """
    copies = [
        f"{images[row.scan_a]} ({row.split_a}) and {images[row.scan_b]} ({row.split_b}), likeness {row.likeness:.3f}"
        for row in nearest[nearest["likeness"] > NEAR_COPY].itertuples()
    ]
    if copies:
        raise StudyError(
            f"{'; '.join(copies)}: these are copies, or nearly (two people stay below {NEAR_COPY}), and a network "
            "would be tested on what it has seen; name one of each two in cohort.exclude, or give both one participant"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stores", type=Path, nargs="+", required=True, help="train.npy, then those held against it")
    parser.add_argument("--scans", type=Path, nargs="+", required=True, help="their tables in cohort/")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    nearest = nearest_scans({path.stem: open_store(path) for path in arguments.stores})
    check_leakage(nearest, pd.concat(map(read_table, arguments.scans)).set_index("scan")["image"])
    write_table(nearest, arguments.out)
    for row in nearest.itertuples():
        logging.info(
            "nearest of %s and %s: %s, %s: %.3f", row.split_a, row.split_b, row.scan_a, row.scan_b, row.likeness
        )


if __name__ == "__main__":
    run(main)
