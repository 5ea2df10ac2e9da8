"""Compare which regions of all models come first: Table 2 and Figure 3 of Eitel and Ritter 2019.

Reads ``regions.tsv`` of every method and model. Writes

- ``top_regions_pairs.tsv``: method metric seed_a seed_b overlap (share of the first k regions that two models have
  in common), every pair of models once, overlap empty where one of the two can not name k regions;
- ``top_regions.tsv``: method metric k overlap_mean overlap_with_diagonal chance, over the pairs that have a value.
"""

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from heatproof.command import run
from heatproof.compare.layout import gather_tables
from heatproof.compare.ranks import chance_overlaps, overlaps
from heatproof.compare.regions import METRICS
from heatproof.tables import write_table


def why_unranked(values: np.ndarray, k: int) -> str | None:
    """Say in words why the first k regions can not be named; None if they can.

    Parameters
    ----------
    values : ndarray of float, shape (regions,)
        One metric; NaN for regions that do not have it.
    k : int
        How many regions.
    """
    ranked = np.count_nonzero(~np.isnan(values))
    if ranked < k:
        return f"only {ranked} of {len(values)} regions have a value, fewer than {k}"
    other = np.count_nonzero(np.nan_to_num(values))
    if other < k:
        return f"only {other} of {len(values)} regions have a value other than 0, fewer than {k}"
    return None


def compare_rankings(values: dict[int, np.ndarray], k: int) -> pd.DataFrame:
    """Measure the overlap of the first k regions between all models.

    Parameters
    ----------
    values : dict of ndarray, each of shape (regions,)
        One metric per seed, NaN for regions that do not have it.
    k : int
        How many regions are compared.

    Returns
    -------
    DataFrame
        seed_a, seed_b, overlap (0..1) and chance, the overlap expected of two independent random choices of k
        regions among those that each model ranks: k / n if both rank the same n. NaN where a model can not name k.
    """
    pairs = pd.DataFrame(combinations(values, 2), columns=["seed_a", "seed_b"]).assign(overlap=np.nan, chance=np.nan)
    named = {seed for seed, metric in values.items() if why_unranked(metric, k) is None}
    for row, (a, b) in enumerate(combinations(values, 2)):
        if {a, b} <= named:
            pairs.loc[row, "overlap"] = overlaps(values[a], values[b])[k - 1]
            pairs.loc[row, "chance"] = chance_overlaps(values[a], values[b])[k - 1]
    return pairs


def with_diagonal(mean: float, models: int) -> float:
    """Turn the mean over pairs of different models into that over the full matrix, whose diagonal is 1.

    Table 2 of Eitel and Ritter 2019 includes the comparison of each run with itself.
    """
    return (1 + (models - 1) * mean) / models


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", required=True, type=Path, help="results/{study}/compare")
    parser.add_argument("--methods", required=True, nargs="+")
    parser.add_argument("--seeds", required=True, type=int, nargs="+")
    parser.add_argument("--top-k", type=int, default=10, help="how many regions are compared")
    parser.add_argument("--pairs", required=True, help="top_regions_pairs.tsv")
    parser.add_argument("--summary", required=True, help="top_regions.tsv")
    args = parser.parse_args()

    regions = gather_tables(args.folder, args.methods, args.seeds, "regions.tsv")
    pairs, summary = [], []
    for method, group in regions.groupby("method", sort=False):
        models = dict(iter(group.groupby("seed", sort=False)))
        for metric in METRICS:
            compared = compare_rankings({seed: rows[metric].to_numpy() for seed, rows in models.items()}, args.top_k)
            pairs.append(compared.assign(method=method, metric=metric))
            named = compared.dropna()
            mean, n_models = named["overlap"].mean(), len(set(named["seed_a"]) | set(named["seed_b"]))
            summary.append(
                {
                    "method": method,
                    "metric": metric,
                    "k": args.top_k,
                    "overlap_mean": mean,
                    "overlap_with_diagonal": with_diagonal(mean, n_models) if n_models else np.nan,
                    "chance": named["chance"].mean(),
                }
            )
    write_table(pd.concat(pairs)[["method", "metric", "seed_a", "seed_b", "overlap"]], args.pairs)
    write_table(pd.DataFrame(summary), args.summary)


if __name__ == "__main__":
    run(main)
