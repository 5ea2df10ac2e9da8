"""Prepare a scan for ANTs: find its brain and how it lies, correct its bias field, smooth it for larger voxels."""

from pathlib import Path
from typing import NamedTuple

import ants
import nibabel as nib
import numpy as np
from scipy.spatial.transform import Rotation

from heatproof.errors import StudyError
from heatproof.register.extract_brain import LARGEST_BRAIN_ML, extract_upright, find_brain, surest_turn
from heatproof.register.find_pose import GOOD_FIT, Brain, Pose, coarse_brain, find_pose
from heatproof.space import FWHM_TO_SIGMA, grid_of

LARGE_TURN = 35.0
BIAS_EDGE_MM = 8.0
BIAS_CONVERGENCE = {"iters": [50, 50, 50, 50], "tol": 1e-3}


class Prepared(NamedTuple):
    """A scan for ANTs.

    Attributes
    ----------
    original, moving : ANTsImage
        The scan, or only its brain where one was extracted; in its own intensities, and in those that are registered.
    brain : ANTsImage
        The brain's mask.
    pose : Pose
    """

    original: ants.ANTsImage
    moving: ants.ANTsImage
    brain: ants.ANTsImage
    pose: Pose


def prepare(
    raw: nib.Nifti1Image, path: Path, model: Brain, options: dict, mask: Path | None, folder: str
) -> tuple[Prepared, dict]:
    """Find the brain of a scan and how it lies.

    deepbet knows upright heads. Where the brain that it finds does not fit the template as the header lays it, or is
    turned far, the head is laid upright, first by right angles, then as the brain found there lies, and its brain
    extracted again.

    Parameters
    ----------
    raw : Nifti1Image
        As `heatproof.register.read_scan.read_scan` returns it.
    path : Path
        Its file, for messages.
    model : Brain
        The template's.
    options : dict
        brain_extraction and n4 of the config's ``register`` section.
    mask : Path or None
    folder : str
        Receives files for ANTs.

    Returns
    -------
    prepared : Prepared
    decision : dict
        As `heatproof.register.extract_brain.find_brain` returns it.

    Raises
    ------
    StudyError
        If what deepbet finds is too large for a brain.
    """

    def lay(extracted: np.ndarray | None, start: np.ndarray) -> Prepared:
        original, brain = hand_over(raw, extracted, folder)
        moving = correct_bias(original, brain) if options["n4"] else original
        coarse = coarse_brain(moving.numpy(), brain.numpy(), grid_of(raw))
        return Prepared(original, moving, brain, find_pose(model, coarse, Rotation.from_matrix(start)))

    extracted, decision = find_brain(raw, path, options["brain_extraction"], mask)
    found = lay(extracted, np.eye(3))
    if decision["extraction"] == "deepbet" and (found.pose.fit < GOOD_FIT or found.pose.degrees > LARGE_TURN):
        turn = surest_turn(raw, path)
        found = lay(extract_upright(raw, path, turn), turn)
        found = lay(extract_upright(raw, path, found.pose.rotation), found.pose.rotation)
    millilitres = found.brain.sum() * np.prod(found.brain.spacing) / 1000
    if decision["extraction"] == "deepbet" and millilitres > LARGEST_BRAIN_ML:
        raise StudyError(
            f"no brain is found in {path}, but {millilitres:,.0f} ml that look like it; give a mask, or exclude it"
        )
    return found, decision


def hand_over(scan: nib.Nifti1Image, brain: np.ndarray | None, folder: str) -> tuple[ants.ANTsImage, ants.ANTsImage]:
    """Hand a scan over to ANTs, by a file in a folder: only its brain where one was extracted, and the brain's mask.

    Where none was, the brain is what ANTs takes for the foreground.
    """
    nib.save(scan, f"{folder}/scan.nii")
    moving = ants.image_read(f"{folder}/scan.nii", dimension=3)
    if brain is None:
        return moving, ants.get_mask(moving)
    mask = moving.new_image_like(brain.astype(np.float32))
    return moving * mask, mask


def correct_bias(scan: ants.ANTsImage, brain: ants.ANTsImage) -> ants.ANTsImage:
    """Divide by the bias field that N4 (Tustison et al. 2010) finds in the brain, at voxels of about `BIAS_EDGE_MM`."""
    mask = brain.clone("float")  # ANTs crashes on a mask of bytes
    shrink = max(1, round(BIAS_EDGE_MM / np.cbrt(np.prod(scan.spacing))))
    return ants.n4_bias_field_correction(scan, mask=mask, shrink_factor=shrink, convergence=BIAS_CONVERGENCE)


def start_of(pose: Pose, template: Brain, path: str) -> str:
    """Write a pose as the transform that ANTs starts from: points of the template to the scan's, x and y turned."""
    turn = np.diag([-1.0, -1.0, 1.0])
    shift = turn @ (pose.centre - pose.rotation @ template.centre)
    parameters = [*(turn @ pose.rotation @ turn).ravel(), *shift]
    transform = ants.new_ants_transform(dimension=3, transform_type="AffineTransform", parameters=parameters)
    ants.write_transform(transform, path)
    return path


def for_voxels_of(template: ants.ANTsImage, scan: ants.ANTsImage) -> ants.ANTsImage:
    """Smooth a scan so that it can be sampled at the template's larger voxels without aliasing."""
    fwhm = np.sqrt(np.maximum(0, np.square(template.spacing) - np.square(np.min(scan.spacing))))
    return ants.smooth_image(scan, list(fwhm * FWHM_TO_SIGMA), sigma_in_physical_coordinates=True)
