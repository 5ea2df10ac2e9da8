"""Occlusion of whole regions of an atlas: how much the score drops when one is hidden."""

import numpy as np
import torch
from torch import Tensor, nn

from heatproof.attribute.layers import outputs_of
from heatproof.attribute.occlusion.method import require_finite
from heatproof.attribute.references import by_channels, require_reference
from heatproof.attribute.replacement import falls
from heatproof.device import in_float32
from heatproof.errors import StudyError

TOGETHER = 8  # scans that a network is given at once, where it has to run as a whole


@in_float32()
@torch.no_grad()
def region_occlusion(
    model: nn.Module,
    images: Tensor,
    target: int | Tensor,
    *,
    regions: Tensor,
    baseline: float | Tensor = 0.0,
    channels: str = "together",
) -> Tensor:
    """Hide one region after the other and give all its voxels the drop of the target's output.

    Parameters
    ----------
    model : Module
        Network in evaluation mode, images to (N, classes).
    images : Tensor, shape (N, C, x, y, z)
        Scans on the working grid.
    target : int or Tensor, shape (N,)
        Class to explain, one for all scans or one each.
    regions : Tensor of int, shape (x, y, z)
        Number of the region that each voxel belongs to; 0 is no region, and is never hidden.
    baseline : float or Tensor, shape (N or 1, C, x, y, z)
        What a hidden voxel is set to: a number, or its value in a reference image, one for all scans or one for each.
    channels : {"together", "each"}
        Of several channels, whether all of a region's are hidden, which share its drop equally, or one after the other.

    Returns
    -------
    Tensor, shape (N, C, x, y, z)
        Positive where hiding lowers the output, of the type of ``images``; 0 outside of all regions. A large region is
        not charged for its size: the drop is that of the region, not of a voxel.

    Raises
    ------
    StudyError
        If the regions or the baseline are on another grid than the scans, or a voxel is not finite.

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
    require_finite(images)
    require_reference(images, baseline)
    references = torch.as_tensor(baseline).to(images).expand(images.shape)
    regions = regions.to(images.device, torch.int64)
    heatmaps = torch.zeros_like(images)
    targets = torch.as_tensor(target).expand(len(images)).tolist()
    for heatmap, image, other, of in zip(heatmaps, images, references, targets, strict=True):
        before = outputs_of(model, image[None])[0, of].item()
        for charged, hidden in by_channels(image, other, channels):
            drops = falls(model, image, hidden, regions, before, target=of, batch_size=TOGETHER)
            heatmap[charged] = torch.from_numpy(np.append(0, drops)).to(images)[regions] / len(heatmap[charged])
    return heatmaps
