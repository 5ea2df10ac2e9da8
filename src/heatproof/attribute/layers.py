"""Networks as chains of layers, which methods that know each layer walk through."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
WEIGHTED = (*CONVOLUTIONS, nn.Linear)


class Step(NamedTuple):
    """A layer on the way back from the outputs of a chain to its inputs.

    Attributes
    ----------
    layer : Module
    back : callable
        Takes a tensor of the shape of the layer's outputs to one of the shape of its inputs, and may be called again.
    """

    layer: nn.Module
    back: Callable[[Tensor], Tensor]


def unfold(model: nn.Module) -> list[nn.Module]:
    """Return the layers of a chain, and of the chains in it, in the order in which they are applied."""
    if type(model).forward is not nn.Sequential.forward:
        return [model]
    return [layer for part in model for layer in unfold(part)]


def pull_back(layer: nn.Module, inputs: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Return a layer's outputs, and the function that multiplies by the transpose of its Jacobian."""
    outputs, product = torch.func.vjp(layer, inputs)
    return outputs, lambda gradients: product(gradients)[0]
