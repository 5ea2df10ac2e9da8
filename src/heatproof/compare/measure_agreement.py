"""Measure how far every two models agree by one method: ``agreement.tsv``, by every measure that compares pairs.

Columns: measure outcome left_out seed_a seed_b value chance. left_out is 0 where all test participants are behind the
maps, or the group of them that is not. An empty value is one that does not exist.
"""

import argparse
import logging
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from heatproof.command import run
from heatproof.compare.agreement import compare_voxels
from heatproof.compare.compare_maps import compare_models
from heatproof.compare.compare_regions import compare_rankings
from heatproof.compare.layout import gather_replicates, left_out_groups, mean_map_path, model_folder
from heatproof.compare.ranks import (
    chance_overlaps,
    overlaps,
    rank_biased_overlap,
    rank_correlation,
    rankable,
)
from heatproof.compare.regions import METRICS
from heatproof.images import load_array
from heatproof.tables import write_table


def compare_all_voxels(maps: pd.DataFrame, brain: np.ndarray, within: str, percent: float) -> pd.DataFrame:
    """Compare the maps of one outcome between all models by every measure of voxels.

    Parameters
    ----------
    maps : DataFrame
        One row per model: seed, path, peak_brain, peak_grid.
    brain : ndarray of bool, shape (x, y, z)
    within : {"brain", "grid"}
        The voxels that the L2 norm is taken over; the other measures take those of the brain.
    percent : float
        Voxels that count as top ones.

    Returns
    -------
    DataFrame
        measure, seed_a, seed_b, value, chance; value is NaN for a map that is zero.
    """
    mask = brain if within == "brain" else np.ones_like(brain)
    table = compare_models(maps.assign(peak=maps[f"peak_{within}"]), maps["seed"], mask)
    table = table.drop(columns="l2").rename(columns={"rms": "l2_rms"}).set_index(["seed_a", "seed_b"])
    usable = maps[maps["peak_brain"] > 0]
    compared = compare_voxels([load_array(path)[brain] for path in usable["path"]], brain, percent)
    compared.index = pd.MultiIndex.from_tuples(combinations(usable["seed"], 2), names=["seed_a", "seed_b"])
    of_dice = compared.pop("chance")
    table = table.join(compared).melt(ignore_index=False, var_name="measure")
    chance = table["measure"].map({"pearson": 0.0, "spearman": 0.0, "ssim": 0.0})
    return table.assign(chance=chance.where(table["measure"] != f"dice_{percent:g}", of_dice)).reset_index()


def compare_all_regions(regions: pd.DataFrame, top_k: int, rbo_p: float) -> Iterator[pd.DataFrame]:
    """Compare the regions of all models by every measure of rankings.

    Parameters
    ----------
    regions : DataFrame
        One row per model and region: seed, sum, density, gain.
    top_k : int
        Regions whose overlap is measured.
    rbo_p : float
        Persistence of the rank-biased overlap.

    Yields
    ------
    DataFrame
        measure, seed_a, seed_b, value, chance.
    """
    for metric in METRICS:
        values = {seed: rows[metric].to_numpy(float) for seed, rows in regions.groupby("seed", sort=False)}
        pairs = compare_rankings(values, top_k)
        yield pairs.rename(columns={"overlap": "value"}).assign(measure=f"top_{top_k}_{metric}")
        pairs = pairs[["seed_a", "seed_b"]]
        couples = list(combinations(map(rankable, values.values()), 2))
        rbo = [rank_biased_overlap(overlaps(a, b), rbo_p) for a, b in couples]
        chance = [rank_biased_overlap(chance_overlaps(a, b), rbo_p) for a, b in couples]
        yield pairs.assign(measure=f"rbo_{metric}", value=rbo, chance=chance)
        correlations = [rank_correlation(a, b) for a, b in couples]
        yield pairs.assign(measure=f"region_spearman_{metric}", value=correlations, chance=0.0)


def measure_models(
    folder: Path,
    method: str,
    seeds: Sequence[int],
    template: Path,
    *,
    within: str,
    top_k: int,
    top_percent: float,
    rbo_p: float,
) -> pd.DataFrame:
    """Compare all models of a method by every measure, with all participants and without each group of them.

    Parameters
    ----------
    folder : Path
        Of the stage; `heatproof.compare.average_maps.write_maps` has filled its model folders.
    method : str
    seeds : sequence of int
    template : Path
        Folder of brain_mask.nii.gz.
    within, top_k, top_percent, rbo_p
        As in the config's ``compare`` section.

    Returns
    -------
    DataFrame
        The columns of ``agreement.tsv``.
    """
    brain = load_array(template / "brain_mask.nii.gz", np.uint8) > 0
    maps = gather_replicates(folder, method, seeds, "mean_maps.tsv")
    maps = maps[maps["outcome"].isin(["TP", "TN"])]
    maps["path"] = [
        mean_map_path(model_folder(folder, method, row.seed), row.outcome, row.left_out) for row in maps.itertuples()
    ]
    regions = gather_replicates(folder, method, seeds, "regions.tsv")
    tables = []
    for outcome, of_outcome in maps.groupby("outcome", sort=False):
        for left_out in left_out_groups(of_outcome):
            logging.info("%s, without group %d: comparing %d models", outcome, left_out, len(seeds))
            chosen = of_outcome[of_outcome["left_out"] == left_out]
            compared = compare_all_voxels(chosen, brain, within, top_percent)
            tables.append(compared.assign(outcome=outcome, left_out=left_out))
    for left_out in left_out_groups(maps):
        for compared in compare_all_regions(regions[regions["left_out"] == left_out], top_k, rbo_p):
            tables.append(compared.assign(outcome="TP", left_out=left_out))
    return pd.concat(tables)[["measure", "outcome", "left_out", "seed_a", "seed_b", "value", "chance"]]


def comparison_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a command that ends with `measure_models`."""
    parser.add_argument("--within", choices=["brain", "grid"], default="brain", help="the voxels of the L2 norm")
    parser.add_argument("--top-k", type=int, default=10, help="regions whose overlap is measured")
    parser.add_argument("--top-percent", type=float, default=5, help="voxels whose overlap is measured")
    parser.add_argument("--rbo-p", type=float, default=0.9, help="persistence of the rank-biased overlap")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", required=True, type=Path, help="results/{study}/compare")
    parser.add_argument("--method", required=True)
    parser.add_argument("--seeds", required=True, type=int, nargs="+")
    parser.add_argument("--template", required=True, type=Path, help="folder of brain_mask.nii.gz")
    comparison_arguments(parser)
    parser.add_argument("--out", required=True, help="agreement.tsv")
    arguments = vars(parser.parse_args())

    out = arguments.pop("out")
    write_table(measure_models(**arguments), out)


if __name__ == "__main__":
    run(main)
