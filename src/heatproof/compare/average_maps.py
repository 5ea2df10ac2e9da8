"""Average the heatmaps of one method and model over the test scans of each group, and measure the mean maps.

Reads predictions, one heatmap per test scan and the template's regions. Writes into one folder:

- ``mean_{TP,TN,FP,FN}.nii.gz``: the signed mean over the scans of a group, see `heatproof.task`; where there is no
  such scan, zero in every voxel, since viewers and sums take that without harm, and ``mean_maps.tsv`` says that no scan
  is behind it; so too where the heatmaps are left out, as the network cannot have the method;
- ``mean_maps.tsv``: outcome, n_scans, peak_brain and peak_grid (largest absolute value of the mean map there),
  span_brain and span_grid (its largest less its smallest value);
- ``regions.tsv``: what `heatproof.compare.regions.measure_regions` returns;
- where a study has effects, ``units.tsv``: scan unit_kind unit sum voxels, the signed sums of the map over true
  positives (scan ``mean``), and of the heatmap of every test scan of the target, over the units of the effects;
- ``left_out/``: the same once more for each group of test participants, without the scans of that group:
  ``group-{group}_mean_{TP,TN}.nii.gz``, and the tables of mean maps with the column left_out, the group. Intervals come
  from them.
"""

import argparse
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from heatproof.command import json_option, run
from heatproof.compare.layout import mean_map_path
from heatproof.compare.outcomes import participant_groups
from heatproof.compare.regions import measure_regions, reference_map, regions_in_brain
from heatproof.compare.unit_sums import MEAN, Units, read_units, sum_units
from heatproof.errors import StudyError
from heatproof.images import load_array, load_heatmap, load_image, save_image
from heatproof.possible import is_left_out
from heatproof.tables import read_table, write_table
from heatproof.task import PATIENTS, Task, scans_by_group, task_in


def read_heatmap(path: Path) -> np.ndarray:
    """Read a heatmap, of several channels their sum.

    Raises
    ------
    StudyError
        If it has a voxel that is not finite.
    """
    heatmap = load_heatmap(path)
    if not np.isfinite(heatmap).all():
        raise StudyError(f"{path} has voxels that are not finite; delete it so that it is made again")
    return heatmap


def mean_maps(
    images: Iterable[np.ndarray], groups: Sequence[int], count: int, shape: Sequence[int]
) -> tuple[np.ndarray, list[int]]:
    """Average images, and average them again without those of each group.

    Images are taken one after another, so that memory does not grow with their number.

    Parameters
    ----------
    images : iterable of n ndarray
        Images of that shape; none gives zero in every voxel.
    groups : sequence of n int
        Group of each image, 1 to ``count``.
    count : int
        Number of groups.
    shape : sequence of 3 int
        Voxels along x, y, z.

    Returns
    -------
    maps : ndarray of float32, shape (1 + count, x, y, z)
        The mean of all images, then the mean without group 1, 2, ...; accumulated in float64.
    sizes : list of int
        Number of images behind each.
    """
    sums = np.zeros((count, *shape))
    for image, group in zip(images, groups, strict=True):
        sums[group - 1] += image
    return means_of(sums, np.bincount(np.asarray(groups, int), minlength=1 + count)[1:])


def means_of(sums: np.ndarray, members: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """Return what `mean_maps` does from the sum of each group's images in float64, and the number of its images."""
    count = len(sums)
    kept = [[other for other in range(count) if other != left_out - 1] for left_out in range(1 + count)]
    sizes = [int(members[others].sum()) for others in kept]
    maps = np.zeros((1 + count, *sums.shape[1:]), np.float32)
    for volume, others, size in zip(maps, kept, sizes, strict=True):
        volume[:] = sum(sums[other] for other in others) / max(size, 1)
    return maps, sizes


def average_outcomes(
    predictions: pd.DataFrame,
    heatmaps: Path,
    count: int,
    shape: Sequence[int],
    units: Sequence[Units] = (),
    task: Task = PATIENTS,
) -> tuple[dict[str, np.ndarray], dict[str, list[int]], list[pd.DataFrame]]:
    """Average the heatmaps of each group, with all test participants and without each of ``count`` groups.

    Returns
    -------
    maps : dict of ndarray
    sizes : dict of list of int
        What `mean_maps` returns, by group.
    sums : list of DataFrame
        What `sum_units` returns for the heatmap of each scan of the target; none without units.
    """
    groups, sums = participant_groups(predictions, count, task), {}
    explained = set(predictions.loc[task.is_explained(predictions), "scan"]) if units else set()

    def read(scan: str) -> np.ndarray:
        heatmap = read_heatmap(heatmaps / f"{scan}_heatmap.nii.gz")
        if scan in explained - sums.keys():
            sums[scan] = sum_units(heatmap, units, scan)
        return heatmap

    maps, sizes = {}, {}
    for outcome, names in scans_by_group(predictions, task).items():
        logging.info("%s: averaging %d heatmaps", outcome, len(names))
        maps[outcome], sizes[outcome] = mean_maps(map(read, names), groups[names], count, shape)
    return maps, sizes, list(sums.values())


def describe_maps(maps: dict[str, np.ndarray], counts: dict[str, int], brain: np.ndarray) -> pd.DataFrame:
    """Tabulate how many scans are behind each mean map, and its peak and its span, in the brain and anywhere."""
    rows = []
    for outcome, volume in maps.items():
        row = {"outcome": outcome, "n_scans": counts[outcome]}
        places = {"brain": volume[brain], "grid": volume}
        row |= {f"peak_{place}": float(np.abs(voxels).max()) for place, voxels in places.items()}
        rows.append(row | {f"span_{place}": float(np.ptp(voxels)) for place, voxels in places.items()})
    return pd.DataFrame(rows)


def write_maps(
    maps: dict[str, np.ndarray],
    sizes: dict[str, list[int]],
    template: Path,
    out: Path,
    options: Mapping,
    of_scans: Sequence[pd.DataFrame] = (),
    signs: bool = True,
) -> None:
    """Write the mean maps of one method and model, what is behind them, and what their regions and units receive.

    Parameters
    ----------
    maps, sizes : dict
        As `average_outcomes` returns them: with all test participants, then without each group of them.
    template : Path
        Folder of brain_mask.nii.gz, regions.nii.gz and regions.tsv.
    out : Path
        Folder that is written.
    options : mapping
        regions, relevance and gain_controls as in the config's ``compare`` section, cubes as `read_units` takes it, and
        the task.
    of_scans : sequence of DataFrame
        Sums of single scans' maps over units, as `average_outcomes` returns them.
    signs : bool
        Whether the maps' signs say what speaks for and against a class; if not, units have sums of absolute values.
    """
    brain_image = load_image(template / "brain_mask.nii.gz")
    brain, voxel_volume = np.asarray(brain_image.dataobj) > 0, abs(np.linalg.det(brain_image.affine))
    labels, atlas = load_array(template / "regions.nii.gz", np.int32), read_table(template / "regions.tsv")
    numbers, names = regions_in_brain(labels, atlas, brain, options["regions"])
    units, task = read_units(template, options), task_in(options)
    described, measured, summed = [], [], []
    for left_out in range(len(maps[task.explained])):
        chosen = {outcome: volumes[left_out] for outcome, volumes in maps.items()}
        counts = {outcome: behind[left_out] for outcome, behind in sizes.items()}
        described.append(describe_maps(chosen, counts, brain).assign(left_out=left_out))
        explained = chosen[task.explained] if counts[task.explained] else None
        reference = reference_map(chosen, counts, task.reference_groups(options["gain_controls"]))
        sized = {"voxel_volume": voxel_volume, "relevance": options["relevance"]}
        table = measure_regions(explained, reference, numbers, names, **sized)
        measured.append(table.assign(left_out=left_out))
        if units:
            sums = sum_units(explained, units, MEAN, "signed" if signs else "absolute")
            summed.append(sums.assign(left_out=left_out))
        for outcome, volume in chosen.items():
            if left_out == 0 or outcome in task.compared:
                save_image(volume, brain_image.affine, mean_map_path(out, outcome, left_out))
    tables = {"mean_maps.tsv": (described, []), "regions.tsv": (measured, [])}
    tables |= {"units.tsv": (summed, of_scans)} if units else {}
    for name, (of_means, further) in tables.items():
        write_table(pd.concat([of_means[0].drop(columns="left_out"), *further]), out / name)
        write_table(pd.concat(of_means[1:]), out / "left_out" / name)


def output_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a command that ends with `write_maps`."""
    parser.add_argument("--template", required=True, type=Path, help="folder of regions.nii.gz and brain_mask.nii.gz")
    parser.add_argument("--options", required=True, type=json_option, help="the config's compare as JSON")
    parser.add_argument("--out", required=True, type=Path, help="folder that is written")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--predictions", required=True, help="the model's predictions.tsv")
    parser.add_argument("--heatmaps", required=True, type=Path, help="folder of {scan}_heatmap.nii.gz")
    output_arguments(parser)
    args = parser.parse_args()

    shape = load_image(args.template / "brain_mask.nii.gz").shape
    groups = args.options["participant_groups"]
    units = read_units(args.template, args.options)
    predictions = read_table(args.predictions)[: 0 if is_left_out(args.heatmaps) else None]
    maps, sizes, sums = average_outcomes(predictions, args.heatmaps, groups, shape, units, task_in(args.options))
    write_maps(maps, sizes, args.template, args.out, args.options, sums)


if __name__ == "__main__":
    run(main)
