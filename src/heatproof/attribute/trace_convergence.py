"""Trace how fast a method forgets, layer by layer, where it began: ``convergence.tsv``.

Columns: seed layer step value. step counts from 0, the inputs of the network's last layer, where random relevance is
laid, to the scan; value is the absolute cosine of the angle between what arrives there from two beginnings, averaged
over pairs of beginnings and over test scans (see `heatproof.attribute.convergence`). Without a row if convergence
cannot be measured in the network, or of the method in it; the log and possible.tsv say why.
"""

import argparse
import logging
from inspect import signature
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from heatproof.attribute.convergence import STEPS_BACK, trace_convergence
from heatproof.command import json_option, run
from heatproof.device import prepare_device
from heatproof.errors import StudyError
from heatproof.models import model_name, network_of, seed_of
from heatproof.possible import read_possible
from heatproof.store import open_store
from heatproof.tables import write_table
from heatproof.train.network import load_model

DRAWS = 4  # beginnings for each scan


def walking_options(options: dict) -> dict:
    """Return those options of an entry of ``attribute.methods`` that its method's walk back takes."""
    own = signature(STEPS_BACK[options["method"]]).parameters
    return {name: value for name, value in options.items() if name in own}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, nargs="+", required=True, help="model.safetensors of every seed")
    parser.add_argument("--seeds", type=model_name, nargs="+", required=True)
    parser.add_argument("--scans", type=Path, required=True, help="store of the test scans, .npy")
    parser.add_argument("--name", required=True, help="key in attribute.methods")
    parser.add_argument("--options", type=json_option, required=True, help="its entry there, as JSON")
    parser.add_argument("--possible", help="possible.tsv; what is not is left out")
    parser.add_argument("--most-scans", type=int, required=True, help="scans, spread over the store")
    parser.add_argument("--device", required=True)
    parser.add_argument("--out", required=True, help="convergence.tsv")
    args = parser.parse_args()
    device = prepare_device(args.device)

    method, options = args.options["method"], walking_options(args.options)
    images = open_store(args.scans).images
    chosen = np.unique(np.linspace(0, len(images) - 1, args.most_scans).round().astype(int))
    rows, possible = [], read_possible(args.possible)
    for seed, path in zip(args.seeds, args.models, strict=True):
        whats = ("method", "convergence")
        if reason := next(
            filter(None, (possible.why_not(what, args.name, network_of(seed), args.options) for what in whats)), ""
        ):
            logging.warning("seed %d is left out: %s", seed, reason)
            continue
        model = load_model(path, device)
        generator, traced = torch.Generator().manual_seed(seed_of(seed)), []
        try:
            for i in chosen:
                scan = torch.from_numpy(np.asarray(images[i], np.float32))[None].to(device)
                draws = {"draws": DRAWS, "generator": generator}
                traced.append(trace_convergence(model, scan, method=method, **draws, **options))
        except StudyError as error:
            logging.warning("seed %d: %s; nothing is measured", seed, error)
            continue
        means = pd.DataFrame(traced).mean()
        rows += [(seed, layer, step, value) for step, (layer, value) in enumerate(means.items())]
        logging.info("seed %d: %.3f at the scan", seed, means.iloc[-1])
    write_table(pd.DataFrame(rows, columns=["seed", "layer", "step", "value"]), args.out)


if __name__ == "__main__":
    run(main)
