"""Give cubes of test scans back their health in the order of a method's heatmaps, of the effects, or at random.

Writes ``recovery_seed-{seed}.tsv``: scan curve order n_units share value, for scans of the target that the model
recognised and whose margin is above that of the healthy scan. curve is ``recovery``; order is ``map``, by the signed
density of the scan's own heatmap in the cubes, ``effects``, by their effects on the model, or ``random``, the mean over
some orders drawn for the scan that are the same for all methods and models; share is n_units by the number of cubes;
value is the share of the margin's gap that is closed. A cube's health is the twin's, or of scans without one the mean
control's.

Without heatmaps the two orders are followed that all methods share; with heatmaps their curves are read.
"""

import argparse
import logging
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from heatproof.attribute.deletion import (
    all_curves,
    curve_table,
    rank_units,
    recognised_scans,
    recovery_curve,
    steps,
)
from heatproof.command import run
from heatproof.device import prepare_device
from heatproof.generators import generator
from heatproof.images import load_heatmap
from heatproof.possible import is_left_out
from heatproof.store import open_store, with_channels
from heatproof.tables import read_table, write_table
from heatproof.task import task_argument
from heatproof.train.network import load_model
from heatproof.units import units_of

RANDOM_ORDERS = 5  # whose mean is taken


def rank_by_effects(effects: pd.DataFrame, scan: str, names: list[str]) -> np.ndarray:
    """Return the cubes' numbers in the order of their mean effect on the model in a scan, the highest first.

    Parameters
    ----------
    effects : DataFrame
        As `heatproof.attribute.measure_effects` writes them; those by the twin are taken where there are any.
    scan : str
    names : list of str
        Of the cubes 1..n.
    """
    rows = effects[(effects["scan"] == scan) & (effects["unit_kind"] == "cubes")]
    by_twin = rows[rows["reference"] == "twin"]
    rows = (by_twin if len(by_twin) else rows).sort_values("effect", ascending=False, kind="stable")
    number = {name: place for place, name in enumerate(names, start=1)}
    return rows["unit"].map(number).to_numpy()


def shared_orders(ranked: np.ndarray, scan: str) -> dict[str, list[np.ndarray]]:
    """Return the orders that all methods share: by the effects, and at random."""
    draws = [generator("recovery", scan, str(draw)) for draw in range(RANDOM_ORDERS)]
    return {"effects": [ranked], "random": [draw.permutation(np.sort(ranked)) for draw in draws]}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="model.safetensors, the trained one")
    parser.add_argument("--predictions", required=True, help="its predictions.tsv")
    parser.add_argument("--scans", type=Path, required=True, help="store of the test scans, .npy")
    healthy = parser.add_mutually_exclusive_group(required=True)
    healthy.add_argument("--twins", type=Path, help="store of the scans' healthy twins, .npy")
    healthy.add_argument("--mean-control", type=Path, help="image that stands for every scan's health, .npy")
    parser.add_argument("--template", type=Path, required=True, help="folder of brain_mask.nii.gz")
    parser.add_argument("--cubes", type=float, required=True, help="mm, edge of a cube")
    parser.add_argument("--effects", help="the model's effects, .tsv, for the orders that all methods share")
    parser.add_argument("--heatmaps", type=Path, help="folder of {scan}_heatmap.nii.gz, for the order of a method")
    parser.add_argument("--shared", help="with heatmaps, the curves of the orders that all methods share, .tsv")
    task_argument(parser)
    parser.add_argument("--most-scans", type=int, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    device = prepare_device(args.device)

    store, model = open_store(args.scans), load_model(args.model, device)
    numbers, names = units_of("cubes", args.template, None, args.cubes)
    cubes = torch.from_numpy(numbers).to(device)
    effects = read_table(args.effects) if args.effects else None
    mean_control = with_channels(np.load(args.mean_control), 4) if args.mean_control else None
    healthy = open_store(args.twins).image_of if args.twins else lambda scan: mean_control
    most = 0 if args.heatmaps and is_left_out(args.heatmaps) else args.most_scans
    scans, tables = recognised_scans(read_table(args.predictions), most, args.task), []
    settings = {"target": args.task.index, "batch_size": args.batch_size}
    for scan in scans:
        image, other = (torch.from_numpy(one).to(device) for one in (store.image_of(scan), healthy(scan)))
        if args.heatmaps:
            heatmap = load_heatmap(args.heatmaps / f"{scan}_heatmap.nii.gz")
            orders = {"map": [rank_units(heatmap, numbers, by="density")]}
        else:
            orders = shared_orders(rank_by_effects(effects, scan, names), scan)
        for name, drawn in orders.items():
            follow = partial(recovery_curve, model, image, other, cubes, **settings)
            values = np.mean([follow(order) for order in drawn], axis=0)
            tables.append(curve_table(scan, "recovery", name, steps(len(drawn[0])), values))
    table = all_curves(tables)
    open_gap = table["value"].notna()
    without = table.loc[~open_gap, "scan"].nunique()
    logging.info("%d scans, %d without a gap", len(scans), without)
    shared = [read_table(args.shared)] if args.shared else []
    write_table(all_curves([part for part in [table[open_gap], *shared] if len(part)]), args.out)


if __name__ == "__main__":
    run(main)
