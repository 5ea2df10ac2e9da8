"""Draw robustness, localisation and faithfulness of every method against the width by which its maps are smoothed."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from heatproof.command import json_option, run
from heatproof.report.figures import NO_PAIRS, STYLE, WIDTH, empty_figure, method_styles, save_figure, title_of
from heatproof.tables import own, read_table

PANELS = {
    "pearson": "robustness:\ncorrelation of two models' maps",
    "faithfulness_pearson_cubes": "faithfulness:\ncorrelation with effects of cubes",
    "pr_auc": "localisation: area under the\nprecision-recall curve",
}
FORMS = {"signed": "signed maps", "absolute": "absolute maps"}


def draw_curves(axes: plt.Axes, rows: pd.DataFrame, methods: Sequence[str]) -> None:
    """Draw one line for each method, the range of the sanity checks' curves as a band, and chance.

    Parameters
    ----------
    rows : DataFrame
        One measure in one form: method, check, fwhm, value, chance.
    """
    checks = rows[rows["check"] != ""].groupby(["method", "check", "fwhm"])["value"].mean().groupby("fwhm")
    if len(checks):
        label = "range of sanity checks"
        axes.fill_between(checks.min().index, checks.min(), checks.max(), color="0.88", linewidth=0, label=label)
    axes.axhline(rows["chance"].mean(), color="0.5", linewidth=0.8, linestyle=(0, (1, 1)), label="chance")
    curves = own(rows).groupby(["method", "fwhm"])["value"].mean()
    for method, style in method_styles(methods).items():
        if method in curves:
            axes.plot(curves[method], linewidth=1.1, markersize=3, label=title_of(method), **style)


def draw_scale(table: pd.DataFrame, methods: Sequence[str]) -> plt.Figure:
    """Draw one column for each measure that the study has, signed maps above absolute ones.

    Parameters
    ----------
    table : DataFrame
        ``scale.tsv`` of methods and checks: method, check, measure, values, fwhm, value, chance.
    methods : sequence of str
        Order of the styles.
    """
    table = table.dropna(subset="value")
    panels = {measure: title for measure, title in PANELS.items() if (table["measure"] == measure).any()}
    if not panels:
        return empty_figure(NO_PAIRS)
    size = (WIDTH, 4.4 + 0.14 * (len(methods) // 3))
    figure, grid = plt.subplots(2, len(panels), figsize=size, layout="constrained", sharex=True, squeeze=False)
    for column, (measure, title) in zip(grid.T, panels.items(), strict=True):
        for axes, form in zip(column, FORMS, strict=True):
            draw_curves(axes, table[(table["measure"] == measure) & (table["values"] == form)], methods)
            axes.set_xticks(sorted(table["fwhm"].unique()))
            axes.spines[["top", "right"]].set_visible(False)
        column[0].set_title(title, loc="left")
        column[-1].set_xlabel("smoothing, mm FWHM")
    for axes, name in zip(grid[:, 0], FORMS.values(), strict=True):
        axes.set_ylabel(name)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=7)
    return figure


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", required=True, nargs="+", type=Path, help="scale.tsv of methods and checks")
    parser.add_argument("--methods", required=True, nargs="+", help="the study's, for the order of the styles")
    parser.add_argument("--options", required=True, type=json_option, help="the config's report as JSON")
    parser.add_argument("--output", required=True, nargs="+", help="png and svg")
    args = parser.parse_args()

    table = pd.concat([read_table(path) for path in args.tables], ignore_index=True)
    with plt.rc_context(STYLE):
        save_figure(draw_scale(table, args.methods), args.output, args.options["dpi"])


if __name__ == "__main__":
    run(main)
