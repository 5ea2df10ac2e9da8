"""Draw how every model learned: losses and validation accuracy over epochs, one line per seed."""

import argparse
from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.ticker import MaxNLocator

from heatproof.command import json_option, run
from heatproof.models import model_name
from heatproof.report.figures import STYLE, WIDTH, save_figure
from heatproof.tables import read_table

PANELS = {
    "train_loss": "training loss",
    "validation_loss": "validation loss",
    "validation_accuracy": "validation accuracy",
    "validation_r2": "validation R²",
}


def draw_training(histories: Mapping[int, pd.DataFrame]) -> plt.Figure:
    """Draw one panel for each quantity, and one line in it for each seed.

    Parameters
    ----------
    histories : mapping from seed to DataFrame
        epoch, train_loss, validation_loss, validation_accuracy or validation_r2.
    """
    panels = {name: label for name, label in PANELS.items() if all(name in history for history in histories.values())}
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 1.9), layout="constrained")
    colours = plt.get_cmap("viridis").resampled(len(histories) + 1)
    for panel, (column, label) in zip(axes, panels.items(), strict=True):
        for i, (seed, history) in enumerate(histories.items()):
            marker = "o" if len(history) == 1 else ""
            panel.plot(
                history["epoch"], history[column], marker=marker, color=colours(i), linewidth=1.1, label=f"seed {seed}"
            )
        panel.set_title(label, loc="left")
        panel.set_xlabel("epoch")
        panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        panel.spines[["top", "right"]].set_visible(False)
    axes[0].sharey(axes[1])
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize=7)
    return figure


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", required=True, nargs="+", type=model_name)
    parser.add_argument(
        "--histories", required=True, nargs="+", help="history.tsv of each seed, in the order of --seeds"
    )
    parser.add_argument("--options", required=True, type=json_option, help="the config's report as JSON")
    parser.add_argument("--output", required=True, nargs="+", help="png and svg")
    args = parser.parse_args()

    histories = {seed: read_table(path) for seed, path in zip(args.seeds, args.histories, strict=True)}
    with plt.rc_context(STYLE):
        save_figure(draw_training(histories), args.output, args.options["dpi"])


if __name__ == "__main__":
    run(main)
