"""Average where test patients differ from their healthy twins, as networks see them: ``change.nii.gz``.

In intensities of the packed scans, positive where patients are brighter; of several channels, that which changed most.
Registration has moved and blurred what was prescribed for regions, and this is what came of it.
"""

import argparse
from pathlib import Path

import numpy as np

from heatproof.command import run
from heatproof.errors import StudyError
from heatproof.images import load_image, save_image
from heatproof.store import Store, mean_image, open_store, strongest
from heatproof.task import one, task_argument


def mean_change(store: Store, twins: Store) -> np.ndarray:
    """Return the mean of the target's scans less their twins, float32 (channels, x, y, z), reading one at a time.

    Raises
    ------
    StudyError
        If there is none.
    """
    task = store.task
    explained = store.scans.loc[task.is_explained(store.scans), "scan"]
    if explained.empty:
        raise StudyError(
            f"no test scan is of {one(task.target)}, and where it would differ from its twin cannot be known"
        )
    return mean_image(store.image_of(scan) - twins.image_of(scan) for scan in explained)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=Path, required=True, help="store of the test scans, .npy")
    parser.add_argument("--twins", type=Path, required=True, help="store of the scans' healthy twins, .npy")
    task_argument(parser)
    parser.add_argument("--mask", type=Path, required=True, help="brain_mask.nii.gz, whose grid the scans are on")
    parser.add_argument("--out", type=Path, required=True, help="change.nii.gz")
    args = parser.parse_args()

    change = mean_change(open_store(args.scans, args.task), open_store(args.twins))
    save_image(strongest(change), load_image(args.mask).affine, args.out)


if __name__ == "__main__":
    run(main)
