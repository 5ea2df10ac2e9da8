"""Pack the registered scans of one split, or the twins, into a store: one memory-mapped array, scaled to 0..1."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from heatproof.command import json_option, run
from heatproof.errors import StudyError
from heatproof.images import load_array
from heatproof.tables import read_table, write_table


def scale_intensity(scan: np.ndarray, brain: np.ndarray, percentiles: Sequence[float]) -> np.ndarray:
    """Scale a scan linearly so that two percentiles of its brain become 0 and 1, clip it there, and mask it.

    Parameters
    ----------
    scan : ndarray, shape (x, y, z)
    brain : ndarray of bool, shape (x, y, z)
    percentiles : (low, high)
        0 and 100 are the minimum and maximum, the scaling of Böhle et al. 2019.

    Raises
    ------
    StudyError
        If both percentiles have the same intensity.
    """
    low, high = np.percentile(scan[brain], percentiles)
    if not high > low:
        raise StudyError("has no contrast in the brain; look at its registration, or name it in cohort.exclude")
    return np.where(brain, np.clip((scan - low) / (high - low), 0, 1), 0)


def pack_scans(
    names: Sequence[str], images: Sequence[Path], mask: Path, percentiles: Sequence[float], out: Path
) -> None:
    """Write the store's array, float16 of shape (scans, x, y, z), reading one scan at a time."""
    brain, refused = load_array(mask) > 0, []
    store = np.lib.format.open_memmap(out, "w+", np.float16, (len(names), *brain.shape))
    for i, (name, image) in enumerate(zip(tqdm(names, desc="packing", unit="scan"), images, strict=True)):
        scan = load_array(image)
        if scan.shape != brain.shape:
            raise StudyError(f"{image} has shape {scan.shape}, the working grid {brain.shape}; delete it to redo it")
        try:
            store[i] = scale_intensity(scan, brain, percentiles)
        except StudyError as error:
            refused.append(f"{name} {error}")
    if refused:
        raise StudyError("; ".join(refused))
    store.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=Path, required=True, help="the split's table of scans")
    parser.add_argument("--split", required=True, help="train, validation, test or twins")
    parser.add_argument("--registered", required=True, help="path of a registered scan, with {scan} for its name")
    parser.add_argument("--mask", type=Path, required=True, help="brain mask on the working grid")
    parser.add_argument("--intensity", type=json_option, required=True, help="two percentiles, as JSON")
    parser.add_argument("--out", type=Path, required=True, help="the .npy to write; its table goes beside it")
    arguments = parser.parse_args()
    scans = read_table(arguments.scans)
    scans = scans[scans["split"] == arguments.split]
    if arguments.split != "test":
        scans = scans.dropna(subset="label")
    names = list(scans["twin"] if arguments.split == "twins" else scans["scan"])
    images = [Path(arguments.registered.format(scan=name)) for name in names]
    pack_scans(names, images, arguments.mask, arguments.intensity, arguments.out)
    write_table(scans[["scan", "participant_id", "label"]], arguments.out.with_suffix(".tsv"))


if __name__ == "__main__":
    run(main)
