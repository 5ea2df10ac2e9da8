"""Attribution by gradients averaged over versions of a scan: fading in from a baseline or controls, or under noise.

One version of every scan is in memory at a time, so that these methods need no more memory than a single gradient.
"""

import math
import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from heatproof.attribute.gradients import gradient
from heatproof.attribute.references import require_reference
from heatproof.errors import StudyError


def integrated_gradients(
    model: nn.Module, images: Tensor, target: int | Tensor, *, steps: int = 50, baseline: float | Tensor = 0.0
) -> Tensor:
    """Multiply what sets each voxel apart from a baseline by the mean gradient on the straight way from there.

    Parameters
    ----------
    model : Module
        Network in evaluation mode, images to (N, classes).
    images : Tensor, shape (N, C, x, y, z)
        Scans on the working grid.
    target : int or Tensor, shape (N,)
        Class to explain, one for all scans or one each.
    steps : int
        Points at which the gradient is taken, those of Gauss-Legendre quadrature.
    baseline : float or Tensor, shape (N or 1, C, x, y, z)
        The scan to begin with, or the intensity of all its voxels; 0 is that of the background.

    Returns
    -------
    Tensor, shape (N, C, x, y, z)
        Signed and unscaled, of the type of ``images``. A map sums to the target's output for the scan less that for
        the baseline, but for the error of the quadrature.

    References
    ----------
    Sundararajan et al. 2017, Axiomatic attribution for deep networks (arXiv:1703.01365).
    """
    require_reference(images, baseline)
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
    that models do not differ by it, and another one for another scan, so that it averages out in a mean map. It is made
    on the device of the scans.

    Parameters
    ----------
    model, images, target
        As for `integrated_gradients`.
    samples : int
        Copies of each scan.
    noise : float
        Standard deviation of the Gaussian noise of a voxel, a share of its channel's range of intensities.
    seed : int
        Of the noise.

    Returns
    -------
    Tensor, shape (N, C, x, y, z)
        Signed and unscaled, of the type of ``images``.

    References
    ----------
    Smilkov et al. 2017, SmoothGrad: removing noise by adding noise (arXiv:1706.03825).
    """
    keys, spans = [noise_key(image, seed) for image in images.detach()], ranges(images)
    mean = torch.zeros_like(images)
    for sample in range(samples):
        mean += gradient(model, images + noise * spans * noise_of(images, keys, sample), target) / samples
    return mean


def gradient_shap(
    model: nn.Module,
    images: Tensor,
    target: int | Tensor,
    *,
    controls: Tensor,
    samples: int = 50,
    noise: float = 0.0,
    seed: int = 0,
) -> Tensor:
    """Average over random controls and random points on the way from each to the scan: expected gradients.

    For each sample, a control is drawn with replacement, noise is added to the scan, and the gradient at a point drawn
    uniformly between the two is multiplied by what sets them apart. The draws follow from ``seed`` and the scan, as in
    `smooth_grad`.

    Parameters
    ----------
    model, images, target
        As for `integrated_gradients`.
    controls : Tensor, shape (K, C, x, y, z)
        Scans to begin with.
    samples : int
        Draws for each scan.
    noise : float
        Standard deviation of the Gaussian noise of a voxel, a share of its channel's range of intensities.
    seed : int
        Of the draws.

    Returns
    -------
    Tensor, shape (N, C, x, y, z)
        Signed and unscaled, of the type of ``images``. Without noise, a map sums to the target's output for the scan
        less its mean over the controls, but for the error of the sampling.

    References
    ----------
    Lundberg and Lee 2017, A unified approach to interpreting model predictions (arXiv:1705.07874); expected gradients:
    Erion et al. 2021 (doi:10.1038/s42256-021-00343-w).
    """
    if controls.shape[1:] != images.shape[1:] or not len(controls):
        raise StudyError(
            f"gradient_shap: the controls have the shape {tuple(controls.shape)} and the scans {tuple(images.shape)}; "
            "give at least one control, on the scans' grid"
        )
    keys, spans = [noise_key(image, seed) for image in images.detach()], ranges(images)
    mean = torch.zeros_like(images)
    for sample in range(samples):
        chosen, ways = zip(*(drawn_control(key + sample, len(controls)) for key in keys), strict=True)
        begin, way = controls[list(chosen)], images.new_tensor(ways).reshape(-1, 1, 1, 1, 1)
        scans = images.detach()
        if noise:
            scans = scans + noise * spans * noise_of(images, keys, sample)
        mean += (scans - begin) * gradient(model, way * scans + (1 - way) * begin, target) / samples
    return mean


def ranges(images: Tensor) -> Tensor:
    """Return how far the intensities of each scan (N, C, x, y, z) reach, shape (N, C, 1, 1, 1): 1 for scans in 0..1."""
    return images.detach().amax((2, 3, 4), keepdim=True) - images.detach().amin((2, 3, 4), keepdim=True)


def drawn_control(key: int, count: int) -> tuple[int, float]:
    """Return which of a number of controls a key draws, and how far from it, from 0 to 1, the gradient is taken."""
    drawn = np.random.Generator(np.random.PCG64(key))
    return int(drawn.integers(count)), float(drawn.random())


def noise_key(image: Tensor, seed: int) -> int:
    """Return a number that follows from a seed and the voxels of a scan in float32, with room for samples above it."""
    return zlib.crc32(image.float().cpu().numpy().tobytes(), seed) << 32


def noise_of(images: Tensor, keys: Sequence[int], sample: int) -> Tensor:
    """Return the standard normal noise of a sample of each scan, of the shape and type of ``images``."""
    return torch.stack([normal_noise(images.shape[1:], key + sample, images.device) for key in keys]).to(images)


def normal_noise(shape: Sequence[int], key: int, device: torch.device | str) -> Tensor:
    """Return standard normal numbers that follow from a key and their places alone, to rounding on every device.

    A hash of the key and the place gives two uniform numbers, and these give two normal ones.

    Parameters
    ----------
    shape : sequence of int
    key : int
        Of 64 bits.
    device : device

    Returns
    -------
    Tensor of float32, shape ``shape``

    References
    ----------
    Steele, Lea and Flood 2014, Fast splittable pseudorandom number generators (doi:10.1145/2660193.2660195), whose
    SplitMix64 is the hash; Box and Muller 1958 (doi:10.1214/aoms/1177706645).
    """
    count = math.prod(shape)
    start = int(splitmix64(torch.tensor(signed(key))))
    hashes = splitmix64(start + GOLDEN * torch.arange(1, (count + 1) // 2 + 1, device=device))
    first, second = ((bits + 1).float() / 2**24 for bits in (shifted(hashes, 40), hashes & (2**24 - 1)))  # in (0, 1]
    size, angle = torch.sqrt(-2 * torch.log(first)), 2 * math.pi * second
    return torch.cat([size * torch.cos(angle), size * torch.sin(angle)])[:count].view(*shape)


def splitmix64(states: Tensor) -> Tensor:
    """Hash 64-bit states, int64 that wraps around."""
    states = (states ^ shifted(states, 30)) * FACTORS[0]
    states = (states ^ shifted(states, 27)) * FACTORS[1]
    return states ^ shifted(states, 31)


def shifted(states: Tensor, bits: int) -> Tensor:
    """Shift 64-bit states to the right, zeros coming in."""
    return (states >> bits) & ((1 << (64 - bits)) - 1)


def signed(number: int) -> int:
    """Return the int64 whose bits are those of a number of 64 bits."""
    return (number + 2**63) % 2**64 - 2**63


GOLDEN, *FACTORS = map(signed, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
