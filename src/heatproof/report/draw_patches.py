"""Draw how far models agree by occlusion with patches of several sizes: is occlusion unstable, or just coarse?

Left the distance between models' mean maps, right the share of top regions in common, both against the edge of the
patch; other methods of the study are drawn as horizontal lines.
"""

import argparse
from collections.abc import Mapping
from itertools import cycle

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.ticker import NullLocator, PercentFormatter

from heatproof.command import json_option, run
from heatproof.report.figures import NO_PAIRS, STYLE, WIDTH, empty_figure, save_figure, title_of
from heatproof.tables import read_table
from heatproof.task import PATIENTS, Task, task_argument

LINES = ("#b2182b", "#2166ac", "#4d4d4d", "#d6604d", "#4393c3")  # of the groups
COLOURS = {"sum": "#1b7837", "density": "#762a83", "gain": "#e08214"}
DASHES = ("--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))


def draw_curve(axes: plt.Axes, rows: pd.DataFrame, colour: str, label: str) -> None:
    """Draw a measure with its intervals against the patch's edge; rows: patch, value, low, high."""
    rows = rows.sort_values("patch")
    axes.plot(rows["patch"], rows["value"], "o-", color=colour, markersize=3.5, linewidth=1.2, label=label)
    axes.fill_between(rows["patch"], rows["low"], rows["high"], color=colour, alpha=0.15, linewidth=0)


def draw_levels(axes: plt.Axes, others: pd.DataFrame, colour: str) -> None:
    """Draw the value of each other method as a horizontal line with its name; rows: method, value."""
    for dashes, row in zip(DASHES, others.itertuples(), strict=False):
        axes.axhline(row.value, color=colour, linewidth=0.8, linestyle=dashes, alpha=0.8)
        axes.annotate(
            title_of(row.method),
            (1, row.value),
            (2, 0),
            ("axes fraction", "data"),
            "offset points",
            size=6,
            va="center",
        )


def draw_patches(
    scores: pd.DataFrame, patches: Mapping[str, int], voxel_size: float, task: Task = PATIENTS
) -> plt.Figure:
    """Draw distance and overlap against the patch's edge.

    Parameters
    ----------
    scores : DataFrame
        ``scores.tsv``: method, check, measure, outcome, value, low, high, chance, kind.
    patches : mapping
        Method to the edge of its patch in voxels.
    voxel_size : float
        Edge of a voxel in millimetres.
    task : Task
    """
    scores = scores[scores["kind"] == "method"].assign(patch=scores["method"].map(patches))
    swept, others = scores.dropna(subset=["patch"]), scores[scores["patch"].isna()]
    top = swept["measure"].str.extract(r"^top_(\d+)_(\w+)$")
    if swept.loc[(swept["measure"] == "l2_rms") | top[0].notna(), "value"].isna().all():
        return empty_figure(NO_PAIRS)
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 2.7), layout="constrained")
    for group, colour in zip(task.compared, cycle(LINES), strict=False):
        rows = swept[(swept["measure"] == "l2_rms") & (swept["outcome"] == group)]
        draw_curve(left, rows, colour, f"{task.groups[group].title}s")
    draw_levels(left, others[(others["measure"] == "l2_rms") & (others["outcome"] == task.explained)], LINES[0])
    left.set_title("distance between two models' mean maps", loc="left")
    left.set_ylabel("root mean square per voxel")
    left.set_ylim(bottom=0)
    for metric in ("sum", "density", "gain"):
        draw_curve(right, swept[top[1] == metric], COLOURS[metric], metric)
    sums = others["measure"].str.fullmatch(r"top_\d+_sum")
    draw_levels(right, others[sums], COLOURS["sum"])
    chance = swept.loc[top[1].notna(), "chance"].mean()
    right.axhline(chance, color="black", linewidth=1)
    right.annotate("chance", (1, chance), (2, 0), ("axes fraction", "data"), "offset points", size=6, va="center")
    right.set_title(" ".join(["shared among the top", *top[0].dropna().head(1), "regions"]), loc="left")
    right.set_ylim(0, 1)
    right.yaxis.set_major_formatter(PercentFormatter(1))
    edges = sorted(set(patches.values()))
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks(edges, [f"{edge}\n{edge * voxel_size:g} mm" for edge in edges])
        axes.set_xlabel("edge of the patch, voxels")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=7)
    return figure


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scores", required=True, help="compare/scores.tsv")
    parser.add_argument("--patches", required=True, type=json_option, help="method to voxels, as JSON")
    parser.add_argument("--voxel-size", required=True, type=float, help="mm")
    task_argument(parser)
    parser.add_argument("--options", required=True, type=json_option, help="the config's report as JSON")
    parser.add_argument("--output", required=True, nargs="+", help="png and svg")
    args = parser.parse_args()

    with plt.rc_context(STYLE):
        figure = draw_patches(read_table(args.scores), args.patches, args.voxel_size, args.task)
        save_figure(figure, args.output, args.options["dpi"])


if __name__ == "__main__":
    run(main)
