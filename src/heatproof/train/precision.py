"""Training in bfloat16: products and convolutions of 8 bits, where a device's convolutions can be trusted with it."""

import logging

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from heatproof.device import in_float32

TOLERANCE = 0.05  # rounding is below 0.01; a wrong convolution is off by its whole size


def trusted(precision: str, model: nn.Module, images: Tensor) -> str:
    """Return a precision, or float32 in place of bfloat16 if convolutions are wrong in it, which the log says.

    cuDNN has had 3D convolutions that were silently wrong in bfloat16 on large grids (pytorch issue 163539).

    Parameters
    ----------
    precision : {"float32", "tf32", "bfloat16"}
    model : Module
    images : Tensor, shape (N, C, x, y, z)
        A batch as it is trained with.
    """
    if precision == "bfloat16" and (off := largest_difference(model, images)) > TOLERANCE:
        logging.warning("convolutions in bfloat16 are off by %.2g of their size here: training goes on in float32", off)
        return "float32"
    return precision


def largest_difference(model: nn.Module, images: Tensor) -> float:
    """Compare each convolution in bfloat16 with float32, its outputs and gradients, on what it is given in a network.

    Returns
    -------
    float
        The largest difference, as a share of the size of what it ought to be.
    """
    found = [0.0]

    def compare(layer: nn.Module, inputs: tuple[Tensor], named: dict[str, Tensor], output: Tensor) -> None:
        given = [*inputs, *named.values()][0]
        pairs = zip(*(run_layer(layer, given, precision) for precision in ("float32", "bfloat16")), strict=True)
        found.extend(((lower - right).norm() / right.norm()).item() for right, lower in pairs if right.any())

    convolutions = [part for part in model.modules() if isinstance(part, _ConvNd)]
    hooks = [part.register_forward_hook(compare, with_kwargs=True) for part in convolutions]
    training = model.training
    with torch.no_grad():
        model.eval()(images.clone())
    model.train(training)
    for hook in hooks:
        hook.remove()
    return max(found)


def run_layer(layer: nn.Module, inputs: Tensor, precision: str) -> list[Tensor]:
    """Return a layer's outputs and the gradients of half their sum of squares to its inputs and what its weight learns.

    A bias is left out: its gradient is a sum that may nearly vanish.
    """
    inputs = inputs.detach().requires_grad_()
    learned = [parameter for parameter in layer.parameters() if parameter.requires_grad and parameter.ndim > 1]
    with torch.enable_grad(), in_float32(), lower(precision, inputs.device):
        outputs = layer.forward(inputs)
        gradients = torch.autograd.grad(outputs, [inputs, *learned], outputs.detach(), allow_unused=True)
    return [tensor.detach().float() for tensor in (outputs, *gradients) if tensor is not None]


def lower(precision: str, device: torch.device) -> torch.autocast:
    """Return a context in which products and convolutions are of bfloat16, if that is the precision."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
