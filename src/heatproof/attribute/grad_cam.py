"""Grad-CAM: where the features of a late layer are that the target's output grows with."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, Node, get_gradient_edge
from torch.nn import functional

from heatproof.attribute.gradients import RECTIFIERS, steps_in_order
from heatproof.attribute.layers import outputs_of
from heatproof.attribute.outputs import named_part, one_hot
from heatproof.errors import StudyError

ACTIVATIONS: dict[str, Callable[[Node], Tensor]] = {  # as autograd records them: what they gave
    "ReluBackward0": lambda step: step._saved_result,
    "ClampMinBackward0": lambda step: step._saved_self.clamp(min=step._saved_min),
    "ClampBackward1": lambda step: step._saved_self.clamp(step._saved_min, step._saved_max),
    "ThresholdBackward0": lambda step: step._saved_self.clamp(min=step._saved_threshold),
    "LeakyReluBackward0": lambda step: functional.leaky_relu(step._saved_self, step._saved_negative_slope),
    "LeakyReluBackward1": lambda step: step._saved_result,
    "PreluKernelBackward0": lambda step: torch._prelu_kernel(step._saved_self, step._saved_weight),
    "EluBackward0": lambda step: torch.ops.aten.elu(
        step._saved_self, step._saved_alpha, step._saved_scale, step._saved_input_scale
    ),
    "EluBackward1": lambda step: step._saved_result,
    "CeluBackward0": lambda step: functional.celu(step._saved_self, step._saved_alpha),
    "CeluBackward1": lambda step: step._saved_result,
    "GeluBackward0": lambda step: functional.gelu(step._saved_self, approximate=step._saved_approximate),
    "SiluBackward0": lambda step: functional.silu(step._saved_self),
    "MishBackward0": lambda step: functional.mish(step._saved_self),
    "SoftplusBackward0": lambda step: functional.softplus(step._saved_self, step._saved_beta, step._saved_threshold),
    "HardtanhBackward0": lambda step: step._saved_self.clamp(step._saved_min_val, step._saved_max_val),
    "HardswishBackward0": lambda step: functional.hardswish(step._saved_self),
    "TanhBackward0": lambda step: step._saved_result,
}


@torch.enable_grad()
def grad_cam(model: nn.Module, images: Tensor, target: int | Tensor, *, layer: int | str = -1) -> Tensor:
    """Sum the feature maps of a layer, each weighted by the mean gradient of the target's output over it.

    The sum is brought to the scan by trilinear interpolation, both grids filling the same field of view (torch's
    ``align_corners=False``). The original keeps positive sums only, before interpolation; here both signs stay, and
    ``sign: positive`` drops the negative ones after it. Features know no channels of the scan,
    which have equal shares of the map. An activation is found as a step of the recorded computation,
    as for `guided_backprop`, so that any network that has some will do and none is left with a hook.

    Parameters
    ----------
    model : Module
        Network in evaluation mode, images to (N, classes).
    images : Tensor, shape (N, C, x, y, z)
        Scans on the working grid.
    target : int or Tensor, shape (N,)
        Class to explain, one for all scans or one each.
    layer : int or str
        Which of the activations (ReLU, LeakyReLU, ELU, GELU, ...; a sigmoid is none) with more than one voxel, in the
        order in which they are applied, as an index of Python: -1 is the last one; -2 the one before. From a single
        voxel, as behind a global pooling or within a squeeze and excitation, every map would be constant. Or the name
        of a module of the network, as ``layer4``, whose outputs are taken, the last ones if it is called several times.

    Returns
    -------
    Tensor, shape (N, C, x, y, z)
        Signed and unscaled, of the type of ``images``.

    Raises
    ------
    StudyError
        If the network has no such layer, or parts whose computation is not recorded.

    References
    ----------
    Selvaraju et al. 2017, Grad-CAM (doi:10.1109/ICCV.2017.74).
    """
    outputs, edge, features = (of_module if isinstance(layer, str) else of_activation)(model, images, layer)
    (slopes,) = torch.autograd.grad(outputs, edge, one_hot(outputs, target))
    weighted = (slopes.mean(dim=(2, 3, 4), keepdim=True) * features).sum(dim=1, keepdim=True)
    spread = functional.interpolate(weighted, images.shape[2:], mode="trilinear", align_corners=False)
    return (spread / images.shape[1]).repeat(1, images.shape[1], 1, 1, 1)


def of_activation(model: nn.Module, images: Tensor, layer: int) -> tuple[Tensor, GradientEdge, Tensor]:
    """Return a network's outputs, and the place in their computation and the values of an activation."""
    outputs = outputs_of(model, images.detach().requires_grad_())
    steps = [step for step in steps_in_order(model, outputs, "grad_cam") if is_activation(step)]
    given = [(step, ACTIVATIONS[step.name()](step).detach()) for step in steps]
    spread = [(step, features) for step, features in given if has_voxels(features)]
    if not -len(spread) <= layer < len(spread):
        grid = " x ".join(map(str, images.shape[2:]))
        raise StudyError(
            f"grad_cam has no layer {layer}: for scans of {grid} voxels the network has {len(spread)} activations with "
            "more than one voxel"
        )
    step, features = spread[layer]
    return outputs, GradientEdge(step, 0), features


def is_activation(step: Node) -> bool:
    """Tell whether a step of the recorded computation is an activation; a clamp is one at 0 alone."""
    return step.name() in ACTIVATIONS and RECTIFIERS.get(step.name(), lambda step: True)(step)


def of_module(model: nn.Module, images: Tensor, layer: str) -> tuple[Tensor, GradientEdge, Tensor]:
    """Return a network's outputs, and the place in their computation and the values of what a module gives."""
    seen: list[tuple[GradientEdge, Tensor]] = []

    def note(module: nn.Module, inputs: object, given: object) -> None:
        if not isinstance(given, Tensor) or not has_voxels(given):
            raise StudyError(f"grad_cam's layer {layer!r} gives no feature maps of more than one voxel; name another")
        seen.append((get_gradient_edge(given), given.detach().clone()))

    part = named_part(model, layer)
    if part is None:
        raise StudyError(f"grad_cam has no layer {layer!r}: the network has no module of that name")
    with part.register_forward_hook(note):
        outputs = outputs_of(model, images.detach().requires_grad_())
    if not seen:
        raise StudyError(f"grad_cam's layer {layer!r} is not used by the network; name another")
    return outputs, *seen[-1]


def has_voxels(features: Tensor) -> bool:
    """Tell whether features of shape (N, channels, x, y, z) have more than one voxel."""
    return features.ndim == 5 and features[0, 0].numel() > 1
