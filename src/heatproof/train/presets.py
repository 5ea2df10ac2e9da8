"""Networks that are often explained: fully convolutional (SFCN), ResNet18 and DenseNet121, each for `train.network`."""

from collections.abc import Sequence
from types import ModuleType

from torch import nn

from heatproof.errors import StudyError


def sfcn(
    shape: Sequence[int],
    *,
    filters: Sequence[int] = (32, 64, 128, 256, 256, 64),
    dropout: float = 0.5,
    classes: int = 2,
    in_channels: int = 1,
) -> nn.Sequential:
    """Build the simple fully convolutional network, with one output for each class in place of forty ages.

    Blocks of convolution, batch norm, max-pooling and ReLU halve the grid, the last block has kernels of one voxel and
    no pooling, and the mean over all voxels goes through a convolution of one voxel.

    Parameters
    ----------
    shape : sequence of 3 int
        Voxels of the working grid along x, y, z.
    filters : sequence of int
        Of each convolution.
    dropout : float
        Probability to drop a feature before the last convolution.
    classes, in_channels : int
        Outputs, and images of a scan.

    Raises
    ------
    StudyError
        If the grid is too small to be halved that often.

    References
    ----------
    Peng et al. 2021, Accurate brain age prediction with lightweight deep neural networks
    (doi:10.1016/j.media.2020.101871).
    """
    *halving, last = filters
    if min(shape) < 2 ** len(halving):
        grid = " x ".join(map(str, shape))
        raise StudyError(
            f"a working grid of {grid} voxels is too small for train.network, which halves it {len(halving)} times; "
            "choose a smaller register.voxel_size or fewer filters"
        )
    layers, channels = [], in_channels
    for width in halving:
        layers += [nn.Conv3d(channels, width, 3, padding=1), nn.BatchNorm3d(width), nn.MaxPool3d(2), nn.ReLU()]
        channels = width
    layers += [nn.Conv3d(channels, last, 1), nn.BatchNorm3d(last), nn.ReLU(), nn.AdaptiveAvgPool3d(1)]
    return nn.Sequential(*layers, nn.Dropout(dropout), nn.Conv3d(last, classes, 1), nn.Flatten())


def resnet18(shape: Sequence[int], *, n_input_channels: int = 1, num_classes: int = 2, **options: object) -> nn.Module:
    """Build MONAI's ResNet18 of three dimensions (He et al. 2016, doi:10.1109/CVPR.2016.90); options are MONAI's."""
    sizes = {"spatial_dims": 3, "n_input_channels": n_input_channels, "num_classes": num_classes}
    return monai_networks().resnet18(**sizes | options)


def densenet121(shape: Sequence[int], *, in_channels: int = 1, out_channels: int = 2, **options: object) -> nn.Module:
    """Build MONAI's DenseNet121 of three dimensions (Huang et al. 2017, arXiv:1608.06993); options are MONAI's."""
    sizes = {"spatial_dims": 3, "in_channels": in_channels, "out_channels": out_channels}
    return monai_networks().DenseNet121(**sizes | options)


def monai_networks() -> ModuleType:
    """Return MONAI's module of networks.

    Raises
    ------
    StudyError
        If MONAI is not installed.
    """
    try:
        from monai.networks import nets
    except ImportError as error:
        raise StudyError(
            f"train.network is one of MONAI's, which cannot be imported ({error}); pip install --no-deps monai"
        ) from error
    return nets
