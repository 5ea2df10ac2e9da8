"""Layer-wise relevance propagation (LRP) through a chain of layers, with the rules of zennit.

The walk along the chain is explicit, because zennit's own hooks run the plain backward pass as well, and both halves of
every rule even where one is zero: about five times the work for the same map. Batch norms are merged by torch, because
zennit's canonizer changes the model for the time of the call, and leaves each batch norm a factor of 1 / sqrt(1 + eps).
"""

from collections.abc import Callable
from functools import partial
from math import copysign
from operator import mul

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from heatproof.attribute.layers import CONVOLUTIONS, WEIGHTED, Step, pull_back, unfold
from heatproof.attribute.outputs import one_hot
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


@torch.no_grad()
def lrp(
    model: nn.Module,
    images: Tensor,
    target: int | Tensor,
    *,
    rule: str = "alpha1_beta0",
    epsilon: float = 1e-6,
    gamma: float = 0.25,
    batch_norm: str = "merge",
    bias: bool = False,
) -> Tensor:
    """Hand the target's output back from layer to layer, to each input by its share in the sum that it entered.

    A convolution or linear layer with inputs a_j and weights w_jk hands relevance R_k to its inputs by ``rule``. A
    max-pooling hands it to the maximum of each window. ReLU and other activations, dropout and softmax hand it on
    unchanged (so behind a softmax it starts as the target's probability), flatten in its old shape. An average-pooling
    hands it on in proportion to its inputs.

    Parameters
    ----------
    model : Sequential
        Chain of layers in evaluation mode, images to (N, classes); chains in it are unfolded.
    images : Tensor, shape (N, 1, x, y, z)
        Scans on the working grid.
    target : int or Tensor, shape (N,)
        Class to explain, one for all scans or one each. Its output is the relevance to begin with.
    rule : str
        One rule for all layers, with (x)+ and (x)- for the positive and the negative part of x:

        - ``alpha1_beta0``, ``alpha2_beta1``:
          R_j = sum_k (alpha (a_j w_jk)+ / sum_j (a_j w_jk)+ - beta (a_j w_jk)- / sum_j (a_j w_jk)-) R_k;
        - ``z_plus``: the same as ``alpha1_beta0``, under the name that deep Taylor decomposition gave it;
        - ``epsilon``: R_j = sum_k a_j w_jk / (sum_j a_j w_jk + epsilon sign) R_k;
        - ``gamma``: as ``epsilon``, with w_jk + gamma (w_jk)+ for w_jk (generalised to negative inputs and sums).

        Or a composite of them, ``epsilon`` in linear layers and another rule in convolutions:

        - ``epsilon_plus``: ``z_plus`` in convolutions;
        - ``epsilon_plus_flat``: the same, but the first convolution shares equally among the voxels that it reads;
        - ``epsilon_gamma_box``: ``gamma`` in convolutions; in the first, whose inputs are scans in 0..1, each term
          a_j w_jk is a_j w_jk - (w_jk)-, what speaks for unit k beyond the intensity that speaks least for it.

        The last two give relevance to voxels of intensity 0 as well, those around the brain among them.
    epsilon : float
        Added to the denominators of the rule, away from zero.
    gamma : float
        Weight of the positive contributions in the rule ``gamma``, alone or in a composite.
    batch_norm : {"merge", "pass"}
        ``merge``: scale and shift of a batch norm, constants in evaluation mode, become part of the weights and bias of
        the layer before it; a channel of negative scale thereby changes the sign of its weights. ``pass``: relevance
        goes through a batch norm unchanged, and is shared by the weights as they were before it, as in Böhle et al.
        2019. The two give different maps of one model. ``merge`` is the default because its map depends on the
        function that the network computes, not on how that function is written down.
    bias : bool
        Whether biases, merged shifts included, take their share of the relevance. If not, they are ignored, as in
        Böhle et al. 2019, and a map sums to the target's output, less what reached units that no input speaks for.
        Ignoring them suits the rules that divide by sums of one sign. ``epsilon``, ``gamma`` and the composites divide
        by sums of both, which without the biases that keep a unit active nearly vanish now and then: set this for them.
        With it, and as epsilon goes to 0, ``epsilon`` is gradient * input in networks of ReLUs and max-poolings
        (Ancona et al. 2018).

    Returns
    -------
    Tensor, shape (N, 1, x, y, z)
        Signed and unscaled, of the type of ``images``.

    Raises
    ------
    StudyError
        If the network is not such a chain, if a batch norm to be merged follows no convolution or linear layer, or
        if an option has no such value.

    References
    ----------
    Bach et al. 2015 (doi:10.1371/journal.pone.0130140); gamma: Montavon et al. 2019
    (doi:10.1007/978-3-030-28954-6_10); flat: Lapuschkin et al. 2019 (doi:10.1038/s41467-019-08987-4); box: Montavon
    et al. 2017 (doi:10.1016/j.patcog.2016.11.008); composites: Kohlbrenner et al. 2020 (arXiv:1910.09840); epsilon as
    gradient * input: Ancona et al. 2018 (arXiv:1711.06104); the group's earlier conventions: Böhle et al. 2019
    (doi:10.3389/fnagi.2019.00194); zennit: Anders et al. 2021 (arXiv:2106.13200).
    """
    outputs, steps = steps_back(
        model, images, rule=rule, epsilon=epsilon, gamma=gamma, batch_norm=batch_norm, bias=bias
    )
    relevance = outputs * one_hot(outputs, target)
    while steps:
        relevance = steps.pop().back(relevance)
    return relevance


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
    layers = unfold(model) if batch_norm == "pass" else merge_batch_norms(unfold(model))
    options = {"epsilon": epsilon, "gamma": gamma, "zero_params": None if bias else ["bias"]}
    in_first, in_convolution, in_linear = (partial(LAYER_RULES[name], **options) for name in RULES[rule])
    first = next((layer for layer in layers if isinstance(layer, WEIGHTED)), None)

    outputs, steps = images.detach(), []
    for layer in layers:
        make_rule = in_first if layer is first else in_linear if isinstance(layer, nn.Linear) else in_convolution
        outputs, back = forward(layer, outputs, make_rule)
        steps.append(Step(layer, back))
    return outputs, steps


def forward(
    layer: nn.Module, inputs: Tensor, make_rule: Callable[..., BasicHook]
) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Return a layer's outputs, and the function that takes their relevance to the relevance of its inputs."""
    if isinstance(layer, WEIGHTED):
        return layer(inputs), partial(share, make_rule(inputs), layer, inputs)
    if isinstance(layer, AvgPool):
        return layer(inputs), partial(share, Norm(), layer, inputs)
    if isinstance(layer, ROUTING):
        return pull_back(layer, inputs)
    if isinstance(layer, ONE_TO_ONE):
        return layer(inputs), lambda relevance: relevance
    raise StudyError(
        f"lrp does not know how relevance passes a layer of type {type(layer).__name__}; build the network as "
        "nn.Sequential of convolution, linear, batch norm, activation, pooling, flatten and dropout layers"
    )


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
