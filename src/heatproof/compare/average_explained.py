"""Explain what a model sees in each scan of a store, and write means over groups of scans in place of heatmaps.

Writes what `heatproof.compare.average_maps` makes of the same heatmaps, which are summed in float64 where the network
runs, and not written. Beside that, a folder has the heatmaps of the scans whose regions are hidden, or given back their
health, in the heatmaps' order.
"""

import argparse
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from heatproof.attribute.deletion import recognised_scans
from heatproof.attribute.explain import (
    Job,
    add_arguments,
    explain_batch,
    for_job,
    is_constant,
    read_job,
    warn_of_constant,
    why_left_out,
)
from heatproof.attribute.unfinished import unfinished
from heatproof.command import json_option, run
from heatproof.compare.average_maps import means_of, write_maps
from heatproof.compare.outcomes import participant_groups
from heatproof.compare.unit_sums import Units, read_units, sum_units
from heatproof.images import load_image, save_heatmap
from heatproof.possible import leave_out
from heatproof.running import in_order
from heatproof.tables import read_table
from heatproof.task import scans_by_group, task_in

STATE = "sums.pt"
PAUSE = 300  # seconds, from which on sums are written for a job that may be killed


class Sums:
    """Sums of heatmaps over groups of scans, and of single heatmaps over units.

    Attributes
    ----------
    done : int
        Scans of the store that are in them.
    of_groups : dict of Tensor
        Sum in float64 over the scans of each outcome that has any, and group of participants: (groups, x, y, z).
    of_units : dict of DataFrame
        By scan.
    constant : int
        Heatmaps that have one value in all voxels.
    """

    def __init__(self):
        self.done, self.constant, self.of_groups, self.of_units = 0, 0, {}, {}

    def add(self, heatmap: Tensor, outcome: str, group: int, count: int) -> None:
        """Add a heatmap, where it lies, to the sum of a group."""
        if outcome not in self.of_groups:
            self.of_groups[outcome] = heatmap.new_zeros((count, *heatmap.shape), dtype=torch.float64)
        self.of_groups[outcome][group - 1] += heatmap

    def write(self, path: Path) -> None:
        """Write all of it to a file."""
        torch.save(vars(self), path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    def read(self, path: Path, device: torch.device) -> None:
        """Go on with what a file has."""
        if path.exists():
            vars(self).update(torch.load(path, map_location=device, weights_only=False))


def sum_explained(
    job: Job,
    predictions: pd.DataFrame,
    folder: Path,
    single: Sequence[str],
    count: int,
    units: Sequence[Units],
    batch_size: int,
) -> Sums:
    """Explain the scans of a store and sum their heatmaps; a job that was killed goes on with sums that it wrote.

    Parameters
    ----------
    job : Job
        With a store of one channel.
    predictions : DataFrame
        Of the model whose outcomes group the scans.
    folder : Path
        Where a killed job is gone on with, and where the heatmaps of some scans are written.
    single : sequence of str
        These scans.
    count : int
        Groups of participants.
    units : sequence of Units
        Over which heatmaps of the target's scans are summed.
    batch_size : int
        Scans that are explained at once.
    """
    sums, state, saved, task = Sums(), folder / STATE, time.monotonic(), job.store.task
    sums.read(state, job.device)
    outcomes, groups = scans_by_group(predictions, task), participant_groups(predictions, count, task)
    explained = set(predictions.loc[task.is_explained(predictions), "scan"]) if units else set()
    names = job.store.scans["scan"]
    options, batch_size, journals = for_job(job.options, batch_size, folder / "journal")
    with tqdm(total=len(names), unit="scan", mininterval=1, initial=sums.done) as progress:
        for batch in in_order(len(names), batch_size):
            if batch.stop <= sums.done:
                continue
            heatmaps = explain_batch(job.model, job.store.images[batch], job.store.scans[batch], options, job.device)
            for scan, heatmap in zip(names[batch], heatmaps, strict=True):
                for outcome in (outcome for outcome, scans in outcomes.items() if scan in scans):
                    sums.add(heatmap[0], outcome, groups[scan], count)
                sums.constant += is_constant(heatmap)
                if scan in explained:
                    sums.of_units[scan] = sum_units(heatmap[0].cpu().numpy(), units, scan)
                if scan in single:
                    save_heatmap(heatmap.cpu().numpy(), job.affine, folder / f"{scan}_heatmap.nii.gz")
            sums.done = batch.stop
            if journals or time.monotonic() - saved > PAUSE:
                sums.write(state)
                saved = time.monotonic()
            shutil.rmtree(folder / "journal", ignore_errors=True)
            progress.update(len(heatmaps))
    warn_of_constant(sums.constant, len(names))
    return sums


def write_means(sums: Sums, predictions: pd.DataFrame, template: Path, out: Path, options: Mapping) -> None:
    """Write the means that sums give; a group without scans has zero in every voxel."""
    task, count, maps, sizes = task_in(options), options["participant_groups"], {}, {}
    shape, groups = load_image(template / "brain_mask.nii.gz").shape, participant_groups(predictions, count, task)
    chosen = scans_by_group(predictions, task)
    for outcome, scans in chosen.items():
        total = sums.of_groups[outcome].cpu().numpy() if scans else np.zeros((count, *shape))
        members = np.bincount(groups[scans].to_numpy(int), minlength=1 + count)[1:]
        maps[outcome], sizes[outcome] = means_of(total, members)
    in_order_of_groups = dict.fromkeys(scan for scans in chosen.values() for scan in scans)
    of_scans = [sums.of_units[scan] for scan in in_order_of_groups if scan in sums.of_units]
    write_maps(maps, sizes, template, out, options, of_scans)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--predictions", required=True, help="the model's predictions.tsv")
    parser.add_argument("--compare", required=True, type=json_option, help="the config's compare as JSON")
    parser.add_argument("--single", type=int, nargs="*", default=[], help="numbers of recognised scans, as of deletion")
    parser.add_argument("--single-dir", type=Path, required=True, help="where their heatmaps are written")
    parser.add_argument("--out", required=True, type=Path, help="folder that is written")
    args = parser.parse_args()
    options, predictions = args.compare, read_table(args.predictions)
    if reason := why_left_out(args):
        leave_out(args.single_dir, reason)
        write_means(Sums(), predictions[:0], args.template, args.out, options)
        return
    job = read_job(args)
    single = [scan for most in args.single for scan in recognised_scans(predictions, most, args.task)]
    units, count = read_units(args.template, options), options["participant_groups"]
    settings = job.settings | {"compare": options, "single": args.single}
    with unfinished(args.single_dir, [*job.files, Path(args.predictions)], settings) as folder:
        sums = sum_explained(job, predictions, folder, single, count, units, args.batch_size)
        write_means(sums, predictions, args.template, args.out, options)
        (folder / STATE).unlink(missing_ok=True)


if __name__ == "__main__":
    run(main)
