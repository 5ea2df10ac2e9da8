"""Draw how faithful, and how well localised, every method's maps are against how robust they are.

Both axes of a panel are about the same form of the maps. Left, where effects were measured: signed sums over cubes.
Right, where the truth is known: absolute values, voxel by voxel. Where neither is known: how far absolute values change
when the last layers are re-initialised.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from heatproof.command import json_option, run
from heatproof.compare.resampling import measured_of, quantile, variance_from_models
from heatproof.report.answer import dependence
from heatproof.report.figures import NO_PAIRS, STYLE, WIDTH, empty_figure, method_styles, save_figure, title_of
from heatproof.tables import read_table
from heatproof.task import task_argument

NAMES = ["method", "check"]
ENDS = ["value", "low", "high"]
BEHIND = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5}  # labels of lines


class Panel(NamedTuple):
    """What a panel shows.

    Attributes
    ----------
    across, up : DataFrame
        value, low, high by method and check.
    labels : (str, str)
        Of both axes.
    lines : dict
        Label to the height of a horizontal line.
    limit : float
        Place of a vertical line: how far the models' effects agree; NaN for none.
    """

    across: pd.DataFrame
    up: pd.DataFrame
    labels: tuple[str, str]
    lines: dict[str, float]
    limit: float = np.nan


def points_of(scores: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return value, low and high of a measure, by method and check."""
    rows = scores[scores["measure"] == measure]
    return rows.set_index(NAMES)[ENDS].dropna(subset="value")


def agreement_of_absolute_maps(scale: pd.DataFrame) -> pd.DataFrame:
    """Return the correlation of two models' absolute maps, the least smoothed, as `points_of` does.

    The interval is that of other trainings alone.

    Parameters
    ----------
    scale : DataFrame
        ``scale.tsv`` of methods and checks.
    """
    rows = scale[(scale["measure"] == "pearson") & (scale["values"] == "absolute")].dropna(subset="value")
    found = {name: with_interval(of_name) for name, of_name in rows[rows["fwhm"] == rows["fwhm"].min()].groupby(NAMES)}
    index = pd.MultiIndex.from_tuples(found, names=NAMES)
    return pd.DataFrame(list(found.values()), index, ENDS, dtype=float)


def with_interval(rows: pd.DataFrame, level: float = 0.95) -> tuple[float, float, float]:
    """Return the mean over pairs of models (seed_a, seed_b, value) and its interval; NaN with too few models."""
    measured = measured_of(rows["value"].to_numpy()[None], rows[["seed_a", "seed_b"]].to_numpy())
    if not measured.enough:
        return measured.value, np.nan, np.nan
    half = quantile(1 + measured.freedom, 1 + measured.freedom, level) * np.sqrt(variance_from_models(measured))
    return measured.value, max(measured.value - half, -1), min(measured.value + half, 1)


def panels_of(scores: pd.DataFrame, scale: pd.DataFrame, checks: pd.DataFrame | None) -> dict[str, Panel]:
    """Make the panels that a study has the numbers for, by title."""
    absolute = agreement_of_absolute_maps(scale)
    known, chance = points_of(scores, "pr_auc"), scores.loc[scores["measure"] == "pr_auc", "chance"].mean()
    effects = points_of(scores, "agreement_pearson_cubes")
    faithful = points_of(scores, "faithfulness_pearson_cubes")
    panels = {
        "faithfulness (signed maps)": Panel(
            effects,
            faithful,
            ("robustness: correlation of sums over cubes", "correlation of sums over cubes with effects"),
            {"chance": 0.0, "another model's effects": faithful["value"].get(("effects", "other_model"), np.nan)},
            effects["value"].get(("effects", ""), np.nan),
        ),
        "localisation (absolute maps)": Panel(
            absolute,
            known,
            ("robustness: correlation of absolute maps", "area under the precision-recall curve"),
            {"chance": chance},
        ),
    }
    panels = {title: panel for title, panel in panels.items() if len(shown_in(panel))}
    if panels:
        return panels
    change = dependence(checks)[0]
    change.index = pd.MultiIndex.from_product([change.index, [""]], names=NAMES)
    labels = "robustness: correlation of absolute maps", "1 less the rank correlation of absolute values"
    panel = Panel(absolute, change.dropna(subset="value"), labels, {})
    return {"change when the head is re-initialised": panel} if len(shown_in(panel)) else {}


def shown_in(panel: Panel) -> pd.MultiIndex:
    """List method and check of the points of a panel."""
    return panel.across.index.intersection(panel.up.index)


def draw_point(axes: plt.Axes, across: pd.Series, up: pd.Series, number: int, style: Mapping) -> None:
    """Draw a method's point with its two intervals, and its number in it."""
    errors = [np.nan_to_num([[of["value"] - of["low"]], [of["high"] - of["value"]]]) for of in (up, across)]
    axes.errorbar(
        *(across["value"], up["value"], *(np.maximum(error, 0) for error in errors)),
        fmt=style["marker"],
        color=style["color"],
        markersize=9,
        markerfacecolor="white",
        markeredgewidth=1.2,
        linewidth=0.7,
        zorder=3,
    )
    place = dict(ha="center", va="center_baseline", size=5.5, color="black", zorder=4)
    axes.text(across["value"], up["value"], str(number), **place)


def draw_panel(axes: plt.Axes, panel: Panel, methods: Sequence[str]) -> None:
    """Draw the points of methods over those of their sanity checks, and the lines."""
    names = shown_in(panel)
    for method, check in names[names.get_level_values("check") != ""]:
        at = [of.at[(method, check), "value"] for of in (panel.across, panel.up)]
        axes.plot(*at, marker="x", color="0.6", markersize=4, linestyle="", zorder=2)
    styles = method_styles(methods)
    for number, method in enumerate(methods, 1):
        if (method, "") in names:
            draw_point(axes, panel.across.loc[(method, "")], panel.up.loc[(method, "")], number, styles[method])
    for label, height in panel.lines.items():
        if np.isfinite(height):
            axes.axhline(height, color="0.4", linewidth=0.8, linestyle="--", zorder=1)
            place = dict(xycoords=axes.get_yaxis_transform(), xytext=(-2, 2), textcoords="offset points", ha="right")
            axes.annotate(label, (1, height), size=6, color="0.3", bbox=BEHIND, zorder=1.5, **place)
    if np.isfinite(panel.limit):
        axes.axvline(panel.limit, color="0.4", linewidth=0.8, linestyle=":", zorder=1)
        place = dict(
            xycoords=axes.get_xaxis_transform(), xytext=(-2, -2), textcoords="offset points", ha="right", va="top"
        )
        label = dict(size=6, color="0.3", rotation=90, bbox=BEHIND, zorder=1.5)
        axes.annotate("the models' effects", (panel.limit, 1), **label, **place)
    axes.set_xlabel(panel.labels[0])
    axes.set_ylabel(panel.labels[1])
    axes.spines[["top", "right"]].set_visible(False)


def legend_handles(methods: Sequence[str], checks: bool) -> list[plt.Line2D]:
    """Make the entries of the legend: each method with its number, and one for all sanity checks."""
    hollow = dict(linestyle="", markerfacecolor="white", markersize=6)
    entries = [
        plt.Line2D([], [], marker=style["marker"], color=style["color"], label=f"{number} {title_of(method)}", **hollow)
        for number, (method, style) in enumerate(method_styles(methods).items(), 1)
    ]
    crosses = plt.Line2D([], [], marker="x", color="0.6", markersize=4, linestyle="", label="sanity checks")
    return [*entries, *([crosses] if checks else [])]


def draw_bounds(
    scores: pd.DataFrame, scale: pd.DataFrame, checks: pd.DataFrame | None, methods: Sequence[str]
) -> plt.Figure:
    """Draw the panels that a study has the numbers for.

    Parameters
    ----------
    scores : DataFrame
        ``scores.tsv`` of the group that is explained: method, check, measure, value, low, high, chance.
    scale : DataFrame
        ``scale.tsv`` of methods and checks.
    checks : DataFrame or None
        ``checks.tsv``: method, check, seed, spearman.
    methods : sequence of str
        Those that are judged, in the order of their numbers; one without a row in the scores is left out.
    """
    methods = [method for method in methods if (scores["method"] == method).any()]
    panels = panels_of(scores, scale, checks)
    if not panels:
        return empty_figure(NO_PAIRS)
    size = (WIDTH, 3.3 + 0.15 * (len(methods) // 3))
    figure, all_axes = plt.subplots(1, len(panels), figsize=size, layout="constrained", squeeze=False)
    for axes, (title, panel) in zip(all_axes[0], panels.items(), strict=True):
        draw_panel(axes, panel, methods)
        axes.set_title(title, loc="left")
    crossed = any((shown_in(panel).get_level_values("check") != "").any() for panel in panels.values())
    figure.legend(
        handles=legend_handles(methods, crossed), loc="outside lower center", ncols=3, frameon=False, fontsize=7
    )
    return figure


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scores", required=True, help="compare/scores.tsv")
    parser.add_argument("--scale", required=True, nargs="+", help="scale.tsv of methods and checks")
    parser.add_argument("--checks", type=Path, help="compare/checks.tsv, where there is one")
    parser.add_argument(
        "--methods", required=True, nargs="+", help="those that are judged, in the order of their numbers"
    )
    task_argument(parser)
    parser.add_argument("--options", required=True, type=json_option, help="the config's report as JSON")
    parser.add_argument("--output", required=True, nargs="+", help="png and svg")
    args = parser.parse_args()

    checks = read_table(args.checks) if args.checks else None
    scale, scores = pd.concat(map(read_table, args.scale), ignore_index=True), read_table(args.scores)
    with plt.rc_context(STYLE):
        figure = draw_bounds(scores[scores["outcome"] == args.task.explained], scale, checks, args.methods)
        save_figure(figure, args.output, args.options["dpi"])


if __name__ == "__main__":
    run(main)
