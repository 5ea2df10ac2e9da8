"""Join what each channel matters to models and to their maps: ``channels.tsv``.

Columns: method seed outcome channel measure n_scans value. measure is ``share`` of a method: of its absolute relevance
in the brain, by `heatproof.compare.average_channels`. Of ``effects_twin`` and ``effects_controls``, means over the
recognised scans of the target, it is ``effect_first``, ``effect_last`` and ``effect``: the fall of the margin when the
channel alone, or as the last one, is taken from the scan's twin or from controls, and the mean of both.
"""

import argparse
from pathlib import Path

import pandas as pd

from heatproof.command import run
from heatproof.compare.layout import model_folder
from heatproof.models import Model, model_name
from heatproof.tables import read_table, write_table
from heatproof.task import Task, scans_by_group, task_argument

COLUMNS = ["method", "seed", "outcome", "channel", "measure", "n_scans", "value"]
EFFECTS = ["effect_first", "effect_last", "effect"]


def share_rows(table: pd.DataFrame, method: str, seed: Model) -> pd.DataFrame:
    """Return the rows of one method and model, from its own ``channels.tsv``."""
    return table.rename(columns={"share": "value"}).assign(method=method, seed=seed, measure="share")[COLUMNS]


def effect_rows(effects: pd.DataFrame, predictions: pd.DataFrame, seed: Model, task: Task) -> pd.DataFrame:
    """Return the mean effects of each channel on one model over recognised scans of the target, by reference."""
    own = effects[effects["scan"].isin(scans_by_group(predictions, task)[task.explained])]
    grouped = own.groupby(["reference", "channel"], sort=False)
    means = grouped[EFFECTS].mean().assign(n_scans=grouped.size()).reset_index()
    long = means.melt(["reference", "channel", "n_scans"], EFFECTS, "measure", "value")
    return long.assign(method="effects_" + long["reference"], seed=seed, outcome=task.explained)[COLUMNS]


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="compare/, with {method}/seed-{seed}/channels.tsv")
    parser.add_argument("--methods", nargs="+", required=True)
    parser.add_argument("--seeds", type=model_name, nargs="+", required=True)
    parser.add_argument("--effects", nargs="*", default=[], help="effects of channels on the model of every seed")
    parser.add_argument("--predictions", nargs="*", default=[], help="predictions.tsv of every seed")
    task_argument(parser)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    tables = [
        share_rows(read_table(model_folder(args.folder, method, seed) / "channels.tsv"), method, seed)
        for method in args.methods
        for seed in args.seeds
    ]
    if args.effects:
        for seed, effects, predictions in zip(args.seeds, args.effects, args.predictions, strict=True):
            tables.append(effect_rows(read_table(effects), read_table(predictions), seed, args.task))
    write_table(pd.concat(tables), args.out)


if __name__ == "__main__":
    run(main)
