"""Draw Figure 3 of Eitel and Ritter 2019: the share of top regions that two models have in common, for every pair.

One matrix of models x models for each method and metric, all on one colour scale; a model agrees with itself entirely.
"""

import argparse
from collections.abc import Sequence
from itertools import product
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.image import AxesImage

from heatproof.command import json_option, run
from heatproof.models import model_name
from heatproof.report.figures import NO_PAIRS, STYLE, empty_figure, percent, save_figure, title_of
from heatproof.tables import own, read_table

COLOURS = "YlGnBu"
WRITTEN = 6  # models up to which the cells are large enough for their numbers
EDGE, ACROSS, DOWN = 1.4, 0.3, 0.42  # inches: a matrix, and between two
LEFT, TOP, BOTTOM, BAR = 0.55, 0.45, 0.05, 0.95  # inches around them; the colour bar is on the right


def overlap_matrix(pairs: pd.DataFrame, seeds: Sequence[int]) -> np.ndarray:
    """Arrange the overlaps of pairs as a symmetric matrix.

    Parameters
    ----------
    pairs : DataFrame
        seed_a, seed_b, overlap; each pair of models once.
    seeds : sequence of n int
        Order of rows and columns.

    Returns
    -------
    ndarray, shape (n, n)
        1 on the diagonal, NaN where a pair has no overlap.
    """
    upper = pairs.pivot(index="seed_a", columns="seed_b", values="overlap").reindex(index=seeds, columns=seeds)
    matrix = upper.combine_first(upper.T).to_numpy(float)
    np.fill_diagonal(matrix, 1)
    return matrix


def draw_matrix(axes: plt.Axes, matrix: np.ndarray, seeds: Sequence[int]) -> AxesImage:
    """Draw one matrix of overlaps; a pair without overlap is grey."""
    axes.set_facecolor("0.88")
    image = axes.imshow(matrix, cmap=COLOURS, vmin=0, vmax=1)
    axes.set_xticks(range(len(seeds)), seeds)
    axes.set_yticks(range(len(seeds)), seeds)
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(len(seeds) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(seeds) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=0.6)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)
    if len(seeds) <= WRITTEN:
        for (row, column), value in np.ndenumerate(matrix):
            text = "–" if np.isnan(value) else f"{100 * value:.0f}"
            colour = "white" if value > 0.6 else "0.15"
            axes.text(column, row, text, ha="center", va="center", size=7, color=colour)
    return image


def draw_overlaps(
    pairs: pd.DataFrame, summary: pd.DataFrame, methods: Sequence[str], seeds: Sequence[int]
) -> plt.Figure:
    """Draw a row of matrices for each method, a column for each metric, its mean over pairs above each.

    Parameters
    ----------
    pairs : DataFrame
        method, check, metric, seed_a, seed_b, overlap (0 to 1).
    summary : DataFrame
        method, check, metric, k, overlap_mean, chance (0 to 1).
    methods, seeds : sequence
        Order of the rows of the figure, and of the rows and columns of each matrix; a method without a row in the
        tables is left out.
    """
    methods = [method for method in methods if (summary["method"] == method).any()]
    pairs, summary = own(pairs), own(summary[summary["method"].isin(methods)])
    if summary["overlap_mean"].isna().all():
        return empty_figure(NO_PAIRS)
    metrics = list(summary["metric"].unique())
    means = summary.set_index(["method", "metric"])["overlap_mean"]
    width = LEFT + len(metrics) * (EDGE + ACROSS) + BAR
    height = TOP + len(methods) * (EDGE + DOWN) + BOTTOM
    figure = plt.figure(figsize=(width, height))
    for (row, method), (column, metric) in product(enumerate(methods), enumerate(metrics)):
        left, bottom = LEFT + column * (EDGE + ACROSS), height - TOP - row * (EDGE + DOWN) - EDGE
        axes = figure.add_axes([left / width, bottom / height, EDGE / width, EDGE / height])
        chosen = pairs[(pairs["method"] == method) & (pairs["metric"] == metric)]
        image = draw_matrix(axes, overlap_matrix(chosen, seeds), seeds)
        mean = means[method, metric]
        axes.set_title("no pair has a value" if np.isnan(mean) else f"mean {percent(mean)}", pad=4)
        if row == 0:
            axes.annotate(metric, (0.5, 1), (0, 17), "axes fraction", "offset points", ha="center", weight="bold")
        if column == 0:
            axes.set_ylabel(fill(title_of(method), 24), weight="bold", labelpad=6)
        if row == len(methods) - 1:
            axes.set_xlabel("seed")
    draw_bar(figure.add_axes([1 - BAR / width, 0.3, 0.1 / width, 0.4]), image, summary)
    return figure


def draw_bar(axes: plt.Axes, image: AxesImage, summary: pd.DataFrame) -> None:
    """Draw the colour scale with chance marked on it."""
    bar = axes.figure.colorbar(image, cax=axes)
    bar.outline.set_visible(False)
    ticks = np.linspace(0, 1, 6)
    bar.set_ticks(ticks, labels=[percent(tick, 0) for tick in ticks])
    bar.set_label(f"shared among the top {summary['k'].iloc[0]} regions")
    chance = summary["chance"].mean()
    axes.axhline(chance, color="black", linewidth=1)
    words = f"chance {percent(chance)}"
    axes.annotate(words, (1, chance), (5, 0), ("axes fraction", "data"), "offset points", va="center", size=6)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", required=True, help="compare/top_regions_pairs.tsv")
    parser.add_argument("--summary", required=True, help="compare/top_regions.tsv")
    parser.add_argument("--methods", required=True, nargs="+")
    parser.add_argument("--seeds", required=True, nargs="+", type=model_name)
    parser.add_argument("--options", required=True, type=json_option, help="the config's report as JSON")
    parser.add_argument("--output", required=True, nargs="+", help="png and svg")
    args = parser.parse_args()

    with plt.rc_context(STYLE):
        figure = draw_overlaps(read_table(args.pairs), read_table(args.summary), args.methods, args.seeds)
        save_figure(figure, args.output, args.options["dpi"])


if __name__ == "__main__":
    run(main)
