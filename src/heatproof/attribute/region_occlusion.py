"""Occlusion of whole regions of an atlas: how much the score drops when one is hidden."""

import torch
from torch import Tensor, nn

from heatproof.attribute.occlusion import unit_drops
from heatproof.attribute.occlusion.method import references_of
from heatproof.errors import StudyError


def region_occlusion(
    model: nn.Module, images: Tensor, target: int | Tensor, *, regions: Tensor, baseline: float | Tensor = 0.0
) -> Tensor:
    """Hide one region after the other and give all its voxels the drop of the target's output.

    Parameters
    ----------
    model : Module
        Network in evaluation mode, images to (N, classes).
    images : Tensor, shape (N, 1, x, y, z)
        Scans on the working grid.
    target : int or Tensor, shape (N,)
        Class to explain, one for all scans or one each.
    regions : Tensor of int, shape (x, y, z)
        Number of the region that each voxel belongs to; 0 is no region, and is never hidden.
    baseline : float or Tensor, shape (N or 1, 1, x, y, z)
        What a hidden voxel is set to: a number, or its value in a reference image, one for all scans or one for each.

    Returns
    -------
    Tensor, shape (N, 1, x, y, z)
        Positive where hiding lowers the output, of the type of ``images``; 0 outside of all regions. A large region is
        not charged for its size: the drop is that of the region, not of a voxel.

    Raises
    ------
    StudyError
        If the regions or the baseline are on another grid than the scans, or a voxel is not finite.

    Notes
    -----
    `unit_drops` hides the regions: of a network that is a chain of known layers only what the bounding box of a region
    touches is computed anew.

    References
    ----------
    Rieke et al. 2018, Visualizing convolutional networks for MRI-based diagnosis of Alzheimer's disease
    (arXiv:1808.02874).
    """
    if regions.shape != images.shape[2:]:
        grids = [" x ".join(map(str, shape)) for shape in (regions.shape, images.shape[2:])]
        raise StudyError(
            f"region_occlusion: the regions have {grids[0]} voxels and the scans {grids[1]}; give both the same grid"
        )
    regions = regions.to(images.device, torch.int64)
    references = references_of(baseline, images)
    drops = unit_drops(model, images, target, units=regions, references=references[:, None])[:, 0].to(images)
    return torch.cat([torch.zeros_like(drops[:, :1]), drops], dim=1)[:, None, regions]
