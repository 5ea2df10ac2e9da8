"""Compare each model's mean maps with those under its sanity checks: does a method notice that the model was replaced?

Reads the mean map over true positives of every method, model and check, all over the same scans. Writes ``checks.tsv``:
method check seed pearson spearman, in the brain; empty where one of the two maps has no relevance, without a row for
methods and checks that no network of the study can have. Spearman is taken
of absolute values, as in Adebayo et al. 2018: 1 means that the method shows the same whatever the model has learned.
"""

import argparse
import logging
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from heatproof.command import run
from heatproof.compare.agreement import correlation
from heatproof.compare.layout import model_folder, split_name
from heatproof.images import load_array
from heatproof.models import model_name
from heatproof.possible import read_possible
from heatproof.tables import write_table
from heatproof.task import task_argument


def similarity(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Return Pearson's correlation of two maps' values and Spearman's of their sizes; NaN where a map is constant."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return np.nan, np.nan
    return correlation(one, other), float(spearmanr(np.abs(one), np.abs(other)).statistic)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", required=True, type=Path, help="results/{study}/compare")
    parser.add_argument("--names", required=True, nargs="+", help="{method}.{check} of every check that has maps")
    parser.add_argument("--seeds", required=True, type=model_name, nargs="+")
    parser.add_argument("--mask", required=True, help="brain_mask.nii.gz on the working grid")
    parser.add_argument("--possible", nargs="?", help="possible.tsv; what is not is left out")
    task_argument(parser)
    parser.add_argument("--out", required=True, help="checks.tsv")
    args = parser.parse_args()

    brain, rows, possible = load_array(args.mask, np.uint8) > 0, [], read_possible(args.possible)
    checks: dict[str, list[str]] = {}
    for method, check in map(split_name, filter(possible.somewhere, args.names)):
        checks.setdefault(method, []).append(check)
    for method, seed in product(checks, args.seeds):
        real = load_array(model_folder(args.folder, method, seed) / f"mean_{args.task.explained}.nii.gz")[brain]
        logging.info("%s, seed %d", method, seed)
        for check in checks[method]:
            path = model_folder(args.folder, f"{method}.{check}", seed) / f"mean_{args.task.explained}.nii.gz"
            rows.append((method, check, seed, *similarity(real, load_array(path)[brain])))
    write_table(pd.DataFrame(rows, columns=["method", "check", "seed", "pearson", "spearman"]), args.out)


if __name__ == "__main__":
    run(main)
