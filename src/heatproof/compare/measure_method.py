"""Measure the mean maps of all models by one method, by every measure there is: ``measures.tsv``.

Columns: method check measure outcome left_out seed_a seed_b value chance. check is the sanity
check whose maps these are, empty for the method's own. seed_a and seed_b are the two models that are compared, or twice
the one that is measured. left_out is 0 where all test participants are behind the maps, or the group
of them that is not. An empty value is one that does not exist. What is measured:

- pairs of models: their maps over true positives and over true negatives, and their rankings of regions over true
  positives;
- where the truth is known, how well the map over true positives of each model localises it: the regions that were to
  change, and where there are healthy twins the voxels that did;
- where units were hidden, shown or given back their health, the areas under the curves of each model, averaged over
  scans;
- where the effects of units on the models are known, how far each model's map over true positives follows them, and how
  far the maps of pairs of models agree over these units.
"""

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from heatproof.command import json_option, run
from heatproof.compare.agreement import BrainMap
from heatproof.compare.curves import CURVES
from heatproof.compare.effects import effects_arguments, measure_by_units
from heatproof.compare.layout import gather_replicates, left_out_groups, mean_map_path, model_folder, split_name
from heatproof.compare.localisation import changed_voxels, region_effects, true_effects, true_voxels
from heatproof.compare.measures import (
    COLUMNS,
    CURVE,
    MAP,
    MAP_BY_CHANGE,
    PAIRS_OF_MAPS,
    PAIRS_OF_RANKINGS,
    RANKING,
    compare_pairs,
    measure_all,
    measures_of,
)
from heatproof.compare.outcomes import participant_groups
from heatproof.compare.regions import METRICS, regions_in_brain
from heatproof.images import load_array
from heatproof.models import model_name
from heatproof.tables import read_table, write_table
from heatproof.task import task_in


def mean_maps_of(folder: Path, method: str, seeds: Sequence[int], groups: Sequence[str]) -> pd.DataFrame:
    """List a method's mean maps over the scans of some groups: seed, outcome (the group), left_out, n_scans, path."""
    maps = gather_replicates(folder, method, seeds, "mean_maps.tsv")
    maps = maps[maps["outcome"].isin(groups)]
    paths = [
        mean_map_path(model_folder(folder, method, row.seed), row.outcome, row.left_out) for row in maps.itertuples()
    ]
    return maps.assign(path=paths)


def read_brain_map(path: Path, brain: np.ndarray, options: Mapping) -> BrainMap:
    """Read a map; options are the config's ``compare``."""
    volume = load_array(path)
    compared = volume.ravel() if options["within"] == "grid" else None
    return BrainMap(volume[brain], brain, options["top_percent"], compared)


def measure_agreement(
    folder: Path, method: str, seeds: Sequence[int], brain: np.ndarray, options: Mapping
) -> pd.DataFrame:
    """Compare all models by a method, with all participants and without each group of them.

    Parameters
    ----------
    folder : Path
        Of the stage; `heatproof.compare.average_maps.write_maps` has filled its model folders.
    method : str
    seeds : sequence of int
    brain : ndarray of bool, shape (x, y, z)
    options : mapping
        The config's ``compare``.

    Returns
    -------
    DataFrame
        The columns of ``measures.tsv`` but for method and check.
    """
    task, tables = task_in(options), []
    maps = mean_maps_of(folder, method, seeds, task.compared)
    for outcome, of_outcome in maps.groupby("outcome", sort=False):
        for left_out in left_out_groups(of_outcome):
            logging.info("%s, without group %d: comparing %d models", outcome, left_out, len(seeds))
            paths = of_outcome[of_outcome["left_out"] == left_out].set_index("seed")["path"]
            things = {seed: read_brain_map(path, brain, options) for seed, path in paths.items()}
            compared = compare_pairs(PAIRS_OF_MAPS, things, options)
            tables.append(compared.assign(outcome=outcome, left_out=left_out))
    regions = gather_replicates(folder, method, seeds, "regions.tsv")
    for left_out in left_out_groups(maps):
        chosen = regions[regions["left_out"] == left_out].groupby("seed", sort=False)
        for metric in METRICS:
            things = {seed: rows[metric].to_numpy(float) for seed, rows in chosen}
            compared = compare_pairs(PAIRS_OF_RANKINGS, things, options, metric)
            tables.append(compared.assign(outcome=task.explained, left_out=left_out))
    return pd.concat(tables)[COLUMNS]


def measure_localisation(
    folder: Path, method: str, seeds: Sequence[int], template: Path, truth: str, change: str | None, options: Mapping
) -> pd.DataFrame:
    """Hold every model's map over true positives against the truth, with all participants and without each group.

    Parameters
    ----------
    folder, method, seeds, options
        As for `measure_agreement`.
    template : Path
        Folder of brain_mask, regions and regions.tsv.
    truth : str
        ``ground_truth/regions.tsv``: region, prescribed.
    change : str or None
        ``change.nii.gz``, where there are healthy twins.
    """
    brain = load_array(template / "brain_mask.nii.gz", np.uint8) > 0
    labels, atlas = load_array(template / "regions.nii.gz", np.int32), read_table(template / "regions.tsv")
    effects = true_effects(labels, atlas, read_table(truth))
    true = true_voxels(effects, brain, truth)
    numbers, names = regions_in_brain(labels, atlas, brain, options["regions"])
    changes = load_array(change)[brain] if change else None
    by_change = () if changes is None else (changes, changed_voxels(changes, np.count_nonzero(true)))
    by_region = region_effects(effects, numbers, len(names))

    group = task_in(options).explained
    maps = mean_maps_of(folder, method, seeds, [group])
    regions = gather_replicates(folder, method, seeds, "regions.tsv").groupby(["seed", "left_out"])
    rows = []
    for row in maps[maps["left_out"].isin(left_out_groups(maps))].itertuples():
        values, scores = load_array(row.path)[brain], regions.get_group((row.seed, row.left_out))
        found = measure_all(MAP, (values, true), options)
        found += measure_all(MAP_BY_CHANGE, (values, *by_change), options) if by_change else []
        for metric in METRICS:
            found += measure_all(RANKING, (scores[metric].to_numpy(float), by_region), options, metric)
        rows += [(name, group, row.left_out, row.seed, row.seed, *measured) for name, *measured in found]
    return pd.DataFrame(rows, columns=COLUMNS)


def measure_curves(
    names: Sequence[str], curves: pd.DataFrame, predictions: pd.DataFrame, seed: int, options: Mapping
) -> pd.DataFrame:
    """Measure the curves of one model's scans, with all participants and without each group of them.

    Parameters
    ----------
    names : sequence of str
        Of the curves that were followed: keys of measures of a curve.
    curves : DataFrame
        scan, curve, order, share, value, as `heatproof.attribute.deletion` makes them; without a row if the model
        recognised no patient.
    predictions : DataFrame
        Of the model.
    seed : int
    options : mapping
        The config's ``compare``.
    """
    groups, rows = participant_groups(predictions, options["participant_groups"], task_in(options)), []
    group = task_in(options).explained
    for left_out in range(options["participant_groups"] + 1):
        kept = curves[curves["scan"].map(groups) != left_out]
        for name in names:
            measure, curve = measures_of(CURVE)[name], kept[kept["curve"] == name]
            found = measure.function(curve, options), measure.at_random(curve, options=options)
            rows.append((name, group, left_out, seed, seed, *found))
    return pd.DataFrame(rows, columns=COLUMNS)


def write_measures(tables: Mapping[str, Sequence[pd.DataFrame]], path: str) -> None:
    """Write ``measures.tsv`` of methods, or of checks of them, by their name; tables have `COLUMNS`."""
    named = []
    for name, of_name in tables.items():
        method, check = split_name(name)
        table = pd.concat([table for table in of_name if len(table)] or of_name)
        named.append(table.assign(method=method, check=check)[["method", "check", *COLUMNS]])
    write_table(pd.concat(named), path)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", required=True, type=Path, help="results/{study}/compare")
    parser.add_argument("--method", required=True)
    parser.add_argument("--seeds", required=True, type=model_name, nargs="+")
    parser.add_argument("--template", required=True, type=Path, help="folder of brain_mask, regions and regions.tsv")
    parser.add_argument("--truth", help="ground_truth/regions.tsv: region, prescribed; where it is known")
    parser.add_argument("--change", help="change.nii.gz: test patients less their healthy twins, where there are any")
    parser.add_argument("--curves", nargs="*", help="deletion_seed-{seed}.tsv of every model, where there are any")
    parser.add_argument("--recovery", nargs="*", help="recovery_seed-{seed}.tsv of every model, where there are any")
    effects_arguments(parser)
    parser.add_argument("--options", required=True, type=json_option, help="the config's compare as JSON")
    parser.add_argument("--out", required=True, help="measures.tsv")
    args = parser.parse_args()

    brain = load_array(args.template / "brain_mask.nii.gz", np.uint8) > 0
    tables = [measure_agreement(args.folder, args.method, args.seeds, brain, args.options)]
    if args.truth:
        localised = args.template, args.truth, args.change, args.options
        tables.append(measure_localisation(args.folder, args.method, args.seeds, *localised))
    for option, names in CURVES.items():
        files = zip(getattr(args, option) or (), args.predictions or (), args.seeds, strict=bool(getattr(args, option)))
        for curves, predictions, seed in files:
            tables.append(measure_curves(names, read_table(curves), read_table(predictions), seed, args.options))
    if args.effects:
        tables += measure_by_units(args)
    write_measures({args.method: tables}, args.out)


if __name__ == "__main__":
    run(main)
