"""Maps that do not look at the model: what an explanation must do better than to be worth its name.

They are as robust over models as can be, and they localise as well as the scans themselves.

References
----------
Clark, Wilming and Haufe 2024, XAI-TRIS: non-linear image benchmarks to quantify false positive post-hoc attribution of
feature importance (doi:10.1007/s10994-024-06574-3): many methods do no better than an edge filter.
"""

import numpy as np
import torch
from scipy.ndimage import generic_gradient_magnitude, sobel
from torch import Tensor, nn

from heatproof.attribute.references import require_reference


def edges(model: nn.Module, images: Tensor, target: int | Tensor) -> Tensor:
    """Return the magnitude of the Sobel gradient of each scan, a baseline that ignores the model and the target.

    Parameters
    ----------
    model, target
        Ignored.
    images : Tensor, shape (N, C, x, y, z)
        Scans on the working grid.

    Returns
    -------
    Tensor, shape (N, C, x, y, z)
        At least 0, of the type of ``images``: 32 times the change of intensity from a voxel to the next.
    """
    scans = images.detach().flatten(0, 1).cpu().numpy()
    magnitudes = np.stack([generic_gradient_magnitude(scan, sobel) for scan in scans])
    return torch.from_numpy(magnitudes).view(images.shape).to(images)


def input_image(
    model: nn.Module, images: Tensor, target: int | Tensor, *, reference: float | Tensor | None = None
) -> Tensor:
    """Return each scan as it is, or less a reference, a baseline that ignores the model and the target.

    Methods that multiply by what sets a scan apart from a reference localise as well as this by that factor alone.

    Parameters
    ----------
    model, images, target
        As for `edges`.
    reference : float or Tensor, shape (N or 1, C, x, y, z), optional
        What is taken from the scan.

    Returns
    -------
    Tensor, shape (N, C, x, y, z)
        A copy of ``images``, less the reference; without one, its mean map is the group's mean scan.
    """
    require_reference(images, reference, "reference")
    return images.detach().clone() if reference is None else images.detach() - reference
