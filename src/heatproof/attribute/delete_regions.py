"""Hide and show the regions of test scans in the order of a method's heatmaps, and in random order.

Writes ``deletion_seed-{seed}.tsv``: scan curve order n_units share value, for scans of the target that were
recognised. curve is ``deletion``, the first n_units regions of the order hidden, or ``insertion``, only those shown;
order is ``map``, by the signed sum of the scan's own heatmap, or ``random``, an order drawn for the scan that is the
same for all methods and models; share is n_units by the number of regions; value is the probability of the target.
"""

import argparse
import logging
from pathlib import Path

import numpy as np
import torch

from heatproof.attribute.deletion import (
    all_curves,
    curve_table,
    deletion_curves,
    depths,
    rank_units,
    recognised_scans,
)
from heatproof.command import run
from heatproof.device import prepare_device
from heatproof.generators import generator
from heatproof.images import load_array, load_heatmap
from heatproof.possible import is_left_out
from heatproof.regions import SCHEMES, merge_regions, relabel
from heatproof.store import open_store
from heatproof.tables import read_table, write_table
from heatproof.task import plural, task_argument
from heatproof.train.network import load_model


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="model.safetensors, the trained one")
    parser.add_argument("--predictions", required=True, help="its predictions.tsv")
    parser.add_argument("--scans", type=Path, required=True, help="store of the test scans, .npy")
    parser.add_argument("--heatmaps", type=Path, required=True, help="folder of {scan}_heatmap.nii.gz")
    parser.add_argument("--template", type=Path, required=True, help="folder of regions.nii.gz and regions.tsv")
    parser.add_argument("--regions", choices=SCHEMES, required=True, help="how the atlas's labels are joined")
    task_argument(parser)
    parser.add_argument("--most-scans", type=int, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    device = prepare_device(args.device)

    store, model = open_store(args.scans), load_model(args.model, device)
    merged = merge_regions(read_table(args.template / "regions.tsv"), args.regions)
    numbers, _ = relabel(load_array(args.template / "regions.nii.gz", np.int32), merged)
    regions = torch.from_numpy(numbers).to(device)
    settings = {"target": args.task.index, "baseline": 0.0, "batch_size": args.batch_size}
    most = 0 if is_left_out(args.heatmaps) else args.most_scans
    scans, tables = recognised_scans(read_table(args.predictions), most, args.task), []
    for scan in scans:
        image = torch.from_numpy(store.image_of(scan)).to(device)
        ranked = rank_units(load_heatmap(args.heatmaps / f"{scan}_heatmap.nii.gz"), numbers, by="sum")
        orders = {"map": ranked, "random": generator("deletion", scan).permutation(np.sort(ranked))}
        for name, order in orders.items():
            curves = deletion_curves(model, image, regions, order, **settings)
            for curve, values in zip(("deletion", "insertion"), curves, strict=True):
                tables.append(curve_table(scan, curve, name, depths(len(order)), values))
    logging.info("%d recognised %s", len(scans), plural(args.task.target))
    write_table(all_curves(tables), args.out)


if __name__ == "__main__":
    run(main)
