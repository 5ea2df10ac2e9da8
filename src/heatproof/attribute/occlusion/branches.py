"""Networks that branch and come together again, such as residual and dense ones, as graphs of the layers known here."""

import copy
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils._pytree import tree_leaves

from heatproof.attribute import graph
from heatproof.attribute.graph import Node, Operation, Slot
from heatproof.attribute.layers import apply_apart, outputs_of
from heatproof.attribute.occlusion.chain import KEEPERS, Join, Sum, rises
from heatproof.attribute.outputs import Margin

ROUNDING = 1e-4  # of the largest output, by which layer by layer and the whole may differ: far above float32's
NOTHING = ("clone", "alias", "detach", "contiguous")
POINTWISE = ("elu", "gelu", "silu", "mish", "softplus", "sigmoid", "log_sigmoid_forward", "tanh")
POINTWISE += ("hardtanh", "hardswish", "hardsigmoid", "softshrink", "hardshrink")


@torch.no_grad()
def as_graph(model: nn.Module, image: Tensor) -> list[Node] | None:
    """Return a network as a graph of layers in float64; None if it cannot be traced or has a layer not known here.

    Known are the layers of chains, sums of tensors of one shape, and channels laid behind each other. Batch norm is
    folded into the convolution before it, and max-pooling comes before the rising activation that it followed.

    Parameters
    ----------
    model : Module
        In evaluation mode; maps (N, C, D, H, W) to scores (N, classes).
    image : Tensor, shape (C, D, H, W)
    """
    if graph.is_plain_chain(model):
        return None
    with suppress(Exception):  # what tracing meets in a network of someone's own can be anything
        nodes = known_nodes(graph.graph_of(model, image[None]))
        scans = torch.stack([image, torch.zeros_like(image)])
        before, after = outputs_of(model, scans), run(nodes, scans)
        if (before - after).abs().max() <= ROUNDING * before.abs().max():
            return merged([Node(copy.deepcopy(layer).double(), sources) for layer, sources in nodes])
    return None


def run(nodes: Sequence[Node], scans: Tensor) -> Tensor:
    """Return the outputs of a graph, in which nothing but tensors of one shape is added."""

    def forward(number: int, inputs: list[Tensor]) -> tuple[Tensor, None]:
        layer = nodes[number - 1].layer
        if isinstance(layer, Sum) and len({each.shape for each in inputs}) > 1:
            raise ValueError("a sum of tensors of several shapes")
        if isinstance(layer, nn.Softmax | nn.LogSoftmax | Margin) and inputs[0].ndim > 2:
            raise ValueError("probabilities of voxels")
        inputs = [each.flatten(1) for each in inputs] if isinstance(layer, nn.Linear) else inputs
        return apply_apart(layer, *inputs), None

    return graph.walk_up(nodes, scans, forward)[0]


def known_nodes(nodes: Sequence[Node]) -> list[Node]:
    """Write each operation as layers that have a record; operations that do nothing are left out."""
    found, numbers = [], {0: 0}
    for number, (layer, sources) in enumerate(nodes, 1):
        sources = tuple(numbers[source] for source in sources)
        if isinstance(layer, Operation):
            parts, slots = OPERATIONS[layer.name](layer), slots_of(layer)
            sources = tuple(sources[slot.number] for slot in slots)
        else:
            parts = [layer]
        for part in parts:
            if type(part) not in KEEPERS or (len(sources) > 1) != isinstance(part, Sum | Join):
                raise ValueError(f"{part} has no record")
            found.append(Node(part, sources))
            sources = (len(found),)
        (numbers[number],) = sources
    return found


def slots_of(operation: Operation) -> list[Slot]:
    """Return the inputs of an operation, one that it takes twice two times."""
    leaves = tree_leaves(operation.arguments, is_leaf=lambda value: isinstance(value, Slot))
    return [value for value in leaves if isinstance(value, Slot)]


def merged(nodes: Sequence[Node]) -> list[Node]:
    """Merge layers that only one other takes: batch norms, rising activations before max-pooling, flattening."""
    uses, found, numbers = Counter(source for node in nodes for source in node.sources), [], {0: 0}
    for number, (layer, sources) in enumerate(nodes, 1):
        place = numbers[sources[0]] - 1
        below = found[place].layer if place >= 0 and uses[sources[0]] == 1 else None
        if isinstance(layer, graph.BatchNorm) and isinstance(below, nn.Conv3d):
            found[place] = found[place]._replace(layer=fuse_conv_bn_eval(below, layer))
        elif isinstance(layer, nn.Linear) and isinstance(below, nn.Flatten):
            found[place] = found[place]._replace(layer=layer)
        elif isinstance(layer, nn.MaxPool3d) and rises(below):
            found[place] = found[place]._replace(layer=layer)
            found.append(Node(below, (place + 1,)))
            place = len(found) - 1
        else:
            found.append(Node(layer, tuple(numbers[source] for source in sources)))
            place = len(found) - 1
        numbers[number] = place + 1
    return found


def sum_of(operation: Operation) -> list[nn.Module]:
    """Read an addition; a number added, or another multiple of what is added, is not known."""
    if operation.keywords or not all(isinstance(value, Slot) for value in operation.arguments):
        raise ValueError("a sum with a constant")
    return [Sum()]


def join_of(operation: Operation) -> list[nn.Module]:
    """Read a concatenation of channels."""
    parts, dim = (*operation.arguments, 0)[:2]
    if dim != 1 or not all(isinstance(value, Slot) for value in parts):
        raise ValueError("a concatenation of something else than channels")
    return [Join()] if len(parts) > 1 else []


def mean_of(operation: Operation) -> list[nn.Module]:
    """Read a mean over all voxels."""
    _, dims, keeps = (*operation.arguments, False)[:3]
    if sorted(dim % 5 for dim in dims) != [2, 3, 4]:
        raise ValueError("a mean of something else than voxels")
    return [nn.AdaptiveAvgPool3d(1), *([] if keeps else [nn.Flatten()])]


def pooling_of(operation: Operation) -> list[nn.Module]:
    """Read a pooling of neighbourhoods."""
    maximum = operation.name.startswith("max")
    defaults = ([], 0, 1, False) if maximum else ([], 0, False, True, None)
    _, kernel, *options = operation.arguments
    stride, padding, *options = (*options, *defaults[len(options) :])
    lengths = [triple(kernel), triple(stride or kernel), triple(padding)]
    if maximum and triple(options[0]) != (1, 1, 1):
        raise ValueError("a dilated pooling")
    return [nn.MaxPool3d(*lengths, ceil_mode=options[1]) if maximum else nn.AvgPool3d(*lengths, *options)]


def triple(value: int | Sequence[int]) -> tuple[int, int, int]:
    """Return one number, or three, as three."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * 3 if len(values) == 1 else values


def prelu_of(operation: Operation) -> list[nn.Module]:
    """Read an activation with learned slopes."""
    slopes = operation.arguments[1].detach().flatten()
    return [graph.with_weights(nn.PReLU(len(slopes), device="meta"), weight=slopes)]


OPERATIONS: dict[str, Callable[[Operation], list[nn.Module]]] = {
    "add": sum_of,
    "cat": join_of,
    "mean": mean_of,
    "max_pool3d_with_indices": pooling_of,
    "avg_pool3d": pooling_of,
    "_adaptive_avg_pool3d": lambda operation: [nn.AdaptiveAvgPool3d(operation.arguments[1])],
    "adaptive_max_pool3d": lambda operation: [nn.AdaptiveMaxPool3d(operation.arguments[1])],
    "leaky_relu": lambda operation: [nn.LeakyReLU(*operation.arguments[1:])],
    "_prelu_kernel": prelu_of,
    **dict.fromkeys(NOTHING, lambda operation: []),
    **dict.fromkeys(POINTWISE, lambda operation: [operation]),
}
