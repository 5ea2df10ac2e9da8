"""Make mean maps of noise like real ones: what agreement is worth that chance brings.

A surrogate has its map's values, and the autocorrelation of these and of their absolute values, at places that are
random: by the iterative amplitude-adjusted Fourier transform within the brain. What is left out by a group of test
participants puts its own values at the same places.

References
----------
Schreiber and Schmitz 1996, doi:10.1103/PhysRevLett.77.635
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.fft import irfftn, next_fast_len, rfftn

from heatproof.command import run
from heatproof.compare.average_maps import output_arguments, write_maps
from heatproof.compare.layout import mean_map_path
from heatproof.generators import generator
from heatproof.images import load_array
from heatproof.tables import read_table
from heatproof.task import task_in
from heatproof.voxels import crop_box

MARGIN = 8  # voxels of zeros beside the brain, so that its opposite faces are not neighbours
TAPER = 8  # the smoothed power spectrum has about this many independent values along half an axis of the box
ROUNDS = 8


class Like(NamedTuple):
    """What values at other places have to be like: the values themselves, sorted, and their power spectrum."""

    values: np.ndarray
    power: np.ndarray


def grid_of(inside: np.ndarray) -> list[int]:
    """Return the shape of a mask's box with its margin, as a Fourier transform likes it."""
    return [next_fast_len(edge + MARGIN, real=True) for edge in inside.shape]


def transform(values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return the Fourier transform of values in a mask, less their mean, with zeros around them."""
    field = np.zeros(grid_of(inside), np.float32)
    field[tuple(map(slice, inside.shape))][inside] = values - values.mean(dtype=float)
    return rfftn(field)


def smooth_power(spectrum: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Return the power spectrum of a field of that shape, as the transform of its tapered autocovariance."""
    covariance = irfftn(np.square(np.abs(spectrum)), shape)
    for axis, edge in enumerate(shape):
        lag = np.minimum(np.arange(edge), edge - np.arange(edge))
        taper = np.exp(-np.square(TAPER * lag / edge) / 2).astype(np.float32)
        covariance *= np.expand_dims(taper, tuple({0, 1, 2} - {axis}))
    power = rfftn(covariance).real
    return np.maximum(power, 1e-6 * power.max())


def in_order_of(values: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """Put numbers that rise into the order of some values: the smallest where these have theirs, and so on."""
    placed = np.empty_like(ordered)
    placed[np.argsort(values, kind="stable")] = ordered
    return placed


def realise(spectrum: np.ndarray, like: Like, inside: np.ndarray) -> np.ndarray:
    """Return the values in a mask of a field whose transform is given, replaced in order by those of ``like``."""
    field = irfftn(spectrum, grid_of(inside))[tuple(map(slice, inside.shape))][inside]
    return in_order_of(field, like.values)


def adjust(values: np.ndarray, like: Like, inside: np.ndarray) -> np.ndarray:
    """Filter values in a mask so that they get the power spectrum of ``like``, and then give them its values."""
    spectrum = transform(values, inside)
    return realise(spectrum * np.sqrt(like.power / smooth_power(spectrum, grid_of(inside))), like, inside)


def random_places(values: np.ndarray, inside: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Find places in a mask at which its values, put there in order, are autocorrelated as they were.

    The power spectrum that values in the mask have with zeros around them is the transform of the sums of products,
    over all pairs of voxels in the mask at each distance: of the autocorrelation, with nothing assumed about what is
    outside of the mask. White noise is filtered to it and given the map's values, again and again, signed and absolute
    values in turn; the last step goes half way between the two. The spectra are smoothed, since mask and exact
    amplitudes together would nearly determine a map of few patches, and noise would come to look like it.

    Parameters
    ----------
    values : ndarray of float, shape (voxels,)
        Not all equal.
    inside : ndarray of bool, shape (x, y, z)
        The voxels' mask, in its box.
    random : Generator

    Returns
    -------
    ndarray of float32, shape (voxels,)
        Numbers in whose order values have to be (see `in_order_of`).
    """
    shape, scaled = grid_of(inside), (values / np.abs(values).max()).astype(np.float32)
    signed, absolute = (
        Like(np.sort(part), smooth_power(transform(part, inside), shape)) for part in (scaled, np.abs(scaled))
    )
    white = rfftn(random.standard_normal(shape, np.float32))
    noise = realise(white * np.sqrt(signed.power), signed, inside)
    for _ in range(ROUNDS):
        noise = adjust(np.copysign(adjust(np.abs(noise), absolute, inside), noise), signed, inside)
    return noise + np.copysign(adjust(np.abs(noise), absolute, inside), noise)


def noise_like(volumes: np.ndarray, mask: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return maps whose values in a mask are those of others at random places; 0 elsewhere.

    Parameters
    ----------
    volumes : ndarray of float, shape (maps, x, y, z)
        Maps that are nearly alike: the first says how values are autocorrelated, and all have the same places. Where
        it is the same everywhere they stay as they are.
    mask : ndarray of bool, shape (x, y, z)
    random : Generator

    Returns
    -------
    ndarray of float32, shape (maps, x, y, z)
    """
    noise = np.where(mask, volumes, 0).astype(np.float32)
    if np.ptp(noise[0][mask]):
        places = random_places(noise[0][mask], mask[crop_box(mask)], random)
        for volume in noise:
            volume[mask] = in_order_of(places, np.sort(volume[mask]))
    return noise


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maps", required=True, type=Path, help="folder of the real mean maps and mean_maps.tsv")
    parser.add_argument("--name", required=True, help="method and seed, which the noise follows from")
    output_arguments(parser)
    args = parser.parse_args()

    real, groups = args.maps, args.options["participant_groups"]
    brain = load_array(args.template / "brain_mask.nii.gz", np.uint8) > 0
    tables = pd.concat(
        [read_table(real / "mean_maps.tsv").assign(left_out=0), read_table(real / "left_out/mean_maps.tsv")]
    )
    sizes = {outcome: rows.sort_values("left_out")["n_scans"].tolist() for outcome, rows in tables.groupby("outcome")}
    maps = {}
    for outcome in task_in(args.options).groups:
        whole = mean_map_path(real, outcome)
        paths = [mean_map_path(real, outcome, left_out) for left_out in range(1 + groups)]
        volumes = np.stack([load_array(path if path.exists() else whole) for path in paths])
        maps[outcome] = noise_like(volumes, brain, generator(args.name, outcome))
    write_maps(maps, sizes, args.template, args.out, args.options)


if __name__ == "__main__":
    run(main)
