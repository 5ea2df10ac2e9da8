"""Measure how robust and how well localised the mean map of several models is: ``ensembles.tsv``.

Columns: measure n_models n_sets value predicted chance. Each map over true positives is scaled to a root mean square of
1 in the brain before models are averaged.

- ``pearson``, and ``top_{k}_sum`` where regions are ranked: how far the mean maps of two sets of n_models models agree
  that share none, for up to half of the models; for more, predicted says what the Spearman-Brown formula makes of two
  single models' correlation;
- where the truth is known, ``pr_auc`` and ``true_top`` of the mean map (see `heatproof.compare.localisation`), for up
  to all models.

value is the mean over n_sets of such sets: all, or of sets of several models 20 drawn ones where there are more. Models
whose map is zero, or the same everywhere, are left out. Sets are of models of one network; where a study has several, a
first column is the network.
"""

import argparse
import logging
from collections.abc import Sequence
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd

from heatproof.command import json_option, run
from heatproof.compare.ensembles import (
    correlation_of_means,
    covariances,
    draw_disjoint,
    draw_subsets,
    spearman_brown,
    unit_maps,
)
from heatproof.compare.layout import gather_tables, mean_map_path, model_folder
from heatproof.compare.localisation import pr_auc, true_effects, true_share, true_top, true_voxels
from heatproof.compare.ranks import chance_top_overlap, top_overlap
from heatproof.compare.regions import region_sums
from heatproof.generators import generator
from heatproof.images import load_array
from heatproof.models import model_name, network_of
from heatproof.regions import merge_regions, relabel
from heatproof.tables import read_table, write_table
from heatproof.task import task_in

MOST = 20  # sets of one size
FURTHER = (10, 20, 50, 100)  # sizes of sets for which robustness is predicted


def measure_robustness(
    maps: np.ndarray, numbers: np.ndarray, count: int, top_k: int, relevance: str = "absolute"
) -> pd.DataFrame:
    """Measure how far the mean maps of two sets of models agree that share none, against the size of the sets.

    Parameters
    ----------
    maps : ndarray of float, shape (models, voxels)
        Of a root mean square of 1.
    numbers : ndarray of int, shape (voxels,)
        Regions 1..count; 0 is outside of every region.
    count : int
        Number of regions.
    top_k : int
        Regions whose overlap is measured.
    relevance : {"absolute", "signed"}
        Which values are summed over a region.

    Returns
    -------
    DataFrame
        measure, n_models, n_sets, value, predicted, chance.
    """
    covariance, rows = covariances(maps), []
    for size in range(1, len(maps) // 2 + 1):
        most = MOST if size > 1 else comb(len(maps), 2)
        pairs = draw_disjoint(len(maps), size, most, generator("ensembles", "disjoint", str(size)))
        correlations = [correlation_of_means(covariance, a, b) for a, b in pairs]
        rows.append(("pearson", size, len(pairs), np.mean(correlations), np.nan, 0.0))
        overlaps = [overlap_of_means(maps[list(a)], maps[list(b)], numbers, count, top_k, relevance) for a, b in pairs]
        shared, chance = np.mean(overlaps, axis=0)
        rows.append((f"top_{top_k}_sum", size, len(pairs), shared, np.nan, chance))
    if rows:
        first = rows[0][3]
        sizes = {*range(len(maps) // 2 + 1, len(maps) + 1), *(size for size in FURTHER if size > len(maps))}
        rows += [("pearson", size, 0, np.nan, spearman_brown(first, size), 0.0) for size in sorted(sizes)]
    return pd.DataFrame(rows, columns=["measure", "n_models", "n_sets", "value", "predicted", "chance"])


def overlap_of_means(
    a: np.ndarray, b: np.ndarray, numbers: np.ndarray, count: int, top_k: int, relevance: str
) -> tuple[float, float]:
    """Return the share of top regions, by sum, that two sets' mean maps have in common, and that of random choices."""
    sums = [region_sums(maps.mean(axis=0), numbers, count, relevance) for maps in (a, b)]
    exists = np.bincount(numbers, minlength=count + 1)[1:] > 0
    rankings, options = [np.where(exists, values, np.nan) for values in sums], {"top_k": top_k}
    return top_overlap(*rankings, options), chance_top_overlap(*rankings, options)


def measure_localisation(maps: np.ndarray, true: np.ndarray) -> pd.DataFrame:
    """Measure how well the mean map of a set of models localises, by the size of the set; as `measure_robustness`."""
    rows = []
    for size in range(1, len(maps) + 1):
        sets = draw_subsets(len(maps), size, MOST, generator("ensembles", "subsets", str(size)))
        means = [maps[list(models)].mean(axis=0) for models in sets]
        for measure in (pr_auc, true_top):
            value = np.mean([measure(values, true, {}) for values in means])
            rows.append((measure.__name__, size, len(sets), value, np.nan, true_share(means[0], true, {})))
    return pd.DataFrame(rows, columns=["measure", "n_models", "n_sets", "value", "predicted", "chance"])


def measure_models(
    paths: Sequence[Path], brain: np.ndarray, numbers: np.ndarray, count: int, options: dict, true: np.ndarray | None
) -> pd.DataFrame:
    """Measure the mean maps of the models of one network.

    Parameters
    ----------
    paths : sequence of Path
        A map of each model.
    brain : ndarray of bool, shape (x, y, z)
    numbers, count
        As for `measure_robustness`.
    options : dict
        top_k and relevance.
    true : ndarray of bool, shape (voxels,), or None
        Voxels that truly changed, where they are known.

    Returns
    -------
    DataFrame
        As `measure_robustness` returns it.
    """
    maps = np.stack([load_array(path)[brain] for path in paths]) if paths else np.empty((0, brain.sum()))
    maps = unit_maps(maps[np.ptp(maps, axis=1) > 0])
    tables = [measure_robustness(maps, numbers, count, options["top_k"], options["relevance"])]
    if true is not None:
        tables.append(measure_localisation(maps, true))
    return pd.concat([table for table in tables if len(table)] or tables)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", required=True, type=Path, help="results/{study}/compare")
    parser.add_argument("--method", required=True)
    parser.add_argument("--seeds", required=True, type=model_name, nargs="+")
    parser.add_argument("--template", required=True, type=Path, help="folder of brain_mask, regions and regions.tsv")
    parser.add_argument("--options", required=True, type=json_option, help="the config's compare as JSON")
    parser.add_argument("--truth", help="ground_truth/regions.tsv: region, prescribed; where it is known")
    parser.add_argument("--out", required=True, help="ensembles.tsv")
    args = parser.parse_args()

    brain = load_array(args.template / "brain_mask.nii.gz", np.uint8) > 0
    labels, atlas = load_array(args.template / "regions.nii.gz", np.int32), read_table(args.template / "regions.tsv")
    numbers, names = relabel(labels, merge_regions(atlas, args.options["regions"]))
    group = task_in(args.options).explained
    described = gather_tables(args.folder, [args.method], args.seeds, "mean_maps.tsv")
    usable = described[(described["outcome"] == group) & (described["peak_brain"] > 0)]["seed"]
    logging.info("%s: averaging maps of up to %d models", args.method, len(usable))
    effects = true_effects(labels, atlas, read_table(args.truth)) if args.truth else None
    true = None if effects is None else true_voxels(effects, brain, args.truth)
    networks, tables = list(dict.fromkeys(map(network_of, args.seeds))), []
    for network in networks:
        seeds = usable[usable.map(network_of) == network]
        paths = [mean_map_path(model_folder(args.folder, args.method, seed), group) for seed in seeds]
        table = measure_models(paths, brain, numbers[brain], len(names), args.options, true)
        if len(networks) > 1:
            table.insert(0, "network", network)
        tables.append(table)
    write_table(pd.concat([table for table in tables if len(table)] or tables), args.out)


if __name__ == "__main__":
    run(main)
