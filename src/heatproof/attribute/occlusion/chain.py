"""Networks that are a chain of layers, and what each layer of a chain or graph did to the untouched scan.

The untouched scan goes through the network once, in float64. Each layer leaves a record of what a difference needs
later: its weights or, where it is not linear, the state that decides how it responds.
"""

import copy
import re
from collections.abc import Callable, Sequence
from functools import reduce
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from heatproof.attribute.graph import BatchNorm, Node, Operation, walk_up
from heatproof.attribute.layers import is_bare, unfold
from heatproof.attribute.occlusion.windows import Bins, Reader, bins_of, blocks_of
from heatproof.attribute.outputs import Margin

SLAB = 2**22  # numbers that convolving a slab of the untouched scan may unfold to


class Hidden(NamedTuple):
    """By how much hiding changes each voxel (X, Y, Z, C)."""

    difference: Tensor


class Convolution(NamedTuple):
    """How it reads along each axis, its weight (out, in, kx, ky, kz), and the matrices made of it so far."""

    readers: tuple[Reader, ...]
    weight: Tensor
    bands: dict


class Wide(Convolution):
    """A convolution in a network that branches, where channels are many and windows large."""


class Summed(NamedTuple):
    """A sum, of windows one of which may lie beside another; of one alone, it is that in a larger window."""


class Joined(NamedTuple):
    """Channels behind each other."""


class MaxPool(NamedTuple):
    """How it reads, the level of each input voxel (X, Y, Z, C), and the reference that levels of a block must lose.

    Where blocks do not overlap, levels are float32 and count from the largest of their block, which needs no reference.
    Where they do, levels are the inputs in float64, and the reference is the output.
    """

    readers: tuple[Reader | Bins, ...]
    levels: Tensor
    reference: Tensor | None


class MeanPool(NamedTuple):
    """How it reads, and by what it multiplies the sum of a block (X, Y, Z, C)."""

    readers: tuple[Reader | Bins, ...]
    share: Tensor


class Scale(NamedTuple):
    """By what it multiplies each channel, or feature."""

    factor: Tensor


class Relu(NamedTuple):
    """Its input: (X, Y, Z, C) in float32, or (features,) in float64."""

    before: Tensor


class Leaky(NamedTuple):
    """Its input, as that of a ReLU, and by what it multiplies negative numbers: one for all channels, or one each."""

    before: Tensor
    slope: Tensor


class Pointwise(NamedTuple):
    """Its input, as that of a ReLU, and the function in float64."""

    before: Tensor
    function: Callable[[Tensor], Tensor]


class Flat(NamedTuple):
    """Channels and voxels (C, X, Y, Z) that become features."""

    shape: tuple[int, ...]


class Gather(NamedTuple):
    """The first linear layer, float32, by the voxel and channel that it reads: (X, Y, Z, C, out)."""

    weight: Tensor


class Linear(NamedTuple):
    """A later linear layer, float64: (in, out)."""

    weight: Tensor


class Softmax(NamedTuple):
    """Its input: scores (classes,) in float64."""

    before: Tensor


class LogSoftmax(NamedTuple):
    """Its input: scores (classes,) in float64."""

    before: Tensor


class Leads(NamedTuple):
    """Its input: scores (classes,) in float64."""

    before: Tensor


class Sum(nn.Module):
    """The sum of its inputs."""

    def forward(self, *inputs: Tensor) -> Tensor:
        """Add them."""
        return reduce(torch.add, inputs)


class Join(nn.Module):
    """The channels of its inputs behind each other."""

    def forward(self, *inputs: Tensor) -> Tensor:
        """Lay them behind each other."""
        return torch.cat(inputs, 1)


SMOOTH = (  # activations without a formula of their own: differences are taken in float64
    *(
        nn.ELU,
        nn.CELU,
        nn.SELU,
        nn.GELU,
        nn.SiLU,
        nn.Mish,
        nn.Softplus,
        nn.Softsign,
        nn.Sigmoid,
        nn.LogSigmoid,
        nn.Tanh,
    ),
    *(nn.ReLU6, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Tanhshrink, nn.Softshrink, nn.Hardshrink, nn.Threshold),
)
RISING = (nn.ReLU, nn.ReLU6, nn.Hardtanh, nn.SELU, nn.Sigmoid, nn.LogSigmoid, nn.Tanh, nn.Softsign, nn.Hardsigmoid)
LETTERS = {  # layers that are understood; those without a letter do nothing in evaluation mode
    nn.Conv3d: "C",
    nn.BatchNorm3d: "B",
    **dict.fromkeys((nn.ReLU, nn.LeakyReLU, nn.RReLU, *SMOOTH), "R"),
    nn.PReLU: "P",
    nn.MaxPool3d: "M",
    nn.AvgPool3d: "M",
    nn.AdaptiveMaxPool3d: "M",
    nn.AdaptiveAvgPool3d: "M",
    nn.Flatten: "F",
    nn.Linear: "L",
    nn.BatchNorm1d: "N",
    nn.Softmax: "S",
    nn.LogSoftmax: "S",
    Margin: "D",
    **dict.fromkeys((nn.Dropout, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout, nn.Identity), ""),
}
CHAIN = re.compile(r"[CBRPM]*F[RF]*([LN][LRPNF]*)?S?D?")  # voxels, then features, then probabilities, then margins
KNOWN = {  # what a layer must be, beyond its type, for its record to say all
    nn.Conv3d: lambda conv: conv.padding_mode == "zeros",
    nn.MaxPool3d: lambda pool: pool.dilation in (1, (1, 1, 1)) and not pool.return_indices,
    nn.AdaptiveMaxPool3d: lambda pool: not pool.return_indices,
    nn.Flatten: lambda flatten: (flatten.start_dim, flatten.end_dim) == (1, -1),
    nn.Softmax: lambda softmax: softmax.dim in (1, -1),
    nn.LogSoftmax: lambda softmax: softmax.dim in (1, -1),
    nn.RReLU: lambda relu: not relu.training,
    nn.BatchNorm3d: lambda norm: not norm.training and norm.running_var is not None,
    nn.BatchNorm1d: lambda norm: not norm.training and norm.running_var is not None,
    nn.Dropout: lambda dropout: not dropout.training,
    nn.Dropout3d: lambda dropout: not dropout.training,
    nn.AlphaDropout: lambda dropout: not dropout.training,
    nn.FeatureAlphaDropout: lambda dropout: not dropout.training,
}


def as_chain(model: nn.Module) -> list[nn.Module] | None:
    """Return the layers of a network in float64, or None if it is not a chain of layers known here, free of hooks.

    Batch norm is folded into the layer before it. Max-pooling comes before the rising activation that it followed: the
    result is the same, and fewer voxels are left to activate. Flattening is left to the first linear layer, and stays
    only where another layer needs features before.
    """
    layers = unfold(model)
    if not CHAIN.fullmatch("".join(LETTERS.get(type(layer), "?") for layer in layers)):
        return None
    if not all(KNOWN.get(type(layer), lambda _: True)(layer) for layer in layers):
        return None
    if not all(is_bare(layer) for layer in layers):
        return None
    chain, flat = [], False
    for layer in copy.deepcopy([layer for layer in layers if LETTERS[type(layer)]]):
        layer, last = layer.double().eval(), type(chain[-1]) if chain else None
        if hasattr(layer, "inplace"):
            layer.inplace = False
        if not flat and LETTERS[type(layer)] in "NSD":
            chain.append(nn.Flatten())
        flat = flat or LETTERS[type(layer)] in "LNSD"
        if last is nn.Conv3d and isinstance(layer, nn.BatchNorm3d):
            chain[-1] = fuse_conv_bn_eval(chain[-1], layer)
        elif last is nn.Linear and isinstance(layer, nn.BatchNorm1d):
            chain[-1] = fuse_linear_bn_eval(chain[-1], layer)
        elif chain and rises(chain[-1]) and isinstance(layer, nn.MaxPool3d | nn.AdaptiveMaxPool3d):
            chain.insert(-1, layer)
        elif not isinstance(layer, nn.Flatten):
            chain.append(layer)
    return chain if flat else [*chain, nn.Flatten()]


def rises(layer: nn.Module) -> bool:
    """Tell whether a layer is an activation that no larger input makes smaller."""
    return isinstance(layer, RISING) or (isinstance(layer, nn.LeakyReLU) and layer.negative_slope >= 0)


def keep(nodes: Sequence[Node], image: Tensor, dtype: torch.dtype) -> list[NamedTuple]:
    """Run the untouched scan through a network and return the record of each layer.

    Parameters
    ----------
    nodes : sequence of Node
        In float64.
    image : Tensor, shape (C, D, H, W)
    dtype : dtype
        Of differences, and of what is kept for them up to the first linear layer.
    """
    records = []

    def forward(number: int, inputs: list[Tensor]) -> tuple[Tensor, None]:
        layer = nodes[number - 1].layer
        record, after = KEEPERS[type(layer)](layer, *inputs, dtype)
        records.append(record)
        return after, None

    walk_up(nodes, image[None].double(), forward)
    return records


def keep_convolution(conv: nn.Conv3d, before: Tensor, dtype: torch.dtype) -> tuple[Convolution, Tensor]:
    """Convolve slab by slab, so that what is unfolded at once stays small."""
    reach = [dilation * (kernel - 1) for dilation, kernel in zip(conv.dilation, conv.kernel_size, strict=True)]
    near = {"same": [edge // 2 for edge in reach], "valid": [0, 0, 0]}.get(conv.padding, conv.padding)
    far = [edge - first for edge, first in zip(reach, near, strict=True)] if conv.padding == "same" else near
    padded = F.pad(before, [edge for pair in zip(near[::-1], far[::-1], strict=True) for edge in pair])
    sizes = [(n - r - 1) // s + 1 for n, r, s in zip(padded.shape[2:], reach, conv.stride, strict=True)]
    after = before.new_empty(1, conv.out_channels, *sizes)
    thick = max(1, SLAB // (conv.weight[0].numel() * sizes[1] * sizes[2]))
    for first in range(0, sizes[0], thick):
        last = min(first + thick, sizes[0]) - 1
        slab = padded[:, :, first * conv.stride[0] : last * conv.stride[0] + reach[0] + 1]
        after[:, :, first : last + 1] = F.conv3d(
            slab, conv.weight, conv.bias, conv.stride, 0, conv.dilation, conv.groups
        )
    extents = [edge + 1 for edge in reach]
    geometry = zip(extents, conv.stride, near, before.shape[2:], sizes, conv.dilation, strict=True)
    return Convolution(tuple(Reader(*axis) for axis in geometry), dense_weight(conv).to(dtype), {}), after


def dense_weight(conv: nn.Conv3d) -> Tensor:
    """Return the weight of a convolution with the zeros that groups leave out written down."""
    inputs, outputs = conv.in_channels // conv.groups, conv.out_channels // conv.groups
    weight = conv.weight.new_zeros(conv.out_channels, conv.in_channels, *conv.kernel_size)
    for group in range(conv.groups):
        rows = slice(group * outputs, (group + 1) * outputs)
        weight[rows, group * inputs : (group + 1) * inputs] = conv.weight[rows]
    return weight


def pool_readers(pool: nn.Module, before: Tensor, after: Tensor) -> tuple[Reader | Bins, ...]:
    """Describe how a pooling reads along each axis."""
    if isinstance(pool, nn.AdaptiveMaxPool3d | nn.AdaptiveAvgPool3d):
        return tuple(map(bins_of, before.shape[2:], after.shape[2:]))
    kernel, stride, padding = (
        (v,) * 3 if isinstance(v, int) else v for v in (pool.kernel_size, pool.stride, pool.padding)
    )
    axes = zip(kernel, stride, padding, before.shape[2:], after.shape[2:], strict=True)
    return tuple(Reader(*axis) for axis in axes)


def keep_max_pool(
    pool: nn.MaxPool3d | nn.AdaptiveMaxPool3d, before: Tensor, dtype: torch.dtype
) -> tuple[MaxPool, Tensor]:
    """Keep how far each voxel lies below the largest of its block."""
    after = pool(before)
    readers, inputs, outputs = pool_readers(pool, before, after), before[0].movedim(0, 3), after[0].movedim(0, 3)
    blocks = [blocks_of(reader) for reader in readers]
    if any(along is None for along in blocks):
        return MaxPool(readers, inputs.contiguous(), outputs.contiguous()), after
    y, z = (torch.from_numpy(along).to(before.device) for along in blocks[1:])
    levels = torch.empty(inputs.shape, dtype=dtype, device=before.device)
    for plane, block in enumerate(blocks[0].tolist()):
        levels[plane] = inputs[plane] - outputs[block][y][:, z]
    return MaxPool(readers, levels, None), after


def keep_mean_pool(pool: nn.AvgPool3d, before: Tensor, dtype: torch.dtype) -> tuple[MeanPool, Tensor]:
    """Keep by what a sum is multiplied, which at borders depends on how padding counts."""
    after, ones = pool(before), torch.ones_like(before[:, :1])
    voxels = F.avg_pool3d(ones, pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode, divisor_override=1)
    share = (pool(ones) / voxels)[0].movedim(0, 3).to(dtype).contiguous()
    return MeanPool(pool_readers(pool, before, after), share), after


def keep_adaptive_mean(pool: nn.AdaptiveAvgPool3d, before: Tensor, dtype: torch.dtype) -> tuple[MeanPool, Tensor]:
    """Keep the number of voxels in each bin, by which a sum is divided."""
    after = pool(before)
    readers = pool_readers(pool, before, after)
    sizes = [torch.tensor(reader.stops) - torch.tensor(reader.starts) for reader in readers]
    share = 1 / (sizes[0][:, None, None] * sizes[1][:, None] * sizes[2]).double()
    return MeanPool(readers, share[..., None].to(before.device, dtype)), after


def keep_batch_norm(norm: nn.BatchNorm3d | nn.BatchNorm1d, before: Tensor, dtype: torch.dtype) -> tuple[Scale, Tensor]:
    """Keep the scale of a batch norm that no layer before it could take up."""
    factor = torch.rsqrt(norm.running_var + norm.eps) * (1.0 if norm.weight is None else norm.weight)
    return Scale(factor.to(dtype) if before.ndim == 5 else factor), norm(before)


def keep_relu(relu: nn.ReLU, before: Tensor, dtype: torch.dtype) -> tuple[Relu, Tensor]:
    """Keep the input, which says how far a difference is from switching a unit."""
    return Relu(table_of(before, dtype)), F.relu(before)


def table_of(before: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the input of an activation: (X, Y, Z, C) in a type, or (features,) in float64."""
    return before[0].movedim(0, 3).to(dtype).contiguous() if before.ndim == 5 else before[0]


def keep_leaky(layer: nn.LeakyReLU | nn.RReLU | nn.PReLU, before: Tensor, dtype: torch.dtype) -> tuple[Leaky, Tensor]:
    """Keep the input, and the slope of negative numbers."""
    if isinstance(layer, nn.PReLU):
        slope = layer.weight
    else:
        own = layer.negative_slope if isinstance(layer, nn.LeakyReLU) else (layer.lower + layer.upper) / 2
        slope = before.new_tensor(own)
    return Leaky(table_of(before, dtype), slope.to(dtype) if before.ndim == 5 else slope), layer(before)


def keep_pointwise(layer: nn.Module, before: Tensor, dtype: torch.dtype) -> tuple[Pointwise, Tensor]:
    """Keep the input of an activation."""
    return Pointwise(table_of(before, dtype), layer), layer(before)


def keep_flat(flatten: nn.Flatten, before: Tensor, dtype: torch.dtype) -> tuple[Flat, Tensor]:
    """Keep which voxels become features."""
    return Flat(tuple(before.shape[1:])), before.flatten(1)


def keep_linear(linear: nn.Linear, before: Tensor, dtype: torch.dtype) -> tuple[Gather | Linear, Tensor]:
    """Keep the weight, in the layout of voxels if the input still has voxels."""
    after = linear(before.flatten(1))
    if before.ndim == 2:
        return Linear(linear.weight.T), after
    weight = linear.weight.T.unflatten(0, before.shape[1:]).movedim(0, 3)
    return Gather(weight.to(dtype).contiguous()), after


def keep_softmax(softmax: nn.Softmax, before: Tensor, dtype: torch.dtype) -> tuple[Softmax, Tensor]:
    """Keep the scores."""
    return Softmax(before[0]), softmax(before)


def keep_log_softmax(softmax: nn.LogSoftmax, before: Tensor, dtype: torch.dtype) -> tuple[LogSoftmax, Tensor]:
    """Keep the scores."""
    return LogSoftmax(before[0]), softmax(before)


def keep_margin(margin: Margin, before: Tensor, dtype: torch.dtype) -> tuple[Leads, Tensor]:
    """Keep the scores."""
    return Leads(before[0]), margin(before)


def keep_sum(layer: Sum, *inputs: Tensor | torch.dtype) -> tuple[Summed, Tensor]:
    """Keep nothing."""
    return Summed(), layer(*inputs[:-1])


def keep_join(layer: Join, *inputs: Tensor | torch.dtype) -> tuple[Joined, Tensor]:
    """Keep nothing."""
    return Joined(), layer(*inputs[:-1])


KEEPERS = {
    Sum: keep_sum,
    Join: keep_join,
    BatchNorm: keep_batch_norm,
    Operation: keep_pointwise,
    nn.Conv3d: keep_convolution,
    nn.BatchNorm3d: keep_batch_norm,
    nn.ReLU: keep_relu,
    **dict.fromkeys((nn.LeakyReLU, nn.RReLU, nn.PReLU), keep_leaky),
    **dict.fromkeys(SMOOTH, keep_pointwise),
    nn.MaxPool3d: keep_max_pool,
    nn.AvgPool3d: keep_mean_pool,
    nn.AdaptiveMaxPool3d: keep_max_pool,
    nn.AdaptiveAvgPool3d: keep_adaptive_mean,
    nn.Flatten: keep_flat,
    nn.Linear: keep_linear,
    nn.BatchNorm1d: keep_batch_norm,
    nn.Softmax: keep_softmax,
    nn.LogSoftmax: keep_log_softmax,
    Margin: keep_margin,
}
