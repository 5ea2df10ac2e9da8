"""Draw Figure 2 of Eitel and Ritter 2019: the mean over all models of the mean true-positive maps, for each method.

Each model's map is scaled by its largest absolute value in the brain before they are averaged, so that models count
alike; models without a map do not count, and methods that no network of the study can have are left out.

With ``--channels`` the maps of the channels stand side by side at the first point. Those of a model are scaled by the
largest absolute value that one of them has: channels keep their proportions.
"""

import argparse
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import matplotlib.pyplot as plt
import nibabel as nib

from heatproof.command import run
from heatproof.images import load_array
from heatproof.models import model_name
from heatproof.possible import read_possible
from heatproof.report.brains import (
    average,
    brain_arguments,
    colour_scale,
    draw_colour_bar,
    draw_map,
    load_brain,
    panel_size,
    read_maps,
)
from heatproof.report.figures import STYLE, WIDTH, save_figure, title_of

MARGIN, GAP, LABEL, BAR = 0.05, 0.2, 0.28, 0.6  # inches: left and below, between panels, above a row, for its colours


def draw_methods(
    maps: Mapping[str, Sequence[nib.Nifti1Image | None]],
    template: nib.Nifti1Image,
    points: Sequence[Sequence[float]],
    colormap: str,
    threshold: float,
    heads: Sequence[str] = (),
) -> plt.Figure:
    """Draw one row for each method, with a colour scale of its own and one panel for each map and point.

    Parameters
    ----------
    maps : mapping from method to sequence of Nifti1Image or None
        Means over models: one, or one for each channel.
    template : Nifti1Image
        T1w of the brain, zero outside.
    points : sequence of sequences of 3 float
        Millimetres; the slices of a panel pass through its point.
    colormap, threshold
        As in `colour_scale`.
    heads : sequence of str
        What is written above each panel.
    """
    width, height = panel_size(template)
    columns = max(map(len, maps.values()), default=1) * len(points)
    panel_width = (WIDTH - MARGIN - BAR - GAP * (columns - 1)) / columns
    panel_height = panel_width * height / width
    label = LABEL * (1 + bool(heads))
    total = len(maps) * (label + panel_height) + MARGIN
    figure = plt.figure(figsize=(WIDTH, total))
    for row, (method, images) in enumerate(maps.items()):
        bottom = 1 - (row + 1) * (label + panel_height) / total
        scale = colour_scale(images, colormap, threshold)
        for column, (image, point) in enumerate(product(images, points)):
            left = (MARGIN + column * (panel_width + GAP)) / WIDTH
            axes = figure.add_axes([left, bottom, panel_width / WIDTH, panel_height / total])
            draw_map(axes, image, template, point, scale, coordinates=row == 0, reason="no model has a map")
            words = [title_of(method)] * (column == 0) + [*heads[column : column + 1]]
            axes.set_title("\n".join(words), loc="left", weight="bold", pad=5)
        if images[0] is not None:
            low = bottom + 0.2 * panel_height / total
            bar = figure.add_axes([1 - (BAR - 0.1) / WIDTH, low, 0.08 / WIDTH, 0.6 * panel_height / total])
            draw_colour_bar(bar, scale, "", "vertical")
    return figure


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", required=True, type=Path, help="results/{study}/compare")
    parser.add_argument("--methods", required=True, nargs="+")
    parser.add_argument("--seeds", required=True, nargs="+", type=model_name)
    parser.add_argument("--possible", nargs="?", help="possible.tsv; what is not is left out")
    parser.add_argument("--channels", nargs="*", default=[], help="of several, their names: a panel for each")
    brain_arguments(parser)
    args = parser.parse_args()

    mask, maps, mean = load_array(args.mask) > 0, {}, f"mean_{args.task.explained}"
    files = [f"{mean}_{channel}.nii.gz" for channel in args.channels] or [f"{mean}.nii.gz"]
    for method in filter(read_possible(args.possible).somewhere, args.methods):
        folders = [args.maps / method / f"seed-{seed}" for seed in args.seeds]
        of_models = [read_maps([folder / file for file in files], mask) for folder in folders]
        maps[method] = [average(of_channel) for of_channel in zip(*of_models, strict=True)]
    options = args.options
    points = options["points"][:1] if args.channels else options["points"]
    colours, template = (options["colormap"], options["threshold"]), load_brain(args.template, points)
    with plt.rc_context(STYLE):
        figure = draw_methods(maps, template, points, *colours, args.channels)
        save_figure(figure, args.output, options["dpi"])


if __name__ == "__main__":
    run(main)
