"""Draw how fast methods forget, layer by layer, what the top of the network handed to them."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from heatproof.command import json_option, run
from heatproof.report.figures import STYLE, WIDTH, method_styles, save_figure, title_of
from heatproof.tables import read_table


def draw_convergence(table: pd.DataFrame, methods: Sequence[str]) -> plt.Figure:
    """Draw one line for each method, the mean over models, and a thin one for each model.

    Parameters
    ----------
    table : DataFrame
        ``convergence.tsv`` of all methods: method, seed, layer, step, value.
    methods : sequence of str
        Order of the styles.
    """
    styles = method_styles(methods)
    figure, axes = plt.subplots(figsize=(WIDTH, 2.6), layout="constrained")
    for method, rows in table.groupby("method", sort=False):
        of_method = rows.pivot(index="step", columns="seed", values="value")
        axes.plot(of_method, color=styles[method]["color"], linewidth=0.5, alpha=0.5)
        axes.plot(of_method.mean(axis=1), linewidth=1.5, markersize=3, label=title_of(method), **styles[method])
    layers = table.drop_duplicates("step").sort_values("step")
    names = [f"into {layer}" for layer in layers["layer"]]
    if (table.groupby("step")["layer"].nunique() > 1).any():  # of several networks
        axes.set_xlabel("layers back, to the scan")
    else:
        axes.set_xticks(layers["step"], [*names[:-1], "scan"] if names else [], rotation=30, ha="right")
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel("cosine similarity")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", required=True, nargs="+", type=Path, help="attribute/{method}/convergence.tsv")
    parser.add_argument("--methods", required=True, nargs="+", help="the study's, for the order of the colours")
    parser.add_argument("--options", required=True, type=json_option, help="the config's report as JSON")
    parser.add_argument("--output", required=True, nargs="+", help="png and svg")
    args = parser.parse_args()

    table = pd.concat(read_table(path).assign(method=path.parent.name) for path in args.tables)
    with plt.rc_context(STYLE):
        save_figure(draw_convergence(table, args.methods), args.output, args.options["dpi"])


if __name__ == "__main__":
    run(main)
