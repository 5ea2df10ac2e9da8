"""Draw Figure 1 of Eitel and Ritter 2019: the mean true-positive map of one method for every model.

All models share their slices and their colour scale; each map is scaled by its largest absolute value in the brain.
"""

import argparse
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import nibabel as nib
import pandas as pd

from heatproof.command import run
from heatproof.images import load_array
from heatproof.models import model_name, title_of_model
from heatproof.report.accuracy import headline
from heatproof.report.brains import (
    Scale,
    brain_arguments,
    colour_scale,
    draw_colour_bar,
    draw_map,
    load_brain,
    panel_size,
    read_map,
)
from heatproof.report.figures import STYLE, WIDTH, save_figure, title_of
from heatproof.tables import read_table
from heatproof.task import PATIENTS, Task

COLUMNS = 2
MARGIN, GAP, LABEL, BAR = 0.05, 0.25, 0.28, 0.6  # inches: left and right, between panels, above one, for the colours


def draw_seeds(
    maps: Mapping[int, nib.Nifti1Image | None],
    accuracy: pd.DataFrame,
    template: nib.Nifti1Image,
    point: Sequence[float],
    scale: Scale,
    title: str,
    task: Task = PATIENTS,
) -> plt.Figure:
    """Draw one panel for each model, labelled with its seed, balanced accuracy and number of true positives.

    Parameters
    ----------
    maps : mapping from seed to Nifti1Image or None
        Mean true-positive maps as `read_map` gives them.
    accuracy : DataFrame
        seed, balanced_accuracy or mae, and the number of scans of the group, as n_TP.
    template : Nifti1Image
        T1w of the brain, zero outside.
    point : sequence of 3 float
        Millimetres; the slices pass through it.
    scale : Scale
    title : str
        Name of the method.
    task : Task
    """
    width, height = panel_size(template)
    panel_width = (WIDTH - 2 * MARGIN - GAP * (COLUMNS - 1)) / COLUMNS
    panel_height = panel_width * height / width
    total = -(-len(maps) // COLUMNS) * (LABEL + panel_height) + BAR
    figure = plt.figure(figsize=(WIDTH, total))
    (name, quantity), accuracy, group = headline(accuracy), accuracy.set_index("seed"), task.explained
    one = task.groups[group].title
    for i, (seed, image) in enumerate(maps.items()):
        row, column = divmod(i, COLUMNS)
        left = (MARGIN + column * (panel_width + GAP)) / WIDTH
        bottom = 1 - (row + 1) * (LABEL + panel_height) / total
        axes = figure.add_axes([left, bottom, panel_width / WIDTH, panel_height / total])
        hits, told = accuracy.loc[seed, [f"n_{group}", name]]
        reason = "every voxel is 0" if hits else f"no {one}, no map"
        draw_map(axes, image, template, point, scale, coordinates=row == 0, reason=reason)
        words = f"{quantity.title.lower()} {quantity.write(told)}, {hits:.0f} {one}s"
        axes.set_title(title_of_model(seed), loc="left", weight="bold", pad=5)
        axes.set_title(words, loc="right", color="0.3", pad=5)
    bar = figure.add_axes([0.32, 0.4 / total, 0.36, 0.08 / total])
    draw_colour_bar(bar, scale, f"{title}: mean relevance over {one}s, as a share of each map’s maximum")
    return figure


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", required=True, help="name of the method, for the label")
    parser.add_argument("--seeds", required=True, nargs="+", type=model_name)
    parser.add_argument("--maps", required=True, nargs="+", help="mean map of each seed, in the order of --seeds")
    parser.add_argument("--accuracy", required=True, help="compare/accuracy.tsv")
    brain_arguments(parser)
    args = parser.parse_args()

    mask = load_array(args.mask) > 0
    maps = {seed: read_map(path, mask) for seed, path in zip(args.seeds, args.maps, strict=True)}
    scale = colour_scale(maps.values(), args.options["colormap"], args.options["threshold"])
    points = args.options["points"]
    template = load_brain(args.template, points)
    with plt.rc_context(STYLE):
        figure = draw_seeds(
            maps, read_table(args.accuracy), template, points[0], scale, title_of(args.method), args.task
        )
        save_figure(figure, args.output, args.options["dpi"])


if __name__ == "__main__":
    run(main)
