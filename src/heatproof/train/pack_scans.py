"""Pack the registered scans of one split, or the twins, into a store: one memory-mapped array, scaled and masked."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from heatproof.command import json_option, run
from heatproof.errors import StudyError
from heatproof.images import load_array
from heatproof.tables import read_table, write_table

MOST_ROUNDING = 0.01  # of the brain's standard deviation
Intensity = str | Sequence[float]


def scale_intensity(scan: np.ndarray, brain: np.ndarray, intensity: Intensity) -> np.ndarray:
    """Scale a scan linearly by what its brain holds, and set what lies outside to 0.

    Where ``brain`` is the whole grid, that is all of the scan.

    Parameters
    ----------
    scan : ndarray, shape (x, y, z)
    brain : ndarray of bool, shape (x, y, z)
    intensity : (low, high), "zscore" or "none"
        Percentiles that become 0 and 1, where the scan is clipped; 0 and 100 are the minimum and maximum, the scaling
        of Böhle et al. 2019. Or mean 0 and standard deviation 1 in the brain: what is outside is its mean. Or nothing.

    Raises
    ------
    StudyError
        If the brain has no contrast, or its intensities cannot be told apart in half precision.
    """
    low, high = np.percentile(scan[brain], [0, 100] if isinstance(intensity, str) else intensity)
    if not high > low:
        raise StudyError("has no contrast in the brain; look at its registration, or name it in cohort.exclude")
    if intensity == "none":
        check_half_precision(scan[brain].astype(np.float64))
        return np.where(brain, scan, 0)
    if intensity == "zscore":
        inside = scan[brain].astype(np.float64)
        return np.where(brain, (scan - inside.mean()) / inside.std(), 0)
    return np.where(brain, np.clip((scan - low) / (high - low), 0, 1), 0)


def check_half_precision(inside: np.ndarray) -> None:
    """Refuse intensities in a brain that are too large for float16, or too alike for its 11 bits."""
    with np.errstate(over="ignore"):
        rounding = inside - inside.astype(np.float16)
    if not np.sqrt(np.mean(rounding**2)) <= MOST_ROUNDING * inside.std():
        raise StudyError(
            f"has intensities from {inside.min():.4g} to {inside.max():.4g} in the brain, which half precision (up to "
            "65504, 11 bits) cannot hold; set train.intensity to zscore or percentiles, or scale the scans"
        )


def pack_scans(
    names: Sequence[str],
    images: Sequence[Sequence[Path]],
    mask: Path,
    intensity: Intensity,
    out: Path,
    within: str = "brain",
) -> None:
    """Write the store's array, see `heatproof.store`, from the images of each scan, its channels, one at a time."""
    brain, refused = load_array(mask) > 0, []
    brain |= within == "grid"
    channels = {len(paths) for paths in images} - {1}
    store = np.lib.format.open_memmap(out, "w+", np.float16, (len(names), *channels, *brain.shape))
    for i, (name, paths) in enumerate(zip(tqdm(names, desc="packing", unit="scan"), images, strict=True)):
        scans = []
        for image in paths:
            scan = load_array(image)
            if scan.shape != brain.shape:
                raise StudyError(
                    f"{image} has shape {scan.shape}, the working grid {brain.shape}; delete it to redo it"
                )
            try:
                scans.append(scale_intensity(scan, brain, intensity))
            except StudyError as error:
                refused.append(f"{name} {error}")
        if len(scans) == len(paths):
            store[i] = np.stack(scans) if channels else scans[0]
    if refused:
        raise StudyError("; ".join(refused))
    store.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=Path, required=True, help="the split's table of scans")
    parser.add_argument("--split", required=True, help="train, validation, test or twins")
    parser.add_argument(
        "--registered", nargs="+", required=True, help="paths of a scan's channels, with {scan} for its name"
    )
    parser.add_argument("--mask", type=Path, required=True, help="brain mask on the working grid")
    parser.add_argument("--intensity", type=json_option, required=True, help="two percentiles, zscore or none, as JSON")
    parser.add_argument(
        "--within", choices=["brain", "grid"], default="brain", help="the voxels that are scaled and kept"
    )
    parser.add_argument("--out", type=Path, required=True, help="the .npy to write; its table goes beside it")
    arguments = parser.parse_args()
    scans = read_table(arguments.scans)
    scans = scans[scans["split"] == arguments.split]
    if arguments.split != "test":
        scans = scans.dropna(subset="label")
    names = list(scans["twin"] if arguments.split == "twins" else scans["scan"])
    images = [[Path(pattern.format(scan=name)) for pattern in arguments.registered] for name in names]
    pack_scans(names, images, arguments.mask, arguments.intensity, arguments.out, arguments.within)
    write_table(scans[["scan", "participant_id", "label"]], arguments.out.with_suffix(".tsv"))


if __name__ == "__main__":
    run(main)
