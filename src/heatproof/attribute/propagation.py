"""How relevance goes back through the layers of a network, by the rules of zennit.

The walk is explicit, because zennit's own hooks run the plain backward pass as well, and both halves of every rule even
where one is zero: about five times the work for the same map. Batch norms are merged by torch, because zennit's
canonizer changes the model for the time of the call, and leaves each batch norm a factor of 1 / sqrt(1 + eps).
"""

import copy
from collections.abc import Callable, Sequence
from functools import partial
from math import copysign
from operator import mul

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from heatproof.attribute.graph import DROPOUTS, Node, Operation, Slot, graph_of, is_plain_chain, walk_up
from heatproof.attribute.layers import (
    CONVOLUTIONS,
    TOLERANCE,
    WEIGHTED,
    Step,
    apply_apart,
    pull_back_each,
    require_evaluation,
)
from heatproof.attribute.outputs import Margin, others, soft_minimum
from heatproof.attribute.zennit_rules import (
    AlphaBeta,
    AvgPool,
    BasicHook,
    BatchNorm,
    ClampMod,
    Epsilon,
    Flat,
    Gamma,
    MaxPool,
    Norm,
    ZBox,
)
from heatproof.errors import StudyError

ROUTING = (MaxPool, nn.Flatten, nn.Unflatten)
KEEPING_BOUNDS = (*ROUTING, AvgPool, *DROPOUTS, nn.Identity, nn.ReLU)
LINEAR_PER_CHANNEL = (*DROPOUTS, AvgPool, nn.Flatten, nn.Identity)
STABLE = 1e-6  # added at most to sums where no rule of a layer with weights applies, as in zennit

# Operations of torch's core by how relevance passes them.
MOVED = {  # each number of the outputs is one of the inputs, or 0
    *("view", "_unsafe_view", "reshape", "permute", "transpose", "t", "squeeze", "unsqueeze", "slice", "select"),
    *("expand", "repeat", "clone", "alias", "detach", "copy", "_to_copy", "cat", "stack", "split", "split_with_sizes"),
    *("chunk", "unbind", "flip", "roll", "index_select", "constant_pad_nd", "slice_scatter", "select_scatter"),
    *("pixel_shuffle", "channel_shuffle", "reflection_pad3d", "replication_pad3d", "upsample_nearest3d", "as_strided"),
    *("max_pool2d_with_indices", "max_pool3d_with_indices", "adaptive_max_pool2d", "adaptive_max_pool3d"),
    *("max", "amax", "maximum"),
}
AVERAGED = {
    *(
        "mean",
        "sum",
        "avg_pool2d",
        "avg_pool3d",
        "_adaptive_avg_pool2d",
        "_adaptive_avg_pool3d",
        "upsample_trilinear3d",
    ),
}
ADDED = {"add", "sub"}
SCALED = {"mul", "div", "neg"}
PASSED = {  # activations
    *("relu", "leaky_relu", "elu", "gelu", "silu", "mish", "softplus", "hardtanh", "hardswish", "hardsigmoid"),
    *("sigmoid", "tanh", "_prelu_kernel", "prelu", "threshold", "clamp", "clamp_min", "log_sigmoid_forward"),
    *("hardshrink", "softshrink", "rrelu_with_noise"),
}
GATES = {"sigmoid", "hardsigmoid", "hardtanh"}  # what a factor ends in that only weighs another one
NAMES = {
    "native_group_norm": "a GroupNorm, which divides by a spread of the scan",
    "native_layer_norm": "a LayerNorm, which divides by a spread of the scan",
    "native_batch_norm": "an InstanceNorm, which divides by a spread of the scan",
    "cudnn_batch_norm": "an InstanceNorm, which divides by a spread of the scan",
    "_scaled_dot_product_flash_attention_for_cpu": "attention, a product of two parts of the scan",
    "_scaled_dot_product_flash_attention": "attention, a product of two parts of the scan",
    "_scaled_dot_product_efficient_attention": "attention, a product of two parts of the scan",
    "_scaled_dot_product_attention_math": "attention, a product of two parts of the scan",
    "convolution": "a transposed convolution, or one whose weights are made of the scan",
    "bmm": "a product of two parts of the scan, as in attention",
    "mul": "a product of two parts of the scan of which not exactly one is a gate, that is, ends in a sigmoid",
    "div": "a division by a part of the scan",
    "Softmax": "a softmax before the outputs, as in attention",
    "LogSoftmax": "the logarithm of a softmax, unless the margin is explained (output: margin)",
}


def steps_back(
    model: nn.Module,
    images: Tensor,
    *,
    rule: str = "alpha1_beta0",
    epsilon: float = 1e-6,
    gamma: float = 0.25,
    batch_norm: str = "merge",
    bias: bool = False,
) -> tuple[Tensor, list[Step]]:
    """Walk up a network; return its outputs and what hands relevance back through each layer. Options are `lrp`'s."""
    if rule not in RULES:
        raise StudyError(f"lrp has no rule {rule!r}; choose one of {', '.join(RULES)}")
    if batch_norm not in ("merge", "pass"):
        raise StudyError(f"lrp cannot {batch_norm!r} batch norms; set batch_norm to merge or pass")
    require_evaluation(model)
    images = images.detach()
    nodes = graph_of(model, images)
    nodes = merge_batch_norms(nodes) if batch_norm == "merge" else nodes
    nodes = merge_margin(nodes) if isinstance(nodes[-1].layer, Margin) else nodes
    carrying = ways_back(nodes)
    options = {"epsilon": epsilon, "gamma": gamma, "zero_params": None if bias else ["bias"]}
    in_first, in_convolution, in_linear = (partial(LAYER_RULES[name], **options) for name in RULES[rule])
    in_scale = (
        in_convolution if bias else partial(LAYER_RULES["epsilon"], **options)
    )  # of one weight all is its input's
    stable = stabilizer(min(epsilon, STABLE))
    first = first_with_weights(nodes, of_scan_alone=RULES[rule][0] == "box")

    def forward(number: int, inputs: list[Tensor]) -> tuple[Tensor, Callable[[Tensor], Sequence[Tensor | None]]]:
        layer = nodes[number - 1].layer
        if isinstance(layer, Operation):
            return through_operation(layer, inputs, carrying.get(number, set()), bias, stable)
        own = in_first if number in first else in_linear if isinstance(layer, nn.Linear) else in_convolution
        return through_layer(layer, inputs[0], in_scale if isinstance(layer, Scale) else own, stable)

    outputs, steps = walk_up(nodes, images, forward)
    if not is_plain_chain(model):
        require_same(outputs, model(images.clone()))
    return outputs, steps


def require_same(outputs: Tensor, expected: Tensor) -> None:
    """Refuse to explain a network whose layers, as they were followed, give something else than the network."""
    if (outputs - expected).abs().max() > TOLERANCE * expected.abs().max().clamp(min=0.1):
        raise StudyError(
            "lrp followed the network from layer to layer and came to other outputs than the network itself; report "
            "this as a mistake in lrp, and choose another method"
        )


def through_layer(
    layer: nn.Module, inputs: Tensor, make_rule: Callable[..., BasicHook], stable: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Callable[[Tensor], Sequence[Tensor]]]:
    """Return a layer's outputs, and the function that takes their relevance to the relevance of its inputs."""
    if isinstance(layer, SHARING):
        return layer(inputs), partial(share, make_rule(inputs), layer, inputs)
    if isinstance(layer, AvgPool):
        return layer(inputs), partial(share, Norm(stable), layer, inputs)
    if isinstance(layer, Lead):
        return layer(inputs), partial(layer.share, inputs)
    if isinstance(layer, ROUTING):
        return pull_back_each(layer, inputs)
    return apply_apart(layer, inputs), lambda relevance: (relevance,)


def through_operation(
    operation: Operation, inputs: list[Tensor], carrying: set[int], bias: bool, stable: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Callable[[Tensor], Sequence[Tensor | None]]]:
    """Return an operation's outputs, and how their relevance goes to those of its inputs that are ``carrying`` it."""
    if operation.name in MOVED:
        return torch.func.vjp(operation, *inputs)
    if operation.name in AVERAGED or (operation.name in ADDED and (bias or len(inputs) > 1)):
        return in_proportion(operation, inputs, stable)
    shapes = [one.shape for one in inputs]  # an input may have been spread over further places

    def hand_on(relevance: Tensor) -> list[Tensor | None]:
        return [relevance.sum_to_size(shape) if i in carrying else None for i, shape in enumerate(shapes)]

    return operation(*inputs), hand_on


def in_proportion(
    operation: Operation, inputs: list[Tensor], stable: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Callable[[Tensor], Sequence[Tensor]]]:
    """Return sums of inputs, and how they hand relevance to each in proportion to what it adds: zennit's Norm."""
    outputs, product = torch.func.vjp(operation, *inputs)

    def back(relevance: Tensor) -> list[Tensor]:
        parts = product(relevance / stable(outputs))
        return [part * one for part, one in zip(parts, inputs, strict=True)]

    return outputs, back


def ways_back(nodes: Sequence[Node]) -> dict[int, set[int]]:
    """Return for each node that relevance reaches those of its inputs, counted from 0, that it is handed to.

    Of the factors of a product all goes to the signal and nothing to the gate, which counts as a weight.

    Raises
    ------
    StudyError
        If relevance reaches a layer through which it is not known to pass.
    """
    carrying, reached = {}, {len(nodes)}
    for number in range(len(nodes), 0, -1):
        if number in reached:
            node = nodes[number - 1]
            carrying[number] = carrying_inputs(nodes, number)
            reached |= {node.sources[i] for i in carrying[number]}
    return carrying


def carrying_inputs(nodes: Sequence[Node], number: int) -> set[int]:
    """Return which inputs of a node are handed relevance."""
    layer, sources = nodes[number - 1]
    every, name = set(range(len(sources))), getattr(layer, "name", type(layer).__name__)
    if isinstance(layer, nn.LogSoftmax) or (isinstance(layer, nn.Softmax) and number < len(nodes)):
        known = set()
    elif not isinstance(layer, Operation) or name in MOVED | AVERAGED | ADDED | PASSED or is_scaling(layer):
        known = every
    else:
        signals = {i for i in every if not is_gate(nodes, sources[i])}
        known = signals if name == "mul" and len(signals) == 1 < len(sources) else set()
    if not known:
        raise StudyError(
            f"lrp does not know how relevance passes {NAMES.get(name, f'the operation {name}')}; choose another method"
        )
    return known


def is_scaling(operation: Operation) -> bool:
    """Tell whether an operation multiplies its one input by a constant."""
    given = [isinstance(argument, Slot) for argument in operation.arguments]
    return operation.name in SCALED and sum(given) == 1 and (given[0] or operation.name == "mul")


def is_gate(nodes: Sequence[Node], number: int) -> bool:
    """Tell whether what a node gives ends in a sigmoid, or what is used as one, and was only moved and scaled since."""
    while number:
        layer, sources = nodes[number - 1]
        name = getattr(layer, "name", type(layer).__name__)
        if name in GATES or isinstance(layer, nn.Sigmoid | nn.Hardsigmoid):
            return True
        if len(sources) > 1 or not (name in MOVED | SCALED or isinstance(layer, nn.Flatten | nn.Unflatten)):
            return False
        number = sources[0]
    return False


def first_with_weights(nodes: Sequence[Node], *, of_scan_alone: bool) -> set[int]:
    """Return the nodes with weights before which there are none.

    Raises
    ------
    StudyError
        If they are to be given the scan itself, at most pooled or cut, and are given something else.
    """
    behind, within_bounds, first = {0: False}, {0: True}, set()
    for number, (layer, sources) in enumerate(nodes, 1):
        behind[number] = any(behind[source] for source in sources) or isinstance(layer, WEIGHTED)
        moved = isinstance(layer, Operation) and layer.name in MOVED | AVERAGED - {"sum"}
        within_bounds[number] = within_bounds[sources[0]] and (moved or isinstance(layer, KEEPING_BOUNDS))
        if isinstance(layer, WEIGHTED) and not any(behind[source] for source in sources):
            first.add(number)
            if of_scan_alone and not within_bounds[sources[0]]:
                raise StudyError(
                    "lrp's rule box holds for a first layer that reads the scan in its bounds 0 and 1, and this "
                    "network's reads what was made of it; choose another rule"
                )
    return first


def share(rule: BasicHook, layer: nn.Module, inputs: Tensor, relevance: Tensor) -> Sequence[Tensor]:
    """Distribute the relevance of a layer's outputs over its inputs by a rule of zennit."""
    rule.forward(layer, (inputs,), None)
    return rule.backward(layer, (inputs,), (relevance,))


def alpha_beta(inputs: Tensor, alpha: float, beta: float, epsilon: float, zero_params: list[str] | None) -> BasicHook:
    """Return the alpha-beta rule; where no input is negative, as behind a ReLU, without the terms that are zero."""
    if inputs.min() < 0:
        return AlphaBeta(alpha, beta, stabilizer(epsilon), zero_params)
    positive, negative = ClampMod(min=0.0, zero_params=zero_params), ClampMod(max=0.0, zero_params=zero_params)
    weights, factors = ([positive], [alpha]) if beta == 0 else ([positive, negative], [alpha, -beta])
    return BasicHook(
        input_modifiers=[torch.clone] * len(factors),
        param_modifiers=weights,
        # R_k / sum_j (a_j w_jk), written over the sum: at 1 mm, fresh memory costs more than arithmetic.
        gradient_mapper=lambda relevance, sums: [
            torch.div(relevance, total.add_(copysign(epsilon, factor)), out=total)
            for total, factor in zip(map(Tensor.detach, sums), factors, strict=True)
        ],
        reducer=lambda inputs, gradients: inputs[0] * sum(map(mul, factors, gradients)),
    )


def stabilizer(epsilon: float) -> Callable[[Tensor], Tensor]:
    """Return what adds epsilon to a sum, away from zero: as zennit's own, in two passes over the tensor, not in six."""
    return lambda total: torch.copysign(total.new_tensor(epsilon), total).add_(total)


LAYER_RULES: dict[str, Callable[[Tensor, float, float, list[str] | None], BasicHook]] = {
    "alpha1_beta0": lambda inputs, epsilon, gamma, zero_params: alpha_beta(inputs, 1.0, 0.0, epsilon, zero_params),
    "alpha2_beta1": lambda inputs, epsilon, gamma, zero_params: alpha_beta(inputs, 2.0, 1.0, epsilon, zero_params),
    "epsilon": lambda inputs, epsilon, gamma, zero_params: Epsilon(stabilizer(epsilon), zero_params),
    "gamma": lambda inputs, epsilon, gamma, zero_params: Gamma(gamma, stabilizer(epsilon), zero_params),
    "flat": lambda inputs, epsilon, gamma, zero_params: Flat(stabilizer(epsilon), zero_params),
    "box": lambda inputs, epsilon, gamma, zero_params: ZBox(0.0, 1.0, stabilizer(epsilon), zero_params),
}
RULES = {  # of the first layer, of the other convolutions, of the other linear layers
    "alpha1_beta0": ("alpha1_beta0", "alpha1_beta0", "alpha1_beta0"),
    "alpha2_beta1": ("alpha2_beta1", "alpha2_beta1", "alpha2_beta1"),
    "epsilon": ("epsilon", "epsilon", "epsilon"),
    "gamma": ("gamma", "gamma", "gamma"),
    "z_plus": ("alpha1_beta0", "alpha1_beta0", "alpha1_beta0"),
    "epsilon_plus": ("alpha1_beta0", "alpha1_beta0", "epsilon"),
    "epsilon_plus_flat": ("flat", "alpha1_beta0", "epsilon"),
    "epsilon_gamma_box": ("box", "gamma", "epsilon"),
}


class Scale(nn.Module):
    """A factor and a shift for each channel: a batch norm that no layer with weights stands beside."""

    def __init__(self, factors: Tensor, shifts: Tensor):
        super().__init__()
        self.weight, self.bias = (nn.Parameter(values.detach(), requires_grad=False) for values in (factors, shifts))

    def forward(self, inputs: Tensor) -> Tensor:
        """Scale and shift inputs of shape (N, channels, ...)."""
        factors, shifts = (values.reshape(-1, *[1] * (inputs.ndim - 2)) for values in (self.weight, self.bias))
        return inputs * factors + shifts


SHARING = (*WEIGHTED, Scale)


def merge_batch_norms(nodes: Sequence[Node]) -> list[Node]:
    """Return an equal graph in which each batch norm is part of a layer with weights; the given layers stay.

    Of the layer before it, if nothing else reads that; or of the one behind it, if nothing else reads the batch norm
    and no zeros are laid around it; else it is a layer of its own with one weight for each channel.
    """
    merged = list(nodes)
    readers: dict[int, list[int]] = {}
    for number, node in enumerate(nodes, 1):
        for source in node.sources:
            readers.setdefault(source, []).append(number)
    for number, (norm, sources) in enumerate(nodes, 1):
        if isinstance(norm, BatchNorm):
            (source,), (reader, *further) = sources, readers.get(number, [0])
            before, behind = merged[source - 1].layer if source else None, merged[reader - 1].layer
            if isinstance(before, WEIGHTED) and readers[source] == [number]:
                fuse = fuse_linear_bn_eval if isinstance(before, nn.Linear) else fuse_conv_bn_eval
                merged[source - 1] = merged[source - 1]._replace(layer=fuse(before, norm))
            elif reader and not further and takes_over(behind, norm):
                merged[reader - 1] = merged[reader - 1]._replace(layer=merge_into_next(norm, behind))
            else:
                merged[number - 1] = Node(Scale(*factors_and_shifts(norm)), sources)
                continue
            merged[number - 1] = Node(nn.Identity().eval(), sources)
    return merged


def factors_and_shifts(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Return what a batch norm in evaluation mode multiplies and adds, by channel."""
    factors = (norm.running_var + norm.eps).rsqrt()
    factors = factors if norm.weight is None else factors * norm.weight
    return factors, (0 if norm.bias is None else norm.bias) - norm.running_mean * factors


def takes_over(layer: nn.Module, norm: nn.Module) -> bool:
    """Tell whether a layer can do with its own weights what a batch norm before it does."""
    if isinstance(layer, nn.Linear):
        return layer.in_features == norm.num_features
    return isinstance(layer, CONVOLUTIONS) and not (isinstance(layer.padding, str) or any(layer.padding))


def merge_into_next(norm: nn.Module, layer: nn.Module) -> nn.Module:
    """Return a layer that does what a batch norm and the layer behind it do."""
    (factors, shifts), weight = factors_and_shifts(norm), layer.weight
    groups = getattr(layer, "groups", 1)
    form = (groups, 1, -1, *[1] * (weight.ndim - 2))
    by_group = weight.unflatten(0, (groups, -1))
    added = (by_group * shifts.reshape(form)).flatten(0, 1).flatten(1).sum(dim=1)
    merged = copy.deepcopy(layer)
    merged.weight = nn.Parameter((by_group * factors.reshape(form)).flatten(0, 1).detach(), requires_grad=False)
    merged.bias = nn.Parameter((added if layer.bias is None else added + layer.bias).detach(), requires_grad=False)
    return merged


class Lead(nn.Module):
    """The margin of each class, from its differences to the other classes, of shape (N, classes * (classes - 1))."""

    def __init__(self, classes: int):
        super().__init__()
        self.classes = classes

    def forward(self, differences: Tensor) -> Tensor:
        """Return margins, shape (N, classes)."""
        if differences.shape[1] != self.classes * (self.classes - 1):
            raise StudyError(
                "lrp explains a margin of classes that are each one unit or channel of the network's last layer with "
                "weights, and this network's are not; end it so, or set output: logit"
            )
        return soft_minimum(differences.unflatten(1, (self.classes, -1)))

    def share(self, differences: Tensor, relevance: Tensor) -> tuple[Tensor]:
        """Hand the margin of a class to its differences z: z exp(-z) / sum exp(-z) each (Montavon et al. 2019)."""
        z = differences.unflatten(1, (self.classes, -1))
        margins = soft_minimum(z)
        units = torch.where(margins == 0, 0, relevance / margins)
        return ((units[:, :, None] * z * torch.softmax(-z, dim=2)).flatten(1),)


def merge_margin(nodes: Sequence[Node]) -> list[Node]:
    """Return an equal graph whose last layer with weights gives the differences of which a margin is made.

    What all classes share is thereby gone before any relevance is shared out: weights and biases are differences of
    classes, and of two classes one difference is left (Montavon et al. 2019). A single output is its own margin.

    Parameters
    ----------
    nodes : sequence of Node
        The last of them a `Margin`; batch norms are merged.

    Raises
    ------
    StudyError
        If differences cannot be taken that early, because what follows is not linear in each class alone.
    """
    *body, _ = nodes
    if isinstance(body[-1].layer, nn.LogSoftmax) and body[-1].layer.dim in (1, -1):  # which no margin depends on
        body.pop()
    last = max((i for i, node in enumerate(body) if isinstance(node.layer, WEIGHTED)), default=None)
    following = [] if last is None else list(enumerate(body))[last + 1 :]
    apart = last is not None and getattr(body[last].layer, "groups", 1) == 1
    if not apart or not all(node.sources == (i,) and is_linear_per_channel(node.layer) for i, node in following):
        raise StudyError(
            "lrp explains a margin by the weights of the last linear layer or convolution, which none but dropout, "
            "average-pooling and flatten layers may follow; end the network so, or set output: logit"
        )
    differing = copy.deepcopy(body[last].layer)
    classes = len(differing.weight)
    if classes == 1:
        return body
    one, other = torch.arange(classes).repeat_interleave(classes - 1), others(classes).flatten()
    for parameter in differing.parameters():
        parameter.data = parameter.data[one.to(parameter.device)] - parameter.data[other.to(parameter.device)]
    body[last] = body[last]._replace(layer=differing)
    return [*body, Node(Lead(classes), (len(body),))]


def is_linear_per_channel(layer: nn.Module) -> bool:
    """Tell whether a layer sums up what each channel has, and knows nothing of their number."""
    if not isinstance(layer, Operation):
        return isinstance(layer, LINEAR_PER_CHANNEL)
    if layer.name in ("mean", "sum", "squeeze"):
        axes = layer.arguments[1] if len(layer.arguments) > 1 else None
        axes = [axes] if isinstance(axes, int) else axes
        return bool(axes) and all(axis > 1 or -4 < axis < 0 for axis in axes)
    return layer.name in AVERAGED
