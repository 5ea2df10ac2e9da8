"""Grad-CAM: where the features of a late layer are that the target's output grows with."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from heatproof.attribute.gradients import rectifiers
from heatproof.attribute.layers import outputs_of
from heatproof.attribute.outputs import one_hot
from heatproof.errors import StudyError


@torch.enable_grad()
def grad_cam(model: nn.Module, images: Tensor, target: int | Tensor, *, layer: int = -1) -> Tensor:
    """Sum the feature maps behind a ReLU, each weighted by the mean gradient of the target's output over it.

    The sum is brought to the scan by trilinear interpolation, both grids filling the same field of view (torch's
    ``align_corners=False``). The original keeps positive sums only, before interpolation; here both signs stay, and
    ``sign: positive`` drops the negative ones after it. A ReLU is found as for `guided_backprop`, so that any network
    that has some will do and none is left with a hook.

    Parameters
    ----------
    model : Module
        Network in evaluation mode, images to (N, classes).
    images : Tensor, shape (N, 1, x, y, z)
        Scans on the working grid.
    target : int or Tensor, shape (N,)
        Class to explain, one for all scans or one each.
    layer : int
        Which of the ReLUs with more than one voxel, in the order in which they are applied, as an index of Python: -1
        is the last one; -2 the one before. From a single voxel, as behind a global pooling or within a squeeze and
        excitation, every map would be constant.

    Returns
    -------
    Tensor, shape (N, 1, x, y, z)
        Signed and unscaled, of the type of ``images``.

    Raises
    ------
    StudyError
        If the network has no such ReLU, or parts whose computation is not recorded.

    References
    ----------
    Selvaraju et al. 2017, Grad-CAM (doi:10.1109/ICCV.2017.74).
    """
    outputs = outputs_of(model, images.detach().requires_grad_())
    relus = [(relu, rectified(relu)) for relu in rectifiers(model, outputs, "grad_cam")]
    spread = [(relu, features) for relu, features in relus if features.ndim == 5 and features[0, 0].numel() > 1]
    if not -len(spread) <= layer < len(spread):
        grid = " x ".join(map(str, images.shape[2:]))
        raise StudyError(
            f"grad_cam has no layer {layer}: for scans of {grid} voxels the network has {len(spread)} ReLUs with more "
            "than one voxel"
        )
    relu, features = spread[layer]
    (slopes,) = torch.autograd.grad(outputs, torch.autograd.graph.GradientEdge(relu, 0), one_hot(outputs, target))
    weighted = (slopes.mean(dim=(2, 3, 4), keepdim=True) * features).sum(dim=1, keepdim=True)
    return functional.interpolate(weighted, images.shape[2:], mode="trilinear", align_corners=False)


def rectified(relu: torch.autograd.graph.Node) -> Tensor:
    """Return what a ReLU, as a step of the recorded computation, gave."""
    features = relu._saved_result if hasattr(relu, "_saved_result") else relu._saved_self.clamp(min=0)
    return features.detach()
