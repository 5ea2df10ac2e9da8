"""Networks of ClinicaDL 2, from the options that its ``model.json`` has, with the names that its weights have.

ClinicaDL builds them of MONAI's and torchvision's blocks; here they are of torch alone. Activations do not work in
place, as attribution by hooks requires. With two classes in place of its one output, the first is a constant 0 (see
`heatproof.train.import_model.with_two_outputs`).

References
----------
ClinicaDL 2.0.0, clinicadl/networks/nn (https://github.com/aramis-lab/clinicadl, MIT licence).
"""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

Layer = str | Sequence | None  # a name, or a name and its options
ACTIVATIONS = {
    one.__name__.lower(): one
    for one in (
        *(nn.CELU, nn.ELU, nn.GELU, nn.LeakyReLU, nn.LogSoftmax, nn.Mish, nn.PReLU, nn.ReLU, nn.ReLU6, nn.SELU),
        *(nn.Sigmoid, nn.Softmax, nn.Tanh),
    )
}
POOLINGS = {
    "max": nn.MaxPool3d,
    "avg": nn.AvgPool3d,
    "adaptivemax": nn.AdaptiveMaxPool3d,
    "adaptiveavg": nn.AdaptiveAvgPool3d,
}
NORMS = {  # of voxels, and of features
    "batch": (nn.BatchNorm3d, nn.BatchNorm1d),
    "syncbatch": (nn.BatchNorm3d, nn.BatchNorm1d),
    "instance": (nn.InstanceNorm3d, nn.InstanceNorm1d),
    "group": (nn.GroupNorm, nn.GroupNorm),
    "layer": (nn.LayerNorm, nn.LayerNorm),
}


def named(layer: Layer) -> tuple[str, dict]:
    """Return the name of a layer, in small letters, and its options."""
    name, options = (layer, {}) if isinstance(layer, str) else layer
    return name.lower(), dict(options)


def activation(act: Layer) -> nn.Module:
    """Build an activation."""
    name, options = named(act)
    options.pop("inplace", None)
    return ACTIVATIONS[name](**options)


def norm_of(norm: Layer, channels: int, flat: bool) -> nn.Module:
    """Build a norm of so many channels, of voxels or of features."""
    name, options = named(norm)
    kind = NORMS[name][flat]
    return kind(num_channels=channels, **options) if kind is nn.GroupNorm else kind(channels, **options)


def adn(
    channels: int, *, act: Layer, norm: Layer, dropout: float | None, adn_ordering: str, flat: bool
) -> nn.Sequential:
    """Build activation (A), dropout (D) and norm (N) in an order such as NDA, less those that are null."""
    built = {
        "A": lambda: activation(act) if act else None,
        "D": lambda: None if dropout is None else nn.Dropout(dropout),
        "N": lambda: norm_of(norm, channels, flat) if norm else None,
    }
    return sequence(**{letter: built[letter]() for letter in adn_ordering.upper()})


def sequence(**layers: nn.Module | None) -> nn.Sequential:
    """Join layers by their names, less those that are None."""
    joined = nn.Sequential()
    for name, layer in layers.items():
        if layer is not None:
            joined.add_module(name, layer)
    return joined


def head(features: int, classes: int, output_act: Layer, name: str, **before: nn.Module) -> nn.Sequential:
    """Build a last linear layer, behind what comes before it."""
    last = {name: nn.Linear(features, classes), "output_act": activation(output_act) if output_act else None}
    return sequence(**before, **last)


def mlp(
    shape: Sequence[int],
    *,
    classes: int,
    hidden_dims: Sequence[int],
    act: Layer = "prelu",
    output_act: Layer = None,
    norm: Layer = "batch",
    dropout: float | None = None,
    bias: bool = True,
    adn_ordering: str = "NDA",
) -> nn.Sequential:
    """Build ClinicaDL's ``MLP``: linear layers over all voxels, or all features of ``shape``."""
    layers, width = {"flatten": nn.Flatten()}, prod(shape)
    for i, hidden in enumerate(hidden_dims):
        between = adn(hidden, act=act, norm=norm, dropout=dropout, adn_ordering=adn_ordering, flat=True)
        layers[f"hidden{i}"] = sequence(linear=nn.Linear(width, hidden, bias), adn=between)
        width = hidden
    return sequence(**layers, output=head(width, classes, output_act, "linear"))


def encoder(
    *,
    channels: Sequence[int],
    kernel_size: Sequence,
    stride: Sequence,
    padding: Sequence,
    dilation: Sequence,
    pooling: Sequence | None,
    pooling_indices: Sequence[int],
    act: Layer,
    norm: Layer,
    dropout: float | None,
    bias: bool,
    adn_ordering: str,
    output_act: Layer = None,
) -> nn.Sequential:
    """Build ClinicaDL's ``ConvEncoder``, whose last convolution has no activation, dropout or norm."""
    pools = iter([POOLINGS[name.lower()](**options) for name, options in pooling or ()])
    layers = {"init_pool": next(pools)} if pooling and -1 in pooling_indices else {}
    sizes, width = zip(kernel_size, stride, padding, dilation, strict=True), 1
    for i, (filters, (kernel, step, zeros, apart)) in enumerate(zip(channels, sizes, strict=True)):
        layer = {"conv": nn.Conv3d(width, filters, tuple(kernel), tuple(step), tuple(zeros), tuple(apart), bias=bias)}
        if i < len(channels) - 1:
            layer["adn"] = adn(filters, act=act, norm=norm, dropout=dropout, adn_ordering=adn_ordering, flat=False)
        layers[f"layer{i}"], width = sequence(**layer), filters
        if pooling and i in pooling_indices:
            layers[f"pool{i}"] = next(pools)
    return sequence(**layers, output_act=activation(output_act) if output_act else None)


def cnn(shape: Sequence[int], *, classes: int, conv_args: dict, mlp_args: dict | None = None) -> nn.Sequential:
    """Build ClinicaDL's ``CNN``: a ``ConvEncoder``, then an ``MLP``."""
    convolutions = encoder(**conv_args)
    with torch.no_grad():
        features = convolutions.eval()(torch.zeros(1, 1, *shape)).shape[1:]
    options = mlp_args or {"hidden_dims": []}
    return sequence(convolutions=convolutions.train(), mlp=mlp(features, classes=classes, **options))


class Block(nn.Module):
    """A residual block of two convolutions, or a bottleneck of three, perhaps with squeeze and excitation."""

    def __init__(
        self,
        inputs: int,
        planes: int,
        *,
        stride: int,
        expansion: int,
        bottleneck: bool,
        squeezed: int | None,
        act: Layer,
    ):
        super().__init__()
        outputs, kernels = planes * expansion, (1, 3, 1) if bottleneck else (3, 3)
        widths = [inputs, planes, planes, outputs] if bottleneck else [inputs, planes, planes]
        steps = (1, stride, 1) if bottleneck else (stride, 1)
        self.depth = len(kernels)
        for i, (kernel, step) in enumerate(zip(kernels, steps, strict=True)):
            conv = nn.Conv3d(widths[i], widths[i + 1], kernel, step, padding=kernel // 2, bias=False)
            self.add_module(f"conv{i + 1}", conv)
            self.add_module(f"norm{i + 1}", nn.BatchNorm3d(widths[i + 1]))
            self.add_module(f"act{i + 1}", activation(act))
        self.se_layer = Excitation(outputs, squeezed) if squeezed else None
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv3d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm3d(outputs))

    def forward(self, images: Tensor) -> Tensor:
        features = images
        for i in range(1, self.depth + 1):
            features = self.get_submodule(f"norm{i}")(self.get_submodule(f"conv{i}")(features))
            if i < self.depth:
                features = self.get_submodule(f"act{i}")(features)
        shortcut = images if self.downsample is None else self.downsample(images)
        if self.se_layer is not None:
            features = self.se_layer(features)
        return self.get_submodule(f"act{self.depth}")(features + shortcut)


class Excitation(nn.Module):
    """Squeeze and excitation: each channel times a number that follows from the means of all channels."""

    def __init__(self, channels: int, reduction: int):
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool3d(1)
        few = channels // reduction
        self.fc = nn.Sequential(nn.Linear(channels, few), nn.ReLU(), nn.Linear(few, channels), nn.Sigmoid())

    def forward(self, features: Tensor) -> Tensor:
        factors = self.fc(self.avg_pool(features).flatten(1))
        return features * factors[:, :, None, None, None]


def resnet(
    shape: Sequence[int],
    *,
    classes: int,
    block_type: str = "basic",
    n_res_blocks: Sequence[int] = (2, 2, 2, 2),
    n_features: Sequence[int] = (64, 128, 256, 512),
    init_conv_size: Sequence[int] = (7, 7, 7),
    init_conv_stride: Sequence[int] = (2, 2, 2),
    bottleneck_reduction: int = 4,
    se_reduction: int | None = None,
    act: Layer = "relu",
    output_act: Layer = None,
) -> nn.Sequential:
    """Build ClinicaDL's ``ResNet``, or its ``SEResNet`` where se_reduction is given."""
    bottleneck = block_type == "bottleneck"
    expansion = bottleneck_reduction if bottleneck else 1
    planes = [features // expansion for features in n_features]
    kernel, width = tuple(init_conv_size), planes[0]
    zeros = tuple(edge // 2 for edge in kernel)
    layers = {
        "conv0": nn.Conv3d(1, width, kernel, tuple(init_conv_stride), padding=zeros, bias=False),
        "norm0": nn.BatchNorm3d(width),
        "act0": activation(act),
        "pool0": nn.MaxPool3d(3, 2, 1),
    }
    same = {"expansion": expansion, "bottleneck": bottleneck, "squeezed": se_reduction, "act": act}
    for i, (blocks, inside) in enumerate(zip(n_res_blocks, planes, strict=True)):
        row = []
        for j in range(blocks):
            row.append(Block(width, inside, stride=2 if i and not j else 1, **same))
            width = inside * expansion
        layers[f"layer{i + 1}"] = nn.Sequential(*row)
    pooled = {"pool": nn.AdaptiveAvgPool3d(1), "flatten": nn.Flatten()}
    return sequence(**layers, fc=head(n_features[-1], classes, output_act, "out", **pooled))


class DenseLayer(nn.Module):
    """Norm, activation and convolution, twice, whose output is put behind the input."""

    def __init__(self, inputs: int, growth: int, factor: int, act: Layer, dropout: float | None):
        super().__init__()
        self.layers = sequence(
            norm1=nn.BatchNorm3d(inputs),
            act1=activation(act),
            conv1=nn.Conv3d(inputs, factor * growth, 1, bias=False),
            norm2=nn.BatchNorm3d(factor * growth),
            act2=activation(act),
            conv2=nn.Conv3d(factor * growth, growth, 3, padding=1, bias=False),
            dropout=nn.Dropout3d(dropout) if dropout else None,
        )

    def forward(self, features: Tensor) -> Tensor:
        return torch.cat([features, self.layers(features)], 1)


def densenet(
    shape: Sequence[int],
    *,
    classes: int,
    n_dense_layers: Sequence[int] = (6, 12, 24, 16),
    init_features: int = 64,
    growth_rate: int = 32,
    bottleneck_factor: int = 4,
    act: Layer = "relu",
    output_act: Layer = None,
    dropout: float | None = None,
) -> nn.Sequential:
    """Build ClinicaDL's ``DenseNet``."""
    layers = {
        "conv0": nn.Conv3d(1, init_features, 7, 2, padding=3, bias=False),
        "norm0": nn.BatchNorm3d(init_features),
        "act0": activation(act),
        "pool0": nn.MaxPool3d(3, 2, 1),
    }
    width = init_features
    for i, count in enumerate(n_dense_layers, 1):
        block = {}
        for j in range(1, count + 1):
            block[f"denselayer{j}"] = DenseLayer(width, growth_rate, bottleneck_factor, act, dropout)
            width += growth_rate
        layers[f"denseblock{i}"] = sequence(**block)
        if i == len(n_dense_layers):
            layers["norm5"] = nn.BatchNorm3d(width)
        else:
            layers[f"transition{i}"] = sequence(
                norm=nn.BatchNorm3d(width),
                act=activation(act),
                conv=nn.Conv3d(width, width // 2, 1, bias=False),
                pool=nn.AvgPool3d(2, 2),
            )
            width //= 2
    pooled = {"act": activation(act), "pool": nn.AdaptiveAvgPool3d(1), "flatten": nn.Flatten()}
    return sequence(features=sequence(**layers), fc=head(width, classes, output_act, "out", **pooled))


class Attention(nn.Module):
    """A block of a transformer: attention, then two linear layers, each behind a norm and added to its input."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.self_attention = nn.MultiheadAttention(width, heads, dropout=dropout, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        layers = [nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, width)]
        self.mlp = nn.Sequential(*layers, nn.Dropout(dropout))

    def forward(self, tokens: Tensor) -> Tensor:
        normed = self.norm1(tokens)
        tokens = tokens + self.dropout(self.self_attention(normed, normed, normed, need_weights=False)[0])
        return tokens + self.mlp(self.norm2(tokens))


class Encoder(nn.Module):
    """The blocks of a transformer, over tokens at positions."""

    def __init__(self, tokens: int, depth: int, width: int, heads: int, hidden: int, dropout: float):
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.empty(1, tokens, width).normal_(std=0.02))
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList([Attention(width, heads, hidden, dropout) for _ in range(depth)])
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = self.dropout(tokens + self.pos_embedding)
        for layer in self.layers:
            tokens = layer(tokens)
        return self.norm(tokens)


class VisionTransformer(nn.Module):
    """ClinicaDL's ``ViT``; see `vit`."""

    def __init__(self, shape: Sequence[int], patch: Sequence[int], encoder: tuple, last: nn.Module, width: int):
        super().__init__()
        self.conv_proj = nn.Conv3d(1, width, tuple(patch), tuple(patch))
        tokens = prod(edge // step for edge, step in zip(shape, patch, strict=True)) + 1
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.encoder, self.fc = Encoder(tokens, *encoder), last

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.conv_proj(images).flatten(2).transpose(-1, -2)
        tokens = torch.cat([self.class_token.expand(len(tokens), -1, -1), tokens], 1)
        return self.fc(self.encoder(tokens)[:, 0])


def vit(
    shape: Sequence[int],
    *,
    classes: int,
    patch_size: Sequence[int],
    embedding_dim: int = 768,
    num_layers: int = 12,
    num_heads: int = 12,
    mlp_dim: int = 3072,
    pos_embed_type: str | None = "learnable",
    output_act: Layer = "tanh",
    dropout: float | None = None,
) -> nn.Module:
    """Build ClinicaDL's ``ViT``; its positions are weights, of whatever type they are."""
    blocks = (num_layers, embedding_dim, num_heads, mlp_dim, dropout or 0.0)
    last = head(embedding_dim, classes, output_act, "out")
    return VisionTransformer(shape, patch_size, blocks, last, embedding_dim)
