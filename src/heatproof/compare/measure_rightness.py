"""Measure how right the mean map of every model is by one method, where the truth is known: ``rightness.tsv``.

Columns: measure outcome left_out seed value chance. left_out is 0 where all test participants are behind a map, or the
group of them that is not. Only maps over true positives are scored; the value of a map that is zero is empty.
"""

import argparse
import logging
from pathlib import Path

import numpy as np
import pandas as pd

from heatproof.command import run
from heatproof.compare.layout import gather_replicates, left_out_groups, mean_map_path, model_folder
from heatproof.compare.regions import region_sums, regions_in_brain
from heatproof.compare.rightness import score_regions, score_voxels, true_effects, true_voxels
from heatproof.images import load_array
from heatproof.regions import SCHEMES
from heatproof.tables import read_table, write_table


def region_effects(effects: np.ndarray, numbers: np.ndarray, count: int) -> np.ndarray:
    """Average true effects (x, y, z) over each of the regions 1..count; NaN for a region without a voxel."""
    voxels = region_sums(np.ones_like(effects), numbers, count, "signed")
    return region_sums(effects, numbers, count, "signed") / np.where(voxels > 0, voxels, np.nan)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", required=True, type=Path, help="results/{study}/compare")
    parser.add_argument("--method", required=True)
    parser.add_argument("--seeds", required=True, type=int, nargs="+")
    parser.add_argument("--template", required=True, type=Path, help="folder of brain_mask, regions and regions.tsv")
    parser.add_argument("--truth", required=True, help="ground_truth/regions.tsv: region, prescribed")
    parser.add_argument("--regions", choices=SCHEMES, default="hemispheres", help="how the atlas's labels are joined")
    parser.add_argument("--out", required=True, help="rightness.tsv")
    args = parser.parse_args()

    brain = load_array(args.template / "brain_mask.nii.gz", np.uint8) > 0
    labels, atlas = load_array(args.template / "regions.nii.gz", np.int32), read_table(args.template / "regions.tsv")
    effects = true_effects(labels, atlas, read_table(args.truth))
    true = true_voxels(effects, brain, args.truth)
    chance = {"pr_auc": true.mean(), "true_mass": true.mean(), "true_top": true.mean()}
    numbers, names = regions_in_brain(labels, atlas, brain, args.regions)
    by_region = region_effects(effects, numbers, len(names))

    maps = gather_replicates(args.folder, args.method, args.seeds, "mean_maps.tsv")
    maps = maps[maps["outcome"] == "TP"]
    maps = maps[maps["left_out"].isin(left_out_groups(maps))]
    regions = gather_replicates(args.folder, args.method, args.seeds, "regions.tsv").groupby(["seed", "left_out"])
    rows = []
    for row in maps.itertuples():
        logging.info("seed %d, without group %d", row.seed, row.left_out)
        path = mean_map_path(model_folder(args.folder, args.method, row.seed), "TP", row.left_out)
        voxels = score_voxels(load_array(path)[brain], true) if row.peak_brain > 0 else dict.fromkeys(chance, np.nan)
        scores = voxels | score_regions(regions.get_group((row.seed, row.left_out)), by_region)
        rows += [(name, "TP", row.left_out, row.seed, value, chance.get(name, 0.0)) for name, value in scores.items()]
    columns = ["measure", "outcome", "left_out", "seed", "value", "chance"]
    write_table(pd.DataFrame(rows, columns=columns), args.out)


if __name__ == "__main__":
    run(main)
