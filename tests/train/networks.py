"""Small networks of the kinds that people bring along, each named module:function by `train.network`."""

import math

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm


class Sfcn(nn.Module):
    """Peng et al. 2021: no linear layer, a convolution of one voxel behind or before the average of all voxels."""

    def __init__(self, pooled_first=True):
        super().__init__()
        first = [nn.Conv3d(1, 4, 3, padding=1), nn.BatchNorm3d(4), nn.MaxPool3d(2), nn.ReLU()]
        second = [nn.Conv3d(4, 6, 3, padding=1), nn.BatchNorm3d(6), nn.MaxPool3d(2), nn.ReLU()]
        self.body, self.classifier = nn.Sequential(*first, *second), nn.Conv3d(6, 2, 1)
        self.pooled_first = pooled_first

    def forward(self, images):
        features = self.body(images)
        if self.pooled_first:
            return self.classifier(functional.adaptive_avg_pool3d(features, 1)).flatten(1)
        return self.classifier(features).mean((2, 3, 4))


class Block(nn.Module):
    """A residual block whose parts are defined in another order than they run in."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        shortcut = nn.Sequential(nn.Conv3d(inputs, outputs, 1, stride), nn.BatchNorm3d(outputs))
        self.shortcut = shortcut if stride > 1 else None
        self.norm2, self.conv2 = nn.BatchNorm3d(outputs), nn.Conv3d(outputs, outputs, 3, padding=1)
        self.norm1, self.conv1 = nn.BatchNorm3d(outputs), nn.Conv3d(inputs, outputs, 3, stride, padding=1)
        squeezed = max(1, outputs // 2)
        self.squeeze, self.excite = nn.Linear(outputs, squeezed), nn.Linear(squeezed, outputs)

    def forward(self, images, excited=False):
        features = functional.relu(self.norm1(self.conv1(images)))
        features = self.norm2(self.conv2(features))
        if excited:
            means = functional.relu(self.squeeze(features.mean((2, 3, 4))))
            features = features * self.excite(means).sigmoid()[..., None, None, None]
        return functional.relu(features + (images if self.shortcut is None else self.shortcut(images)))


class ResNet(nn.Module):
    """18 layers and 3 of shortcuts; the head is defined before the body. With squeeze and excitation, if asked for."""

    def __init__(self, excited=False):
        super().__init__()
        self.head, self.excited = nn.Linear(16, 2), excited
        widths = [(2, 2, 1), (2, 2, 1), (2, 4, 2), (4, 4, 1), (4, 8, 2), (8, 8, 1), (8, 16, 2), (16, 16, 1)]
        self.blocks = nn.ModuleList([Block(*sizes) for sizes in widths])
        self.norm, self.stem = nn.BatchNorm3d(2), nn.Conv3d(1, 2, 3, padding=1)

    def forward(self, images):
        features = functional.relu(self.norm(self.stem(images)))
        for block in self.blocks:
            features = block(features, self.excited)
        return self.head(functional.adaptive_avg_pool3d(features, 1).flatten(1))


class VisionTransformer(nn.Module):
    """Weights that no layer of torch owns (class token, positions), attention, and the head defined first."""

    def __init__(self, shape, patch=4, width=8):
        super().__init__()
        self.head, self.norm = nn.Linear(width, 2), nn.LayerNorm(width)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, 1 + math.prod(edge // patch for edge in shape), width))
        self.patches = nn.Conv3d(1, width, patch, patch)
        self.blocks = nn.ModuleList([nn.TransformerEncoderLayer(width, 2, 16, batch_first=True) for _ in range(2)])

    def forward(self, images):
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(tokens), -1, -1), tokens], dim=1) + self.positions
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(self.norm(tokens)[:, 0])


class ByHand(nn.Module):
    """Layers called as functions, a head that is a bare weight, a norm without scale, and weight norm."""

    def __init__(self):
        super().__init__()
        self.head = nn.Parameter(torch.randn(5, 2))
        self.hidden = nn.Linear(4, 5)
        self.conv, self.norm = weight_norm(nn.Conv3d(1, 4, 3)), nn.BatchNorm3d(4, affine=False)

    def forward(self, images):
        turned, means = self.head.T, images.new_empty(len(images), 4)
        features = functional.relu(self.norm(functional.conv3d(images, self.conv.weight, self.conv.bias)))
        means[:] = features.mean((2, 3, 4))
        return functional.linear(functional.linear(means, self.hidden.weight, self.hidden.bias), turned)


class Recurrent(nn.Module):
    """One convolution that runs three times, with group norm, under two names."""

    def __init__(self):
        super().__init__()
        self.stem, self.again = nn.Conv3d(1, 4, 3, padding=1), nn.Conv3d(4, 4, 3, padding=1)
        self.same, self.norm, self.head = self.again, nn.GroupNorm(2, 4), nn.Linear(4, 2)

    def forward(self, images):
        features = self.stem(images)
        for layer in (self.again, self.same, self.again):
            features = functional.relu(self.norm(layer(features)))
        return self.head(features.mean((2, 3, 4)))


class Dense(nn.Module):
    """Dense blocks of norm, ReLU and convolution, joined by concatenation, with a transition and a last norm."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv3d(1, 4, 3, 2, 1), nn.BatchNorm3d(4), nn.ReLU(inplace=True))
        self.grown = nn.ModuleList([Grown(4), Grown(8)])
        self.transition = nn.Sequential(nn.BatchNorm3d(12), nn.ReLU(), nn.Conv3d(12, 6, 1), nn.AvgPool3d(2))
        self.norm, self.head = nn.BatchNorm3d(6), nn.Linear(6, 2)

    def forward(self, images):
        features = self.stem(images)
        for grown in self.grown:
            features = torch.cat([features, grown(features)], dim=1)
        features = functional.relu_(self.norm(self.transition(features)))
        return self.head(torch.flatten(features.mean((2, 3, 4)), 1))


class Grown(nn.Sequential):
    def __init__(self, inputs):
        first = [nn.BatchNorm3d(inputs), nn.ReLU(), nn.Conv3d(inputs, 6, 1, bias=False)]
        super().__init__(*first, nn.BatchNorm3d(6), nn.ReLU(), nn.Conv3d(6, 4, 3, padding=1, bias=False))


class ByGroups(nn.Module):
    """GroupNorm and LeakyReLU, in residual blocks."""

    def __init__(self):
        super().__init__()
        self.stem, self.block, self.head = nn.Conv3d(1, 4, 3, 2), nn.Conv3d(4, 4, 3, padding=1), nn.Linear(4, 2)
        self.first, self.second = nn.GroupNorm(2, 4), nn.GroupNorm(2, 4)

    def forward(self, images):
        features = functional.leaky_relu(self.first(self.stem(images)), 0.1)
        features = functional.leaky_relu(features + self.second(self.block(features)), 0.1)
        return self.head(features.mean((2, 3, 4)))


KINDS = (
    *("sfcn", "sfcn_averaged_last", "resnet", "squeezed_resnet", "transformer"),
    *("by_hand", "recurrent", "normed_head", "slices", "lazy", "dense", "by_groups"),
)


def sfcn(shape):
    return Sfcn()


def sfcn_averaged_last(shape):
    return Sfcn(pooled_first=False)


def resnet(shape):
    return ResNet()


def squeezed_resnet(shape):
    return ResNet(excited=True)


def branching(shape):
    return Branching()


def dense(shape):
    return Dense()


def by_groups(shape):
    return ByGroups()


def transformer(shape):
    return VisionTransformer(shape)


def by_hand(shape):
    return ByHand()


def recurrent(shape):
    return Recurrent()


def normed_head(shape):
    """A batch norm behind the last voxels, which cannot be trained on one scan."""
    return nn.Sequential(
        *[nn.Conv3d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.BatchNorm1d(4), nn.Linear(4, 2)]
    )


def one_output(shape):
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 1))


def with_its_layers(shape):
    """Return logits and features, as MONAI's transformer does."""

    class Both(nn.Sequential):
        def forward(self, images):
            return super().forward(images), [images]

    return Both(nn.Flatten(), nn.Linear(math.prod(shape), 2))


def no_network(shape):
    return {}


def with_names(shape):
    """Return a dictionary."""

    class Named(nn.Sequential):
        def forward(self, images):
            return {"logits": super().forward(images)}

    return Named(nn.Flatten(), nn.Linear(math.prod(shape), 2))


def scripted(shape):
    return torch.jit.script(linear(shape))


def forgetful(shape):
    """A weight that is no parameter, and so is not saved."""

    class Forgetful(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.drawn = nn.Linear(4, 2), torch.randn(4, 1, 3, 3, 3)

        def forward(self, images):
            return self.head(functional.conv3d(images, self.drawn).mean((2, 3, 4)))

    return Forgetful()


class Slices(nn.Module):
    """A network of two dimensions, for which slices are channels."""

    def __init__(self, slices):
        super().__init__()
        self.conv, self.head = nn.Conv2d(slices, 4, 3), nn.Linear(4, 2)

    def forward(self, images):
        return self.head(functional.relu(self.conv(images[:, 0])).mean((2, 3)))


def slices(shape):
    return Slices(shape[0])


def lazy(shape):
    """Layers that learn their size from the first scan."""
    return nn.Sequential(nn.LazyConv3d(3, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))


def linear(shape, classes=2):
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), classes))


class Branching(nn.Module):
    """A head of three parts, and behind it a decoder, in place in part of its input, that the logits do not need."""

    def __init__(self):
        super().__init__()
        self.body, self.decoder = nn.Conv3d(1, 4, 3, 2, 1), nn.ConvTranspose3d(4, 1, 4, 2, 1)
        self.heads = nn.ModuleList([nn.Linear(4, 2) for _ in range(3)])

    def forward(self, images):
        features = torch.relu(self.body(images))
        logits = torch.stack([head(features.mean((2, 3, 4))) for head in self.heads]).mean(0)
        self.decoded = self.decoder(features.clone())
        self.decoded[:, :, :2].mul_(self.decoder.bias)
        return logits


class InPart(nn.Module):
    """A weight that meets one half of the channels only, in place."""

    def __init__(self):
        super().__init__()
        self.body, self.head, self.factors = nn.Conv3d(1, 4, 3), nn.Linear(4, 2), nn.Parameter(torch.rand(2, 1, 1, 1))

    def forward(self, images):
        features = self.body(images)
        features[:, :2].mul_(self.factors)
        return self.head(features.mean((2, 3, 4)))


class Library(nn.Module):
    """Arguments as networks of libraries take them."""

    def __init__(self, spatial_dims, in_channels=3, img_size=None, num_classes=400, width=1):
        super().__init__()
        self.spatial_dims, self.in_channels, self.img_size = spatial_dims, in_channels, img_size
        self.conv, self.head = nn.Conv3d(in_channels, width, 3), nn.Linear(width, num_classes)

    def forward(self, images):
        return self.head(self.conv(images).mean((2, 3, 4)))


class Derived(Library):
    def __init__(self, pretrained=False, **options):
        super().__init__(**options)


by_class = Library


def by_keywords(*, in_channels=3, img_size=None, num_classes=400, width=1, spatial_dims):
    return Library(spatial_dims, in_channels, img_size, num_classes, width)


def by_a_class_it_names(pretrained=False, **options) -> "Library":
    return Library(**options)


def of_shape(shape, num_classes, out_channels=16):
    network = linear(shape, num_classes)
    network.shape, network.out_channels, network.num_classes = shape, out_channels, num_classes
    return network


def with_its_features(shape):
    """Return a list of logits and features."""

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = linear(shape)

        def forward(self, images):
            return [self.head(images), images]

    return Both()
