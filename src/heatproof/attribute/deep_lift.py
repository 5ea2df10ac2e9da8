"""DeepLIFT, rescale rule: what sets a scan apart from a reference, followed through the layers in one pass."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from heatproof.attribute.layers import (
    CONVOLUTIONS,
    apply_apart,
    is_bare,
    is_one_of,
    pull_back,
    require_evaluation,
    require_logits,
    unfold,
)
from heatproof.attribute.outputs import Margin, one_hot
from heatproof.attribute.references import require_reference
from heatproof.errors import StudyError

LINEAR = (
    *(*CONVOLUTIONS, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.Flatten, nn.Identity),
    *(nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d),
)
ELEMENTWISE = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.Sigmoid, nn.Tanh, nn.Softplus)
POOLINGS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
EQUAL = 1e-10  # below it, two inputs of a unit count as equal, as in captum

Back = Callable[[Tensor], Tensor]


@torch.no_grad()
def deep_lift(model: nn.Module, images: Tensor, target: int | Tensor, *, baseline: float | Tensor = 0.0) -> Tensor:
    """Hand the difference of the target's output, of a scan from a reference, back to the voxels that differ.

    Each layer is given a multiplier: what a unit of difference in its inputs contributes to the output's difference.
    Through linear layers (convolution, linear, batch norm, average-pooling, flatten, dropout) multipliers go back as
    gradients do. Through an activation they are multiplied by the ratio of the differences behind and before it. In a
    max-pooling, the rise of a window's maximum is handed to the place of the scan's maximum, its fall to the place of
    the reference's. Where a unit's two inputs are equal, the gradient at the scan takes the place of the ratio.

    Parameters
    ----------
    model : Sequential
        Chain of such layers in evaluation mode, images to (N, classes); chains in it are unfolded.
    images : Tensor, shape (N, C, x, y, z)
        Scans on the working grid.
    target : int or Tensor, shape (N,)
        Class to explain, one for all scans or one each.
    baseline : float or Tensor, shape (N or 1, C, x, y, z)
        The reference, or the intensity of all its voxels.

    Returns
    -------
    Tensor, shape (N, C, x, y, z)
        Signed and unscaled, of the type of ``images``. A map sums to the target's output for the scan less that for
        the reference, to rounding.

    Raises
    ------
    StudyError
        If there is a layer for which the rule is not known, or a margin of more than two classes.

    References
    ----------
    Shrikumar, Greenside and Kundaje 2017, Learning important features through propagating activation differences
    (arXiv:1704.02685); max-pooling as in captum.attr.DeepLift.
    """
    require_evaluation(model)
    require_reference(images, baseline)
    scans = images.detach()
    references = torch.zeros_like(scans) + baseline
    apart, backs = scans - references, []
    for layer in unfold(model):
        scans, references, back = step(layer, scans, references)
        backs.append(back)
    require_logits(scans, len(images))
    multipliers = one_hot(scans, target)
    while backs:
        multipliers = backs.pop()(multipliers)
    return multipliers * apart


def step(layer: nn.Module, scans: Tensor, references: Tensor) -> tuple[Tensor, Tensor, Back]:
    """Return a layer's outputs for scans and for references, and what takes multipliers of its outputs to its inputs.

    Raises
    ------
    StudyError
        If the rule is not known for the layer.
    """
    pool = is_one_of(layer, POOLINGS)
    if isinstance(layer, Margin) and scans.shape[1] > 2:
        raise StudyError(
            f"deep_lift explains a margin of two classes, and the network has {scans.shape[1]}; set output: logit"
        )
    if not (pool or isinstance(layer, Margin) or is_one_of(layer, (*LINEAR, *ELEMENTWISE))):
        own = "" if is_bare(layer) else " with hooks or a forward pass of its own"
        remedy = (
            "set output: margin or logit" if isinstance(layer, nn.Softmax | nn.LogSoftmax) else "use another method"
        )
        raise StudyError(f"deep_lift has no rule for a layer of type {type(layer).__name__}{own}; {remedy}")
    outputs, gradient = pull_back(layer, scans)
    if is_one_of(layer, ELEMENTWISE):
        there = apply_apart(layer, references)
        rise = outputs - there
        return outputs, there, lambda given: ratio(given * rise, scans - references, gradient(given))
    if pool:
        there, gradient_there = pull_back(layer, references)
        highest = torch.maximum(outputs, there)

        def back(given: Tensor) -> Tensor:
            moved = gradient(given * (highest - there)) + gradient_there(given * (outputs - highest))
            return ratio(moved, scans - references, gradient(given))

        return outputs, there, back
    return outputs, apply_apart(layer, references), gradient


def ratio(contributions: Tensor, differences: Tensor, otherwise: Tensor) -> Tensor:
    """Return contributions for a unit of difference; where there is none, what they are otherwise."""
    equal = differences.abs() < EQUAL
    return torch.where(equal, otherwise, contributions / torch.where(equal, 1.0, differences))
