"""Networks as graphs of layers and operations, for methods that go back through each of them.

A chain of torch's own layers is taken as it stands. Any other network runs once on the scans while torch records the
operations that it is made of, whoever called them: modules, functions, hooks, parametrisations, modules used twice, in
place. What an operation takes and does not depend on the scans, weights among it, is a constant.
"""

from collections.abc import Callable, Iterator, Sequence
from operator import getitem
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.fx import Node as Recorded
from torch.fx.node import map_arg
from torch.utils._pytree import tree_map

from heatproof.attribute.layers import WEIGHTED, Step, apply_apart, is_one_of, unfold
from heatproof.attribute.outputs import Margin
from heatproof.errors import StudyError

POOLINGS = tuple(
    getattr(nn, f"{adaptive}{kind}Pool{dimensions}d")
    for adaptive in ("", "Adaptive")
    for kind in ("Avg", "Max")
    for dimensions in (1, 2, 3)
)
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.ReLU6)
ACTIVATIONS += (nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Softplus, nn.Softsign, nn.Sigmoid, nn.LogSigmoid, nn.Tanh)
ACTIVATIONS += (nn.Hardshrink, nn.Softshrink, nn.Tanhshrink, nn.Threshold, nn.RReLU, nn.Softmax, nn.LogSoftmax)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
PLAIN = (*WEIGHTED, *BATCH_NORMS, *ACTIVATIONS, *POOLINGS, *DROPOUTS, nn.Flatten, nn.Unflatten, nn.Identity)
MADE_ANEW = ("new_empty", "new_zeros", "new_ones", "new_full", "zeros_like", "ones_like", "empty_like", "full_like")


class Node(NamedTuple):
    """A layer in a graph.

    Attributes
    ----------
    layer : Module
    sources : tuple of int
        What it is applied to: 0 the scans, n the outputs of the n-th node, counted from 1. The last node's outputs are
        the network's.
    """

    layer: nn.Module
    sources: tuple[int, ...]


class Slot(NamedTuple):
    """The place of an input among the arguments of an operation."""

    number: int


class Operation(nn.Module):
    """An operation of torch with its constants.

    Attributes
    ----------
    name : str
        As torch's core calls it.
    arguments : tuple
        With a `Slot` for each input.
    """

    def __init__(self, recorded: Recorded, arguments: tuple, keywords: dict, item: int | None):
        super().__init__()
        self.function, self.name = recorded.target, name_of(recorded)
        self.arguments, self.keywords, self.item = arguments, keywords, item

    def forward(self, *inputs: Tensor) -> Tensor:
        """Apply it to its inputs."""

        def fill(value: object) -> object:
            return inputs[value.number] if isinstance(value, Slot) else value

        arguments, keywords = tree_map(fill, (self.arguments, self.keywords), is_leaf=lambda v: isinstance(v, Slot))
        results = self.function(*arguments, **keywords)
        return results if self.item is None else results[self.item]


def graph_of(model: nn.Module, images: Tensor) -> list[Node]:
    """Return the layers and operations that a network in evaluation mode applies to some scans, in order.

    Raises
    ------
    StudyError
        If what it does depends on the values of the scans, or cannot be recorded.
    """
    layers = unfold(model)
    if is_plain_chain(model):
        return [Node(layer, (number,)) for number, layer in enumerate(layers)]
    top = [layers.pop()] if isinstance(layers[-1], Margin) else []
    nodes = trace(nn.Sequential(*layers).eval() if top else model, images)
    return [*nodes, *(Node(layer, (len(nodes),)) for layer in top)]


def is_plain_chain(model: nn.Module) -> bool:
    """Tell whether a network is a chain of torch's own layers, which is followed without being run."""
    return all(isinstance(layer, Margin) or is_one_of(layer, PLAIN) for layer in unfold(model))


@torch.no_grad()
def trace(model: nn.Module, images: Tensor) -> list[Node]:
    """Record what a network does with some scans."""
    # Here, because this part of torch takes a second to import.
    from torch.func import functionalize
    from torch.fx.experimental.proxy_tensor import make_fx

    try:
        recorded = make_fx(functionalize(lambda scans: model(scans), remove="mutations"))(images.clone())
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise StudyError(
            f"the network cannot be followed from layer to layer ({type(error).__name__}: {reason}); take out what is "
            "not made of torch's operations or depends on the values of a scan, or choose another method"
        ) from error
    recorded.graph.eliminate_dead_code()
    return nodes_of(recorded)


def nodes_of(recorded: torch.fx.GraphModule) -> list[Node]:
    """Turn recorded operations into nodes: weights and what else does not depend on the scans become constants."""
    nodes: list[Node] = []
    numbers: dict[Recorded, int] = {}
    constants: dict[Recorded, object] = {}
    for node in recorded.graph.nodes:
        of_scans = [earlier for earlier in node.all_input_nodes if earlier in numbers]
        if node.op == "placeholder":
            numbers[node] = 0
        elif node.op == "get_attr":
            constants[node] = getattr(recorded, node.target)
        elif node.op == "output":
            (result,) = node.all_input_nodes or (None,)
            if result not in numbers or not isinstance(node.args[0], Recorded):
                raise StudyError("the network returns something else than one tensor made of the scan")
            return nodes[: numbers[result]]
        elif not of_scans or name_of(node) in MADE_ANEW:
            constants[node] = evaluate(node, constants)
        elif name_of(node) == "copy" and shape_of(node).shape == shape_of(node.args[1]).shape:
            numbers[node] = numbers[node.args[1]]  # what was there is lost
        elif lies_elsewhere(node):
            numbers[node] = numbers[node.args[0]]
        elif not gives_several(node):
            operation, item = (node.args[0], node.args[1]) if node.target is getitem else (node, None)
            sources = tuple(numbers[earlier] for earlier in operation.all_input_nodes if earlier in numbers)
            nodes.append(Node(layer_of(operation, item, constants), sources))
            numbers[node] = len(nodes)
        else:
            numbers[node] = -1  # stands for its results, each of which is a node
    raise StudyError("the network returns nothing")


def gives_several(node: Recorded) -> bool:
    """Tell whether an operation gives several tensors, which others take one by one."""
    return node.target is not getitem and any(user.target is getitem for user in node.users)


def lies_elsewhere(node: Recorded) -> bool:
    """Tell whether an operation says of the same numbers that they lie otherwise, as pooling to one voxel does."""
    if name_of(node) != "as_strided_" or len(node.args) > 3:
        return False
    shape = shape_of(node.args[0]).shape
    numbers = torch.arange(shape.numel()).reshape(shape)
    return torch.equal(numbers.as_strided(*node.args[1:]), numbers)


def name_of(node: Recorded) -> str:
    """Return the name of an operation in torch's core."""
    return node.target._schema.name.partition("::")[2] if hasattr(node.target, "_schema") else str(node.target)


def evaluate(node: Recorded, constants: dict[Recorded, object]) -> object:
    """Compute what does not depend on the scans, or but on their shape."""
    scans = [earlier for earlier in node.all_input_nodes if earlier not in constants]
    filled = constants | {earlier: torch.empty_like(shape_of(earlier)) for earlier in scans}
    arguments, keywords = map_arg((node.args, node.kwargs), filled.__getitem__)
    return node.target(*arguments, **keywords)


def shape_of(node: Recorded) -> Tensor:
    """Return a tensor without values, of the shape and type of what a recorded operation gave."""
    value = node.meta["val"] if "val" in node.meta else node.meta["tensor_meta"]
    return torch.empty(value.shape, dtype=value.dtype, device=getattr(value, "device", "cpu"))


def layer_of(node: Recorded, item: int | None, constants: dict[Recorded, object]) -> nn.Module:
    """Return the layer of torch that does what an operation did, or the operation with its constants."""
    inputs = [earlier for earlier in node.all_input_nodes if earlier not in constants]

    def fill(earlier: Recorded) -> object:
        return constants[earlier] if earlier in constants else Slot(inputs.index(earlier))

    arguments, keywords = map_arg(node.args, fill), map_arg(node.kwargs, fill)
    make = LAYERS.get(name_of(node))
    layer = make(*arguments, **keywords) if make and item in (None, 0) and not keywords else None
    if layer is None and is_flattening(node):
        layer = nn.Flatten()
    return (layer or Operation(node, arguments, dict(keywords), item)).eval()


def is_flattening(node: Recorded) -> bool:
    """Tell whether an operation lays all that a scan has beside each other."""
    if name_of(node) not in ("view", "_unsafe_view", "reshape"):
        return False
    before, after = shape_of(node.args[0]).shape, shape_of(node).shape
    return len(after) == 2 and len(before) > 2 and after[0] == before[0]


def with_weights(layer: nn.Module, **weights: Tensor | None) -> nn.Module:
    """Give a layer weights."""
    for name, weight in weights.items():
        kept = None if weight is None else weight.detach()
        if name in layer._buffers:
            layer._buffers[name] = kept
        else:
            layer.register_parameter(name, None if kept is None else nn.Parameter(kept, requires_grad=False))
    return layer


class BatchNorm(nn.BatchNorm1d):
    """A batch norm of whatever dimensions."""

    def _check_input_dim(self, inputs: Tensor) -> None:
        pass


def are_constants(*values: object) -> bool:
    """Tell whether nothing among the arguments of an operation is made of the scans."""
    return not any(isinstance(value, Slot) for value in values)


def convolution(inputs, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
    """Make a convolution of one; None where its weights are made of the scan, or it is transposed."""
    if transposed or not are_constants(weight, bias):
        return None
    kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[len(stride) - 1]
    out_channels, in_channels, *kernel = weight.shape
    options = {"dilation": tuple(dilation), "groups": groups, "device": "meta"}
    layer = kind(in_channels * groups, out_channels, tuple(kernel), tuple(stride), tuple(padding), **options)
    return with_weights(layer, weight=weight, bias=bias)


def linear(inputs, weight, bias=None):
    """Make a linear layer of a product with a matrix of weights."""
    if not are_constants(weight, bias) or not isinstance(inputs, Slot) or (bias is not None and bias.ndim != 1):
        return None
    return with_weights(nn.Linear(*weight.shape, device="meta"), weight=weight.T, bias=bias)


def batch_norm(inputs, weight, bias, mean, variance, training, momentum, epsilon):
    """Make a batch norm of one that has its statistics; None of one that takes them from the scans."""
    if training or not are_constants(weight, bias, mean, variance):
        return None
    layer = BatchNorm(len(mean), eps=epsilon, device="meta")
    return with_weights(layer, weight=weight, bias=bias, running_mean=mean, running_var=variance)


LAYERS: dict[str, Callable[..., nn.Module | None]] = {
    "convolution": convolution,
    "addmm": lambda bias, inputs, weight: linear(inputs, weight, bias),
    "mm": linear,
    "native_batch_norm": batch_norm,
    "cudnn_batch_norm": batch_norm,
    "miopen_batch_norm": batch_norm,
    "_native_batch_norm_legit_no_training": lambda *arguments: batch_norm(*arguments[:5], False, *arguments[5:]),
    "relu": lambda inputs: nn.ReLU(),
    "clamp_min": lambda inputs, low: nn.ReLU() if isinstance(low, int | float) and low == 0 else None,
    "clamp": lambda inputs, low=None, high=None: nn.ReLU() if low == 0 and high is None else None,
    "threshold": lambda inputs, threshold, value: nn.ReLU() if threshold == value == 0 else None,
    "_softmax": lambda inputs, dim, half: nn.Softmax(dim),
    "_log_softmax": lambda inputs, dim, half: nn.LogSoftmax(dim),
}


def walk_up(
    nodes: Sequence[Node], images: Tensor, forward: Callable[[int, list[Tensor]], tuple[Tensor, Callable]]
) -> tuple[Tensor, list[Step]]:
    """Apply each node to what it is made of; ``forward`` takes its number and inputs to its outputs and way back."""
    last_use = {source: number for number, node in enumerate(nodes, 1) for source in node.sources}
    values, steps = {0: images}, []
    for number, node in enumerate(nodes, 1):
        values[number], back = forward(number, [values[source] for source in node.sources])
        steps.append(Step(node.layer, back, node.sources))
        for source in set(node.sources):
            if last_use[source] == number:
                del values[source]
    return values[len(nodes)], steps


def walk_back(steps: Sequence[Step], number: int, begin: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Hand back what a node begins with, and yield what arrives at each on the way, the scans (0) last.

    A node is left when all that it gave to others has come back, and is added up. ``steps`` above the node that was
    yielded last are not needed any more.
    """
    waiting = {number: begin}
    for current in range(number, 0, -1):
        if current in waiting:
            arrived = waiting.pop(current)
            yield current, arrived
            step = steps[current - 1]
            for source, part in zip(step.sources, step.back(arrived), strict=True):
                if part is not None:
                    waiting[source] = waiting[source] + part if source in waiting else part
            del arrived, step
    yield 0, waiting[0]


@torch.no_grad()
def value_of(nodes: Sequence[Node], images: Tensor, number: int) -> Tensor:
    """Return what the n-th node gives, 0 for the scans."""
    if number == 0:
        return images

    def forward(number: int, inputs: list[Tensor]) -> tuple[Tensor, None]:
        return apply_apart(nodes[number - 1].layer, *inputs), None

    return walk_up(nodes[:number], images, forward)[0]
