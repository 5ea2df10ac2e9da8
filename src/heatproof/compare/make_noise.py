"""Make mean maps of noise as smooth as real ones and of the same values: what agreement is worth that chance brings.

A field of white noise is smoothed as the real map is and given the real map's values in the order of its own, so that
nothing but the places differ.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter
from scipy.special import ndtri
from scipy.stats import rankdata

from heatproof.command import run
from heatproof.compare.average_maps import output_arguments, write_maps
from heatproof.compare.layout import mean_map_path
from heatproof.compare.outcomes import OUTCOMES
from heatproof.generators import generator
from heatproof.images import load_array
from heatproof.tables import read_table

WIDEST = 20.0  # voxels: a map as good as constant along an axis says no more about its smoothness


def smoothness(volume: np.ndarray, mask: np.ndarray) -> list[float]:
    """Estimate by which Gaussian white noise must be smoothed to be as smooth as a map.

    The map's values are turned into normal scores. Neighbours along an axis then correlate by exp(-1 / (4 sigma^2)), as
    white noise does after smoothing (Xiong et al. 1995, doi:10.1002/hbm.460030308).

    Parameters
    ----------
    volume : ndarray, shape (x, y, z)
    mask : ndarray of bool, shape (x, y, z)
        Where the map counts.

    Returns
    -------
    list of 3 float
        Standard deviation of the Gaussian along x, y, z in voxels.
    """
    scores = np.zeros(volume.shape)
    scores[mask] = ndtri((rankdata(volume[mask]) - 0.5) / np.count_nonzero(mask))
    sigmas = []
    for axis in range(3):
        values, inside = np.moveaxis(scores, axis, 0), np.moveaxis(mask, axis, 0)
        both = inside[1:] & inside[:-1]
        correlation = np.corrcoef(values[1:][both], values[:-1][both])[0, 1]
        floor, ceiling = 1e-6, np.exp(-1 / (4 * WIDEST**2))
        sigmas.append(float(np.sqrt(-1 / (4 * np.log(np.clip(correlation, floor, ceiling))))))
    return sigmas


def noise_like(volume: np.ndarray, mask: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return a map whose values in a mask are those of another, at random places but as smooth; 0 elsewhere.

    The same random numbers give nearly the same places for maps that are nearly alike.
    """
    if not np.ptp(volume[mask]):
        return np.where(mask, volume, 0)
    field = gaussian_filter(random.standard_normal(volume.shape), smoothness(volume, mask), mode="wrap")
    noise = np.zeros(volume.shape, np.float32)
    noise[mask] = np.sort(volume[mask])[np.argsort(np.argsort(field[mask], kind="stable"), kind="stable")]
    return noise


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", required=True, type=Path, help="folder of the real mean maps and mean_maps.tsv")
    parser.add_argument("--name", required=True, help="method and seed, which the noise follows from")
    output_arguments(parser)
    arguments = vars(parser.parse_args())

    real, name, groups = arguments.pop("maps"), arguments.pop("name"), arguments.pop("participant_groups")
    brain = load_array(arguments["template"] / "brain_mask.nii.gz", np.uint8) > 0
    tables = pd.concat(
        [read_table(real / "mean_maps.tsv").assign(left_out=0), read_table(real / "left_out/mean_maps.tsv")]
    )
    sizes = {outcome: rows.sort_values("left_out")["n_scans"].tolist() for outcome, rows in tables.groupby("outcome")}
    maps = {}
    for outcome in OUTCOMES:
        whole = mean_map_path(real, outcome)
        paths = [mean_map_path(real, outcome, left_out) for left_out in range(1 + groups)]
        volumes = [load_array(path if path.exists() else whole) for path in paths]
        maps[outcome] = np.stack([noise_like(volume, brain, generator(name, outcome)) for volume in volumes])
    write_maps(maps, sizes, **arguments)


if __name__ == "__main__":
    run(main)
