"""Slice viewers of mean maps for one page: nilearn's HTML viewer, what all viewers share kept once."""

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from html import escape

import nibabel as nib
import numpy as np
from nibabel.affines import apply_affine, from_matvec
from nilearn import plotting

from heatproof.report.brains import Scale
from heatproof.space import grid_of, resample, working_grid

EMPTY = '<!DOCTYPE html><body style="font: 16px sans-serif; text-align: center; padding-top: 4em">{}</body>'


def coarsen(template: nib.Nifti1Image, mask: np.ndarray, voxel_size: float) -> nib.Nifti1Image:
    """Sample the template brain on voxels of another size, which sets the size of each viewer.

    Parameters
    ----------
    template : Nifti1Image
        T1w of the brain, zero outside.
    mask : ndarray of bool
        The brain on the template's grid.
    voxel_size : float
        Millimetres.
    """
    grid, own = working_grid(grid_of(template), voxel_size), grid_of(template)
    share = resample(mask.astype(np.float32), own, grid)
    voxels = resample(np.asarray(template.dataobj), own, grid) / np.maximum(share, 0.5)
    return nib.Nifti1Image(np.where(share > 0.5, voxels, 0), grid.affine)


def aim(page: str, affine: np.ndarray, point: Sequence[float]) -> str:
    """Make a viewer show the slices through a point and the positions that they really have.

    Up to its version 0.13.1 nilearn shows the voxel beside the one asked for (nilearn issue 6504); brainsprite, which
    draws, takes slice n to lie at ``affine @ (n + 1)``. The cross is drawn in grey and the text small.
    """

    def correct(match: re.Match) -> str:
        slices = np.rint(apply_affine(np.linalg.inv(affine), point)).tolist()
        parameters = json.loads(match[1]) | {
            "numSlice": dict(zip("XYZ", slices, strict=True)),
            "affine": (affine @ from_matvec(np.eye(3), [-1, -1, -1])).tolist(),
            "colorCrosshair": "#555555",
            "sizeFont": 0.05,
        }
        return f"brainsprite({json.dumps(parameters)})"

    return re.sub(r"brainsprite\((\{.*\})\)", correct, page)


def view_map(
    image: nib.Nifti1Image | None, template: nib.Nifti1Image, point: Sequence[float], scale: Scale, reason: str
) -> str:
    """Write one map's viewer as a complete HTML document, or the reason why there is no map."""
    if image is None:
        return EMPTY.format(escape(reason))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        view = plotting.view_img(
            image,
            bg_img=template,
            cut_coords=tuple(point),
            threshold=scale.threshold,
            cmap=scale.colours,
            vmax=scale.limit,
            vmin=scale.lowest,
            symmetric_cmap=scale.signed,
            black_bg=False,
            dim=0,
            resampling_interpolation="nearest",
        )
    return aim(view.html, template.affine, point)


def pack_pages(pages: Mapping[str, str]) -> str:
    """Write documents as JSON in which a line that several of them have is kept once, safe inside a script element.

    Parameters
    ----------
    pages : mapping of str to str
        Name and text of each document.

    Returns
    -------
    str
        ``{"lines": [text, ...], "pages": {name: [position in lines, ...]}}``.
    """
    split = {name: page.split("\n") for name, page in pages.items()}
    number = {line: i for i, line in enumerate(dict.fromkeys(line for lines in split.values() for line in lines))}
    packed = {"lines": list(number), "pages": {name: [number[line] for line in lines] for name, lines in split.items()}}
    return json.dumps(packed).replace("<", "\\u003c")
