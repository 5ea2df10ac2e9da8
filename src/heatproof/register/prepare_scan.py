"""Prepare a scan for ANTs: hand it over, correct its bias field, say where to start, smooth it for larger voxels."""

import ants
import nibabel as nib
import numpy as np

from heatproof.register.find_pose import Brain, Pose
from heatproof.space import FWHM_TO_SIGMA

BIAS_EDGE_MM = 8.0
BIAS_CONVERGENCE = {"iters": [50, 50, 50, 50], "tol": 1e-3}


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
    shrink = max(1, round(BIAS_EDGE_MM / np.cbrt(np.prod(scan.spacing))))
    return ants.n4_bias_field_correction(scan, mask=brain, shrink_factor=shrink, convergence=BIAS_CONVERGENCE)


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
