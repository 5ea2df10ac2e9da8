"""Networks as chains of layers, which methods that know each layer walk through; and what every network must keep to.

A layer is walked through only where it does exactly what its class in torch does. Hooks, a forward pass or a weight of
its own making are not looked through: the network runs as a whole, or is refused.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm

from heatproof.errors import StudyError

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
WEIGHTED = (*CONVOLUTIONS, nn.Linear)
CHANGING = (_BatchNorm, _InstanceNorm, _DropoutNd, nn.RReLU, nn.MultiheadAttention, nn.RNNBase)  # while they train
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
TOLERANCE = 1e-3  # of the largest output: far above rounding, far below what company or chance does


class Step(NamedTuple):
    """A layer on the way back from the outputs of a network to its inputs.

    Attributes
    ----------
    layer : Module
    back : callable
        Takes a tensor of the shape of the layer's outputs to one for each of its inputs, of their shapes, or None for
        an input that is handed nothing; it may be called again.
    sources : tuple of int
        Where its inputs come from: 0 the scans, n the n-th step, counted from 1.
    """

    layer: nn.Module
    back: Callable[[Tensor], Sequence[Tensor | None]]
    sources: tuple[int, ...]


def is_bare(layer: nn.Module) -> bool:
    """Tell whether a call of a layer is its class's forward pass and no more: no hook, and no forward of its own."""
    own = "forward" in vars(layer) or type(layer).__call__ is not nn.Module.__call__
    hooked = nn.modules.module._has_any_global_hook() or any(getattr(layer, hooks) for hooks in HOOKS)
    return not own and not hooked


def is_torchs(layer: nn.Module) -> bool:
    """Tell whether a layer is exactly one of torch's, neither derived from one nor parametrised."""
    return type(layer).__module__.startswith("torch.nn.modules.") and is_bare(layer)


def takes_scans_apart(layer: nn.Module) -> bool:
    """Tell whether a layer is one of torch's that, in evaluation mode, treats each scan alone and always alike."""
    by_chance = isinstance(layer, nn.FractionalMaxPool2d | nn.FractionalMaxPool3d)
    across = getattr(layer, "dim", 1) not in (1, -1) or not getattr(layer, "batch_first", True)
    return is_torchs(layer) and not by_chance and not across


def is_one_of(layer: nn.Module, kinds: type | tuple[type, ...]) -> bool:
    """Tell whether a layer is exactly one of torch's, of one of some kinds."""
    return isinstance(layer, kinds) and is_torchs(layer)


def unfold(model: nn.Module) -> list[nn.Module]:
    """Return the layers of a chain, and of the chains in it, in the order in which they are applied."""
    if isinstance(model, nn.Sequential) and type(model).forward is nn.Sequential.forward and is_bare(model):
        return [layer for part in model for layer in unfold(part)]
    return [model]


def apply_apart(layer: nn.Module, *inputs: Tensor) -> Tensor:
    """Return a layer's outputs; where it may work in place, it is given a copy of its inputs."""
    apart = all(is_torchs(part) and not getattr(part, "inplace", False) for part in layer.modules())
    return layer(*(inputs if apart else map(torch.clone, inputs)))


def pull_back(layer: nn.Module, inputs: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Return a layer's outputs, and the function that multiplies by the transpose of its Jacobian."""
    outputs, product = pull_back_each(layer, inputs)
    return outputs, lambda gradients: product(gradients)[0]


def pull_back_each(layer: nn.Module, *inputs: Tensor) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor, ...]]]:
    """Return a layer's outputs, and the function that multiplies by the transpose of its Jacobian for each input."""
    return torch.func.vjp(partial(apply_apart, layer), *inputs)


def outputs_of(model: nn.Module, images: Tensor) -> Tensor:
    """Return a network's outputs for a copy of some scans, which thus stay as they are where its layers work in place.

    Raises
    ------
    StudyError
        As `require_evaluation` and `require_logits` do.
    """
    require_evaluation(model)
    outputs = model(images.clone())
    require_logits(outputs, len(images))
    return outputs


def require_logits(outputs: object, scans: int) -> None:
    """Refuse what a network returns for a number of scans if it is not one tensor with a row for each."""
    shape = (
        f"a tensor of shape {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else f"a {type(outputs).__name__}"
    )
    if not isinstance(outputs, Tensor) or outputs.ndim != 2 or len(outputs) != scans:
        raise StudyError(
            f"the network returns {shape} for {scans} scan(s); it must return logits alone, one tensor of shape "
            "(scans, classes)"
        )


def require_evaluation(model: nn.Module) -> None:
    """Refuse a network with layers that train, or whose batch norms look at the other scans of a batch."""
    for name, layer in model.named_modules():
        if isinstance(layer, _BatchNorm) and layer.running_mean is None:
            raise StudyError(
                f"a scan's output depends on the other scans of its batch, because the {type(layer).__name__} "
                f"{name!r} of the network keeps no running statistics; build it with track_running_stats=True"
            )
        if layer.training and isinstance(layer, CHANGING):
            raise StudyError(
                f"the network is in training mode, where its {type(layer).__name__} {name!r} makes outputs depend on "
                "chance or on other scans; call the network's eval() first"
            )


@torch.no_grad()
def require_repeatable(model: nn.Module, images: Tensor) -> None:
    """Refuse a network that gives a scan another output when it is asked again, or in other company.

    Networks of layers that take scans apart are known not to. Any other is asked for the first of the images,
    (N, C, x, y, z), once more, and beside another one; neither its output nor one of its buffers may change.
    """
    require_evaluation(model)
    if all(map(takes_scans_apart, model.modules())):
        return
    scan, before = images[:1], {name: buffer.clone() for name, buffer in model.named_buffers()}
    once, again, (among, other) = (outputs_of(model, batch) for batch in (scan, scan, torch.cat([scan, 1 - scan])))
    largest = torch.stack([once[0], other]).abs().nan_to_num().max()
    tolerance = float(largest) * max(TOLERANCE, 20 * torch.finfo(once.dtype).eps)
    same = partial(torch.allclose, once[0], rtol=0, atol=tolerance, equal_nan=True)
    if not same(again[0]):
        raise StudyError("the network's output for a scan is another when it is asked again; take chance out of it")
    if not same(among):
        raise StudyError("the network's output for a scan depends on the other scans of its batch; make it independent")
    changed = [name for name, buffer in model.named_buffers() if not torch.equal(buffer, before[name])]
    if changed:
        raise StudyError(
            f"each pass through the network changes its buffer {changed[0]!r}; have it change in training alone"
        )
