"""How relevance goes back through a chain of layers, by the rules of zennit.

The walk along the chain is explicit, because zennit's own hooks run the plain backward pass as well, and both halves of
every rule even where one is zero: about five times the work for the same map. Batch norms are merged by torch, because
zennit's canonizer changes the model for the time of the call, and leaves each batch norm a factor of 1 / sqrt(1 + eps).
"""

import copy
from collections.abc import Callable
from functools import partial
from math import copysign
from operator import mul

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from heatproof.attribute.layers import (
    CONVOLUTIONS,
    WEIGHTED,
    Step,
    apply_apart,
    is_bare,
    is_one_of,
    pull_back,
    require_evaluation,
    unfold,
)
from heatproof.attribute.outputs import Margin, others, soft_minimum
from heatproof.attribute.zennit_rules import (
    Activation,
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
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)
ONE_TO_ONE = (*DROPOUTS, Activation, BatchNorm, nn.Softmax, nn.Identity)
KNOWN = (*WEIGHTED, AvgPool, *ROUTING, *ONE_TO_ONE)
LINEAR_PER_CHANNEL = (*DROPOUTS, AvgPool, nn.Flatten, nn.Identity)


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
    """Walk up the chain; return its outputs and what hands relevance back through each layer. Options are `lrp`'s."""
    if rule not in RULES:
        raise StudyError(f"lrp has no rule {rule!r}; choose one of {', '.join(RULES)}")
    if batch_norm not in ("merge", "pass"):
        raise StudyError(f"lrp can not {batch_norm!r} batch norms; set batch_norm to merge or pass")
    require_evaluation(model)
    layers = known_layers(model)
    layers = merge_batch_norms(layers) if batch_norm == "merge" else layers
    layers = merge_margin(layers) if isinstance(layers[-1], Margin) else layers
    options = {"epsilon": epsilon, "gamma": gamma, "zero_params": None if bias else ["bias"]}
    in_first, in_convolution, in_linear = (partial(LAYER_RULES[name], **options) for name in RULES[rule])
    first = next((layer for layer in layers if isinstance(layer, WEIGHTED)), None)

    outputs, steps = images.detach(), []
    for layer in layers:
        make_rule = in_first if layer is first else in_linear if isinstance(layer, nn.Linear) else in_convolution
        outputs, back = forward(layer, outputs, make_rule)
        steps.append(Step(layer, back))
    return outputs, steps


def known_layers(model: nn.Module) -> list[nn.Module]:
    """Return the layers of a chain, having refused those that relevance is not known to pass."""
    layers = unfold(model)
    for layer in layers:
        if not isinstance(layer, Margin) and not is_one_of(layer, KNOWN):
            own = "" if is_bare(layer) else " with hooks or a forward pass of its own"
            raise StudyError(
                f"lrp does not know how relevance passes a layer of type {type(layer).__name__}{own}; build the "
                "network as nn.Sequential of torch's convolution, linear, batch norm, activation, pooling, flatten and "
                "dropout layers"
            )
    return layers


def forward(
    layer: nn.Module, inputs: Tensor, make_rule: Callable[..., BasicHook]
) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Return a layer's outputs, and the function that takes their relevance to the relevance of its inputs."""
    if isinstance(layer, WEIGHTED):
        return layer(inputs), partial(share, make_rule(inputs), layer, inputs)
    if isinstance(layer, AvgPool):
        return layer(inputs), partial(share, Norm(), layer, inputs)
    if isinstance(layer, Lead):
        return layer(inputs), partial(layer.share, inputs)
    if isinstance(layer, ROUTING):
        return pull_back(layer, inputs)
    return apply_apart(layer, inputs), lambda relevance: relevance


def share(rule: BasicHook, layer: nn.Module, inputs: Tensor, relevance: Tensor) -> Tensor:
    """Distribute the relevance of a layer's outputs over its inputs by a rule of zennit."""
    rule.forward(layer, (inputs,), None)
    return rule.backward(layer, (inputs,), (relevance,))[0]


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


def merge_batch_norms(layers: list[nn.Module]) -> list[nn.Module]:
    """Return an equal chain of layers in which each batch norm is part of the layer before it; the given ones stay.

    Raises
    ------
    StudyError
        If the layer before a batch norm is neither a convolution nor linear.
    """
    merged = []
    for layer in layers:
        if not isinstance(layer, BatchNorm):
            merged.append(layer)
        elif merged and isinstance(merged[-1], CONVOLUTIONS):
            merged[-1] = fuse_conv_bn_eval(merged[-1], layer)
        elif merged and isinstance(merged[-1], nn.Linear):
            merged[-1] = fuse_linear_bn_eval(merged[-1], layer)
        else:
            raise StudyError(
                "lrp can not merge a batch norm that follows no convolution or linear layer; set batch_norm: pass"
            )
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

    def share(self, differences: Tensor, relevance: Tensor) -> Tensor:
        """Hand the margin of a class to its differences z: z exp(-z) / sum exp(-z) each (Montavon et al. 2019)."""
        z = differences.unflatten(1, (self.classes, -1))
        margins = soft_minimum(z)
        units = torch.where(margins == 0, 0, relevance / margins)
        return (units[:, :, None] * z * torch.softmax(-z, dim=2)).flatten(1)


def merge_margin(layers: list[nn.Module]) -> list[nn.Module]:
    """Return an equal chain whose last layer with weights gives the differences of which a margin is made.

    What all classes share is thereby gone before any relevance is shared out: weights and biases are differences of
    classes, and of two classes one difference is left (Montavon et al. 2019).

    Parameters
    ----------
    layers : list of Module
        The last of them a `Margin`; batch norms are merged.

    Raises
    ------
    StudyError
        If differences can not be taken that early, because what follows is not linear in each class alone.
    """
    *body, _ = layers
    last = max((i for i, layer in enumerate(body) if isinstance(layer, WEIGHTED)), default=None)
    following = [] if last is None else body[last + 1 :]
    apart = last is not None and getattr(body[last], "groups", 1) == 1
    if not apart or not all(isinstance(layer, LINEAR_PER_CHANNEL) for layer in following):
        raise StudyError(
            "lrp explains a margin by the weights of the last linear layer or convolution, which none but dropout, "
            "average-pooling and flatten layers may follow; end the network so, or set output: logit"
        )
    classes = len(body[last].weight)
    one, other = torch.arange(classes).repeat_interleave(classes - 1), others(classes).flatten()
    differing = copy.deepcopy(body[last])
    for parameter in differing.parameters():
        parameter.data = parameter.data[one.to(parameter.device)] - parameter.data[other.to(parameter.device)]
    return [*body[:last], differing, *body[last + 1 :], Lead(classes)]
