"""Average where test patients differ from their healthy twins, as networks see them: ``change.nii.gz``.

In intensities of the packed scans, positive where patients are brighter. Registration has moved and blurred what was
prescribed for regions, and this is what came of it.
"""

import argparse
from pathlib import Path

import numpy as np

from heatproof.command import run
from heatproof.errors import StudyError
from heatproof.images import load_image, save_image
from heatproof.store import Store, open_store


def mean_change(store: Store, twins: Store) -> np.ndarray:
    """Return the mean over a store's patients of the scan less its twin, float32 of shape (x, y, z), one at a time.

    Raises
    ------
    StudyError
        If no scan is of a patient.
    """
    patients = store.scans.loc[store.classes == 1, "scan"]
    if patients.empty:
        raise StudyError("no test scan is of a patient, and where patients differ from their twins cannot be known")
    total = np.zeros(store.images.shape[1:])
    for scan in patients:
        total += store.image_of(scan) - twins.image_of(scan)
    return (total / len(patients)).astype(np.float32)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=Path, required=True, help="store of the test scans, .npy")
    parser.add_argument("--twins", type=Path, required=True, help="store of the patients' healthy twins, .npy")
    parser.add_argument("--mask", type=Path, required=True, help="brain_mask.nii.gz, whose grid the scans are on")
    parser.add_argument("--out", type=Path, required=True, help="change.nii.gz")
    args = parser.parse_args()

    change = mean_change(open_store(args.scans), open_store(args.twins))
    save_image(change, load_image(args.mask).affine, args.out)


if __name__ == "__main__":
    run(main)
