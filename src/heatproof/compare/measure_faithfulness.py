"""Measure how faithful each model's heatmaps are to it, by one method: ``faithfulness.tsv``, where no truth is needed.

Reads what `heatproof.attribute.delete_regions` wrote. Columns: measure outcome left_out seed value chance.
``deletion`` and ``insertion`` are areas under the curves of the patients' probability over the share of regions,
averaged over scans: the lower the better where the first regions are hidden, the higher the better where only they are
shown. chance is that of regions in random order. left_out is 0, or the group of test participants that is not
counted.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from heatproof.command import run
from heatproof.compare.outcomes import participant_groups
from heatproof.tables import read_table, write_table

CURVES = ("deletion", "insertion")


def areas(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the area under each curve: scan, curve, and one column for each order.

    Parameters
    ----------
    curves : DataFrame
        scan, curve, order, share (rising within each curve), probability.
    """
    rows = [
        (*key, float(np.trapezoid(curve["probability"], curve["share"])))
        for key, curve in curves.groupby(["scan", "curve", "order"])
    ]
    table = pd.DataFrame(rows, columns=["scan", "curve", "order", "area"])
    return table.pivot(index=["scan", "curve"], columns="order", values="area").reset_index()


def measure_model(curves: pd.DataFrame, groups: pd.Series, count: int) -> pd.DataFrame:
    """Average the areas of one model over scans, and again without each group of participants.

    Parameters
    ----------
    curves : DataFrame
        As `areas` takes them; without a row if the model recognised no patient.
    groups : Series of int
        Scan to group, 1 to ``count``.
    count : int

    Returns
    -------
    DataFrame
        measure, left_out, value, chance.
    """
    table = areas(curves).reindex(columns=["scan", "curve", "relevance", "random"])
    rows = []
    for left_out in range(count + 1):
        means = table[table["scan"].map(groups) != left_out].groupby("curve")[["relevance", "random"]].mean()
        rows += [(curve, left_out, *means.reindex(CURVES).loc[curve]) for curve in CURVES]
    return pd.DataFrame(rows, columns=["measure", "left_out", "value", "chance"])


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", required=True, type=Path, nargs="+", help="deletion_seed-{seed}.tsv of every model")
    parser.add_argument("--predictions", required=True, nargs="+", help="predictions.tsv of every model")
    parser.add_argument("--seeds", required=True, type=int, nargs="+")
    parser.add_argument("--participant-groups", type=int, default=5, help="groups that are left out in turn")
    parser.add_argument("--out", required=True, help="faithfulness.tsv")
    args = parser.parse_args()

    tables = []
    for curves, predictions, seed in zip(args.curves, args.predictions, args.seeds, strict=True):
        groups = participant_groups(read_table(predictions), args.participant_groups)
        measured = measure_model(read_table(curves), groups, args.participant_groups)
        tables.append(measured.assign(outcome="TP", seed=seed))
    table = pd.concat(tables)[["measure", "outcome", "left_out", "seed", "value", "chance"]]
    write_table(table, args.out)


if __name__ == "__main__":
    run(main)
