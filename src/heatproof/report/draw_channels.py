"""Draw the mean over all models of the mean maps of each channel, for each method that tells channels apart.

The maps of a model are scaled by the largest absolute value that one of them has in the brain: models count alike, and
channels keep their proportions. Models without a map do not count.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt

from heatproof.command import json_option, run
from heatproof.images import load_array
from heatproof.models import model_name
from heatproof.possible import read_possible
from heatproof.report.brains import average, load_brain, read_maps
from heatproof.report.draw_methods import draw_methods
from heatproof.report.figures import STYLE, save_figure
from heatproof.task import task_argument


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", required=True, type=Path, help="results/{study}/compare")
    parser.add_argument("--methods", required=True, nargs="+")
    parser.add_argument("--seeds", required=True, nargs="+", type=model_name)
    parser.add_argument("--channels", required=True, nargs="+", help="their names, in order")
    parser.add_argument("--possible", nargs="?", help="possible.tsv; what is not is left out")
    parser.add_argument("--mask", required=True, help="brain mask on the working grid")
    parser.add_argument("--template", required=True, type=json_option, help="the config's register.template as JSON")
    task_argument(parser)
    parser.add_argument("--options", required=True, type=json_option, help="the config's report as JSON")
    parser.add_argument("--output", required=True, nargs="+", help="png and svg")
    args = parser.parse_args()

    mask, files = load_array(args.mask) > 0, [f"mean_{args.task.explained}_{name}.nii.gz" for name in args.channels]
    maps = {}
    for method in filter(read_possible(args.possible).somewhere, args.methods):
        folders = [args.maps / method / f"seed-{seed}" for seed in args.seeds]
        of_models = [read_maps([folder / file for file in files], mask) for folder in folders]
        maps[method] = [average(of_channel) for of_channel in zip(*of_models, strict=True)]
    points = args.options["points"][:1]
    colours = args.options["colormap"], args.options["threshold"]
    with plt.rc_context(STYLE):
        figure = draw_methods(maps, load_brain(args.template, points), points, *colours, args.channels)
        save_figure(figure, args.output, args.options["dpi"])


if __name__ == "__main__":
    run(main)
