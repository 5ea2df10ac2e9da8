"""Draw how robust the mean map of several models is, and where the truth is known how well localised."""

import argparse
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.ticker import ScalarFormatter

from heatproof.command import json_option, run
from heatproof.report.figures import NO_PAIRS, STYLE, WIDTH, empty_figure, method_styles, save_figure, title_of
from heatproof.tables import read_table

PANELS = {"pearson": "robustness: correlation of two mean maps", "pr_auc": "localisation: area under the PR curve"}


def draw_curves(axes: plt.Axes, rows: pd.DataFrame, methods: Sequence[str]) -> None:
    """Draw one line for each method, dashed where it is predicted, and chance.

    Parameters
    ----------
    rows : DataFrame
        One measure: method, n_models, value, predicted, chance.
    """
    styles = method_styles(methods)
    for method, of_method in rows.sort_values("n_models").groupby("method"):
        measured = of_method.dropna(subset="value")
        style = {
            "color": styles[method]["color"],
            "marker": styles[method]["marker"],
            "markersize": 3,
            "linewidth": 1.2,
        }
        axes.plot(measured["n_models"], measured["value"], label=title_of(method), **style)
        if of_method["predicted"].notna().any():
            beyond = pd.concat([measured["value"].tail(1), of_method["predicted"].dropna()])
            axes.plot(of_method.loc[beyond.index, "n_models"], beyond, **style | {"linestyle": ":", "marker": ""})
    axes.axhline(rows["chance"].mean(), color="black", linewidth=0.8, linestyle="--", label="chance")


def draw_ensembles(table: pd.DataFrame, methods: Sequence[str]) -> plt.Figure:
    """Draw one panel for each measure that the study has; of several networks, a row of panels for each.

    Parameters
    ----------
    table : DataFrame
        ``ensembles.tsv`` of all methods: method, measure, n_models, value, predicted, chance; network where there are
        several.
    methods : sequence of str
        Order of the styles.
    """
    table = table[table["value"].notna() | table["predicted"].notna()]
    panels = {measure: title for measure, title in PANELS.items() if (table["measure"] == measure).any()}
    if not panels:
        return empty_figure(NO_PAIRS)
    table = table if "network" in table else table.assign(network="")
    networks = list(dict.fromkeys(table["network"]))
    size = WIDTH, 0.6 + 2.2 * len(networks)
    figure, all_axes = plt.subplots(len(networks), len(panels), figsize=size, layout="constrained", squeeze=False)
    for axes, (network, measure) in zip(all_axes.flat, product(networks, panels), strict=True):
        draw_curves(axes, table[(table["measure"] == measure) & (table["network"] == network)], methods)
        axes.set_title(f"{network}: {panels[measure]}" if network else panels[measure], loc="left")
        axes.set_xlabel("models averaged")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.set_xticks(sorted(table.loc[table["measure"] == measure, "n_models"].unique()), minor=False)
        axes.xaxis.minorticks_off()
        axes.set_ylim(min(-0.02, axes.get_ylim()[0]), 1.02)
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = all_axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=7)
    return figure


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", required=True, nargs="+", type=Path, help="{method}/ensembles.tsv")
    parser.add_argument("--methods", required=True, nargs="+", help="the study's, for the order of the colours")
    parser.add_argument("--options", required=True, type=json_option, help="the config's report as JSON")
    parser.add_argument("--output", required=True, nargs="+", help="png and svg")
    args = parser.parse_args()

    table = pd.concat(read_table(path).assign(method=path.parent.name) for path in args.tables)
    with plt.rc_context(STYLE):
        save_figure(draw_ensembles(table.reset_index(drop=True), args.methods), args.output, args.options["dpi"])


if __name__ == "__main__":
    run(main)
