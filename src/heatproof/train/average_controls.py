"""Average the training controls of the packed scans: a healthy reference, with which methods may compare a scan."""

import argparse
from pathlib import Path

import numpy as np

from heatproof.command import run
from heatproof.errors import StudyError
from heatproof.store import Store, mean_image, open_store, without_channels
from heatproof.task import task_argument


def average_controls(store: Store) -> np.ndarray:
    """Return the mean over the scans of what the target is held against, reading one at a time.

    Returns
    -------
    ndarray of float32, shape (channels, x, y, z)

    Raises
    ------
    StudyError
        If there is none.
    """
    controls = np.flatnonzero(store.task.strata(store.scans) == store.task.reference)
    if not len(controls):
        name = store.task.in_words(store.task.reference)
        raise StudyError(f"no training scan is of {name}, and mean_control is their mean; choose another baseline")
    return mean_image(store.images[row] for row in controls)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=Path, required=True, help="store of the training scans, .npy")
    task_argument(parser)
    parser.add_argument("--out", type=Path, required=True, help="mean_control.npy")
    arguments = parser.parse_args()
    np.save(arguments.out, without_channels(average_controls(open_store(arguments.scans, arguments.task))))


if __name__ == "__main__":
    run(main)
