"""Measure the mean maps of all models by one method at several widths of smoothing: ``scale.tsv``.

Columns: method check measure values fwhm seed_a seed_b value chance. Mean maps over true positives are smoothed within
the brain. values is ``signed``, or ``absolute`` where absolute values were smoothed. fwhm is in mm. measure is

- ``pearson``, robustness over retraining: the correlation of the maps of two models of one network;
- ``pr_auc``, localisation, where the truth is known: how well a map finds the voxels that truly changed;
- ``faithfulness_pearson_cubes``, where effects were measured: the correlation of a map's sums over cubes with the
  cubes' mean effects on the model over the same scans; absolute sums go with absolute effects.

Maps that differ in sharpness should be compared at a common width: voxel by voxel, two speckled maps are less alike
than two smooth ones, whatever they show.
"""

import argparse
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from heatproof.command import json_option, run
from heatproof.compare.agreement import correlation
from heatproof.compare.effects import effects_arguments, effects_of
from heatproof.compare.layout import mean_map_path, model_folder, split_name
from heatproof.compare.localisation import pr_auc, true_effects, true_share, true_voxels
from heatproof.compare.ranks import settled
from heatproof.compare.unit_sums import read_units
from heatproof.images import load_array, load_image
from heatproof.models import model_name, network_of
from heatproof.space import voxel_sizes
from heatproof.tables import read_table, write_table
from heatproof.task import task_in
from heatproof.units import KINDS
from heatproof.voxels import smoother

COLUMNS = ["method", "check", "measure", "values", "fwhm", "seed_a", "seed_b", "value", "chance"]
FORMS: dict[str, Callable] = {"signed": np.asarray, "absolute": np.abs}


def read_maps(folder: Path, method: str, seeds: Sequence[int], brain: np.ndarray, group: str) -> dict[int, np.ndarray]:
    """Read the mean maps over a group by seed, float32 of shape (voxels,), but for those without relevance."""
    maps = {seed: load_array(mean_map_path(model_folder(folder, method, seed), group))[brain] for seed in seeds}
    return {seed: values.astype(np.float32) for seed, values in maps.items() if values.any()}


def measure_maps(
    maps: Mapping[int, np.ndarray], form: Callable, true: np.ndarray | None, follow: Callable | None
) -> Iterator[tuple[str, int, int, float, float]]:
    """Measure smoothed maps: yield measure, seed_a, seed_b, value and chance.

    Parameters
    ----------
    maps : mapping
        Seed to a map, shape (voxels,).
    form : callable
        One of `FORMS`, in which maps and effects are compared.
    true : ndarray of bool, shape (voxels,), or None
        Where the brain truly changed.
    follow : callable or None
        ``follow(values, seed, form)``: a map's faithfulness to a model.
    """
    for a, b in combinations(maps, 2):
        if network_of(a) != network_of(b):
            continue
        yield "pearson", a, b, correlation(maps[a], maps[b]), 0.0
    for seed, values in maps.items():
        if true is not None:
            yield "pr_auc", seed, seed, pr_auc(values, true, {}), true_share(values, true, {})
        if follow is not None:
            yield "faithfulness_pearson_cubes", seed, seed, follow(values, seed, form), 0.0


def measure_scale(
    maps: Mapping[int, np.ndarray],
    brain: np.ndarray,
    sizes: Sequence[float],
    widths: Sequence[float],
    true: np.ndarray | None = None,
    follow: Callable | None = None,
) -> pd.DataFrame:
    """Measure maps at every width, signed and absolute.

    Parameters
    ----------
    maps, true, follow
        As for `measure_maps`, before any smoothing.
    brain, sizes
        As for `heatproof.voxels.smoother`.
    widths : sequence of float
        mm.

    Returns
    -------
    DataFrame
        `COLUMNS` but for method and check.
    """
    rows = []
    for fwhm in widths:
        logging.info("smoothing by %g mm", fwhm)
        smooth = smoother(brain, sizes, fwhm)
        for name, form in FORMS.items():
            smoothed = {seed: smooth(form(values)) for seed, values in maps.items()}
            measured = measure_maps(smoothed, form, true, follow)
            rows += [(measure, name, fwhm, *found) for measure, *found in measured]
    return pd.DataFrame(rows, columns=COLUMNS[2:])


def follower(effects: Mapping[int, np.ndarray], cubes: np.ndarray) -> Callable[[np.ndarray, int, Callable], float]:
    """Return a function that correlates a map's sums over cubes with the cubes' effects.

    Parameters
    ----------
    effects : mapping
        Seed to the effects, shape (cubes,); NaN for a cube without one.
    cubes : ndarray of int, shape (voxels,)
        The cube of each voxel of the brain, 1..n; 0 for none.

    Returns
    -------
    callable
        ``follow(values, seed, form)``, values (voxels,) in a form of `FORMS`.
    """

    def follow(values: np.ndarray, seed: int, form: Callable) -> float:
        known = np.isfinite(effects[seed])
        if not known.any():
            return np.nan
        sums = np.bincount(cubes, weights=values, minlength=len(known) + 1)[1:]
        return correlation(settled(sums[known]), form(effects[seed][known]))

    return follow


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", required=True, type=Path, help="results/{study}/compare")
    parser.add_argument("--method", required=True)
    parser.add_argument("--seeds", required=True, type=model_name, nargs="+")
    parser.add_argument("--template", required=True, type=Path, help="folder of brain_mask, regions and regions.tsv")
    parser.add_argument("--truth", help="ground_truth/regions.tsv: region, prescribed; where it is known")
    effects_arguments(parser)
    parser.add_argument("--options", required=True, type=json_option, help="the config's compare as JSON, and cubes")
    parser.add_argument("--out", required=True, help="scale.tsv")
    args = parser.parse_args()

    image = load_image(args.template / "brain_mask.nii.gz")
    brain, true, follow = np.asarray(image.dataobj) > 0, None, None
    if args.truth:
        labels = load_array(args.template / "regions.nii.gz", np.int32)
        effects = true_effects(labels, read_table(args.template / "regions.tsv"), read_table(args.truth))
        true = true_voxels(effects, brain, args.truth)
    if args.effects:
        cubes = read_units(args.template, args.options)[KINDS.index("cubes")]
        effects = {
            seed: of_model.spread("cubes").loc[of_model.kept(0)].mean().reindex(cubes.table["unit"]).to_numpy()
            for seed, of_model in effects_of(args).items()
        }
        follow = follower(effects, cubes.numbers[brain])
    maps = read_maps(args.folder, args.method, args.seeds, brain, task_in(args.options).explained)
    table = measure_scale(maps, brain, voxel_sizes(image.affine), args.options["smoothing"], true, follow)
    method, check = split_name(args.method)
    write_table(table.assign(method=method, check=check)[COLUMNS], args.out)


if __name__ == "__main__":
    run(main)
