"""Average the heatmaps of one method and model over the test scans of each outcome, and measure the mean maps.

Reads predictions, one heatmap per test scan and the template's regions. Writes into one folder:

- ``mean_{TP,TN,FP,FN}.nii.gz``: the signed mean over the scans of an outcome; where there is no such scan, zero in
  every voxel, since viewers and sums take that without harm, and ``mean_maps.tsv`` says that no scan is behind it;
- ``mean_maps.tsv``: outcome, n_scans, peak_brain and peak_grid (largest absolute value of the mean map there);
- ``regions.tsv``: what `heatproof.compare.regions.measure_regions` returns.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from heatproof.command import run
from heatproof.compare.outcomes import scans_by_outcome
from heatproof.compare.regions import control_map, measure_regions
from heatproof.errors import StudyError
from heatproof.images import load_array, load_image, save_image
from heatproof.regions import SCHEMES, merge_regions, relabel
from heatproof.tables import read_table, write_table


def mean_map(paths: Sequence[str | Path], shape: Sequence[int]) -> np.ndarray:
    """Average images one after another, so that memory does not grow with their number.

    Parameters
    ----------
    paths : sequence of path
        Images of that shape; none gives zero in every voxel.
    shape : sequence of 3 int
        Voxels along x, y, z.

    Returns
    -------
    ndarray of float32, shape (x, y, z)
        The mean, accumulated in float64.

    Raises
    ------
    StudyError
        If an image has a voxel that is not finite.
    """
    total = np.zeros(shape)
    for path in paths:
        heatmap = load_array(path)
        if not np.isfinite(heatmap).all():
            raise StudyError(f"{path} has voxels that are not finite; delete it so that it is made again")
        total += heatmap
    total /= max(len(paths), 1)
    return total.astype(np.float32)


def describe_maps(maps: dict[str, np.ndarray], counts: dict[str, int], brain: np.ndarray) -> pd.DataFrame:
    """Tabulate how many scans are behind each mean map, and its largest absolute value in the brain and anywhere."""
    rows = [
        (outcome, counts[outcome], float(np.abs(volume[brain]).max()), float(np.abs(volume).max()))
        for outcome, volume in maps.items()
    ]
    return pd.DataFrame(rows, columns=["outcome", "n_scans", "peak_brain", "peak_grid"])


def write_maps(
    maps: dict[str, np.ndarray],
    counts: dict[str, int],
    template: Path,
    out: Path,
    *,
    regions: str,
    relevance: str,
    gain_controls: str,
) -> None:
    """Write the mean maps of one method and model, what is behind them, and what their regions receive.

    Parameters
    ----------
    maps : dict of ndarray, each of shape (x, y, z)
        Mean map per outcome.
    counts : dict of int
        Scans behind each.
    template : Path
        Folder of brain_mask.nii.gz, regions.nii.gz and regions.tsv.
    out : Path
        Folder that is written.
    regions, relevance, gain_controls : str
        As in the config's ``compare`` section.
    """
    brain_image = load_image(template / "brain_mask.nii.gz")
    for outcome, volume in maps.items():
        save_image(volume, brain_image.affine, out / f"mean_{outcome}.nii.gz")
    write_table(describe_maps(maps, counts, np.asarray(brain_image.dataobj) > 0), out / "mean_maps.tsv")
    merged = merge_regions(read_table(template / "regions.tsv"), regions)
    numbers, names = relabel(load_array(template / "regions.nii.gz", np.int32), merged)
    measured = measure_regions(
        maps["TP"] if counts["TP"] else None,
        control_map(maps, counts, gain_controls),
        numbers,
        names,
        voxel_volume=abs(np.linalg.det(brain_image.affine)),
        relevance=relevance,
    )
    write_table(measured, out / "regions.tsv")


def output_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `write_maps` to a command."""
    parser.add_argument("--template", required=True, type=Path, help="folder of regions.nii.gz and brain_mask.nii.gz")
    parser.add_argument("--regions", choices=SCHEMES, default="hemispheres", help="how the atlas's labels are joined")
    parser.add_argument("--relevance", choices=["absolute", "signed"], default="absolute")
    parser.add_argument("--gain-controls", choices=["true_negatives", "all"], default="true_negatives")
    parser.add_argument("--out", required=True, type=Path, help="folder that is written")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--predictions", required=True, help="the model's predictions.tsv")
    parser.add_argument("--heatmaps", required=True, type=Path, help="folder of {scan}_heatmap.nii.gz")
    output_arguments(parser)
    arguments = vars(parser.parse_args())

    heatmaps, shape = arguments.pop("heatmaps"), load_image(arguments["template"] / "brain_mask.nii.gz").shape
    scans, maps = scans_by_outcome(read_table(arguments.pop("predictions"))), {}
    for outcome, names in scans.items():
        logging.info("%s: averaging %d heatmaps", outcome, len(names))
        maps[outcome] = mean_map([heatmaps / f"{name}_heatmap.nii.gz" for name in names], shape)
    write_maps(maps, {outcome: len(names) for outcome, names in scans.items()}, **arguments)


if __name__ == "__main__":
    run(main)
