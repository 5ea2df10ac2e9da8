"""Attribution by the gradient of the target's output: gradient * input, and guided backpropagation."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from heatproof.attribute.graph import graph_of, walk_up
from heatproof.attribute.layers import Step, outputs_of, pull_back_each
from heatproof.attribute.outputs import one_hot
from heatproof.attribute.references import require_reference
from heatproof.errors import StudyError


@torch.enable_grad()
def gradient(model: nn.Module, images: Tensor, target: int | Tensor) -> Tensor:
    """Return the gradient of the target's output with respect to each voxel."""
    images = images.detach().requires_grad_()
    outputs = outputs_of(model, images)
    return torch.autograd.grad(outputs, images, one_hot(outputs, target))[0]


def gradient_input(
    model: nn.Module, images: Tensor, target: int | Tensor, *, reference: float | Tensor | None = None
) -> Tensor:
    """Multiply each voxel, or what sets it apart from a reference, by the gradient of the target's output there.

    Parameters
    ----------
    model : Module
        Network in evaluation mode, images to (N, classes).
    images : Tensor, shape (N, C, x, y, z)
        Scans on the working grid.
    target : int or Tensor, shape (N,)
        Class to explain, one for all scans or one each.
    reference : float or Tensor, shape (N or 1, C, x, y, z), optional
        What is taken from the scan before it is multiplied; the gradient is that at the scan.

    Returns
    -------
    Tensor, shape (N, C, x, y, z)
        Signed and unscaled, of the type of ``images``.

    References
    ----------
    Shrikumar et al. 2016, Not just a black box (arXiv:1605.01713).
    """
    require_reference(images, reference, "reference")
    apart = images.detach() if reference is None else images.detach() - reference
    return gradient(model, images, target) * apart


@torch.enable_grad()
def guided_backprop(model: nn.Module, images: Tensor, target: int | Tensor) -> Tensor:
    """Take the gradient of the target's output, dropping what is negative before each ReLU on the way back.

    A ReLU is found as a node of the recorded computation, not as a module: one used twice, in place, as a plain
    function or as a clamp at 0 is guided as well, and the model carries no hook.

    Parameters
    ----------
    model, images, target
        As for `gradient_input`.

    Returns
    -------
    Tensor, shape (N, C, x, y, z)
        Signed and unscaled, of the type of ``images``.

    Raises
    ------
    StudyError
        If the network has no ReLU, or parts whose computation is not recorded.

    References
    ----------
    Springenberg et al. 2015, Striving for simplicity: the all convolutional net (arXiv:1412.6806).
    """
    images = images.detach().requires_grad_()
    outputs = outputs_of(model, images)
    relus = rectifiers(model, outputs, "guided_backprop")
    if not relus:
        raise StudyError(
            "guided_backprop needs a network with ReLUs and found none; use gradient_input or another method"
        )
    for relu in relus:
        relu.register_prehook(lambda gradients: (torch.relu(gradients[0]),))
    return torch.autograd.grad(outputs, images, one_hot(outputs, target))[0]


RECTIFIERS = {  # steps that autograd records, and whether one of them is a ReLU
    "ReluBackward0": lambda step: True,
    "ClampMinBackward0": lambda step: step._saved_min == 0,
    "ClampBackward1": lambda step: step._saved_min == 0 and step._saved_max is None,
    "ThresholdBackward0": lambda step: step._saved_threshold == 0,
}


def rectifiers(model: nn.Module, outputs: Tensor, method: str) -> list[torch.autograd.graph.Node]:
    """Return the ReLUs on the way to the outputs of a network, in the order in which they were applied."""
    steps = steps_in_order(model, outputs, method)
    return [step for step in steps if step.name() in RECTIFIERS and RECTIFIERS[step.name()](step)]


def steps_in_order(model: nn.Module, outputs: Tensor, method: str) -> list[torch.autograd.graph.Node]:
    """Return every step on the way to the outputs of a network, in the order in which they were taken.

    Raises
    ------
    StudyError
        If a part of the network hides its steps, and with them its activations: one that is compiled or scripted, a
        function that brings its own backward pass, a checkpoint that runs again on the way back.
    """
    steps = computation(outputs)
    if any(map(hides_steps, steps)) or any(isinstance(part, torch.jit.ScriptModule) for part in model.modules()):
        raise StudyError(
            f"{method} must see each activation of the network, and a part of it is compiled, scripted, a checkpoint "
            "or an autograd.Function; hand over the plain network"
        )
    return sorted(steps, key=lambda step: step._sequence_nr())


def hides_steps(step: torch.autograd.graph.Node) -> bool:
    """Tell whether a step of the recorded computation stands for others that were not recorded."""
    own = "::" in step.name() and not step.name().startswith("torch::autograd::")
    return own or isinstance(step, torch.autograd.function.BackwardCFunction)


def computation(outputs: Tensor) -> set[torch.autograd.graph.Node]:
    """Return every step that autograd recorded on the way to a tensor."""
    nodes, waiting = set(), [outputs.grad_fn]
    while waiting:
        node = waiting.pop()
        if node not in nodes:
            nodes.add(node)
            waiting += [earlier for earlier, _ in node.next_functions if earlier is not None]
    return nodes


def steps_back(model: nn.Module, images: Tensor, *, guided: bool = False) -> tuple[Tensor, list[Step]]:
    """Walk up a network, and return its outputs and what hands the gradient back through each layer.

    Parameters
    ----------
    model : Module
        Network in evaluation mode that `graph_of` can follow.
    images : Tensor, shape (N, C, x, y, z)
    guided : bool
        Whether what is negative is dropped before each ReLU on the way back.
    """
    nodes = graph_of(model, images)

    def forward(number: int, inputs: list[Tensor]) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor, ...]]]:
        layer = nodes[number - 1].layer
        outputs, back = pull_back_each(layer, *inputs)
        rectified = guided and isinstance(layer, nn.ReLU)
        return outputs, (lambda gradients: back(torch.relu(gradients))) if rectified else back

    return walk_up(nodes, images.detach(), forward)
