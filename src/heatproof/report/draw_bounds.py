"""Draw robustness and rightness of every method side by side, with what bounds them.

Left, where the truth is known: how right a method's maps are against how far two models agree on them. Right, where
heads were randomised: how much of a map stays when the model's last layers are drawn anew, against the same. A method
that ignores the model is perfectly robust: it lies at the top right of the second panel.
"""

import argparse
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import t as student

from heatproof.command import json_option, run
from heatproof.compare.measures import range_of
from heatproof.report.figures import (
    CHECKS,
    NO_PAIRS,
    STYLE,
    WIDTH,
    empty_figure,
    method_colours,
    save_figure,
    title_of,
)
from heatproof.tables import read_table

ROBUSTNESS, RIGHTNESS, HEAD = "pearson", "pr_auc", "random_head"
MARKERS = {"": "o", HEAD: "X", "untrained": "P", "shuffled_labels": "D", "noise": "+"}


def mean_with_interval(values: pd.Series, level: float = 0.95) -> tuple[float, float, float]:
    """Return the mean over models and its interval by Student's t, which is NaN with fewer than 3 models."""
    values = values.dropna()
    half = student.ppf((1 + level) / 2, len(values) - 1) * values.sem() if len(values) > 2 else np.nan
    return values.mean(), values.mean() - half, values.mean() + half


def points_of(scores: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return value, low and high of a measure of maps over true positives, by method and check."""
    rows = scores[(scores["measure"] == measure) & (scores["outcome"] == "TP")]
    return rows.set_index(["method", "check"])[["value", "low", "high"]]


def head_points(checks: pd.DataFrame) -> pd.DataFrame:
    """Return value, low and high of the likeness of a method's maps before and after its heads are drawn anew."""
    chosen = checks[checks["check"] == HEAD].groupby("method")["spearman"]
    names = pd.MultiIndex.from_tuples([(method, "") for method, _ in chosen], names=["method", "check"])
    rows = [mean_with_interval(values) for _, values in chosen]
    return pd.DataFrame(rows, names, ["value", "low", "high"]).clip(*range_of("spearman")[:2])


def draw_points(axes: plt.Axes, across: pd.DataFrame, up: pd.DataFrame, colours: Mapping[str, tuple]) -> None:
    """Draw one point with its two intervals for each name in ``up``; ``across`` has them all."""
    for name in up.index:
        x, y = across.loc[name], up.loc[name]
        method, check = name
        colour = colours.get(method, (0.3, 0.3, 0.3, 1.0))
        errors = [np.nan_to_num([[p["value"] - p["low"]], [p["high"] - p["value"]]]) for p in (x, y)]
        axes.errorbar(
            *(x["value"], y["value"], np.maximum(errors[1], 0), np.maximum(errors[0], 0)),
            fmt=MARKERS.get(check, "s") if method in colours else "*",
            color=colour,
            markersize=5 if check else 6,
            markerfacecolor="white" if check else colour,
            linewidth=0.7,
            alpha=0.75 if check else 1,
        )
        if method not in colours:
            place = dict(xytext=(-6, 0), textcoords="offset points", ha="right", va="center", size=6, color="0.3")
            axes.annotate(title_of(method, check), (x["value"], y["value"]), **place)


def panels_of(scores: pd.DataFrame, checks: pd.DataFrame | None) -> dict[str, tuple[pd.DataFrame, str]]:
    """Return the points and the label of the upward axis of each panel that a study has the numbers for, by title."""
    panels = {}
    if (scores["measure"] == RIGHTNESS).any():
        panels["rightness"] = points_of(scores, RIGHTNESS), "area under the precision-recall curve"
    if checks is not None and (checks["check"] == HEAD).any():
        panels["what stays when the head is drawn anew"] = (
            head_points(checks),
            "Spearman's correlation of absolute values",
        )
    return panels


def limits(points: pd.DataFrame) -> tuple[float, float]:
    """Return the ends of an axis that shows 0, all values and the whole intervals of methods, if not of checks."""
    methods = points[points.index.get_level_values("check") == ""]
    low = np.nanmin([0, points["value"].min(), methods["low"].min()])
    high = np.nanmax([0, points["value"].max(), methods["high"].max()])
    space = 0.06 * (high - low)
    return low - space, high + space


def draw_chance(axes: plt.Axes, chance: float) -> None:
    """Draw a line at the rightness of a random map."""
    axes.axhline(chance, color="black", linewidth=0.8, linestyle="--")
    place = dict(xycoords=axes.get_yaxis_transform(), xytext=(2, 0), textcoords="offset points", va="center", size=6)
    axes.annotate("chance", (1, chance), **place)


def legend_handles(names: Collection[tuple[str, str]], colours: Mapping[str, tuple]) -> list[plt.Line2D]:
    """Make the entries of the legend: a colour for each method, and a marker for each of the checks drawn."""
    drawn = {check for method, check in names if method in colours}
    hollow = dict(linestyle="", color="0.3", markerfacecolor="white")
    return [
        *(plt.Line2D([], [], marker="o", linestyle="", color=colours[name], label=title_of(name)) for name in colours),
        *(
            plt.Line2D([], [], marker=marker, label=CHECKS[check], **hollow)
            for check, marker in MARKERS.items()
            if check and check in drawn
        ),
    ]


def draw_bounds(scores: pd.DataFrame, checks: pd.DataFrame | None, methods: Sequence[str]) -> plt.Figure:
    """Draw the panels that a study has the numbers for.

    Parameters
    ----------
    scores : DataFrame
        ``scores.tsv``: method, check, measure, outcome, value, low, high, chance, kind.
    checks : DataFrame or None
        ``checks.tsv``: method, check, seed, spearman.
    methods : sequence of str
        Order of the colours.
    """
    colours = method_colours(methods)
    across = points_of(scores, ROBUSTNESS)
    across = across[across["value"].notna()]
    panels = {
        title: (up.loc[across.index.intersection(up.index)].dropna(subset="value"), label)
        for title, (up, label) in panels_of(scores, checks).items()
    }
    panels = {title: (up, label) for title, (up, label) in panels.items() if len(up)}
    if not panels:
        return empty_figure(NO_PAIRS)
    figure, all_axes = plt.subplots(1, len(panels), figsize=(WIDTH, 3.4), layout="constrained", squeeze=False)
    for axes, (title, (up, label)) in zip(all_axes[0], panels.items(), strict=True):
        draw_points(axes, across, up, colours)
        axes.set_title(title, loc="left")
        axes.set_xlabel("robustness: correlation of two models' mean maps")
        axes.set_ylabel(label)
        axes.set_xlim(*limits(across.loc[up.index]))
        axes.locator_params(axis="x", nbins=6)
        axes.set_ylim(*limits(up))
        axes.spines[["top", "right"]].set_visible(False)
    chance = scores.loc[scores["measure"] == RIGHTNESS, "chance"].mean()
    if "rightness" in panels and np.isfinite(chance):
        draw_chance(all_axes[0, 0], chance)
    handles = legend_handles({name for up, _ in panels.values() for name in up.index}, colours)
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=7)
    return figure


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scores", required=True, help="compare/scores.tsv")
    parser.add_argument("--checks", type=Path, help="compare/checks.tsv, where there is one")
    parser.add_argument("--methods", required=True, nargs="+")
    parser.add_argument("--options", required=True, type=json_option, help="the config's report as JSON")
    parser.add_argument("--output", required=True, nargs="+", help="png and svg")
    args = parser.parse_args()

    checks = read_table(args.checks) if args.checks else None
    with plt.rc_context(STYLE):
        figure = draw_bounds(read_table(args.scores), checks, args.methods)
        save_figure(figure, args.output, args.options["dpi"])


if __name__ == "__main__":
    run(main)
