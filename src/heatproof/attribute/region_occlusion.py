"""Occlusion of whole regions of an atlas: how much the score drops when one is hidden."""

import torch
from torch import Tensor, nn

from heatproof.attribute.layers import outputs_of
from heatproof.attribute.outputs import one_hot
from heatproof.attribute.references import require_reference
from heatproof.errors import StudyError


@torch.no_grad()
def region_occlusion(
    model: nn.Module, images: Tensor, target: int | Tensor, *, regions: Tensor, baseline: float | Tensor = 0.0
) -> Tensor:
    """Hide one region after the other and give all its voxels the drop of the target's output.

    The network runs once per region, for all scans at once.

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
        What a hidden voxel is set to, or the image that it is taken from.

    Returns
    -------
    Tensor, shape (N, 1, x, y, z)
        Positive where hiding lowers the output, of the type of ``images``; 0 outside of all regions. A large region is
        not charged for its size: the drop is that of the region, not of a voxel.

    Raises
    ------
    StudyError
        If the regions are on another grid than the scans.

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
    require_reference(images, baseline)
    regions = regions.to(images.device)
    outputs = outputs_of(model, images)
    classes = one_hot(outputs, target)
    heatmaps = torch.zeros_like(images)
    for region in regions[regions != 0].unique():
        hidden = torch.where(regions == region, baseline, images)
        drops = ((outputs - outputs_of(model, hidden)) * classes).sum(dim=1)
        heatmaps = torch.where(regions == region, drops.reshape(-1, 1, 1, 1, 1), heatmaps)
    return heatmaps
