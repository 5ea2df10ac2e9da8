"""Make the tables of the stage from what was measured of every method.

Reads ``measures.tsv`` of every method and check, and ``mean_maps.tsv`` and ``regions.tsv`` of their models. Writes

- ``l2_pairs.tsv``: method check outcome seed_a seed_b l2 rms, every pair of models once, l2 and rms empty where one of
  the two maps does not exist or is zero in every voxel compared;
- ``l2.tsv``: method check outcome n_models l2_mean l2_sum rms, over the pairs that have a value (Table 1 of Eitel and
  Ritter 2019); rms is their mean rms;
- ``top_regions_pairs.tsv``: method check metric seed_a seed_b overlap (share of the first k regions that two models
  have in common), every pair of models once, overlap empty where one of the two cannot name k regions (Figure 3);
- ``top_regions.tsv``: method check metric k overlap_mean overlap_with_diagonal chance, over the pairs that have a value
  (Table 2);
- ``overlap_curve.tsv``: method metric k overlap_mean chance, for every k: the mean over pairs of models, and that of
  two random rankings, k / n of n regions. A pair goes as far as the shorter of its two rankings;
- ``scores.tsv``, ``differences.tsv``, ``seeds.tsv``, ``variance.tsv``: see `heatproof.compare.scores.tabulate_scores`;
- ``networks.tsv``, where the study has several: see `heatproof.compare.scores.tabulate_networks`; all other tables but
  those of pairs are over pairs of models of the same network;
- ``notes.tsv``: see `heatproof.compare.gaps.notes_on`.

check is the sanity check whose maps a row is about, empty for the method's own. What no network of the study can have
has no row but in the notes.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from heatproof.command import json_option, run
from heatproof.compare.gaps import check_gaps, left_out_gaps, notes_on
from heatproof.compare.layout import gather_tables, split_name
from heatproof.compare.ranks import overlap_curve
from heatproof.compare.regions import METRICS
from heatproof.compare.scores import NAMES, tabulate_networks, tabulate_scores
from heatproof.images import load_array
from heatproof.models import model_name, network_of, of_one_network
from heatproof.possible import read_possible
from heatproof.tables import read_table, write_table
from heatproof.task import PATIENTS, Task, task_in

NAME = ["method", "check"]


def tabulate_l2(
    values: pd.DataFrame, maps: pd.DataFrame, within: str, voxels: int, task: Task = PATIENTS
) -> dict[str, pd.DataFrame]:
    """Make Table 1 and the table of its pairs.

    Parameters
    ----------
    values : DataFrame
        Rows of ``measures.tsv``, with all participants.
    maps : DataFrame
        ``mean_maps.tsv`` of every method, check and model.
    within : {"brain", "grid"}
        Where maps were compared.
    voxels : int
        How many there are.
    task : Task
    """
    pairs = values[values["measure"] == "l2_rms"].rename(columns={"value": "rms"})
    pairs["l2"] = pairs["rms"] * np.sqrt(voxels)
    shown = maps[maps["outcome"].isin(task.compared)].groupby([*NAME, "outcome"], sort=False)
    counts = shown[f"peak_{within}"].agg(np.count_nonzero).rename("n_models")
    means = (
        pairs[of_one_network(pairs)]
        .groupby([*NAME, "outcome"])
        .agg(l2_mean=("l2", "mean"), l2_sum=("l2", lambda l2: l2.sum(min_count=1)), rms=("rms", "mean"))
    )
    return {
        "l2_pairs": pairs[[*NAME, "outcome", "seed_a", "seed_b", "l2", "rms"]],
        "l2": counts.to_frame().join(means).reset_index(),
    }


def with_diagonal(mean: float, models: int) -> float:
    """Turn the mean over pairs of different models into that over the full matrix, whose diagonal is 1.

    Table 2 of Eitel and Ritter 2019 includes the comparison of each run with itself.
    """
    return (1 + (models - 1) * mean) / models


def tabulate_overlap(values: pd.DataFrame, names: pd.DataFrame, k: int) -> dict[str, pd.DataFrame]:
    """Make Table 2 and the table of its pairs.

    Parameters
    ----------
    values : DataFrame
        Rows of ``measures.tsv``, with all participants.
    names : DataFrame
        method and check of every row of Table 2, be there a value or not.
    k : int
        Regions whose overlap was measured.
    """
    measures = {f"top_{k}_{metric}": metric for metric in METRICS}
    pairs = values[values["measure"].isin(measures)].rename(columns={"value": "overlap"})
    pairs["metric"] = pairs["measure"].map(measures)
    within, rows = of_one_network(pairs), []
    for method, check in names.itertuples(index=False):
        for metric in METRICS:
            chosen = (pairs["method"] == method) & (pairs["check"] == check) & (pairs["metric"] == metric)
            named = pairs[chosen & within].dropna(subset="overlap")
            models = set(named["seed_a"]) | set(named["seed_b"])
            mean, models = named["overlap"].mean(), len(models) // max(len(set(map(network_of, models))), 1)
            whole = with_diagonal(mean, models) if models else np.nan
            rows.append((method, check, metric, k, mean, whole, named["chance"].mean()))
    columns = [*NAME, "metric", "k", "overlap_mean", "overlap_with_diagonal", "chance"]
    return {
        "top_regions_pairs": pairs[[*NAME, "metric", "seed_a", "seed_b", "overlap"]],
        "top_regions": pd.DataFrame(rows, columns=columns),
    }


def trace_overlap(regions: pd.DataFrame) -> pd.DataFrame:
    """Trace how many of the first k regions two models of a network share, for every k; regions are those of all."""
    networks, tables = regions["seed"].map(network_of), []
    for (method, _), rows in regions.groupby(["method", networks.rename("network")], sort=False):
        for metric in METRICS:
            rankings = [of_model[metric].to_numpy(float) for _, of_model in rows.groupby("seed", sort=False)]
            tables.append(overlap_curve(rankings).assign(method=method, metric=metric))
    table = pd.concat(tables)[["method", "metric", "k", "overlap_mean", "chance"]]
    several = networks.nunique() > 1
    return table.groupby(["method", "metric", "k"], sort=False).mean().reset_index() if several else table


def expected_rows(l2: pd.DataFrame, top: pd.DataFrame, group: str) -> pd.DataFrame:
    """List what Tables 1 and 2 (of a group) are about, be there a value or not: method, check, measure, outcome."""
    measures = "top_" + top["k"].astype(str) + "_" + top["metric"]
    return pd.concat([l2.assign(measure="l2_rms"), top.assign(measure=measures, outcome=group)])[NAMES]


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", required=True, type=Path, help="results/{study}/compare")
    parser.add_argument("--measures", required=True, nargs="+", type=Path, help="measures.tsv of methods and checks")
    parser.add_argument("--methods", required=True, nargs="+", help="the study's")
    parser.add_argument("--judged", required=True, nargs="+", help="those that are judged; all others bound them")
    parser.add_argument("--modelled", required=True, nargs="+", help="methods and checks that have a map of each model")
    parser.add_argument("--checks", nargs="*", default=[], help="sanity checks that explain another model")
    parser.add_argument("--seeds", required=True, type=model_name, nargs="+")
    parser.add_argument("--mask", required=True, help="brain_mask.nii.gz on the working grid")
    parser.add_argument("--possible", nargs="?", help="possible.tsv; what is not is left out")
    parser.add_argument("--effects", help="effects.tsv, where there are effects")
    parser.add_argument("--options", required=True, type=json_option, help="the config's compare as JSON")
    args = parser.parse_args()

    within, top_k, task = args.options["within"], args.options["top_k"], task_in(args.options)
    brain = load_array(args.mask, np.uint8) > 0
    voxels = np.count_nonzero(brain) if within == "brain" else brain.size
    tables = [read_table(path) for path in args.measures]
    values = pd.concat([table for table in tables if len(table)] or tables, ignore_index=True)
    possible = read_possible(args.possible)
    methods, judged, modelled = (
        [name for name in names if possible.somewhere(name)] for names in (args.methods, args.judged, args.modelled)
    )
    without_maps = set(args.modelled) - set(modelled)
    values = values[~(values["method"] + "." + values["check"]).str.rstrip(".").isin(without_maps)]
    maps = gather_tables(args.folder, modelled, args.seeds, "mean_maps.tsv")
    regions = gather_tables(args.folder, methods, args.seeds, "regions.tsv")

    names = maps[NAME].drop_duplicates()
    whole = values[values["left_out"] == 0].merge(names)
    made = tabulate_l2(whole, maps, within, voxels, task) | tabulate_overlap(whole, names, top_k)
    made |= {"overlap_curve": trace_overlap(regions)}
    expected = expected_rows(made["l2"], made["top_regions"], task.explained)
    made |= tabulate_scores(values[of_one_network(values)], expected, judged)
    if any(map(network_of, args.seeds)):
        made |= {"networks": tabulate_networks(values, [*judged, "effects"])}
    of_methods = maps[maps["method"].isin(methods) & (maps["check"] == "")]
    accuracy = read_table(args.folder / "accuracy.tsv")
    effects = read_table(args.effects) if args.effects else None
    named = pd.DataFrame(map(split_name, args.modelled), columns=NAME)
    left_out = [*left_out_gaps(possible, args.modelled, args.seeds), *check_gaps(named, args.judged, args.checks)]
    found = accuracy, of_methods, regions, made["scores"]
    made |= {"notes": notes_on(*found, within, top_k, effects, left_out, task)}
    for name, table in made.items():
        write_table(table, args.folder / f"{name}.tsv")


if __name__ == "__main__":
    run(main)
