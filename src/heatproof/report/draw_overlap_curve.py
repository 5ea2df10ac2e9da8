"""Draw the share of the first k regions that two models have in common against k, for every k, with chance."""

import argparse

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.ticker import PercentFormatter

from heatproof.command import json_option, run
from heatproof.report.figures import NO_PAIRS, STYLE, WIDTH, empty_figure, method_styles, save_figure, title_of
from heatproof.tables import read_table


def draw_overlap_curve(curve: pd.DataFrame, methods: list[str], top_k: int) -> plt.Figure:
    """Draw one panel for each metric, one line for each method, and chance.

    Parameters
    ----------
    curve : DataFrame
        ``overlap_curve.tsv``: method, metric, k, overlap_mean, chance.
    methods : list of str
        Order of the styles.
    top_k : int
        The depth of Table 2, marked by a vertical line.
    """
    curve = curve[curve["method"].isin(methods)]
    if curve["overlap_mean"].isna().all():
        return empty_figure(NO_PAIRS)
    metrics = ["sum", "density", "gain"]
    styles = method_styles(methods)
    figure, panels = plt.subplots(1, 3, figsize=(WIDTH, 2.6), sharey=True, layout="constrained")
    for axes, metric in zip(panels, metrics, strict=True):
        rows = curve[curve["metric"] == metric]
        for method in [name for name in methods if name in set(rows["method"])]:
            of_method = rows[rows["method"] == method]
            style = styles[method] | {"marker": "", "linewidth": 1.2, "label": title_of(method)}
            axes.plot(of_method["k"], of_method["overlap_mean"], **style)
        chance = rows.groupby("k")["chance"].mean()
        axes.plot(chance.index, chance, color="black", linewidth=0.8, linestyle=(0, (1, 1)), label="chance")
        axes.axvline(top_k, color="0.7", linewidth=0.6, zorder=0)
        axes.set_title(metric, loc="left")
        axes.set_xlabel("first k regions")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("shared by two models")
    panels[0].set_ylim(0, 1.02)
    panels[0].yaxis.set_major_formatter(PercentFormatter(1))
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=7)
    return figure


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curve", required=True, help="compare/overlap_curve.tsv")
    parser.add_argument("--methods", required=True, nargs="+")
    parser.add_argument("--top-k", required=True, type=int, help="the depth of Table 2")
    parser.add_argument("--options", required=True, type=json_option, help="the config's report as JSON")
    parser.add_argument("--output", required=True, nargs="+", help="png and svg")
    args = parser.parse_args()

    with plt.rc_context(STYLE):
        figure = draw_overlap_curve(read_table(args.curve), args.methods, args.top_k)
        save_figure(figure, args.output, args.options["dpi"])


if __name__ == "__main__":
    run(main)
