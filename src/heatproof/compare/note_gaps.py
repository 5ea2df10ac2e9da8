"""Say in words why cells of this stage's tables are empty: ``notes.tsv``, one row per reason.

Columns: method seed reason. An empty method means that the reason holds under every method, an empty seed that it
holds for every model. A study without gaps has a table without rows.
"""

import argparse
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from heatproof.command import run
from heatproof.compare.compare_regions import why_unranked
from heatproof.compare.layout import model_folder
from heatproof.compare.outcomes import OUTCOMES
from heatproof.compare.regions import METRICS
from heatproof.tables import read_table, write_table

ROUNDING = 1e-6  # share of a map's peak, of which differences between voxels say nothing


def accuracy_gaps(accuracy: dict[str, float]) -> Iterator[str]:
    """Name what a row of ``accuracy.tsv`` lacks, and the outcomes that no map could be averaged over."""
    for label, hit, miss in (("patient", "n_TP", "n_FN"), ("control", "n_TN", "n_FP")):
        if accuracy[hit] + accuracy[miss] == 0:
            yield f"no {label} among the test scans"
    for outcome in ("TP", "TN"):
        if accuracy[f"n_{outcome}"] == 0:
            yield f"no {OUTCOMES[outcome]}"


def map_gaps(maps: pd.DataFrame, within: str) -> Iterator[str]:
    """Name the mean maps in one ``mean_maps.tsv`` that have scans behind them but one value in all voxels."""
    shown = maps[maps["outcome"].isin(["TP", "TN"]) & (maps["n_scans"] > 0)]
    flat = shown[shown[f"span_{within}"] <= ROUNDING * shown[f"peak_{within}"]]
    for outcome, peak in zip(flat["outcome"], flat[f"peak_{within}"], strict=True):
        value = "the same" if peak else "zero"
        yield f"the mean map over {OUTCOMES[outcome]}s is {value} in every voxel of the {within}"


def grid_gaps(regions: pd.DataFrame) -> Iterator[str]:
    """Name the regions that the working grid is too coarse for, or that the brain mask leaves out."""
    for region in regions.loc[regions["n_voxels"] == 0, "region"]:
        yield f"{region} has no voxel of the working grid in the brain"


def region_gaps(regions: pd.DataFrame, top_k: int) -> Iterator[str]:
    """Name what one ``regions.tsv`` lacks beside `grid_gaps`, unless the patients' relevance is missing as a whole."""
    present = regions[regions["n_voxels"] > 0]
    if present["sum"].isna().all():
        return
    without_gain = np.count_nonzero(present["gain"].isna())
    if without_gain:
        yield f"{without_gain} of {len(regions)} regions have no gain: the controls' relevance there is 0, or negative"
    for metric in METRICS:
        if reason := why_unranked(regions[metric].to_numpy(), top_k):
            yield f"regions are not ranked by {metric}: {reason}"


def score_gaps(scores: pd.DataFrame) -> Iterator[str]:
    """Name the measures of one method in ``scores.tsv`` that have no value, or no interval."""
    names = scores["measure"] + " (" + scores["outcome"] + ")"
    without_value = scores["value"].isna()
    without_interval = scores["low"].isna() & ~without_value
    if without_value.any():
        yield f"no value of {', '.join(names[without_value])}: fewer than 2 models can be compared, or none has a map"
    if without_interval.any():
        measures = "any measure" if without_interval.all() else ", ".join(names[without_interval])
        yield (
            f"no interval of {measures}: fewer than 3 models, or 2 groups of participants, can be left out in turn, "
            "or nothing changes without them"
        )


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", required=True, type=Path, help="results/{study}/compare")
    parser.add_argument("--methods", required=True, nargs="+")
    parser.add_argument("--seeds", required=True, type=int, nargs="+")
    parser.add_argument("--within", choices=["brain", "grid"], default="brain", help="the voxels that are compared")
    parser.add_argument("--top-k", type=int, default=10, help="how many regions are compared")
    parser.add_argument("--out", required=True, help="notes.tsv")
    args = parser.parse_args()

    notes = []
    for row in read_table(args.folder / "accuracy.tsv").to_dict("records"):
        notes += [(None, row["seed"], reason) for reason in accuracy_gaps(row)]
    for method, seed in product(args.methods, args.seeds):
        folder = model_folder(args.folder, method, seed)
        regions = read_table(folder / "regions.tsv")
        reasons = [*map_gaps(read_table(folder / "mean_maps.tsv"), args.within), *region_gaps(regions, args.top_k)]
        notes += [(method, seed, reason) for reason in reasons]
    notes += [(None, None, reason) for reason in grid_gaps(regions)]
    measured = read_table(args.folder / "scores.tsv").query("kind == 'method'")
    for method, scores in measured.groupby("method", sort=False):
        notes += [(method, None, reason) for reason in score_gaps(scores)]
    write_table(pd.DataFrame(notes, columns=["method", "seed", "reason"]).astype({"seed": "Int64"}), args.out)


if __name__ == "__main__":
    run(main)
