"""Deletion and insertion of regions: does the model's output change most where a heatmap says that it would?

References
----------
Petsiuk, Das and Saenko 2018, RISE (arXiv:1806.07421): deletion and insertion curves. Rieke et al. 2018
(arXiv:1808.02874): whole regions of an atlas, hidden instead of single voxels.
"""

import numpy as np
import torch
from torch import Tensor, nn

from heatproof.attribute.layers import outputs_of


def depths(count: int) -> list[int]:
    """Return how many regions are changed at the points of a curve: 0, 1, 2, 3, 5, 8, ... and all of them.

    Dense where curves bend; `numpy.trapezoid` over these points differs little from one over all.
    """
    points, following = [0, 1], 2
    while following < count:
        points.append(following)
        following = points[-1] + points[-2]
    return [*points, count] if count > 1 else points[: count + 1]


def rank_regions(heatmap: np.ndarray, numbers: np.ndarray, count: int) -> np.ndarray:
    """Return the regions in the order of their signed sum of relevance, the highest first.

    Parameters
    ----------
    heatmap : ndarray of float, shape (x, y, z)
    numbers : ndarray of int, shape (x, y, z)
        Regions 1..count; 0 is outside of every region. A region without a voxel is left out.
    count : int
    """
    sums = np.bincount(numbers.ravel(), heatmap.ravel().astype(float), minlength=count + 1)[1:]
    present = np.unique(numbers[numbers > 0])
    return present[np.argsort(-sums[present - 1], kind="stable")]


@torch.no_grad()
def deletion_curves(
    model: nn.Module,
    image: Tensor,
    regions: Tensor,
    order: np.ndarray,
    *,
    target: int,
    baseline: float,
    batch_size: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Hide regions one after another, and show them one after another, in a given order.

    Parameters
    ----------
    model : Module
        Network in evaluation mode, images to logits (N, classes).
    image : Tensor, shape (x, y, z)
        A scan on the working grid.
    regions : Tensor of int, shape (x, y, z)
        Number of the region that each voxel belongs to; 0, no region, is never changed.
    order : ndarray of int, shape (regions,)
        Numbers of the regions.
    target : int
        The class whose probability is followed.
    baseline : float
        What a hidden voxel is set to.
    batch_size : int
        Changed scans that the network is given at once.

    Returns
    -------
    deletion, insertion : ndarray of float, each of shape (points,)
        Probability of the target with the first `depths` regions hidden, and with only them shown.
    """
    place = torch.full((int(regions.max()) + 1,), len(order), dtype=torch.int64)
    place[torch.from_numpy(order)] = torch.arange(len(order))
    place[0] = len(order)
    places, inside = place.to(regions.device)[regions], regions > 0
    points = depths(len(order))
    hidden = [places < depth for depth in points] + [inside & (places >= depth) for depth in points]
    probabilities = []
    for first in range(0, len(hidden), batch_size):
        masks = torch.stack(hidden[first : first + batch_size])
        images = torch.where(masks, baseline, image)[:, None]
        probabilities.append(outputs_of(model, images).softmax(dim=1)[:, target].double().cpu())
    curves = torch.cat(probabilities).numpy()
    return curves[: len(points)], curves[len(points) :]
