"""Attribution by gradients averaged over versions of a scan: fading in from a baseline, or under noise.

One version of every scan is in memory at a time, so that these methods need no more memory than a single gradient.
"""

import zlib

import numpy as np
import torch
from torch import Tensor, nn

from heatproof.attribute.gradients import gradient


def integrated_gradients(
    model: nn.Module, images: Tensor, target: int | Tensor, *, steps: int = 50, baseline: float = 0.0
) -> Tensor:
    """Multiply what sets each voxel apart from a baseline by the mean gradient on the straight way from there.

    Parameters
    ----------
    model : Module
        Network in evaluation mode, images to (N, classes).
    images : Tensor, shape (N, 1, x, y, z)
        Scans on the working grid.
    target : int or Tensor, shape (N,)
        Class to explain, one for all scans or one each.
    steps : int
        Points at which the gradient is taken, those of Gauss-Legendre quadrature.
    baseline : float
        Intensity of every voxel of the scan to begin with; 0 is that of the background.

    Returns
    -------
    Tensor, shape (N, 1, x, y, z)
        Signed and unscaled, of the type of ``images``. A map sums to the target's output for the scan less that for
        the baseline, but for the error of the quadrature.

    References
    ----------
    Sundararajan et al. 2017, Axiomatic attribution for deep networks (arXiv:1703.01365).
    """
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    difference = images.detach() - baseline
    mean = torch.zeros_like(difference)
    for node, weight in zip(nodes.tolist(), weights.tolist(), strict=True):
        mean += weight / 2 * gradient(model, baseline + (node + 1) / 2 * difference, target)
    return difference * mean


def smooth_grad(
    model: nn.Module,
    images: Tensor,
    target: int | Tensor,
    *,
    samples: int = 25,
    noise: float = 0.15,
    seed: int = 0,
) -> Tensor:
    """Average the gradient of the target's output over copies of a scan with noise.

    The noise follows from ``seed`` and the scan: it is the same for every model, on every device and in any company, so
    that models do not differ by it, and another one for another scan, so that it averages out in a mean map.

    Parameters
    ----------
    model, images, target
        As for `integrated_gradients`.
    samples : int
        Copies of each scan.
    noise : float
        Standard deviation of the Gaussian noise of a voxel, where scans are scaled to 0..1.
    seed : int
        Of the noise.

    Returns
    -------
    Tensor, shape (N, 1, x, y, z)
        Signed and unscaled, of the type of ``images``.

    References
    ----------
    Smilkov et al. 2017, SmoothGrad: removing noise by adding noise (arXiv:1706.03825).
    """
    generators = [noise_generator(image, seed) for image in images.detach()]
    mean = torch.zeros_like(images)
    for _ in range(samples):
        draws = torch.stack([torch.randn(images.shape[1:], generator=generator) for generator in generators])
        mean += gradient(model, images + noise * draws.to(images), target) / samples
    return mean


def noise_generator(image: Tensor, seed: int) -> torch.Generator:
    """Return a source of noise that follows from a seed and the voxels of a scan in float32."""
    return torch.Generator().manual_seed(zlib.crc32(image.float().cpu().numpy().tobytes(), seed))
