"""Bring further images of a scan, its other channels, to the template by the transform of the first."""

from pathlib import Path

import ants
import nibabel as nib
import numpy as np

from heatproof.errors import StudyError
from heatproof.register.prepare_scan import Prepared, correct_bias, for_voxels_of
from heatproof.register.read_scan import read_scan

LEAST_SEEN = 0.9  # of the first image's brain in the field of view of a further one


def register_further(
    path: Path, first: Prepared, grid: ants.ANTsImage, forward: list[str], options: dict, folder: str
) -> tuple[np.ndarray, list[str]]:
    """Bring a further image of a scan to the working grid.

    Parameters
    ----------
    path : Path
    first : Prepared
        The first image, in whose space the brain is known.
    grid : ANTsImage
        An image on the working grid.
    forward : list of str
        Transforms that bring the first image to the template.
    options : dict
        alignment, n4 and intensities of the config's ``register`` section.
    folder : str
        Receives files for ANTs.

    Returns
    -------
    registered : ndarray of float32, shape (x, y, z)
        The brain, in its own intensities or corrected for bias, as ``intensities`` says.
    notes : list of str
        What had to be settled in the file, for a person to read.

    Raises
    ------
    StudyError
        If the image does not show the first one's brain where its header lays it.
    """
    raw, notes = read_scan(path)
    nib.save(raw, f"{folder}/further.nii")
    image, moved = ants.image_read(f"{folder}/further.nii", dimension=3), []
    if options["alignment"] == "rigid":
        found = ants.registration(first.moving, image, "Rigid", outprefix=f"{folder}/further_")
        moved = found["fwdtransforms"]
    check_seen(path, first.brain, image, moved)
    back = {"transformlist": moved, "whichtoinvert": [True] * len(moved)} if moved else {"transformlist": []}
    brain = ants.apply_transforms(image, first.brain, interpolator="nearestNeighbor", **back)
    image = image * brain
    stored = correct_bias(image, brain) if options["n4"] and options["intensities"] == "corrected" else image
    return ants.apply_transforms(grid, for_voxels_of(grid, stored), [*forward, *moved]).numpy(), notes


def check_seen(path: Path, brain: ants.ANTsImage, image: ants.ANTsImage, moved: list[str]) -> None:
    """Refuse an image whose field of view does not hold the brain of the first one."""
    field = image.new_image_like(np.ones(image.shape, np.float32))
    seen = ants.apply_transforms(brain, field, moved, interpolator="nearestNeighbor").numpy() > 0
    share = float(seen[brain.numpy() > 0].mean())
    if share < LEAST_SEEN:
        raise StudyError(
            f"{path} and the T1w image of the scan do not lie in one space: its field of view holds {share:.0%} of the "
            f"brain, not {LEAST_SEEN:.0%}; correct its header, set register.alignment to rigid, or exclude the scan"
        )
