"""Trace how many of the first k regions two models share, for every k: ``overlap_curve.tsv``.

Columns: method metric k overlap_mean chance. overlap_mean is the mean over pairs of models of the share of the first k
regions that both have; chance is its mean for two random rankings: k / n of n regions, the mean of a hypergeometric
distribution. A pair goes as far as the shorter of its two rankings.
"""

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from heatproof.command import run
from heatproof.compare.layout import gather_tables
from heatproof.compare.ranks import chance_overlaps, overlaps, rankable
from heatproof.compare.regions import METRICS
from heatproof.tables import write_table


def overlap_curve(rankings: list[np.ndarray]) -> pd.DataFrame:
    """Average the overlap at every depth over all pairs of models.

    Parameters
    ----------
    rankings : list of ndarray of float, each of shape (regions,)
        One metric per model, NaN for regions that are not ranked.

    Returns
    -------
    DataFrame
        k, overlap_mean, chance; no row beyond the depth that some pair has.
    """
    pairs = [
        pd.DataFrame({"overlap_mean": overlaps(a, b), "chance": chance_overlaps(a, b)})
        for a, b in combinations(map(rankable, rankings), 2)
    ]
    curves = [table.assign(k=table.index + 1) for table in pairs]
    if not curves:
        return pd.DataFrame(columns=["k", "overlap_mean", "chance"])
    return pd.concat(curves).groupby("k", as_index=False)[["overlap_mean", "chance"]].mean()


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", required=True, type=Path, help="results/{study}/compare")
    parser.add_argument("--methods", required=True, nargs="+")
    parser.add_argument("--seeds", required=True, type=int, nargs="+")
    parser.add_argument("--out", required=True, help="overlap_curve.tsv")
    args = parser.parse_args()

    regions = gather_tables(args.folder, args.methods, args.seeds, "regions.tsv")
    tables = []
    for method, rows in regions.groupby("method", sort=False):
        for metric in METRICS:
            rankings = [of_model[metric].to_numpy(float) for _, of_model in rows.groupby("seed", sort=False)]
            tables.append(overlap_curve(rankings).assign(method=method, metric=metric))
    write_table(pd.concat(tables)[["method", "metric", "k", "overlap_mean", "chance"]], args.out)


if __name__ == "__main__":
    run(main)
