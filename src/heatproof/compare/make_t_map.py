"""Make the voxel-wise t-map of patients against controls: what the training scans show with no network at all.

It is written as the mean map of every outcome. It does not change from model to model, nor with the test participants
that are left out, and so agrees with itself.
"""

import argparse

import numpy as np

from heatproof.command import run
from heatproof.compare.average_maps import output_arguments, write_maps
from heatproof.compare.outcomes import OUTCOMES
from heatproof.store import Store, open_store


def t_map(store: Store) -> np.ndarray:
    """Compare patients with controls, voxel by voxel, by Welch's t; one mean image per participant.

    Parameters
    ----------
    store : Store

    Returns
    -------
    ndarray of float32, shape (x, y, z)
        Positive where patients' voxels are brighter; 0 where nothing varies.
    """
    moments = {}
    for label in ("patient", "control"):
        scans = store.scans.reset_index(drop=True).query("label == @label")
        count, mean, spread = 0, 0.0, 0.0
        for numbers in scans.groupby("participant_id").groups.values():
            image = np.mean(store.images[np.sort(numbers)], axis=0, dtype=np.float64)
            count, before = count + 1, mean
            mean = mean + (image - mean) / count
            spread = spread + (image - before) * (image - mean)
        moments[label] = (mean, spread / (count - 1) / count)
    difference = moments["patient"][0] - moments["control"][0]
    error = np.sqrt(moments["patient"][1] + moments["control"][1])
    return np.divide(difference, error, out=np.zeros_like(difference), where=error > 0).astype(np.float32)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", required=True, help="store of the training scans")
    output_arguments(parser)
    arguments = vars(parser.parse_args())

    store, times = open_store(arguments.pop("scans")), 1 + arguments.pop("participant_groups")
    maps, sizes = np.stack([t_map(store)] * times), [len(store.scans)] * times
    write_maps(dict.fromkeys(OUTCOMES, maps), dict.fromkeys(OUTCOMES, sizes), **arguments)


if __name__ == "__main__":
    run(main)
