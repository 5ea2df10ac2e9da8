"""Mean maps on the template: how they are read, scaled, coloured and drawn."""

import argparse
import gc
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import matplotlib.pyplot as plt
import nibabel as nib
import numpy as np
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Colormap, ListedColormap, Normalize
from nibabel.affines import apply_affine
from nilearn import plotting
from nilearn.image import crop_img

from heatproof.command import json_option
from heatproof.errors import StudyError
from heatproof.images import load_heatmap, load_image
from heatproof.space import load_template, voxel_sizes
from heatproof.task import task_argument

gc.freeze()  # nilearn collects garbage at every step: without what is imported by now it is ten times as fast

SATURATED = 0.1  # per cent of the voxels that may lie beyond the end of the colour scale
LEVELS = 256


def brain_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what every command takes that draws maps of a task on the template."""
    parser.add_argument("--mask", required=True, help="brain mask on the working grid")
    parser.add_argument("--template", required=True, type=json_option, help="the config's register.template as JSON")
    task_argument(parser)
    parser.add_argument("--options", required=True, type=json_option, help="the config's report as JSON")
    parser.add_argument("--output", required=True, nargs="+", help="png and svg")


class Scale(NamedTuple):
    """How numbers become colours.

    Attributes
    ----------
    limit : float
        Value at the upper end of the scale.
    threshold : float
        Voxels nearer to zero are left transparent.
    signed : bool
        The scale starts at ``-limit`` if true, else at 0.
    colours : Colormap
        Diverging if signed, else sequential.
    """

    limit: float
    threshold: float
    signed: bool
    colours: Colormap

    @property
    def lowest(self) -> float:
        """Value at the lower end of the scale."""
        return -self.limit if self.signed else 0.0


def load_brain(template: str | dict, points: Sequence[Sequence[float]]) -> nib.Nifti1Image:
    """Load the template brain at its own resolution, cut to its bounding box, and check that the points are in it.

    Raises
    ------
    StudyError
        If a point lies outside of the brain's bounding box.
    """
    image = crop_img(load_template(template)[0])
    for point in points:
        voxel = apply_affine(np.linalg.inv(image.affine), point)
        if np.any(voxel < 0) or np.any(voxel > np.subtract(image.shape, 1)):
            raise StudyError(
                f"report.points: {list(point)} lies outside of the template brain; give millimetres inside it"
            )
    return image


def read_map(path: str | Path, mask: np.ndarray) -> nib.Nifti1Image | None:
    """Read a mean map, scaled by its largest absolute value in the brain and zero outside; see `read_maps`."""
    return read_maps([path], mask)[0]


def read_maps(paths: Sequence[str | Path], mask: np.ndarray) -> list[nib.Nifti1Image | None]:
    """Read the mean maps of one model, scaled by the largest absolute value in the brain of all, and zero outside.

    Parameters
    ----------
    paths : sequence of path
        Maps on the working grid, of one channel each.
    mask : ndarray of bool
        The brain on the working grid.

    Returns
    -------
    list of Nifti1Image or None
        None if all are empty: no voxel of the brain has a value other than 0.
    """
    values = [np.where(mask, np.nan_to_num(load_heatmap(path)), 0) for path in paths]
    peak = np.abs(values).max()
    if not peak > 0:
        return [None] * len(values)
    return [nib.Nifti1Image(map / peak, load_image(path).affine) for map, path in zip(values, paths, strict=True)]


def average(maps: Iterable[nib.Nifti1Image | None]) -> nib.Nifti1Image | None:
    """Average the maps that are not empty; None if all are."""
    present = [image for image in maps if image is not None]
    if not present:
        return None
    mean = np.mean([image.get_fdata(dtype=np.float32) for image in present], axis=0)
    return nib.Nifti1Image(mean, present[0].affine)


def colour_scale(maps: Iterable[nib.Nifti1Image | None], colormap: str, threshold: float) -> Scale:
    """Choose one colour scale for several maps: diverging about zero if any has a negative value, else from zero.

    Parameters
    ----------
    maps : iterable of Nifti1Image or None
        What is to be compared by eye; empty maps do not count.
    colormap : str
        A diverging colormap of matplotlib or nilearn; maps without negative values use its upper half.
    threshold : float
        Share of the scale that is left transparent around zero.

    Raises
    ------
    StudyError
        If there is no such colormap.
    """
    if colormap not in matplotlib.colormaps:
        raise StudyError(f"report.colormap: {colormap!r} is unknown to matplotlib and nilearn; try RdYlBu_r")
    arrays = [np.asarray(image.dataobj) for image in maps if image is not None]
    values = np.concatenate([array[array != 0] for array in arrays] or [np.ones(1)])
    signed = bool(values.min() < 0)
    limit = float(np.percentile(np.abs(values), 100 - SATURATED))
    colours = plt.get_cmap(colormap)
    if not signed:
        colours = ListedColormap(colours(np.linspace(0.5, 1, LEVELS)), name=f"upper_{colormap}")
    return Scale(limit, threshold * limit, signed, colours)


def panel_size(template: nib.Nifti1Image) -> tuple[float, float]:
    """Return width and height in millimetres of the three slices that `draw_map` puts side by side."""
    x, y, z = np.multiply(template.shape, voxel_sizes(template.affine))
    return y + x + x, max(y, z)


def draw_map(
    axes: plt.Axes,
    image: nib.Nifti1Image | None,
    template: nib.Nifti1Image,
    point: Sequence[float],
    scale: Scale,
    *,
    coordinates: bool = True,
    reason: str = "",
) -> None:
    """Draw the sagittal, coronal and axial slice through a point, left and right marked.

    Parameters
    ----------
    axes : Axes
        Where to draw, best in the proportions of `panel_size`.
    image : Nifti1Image or None
        A map; without one the template is drawn alone.
    template : Nifti1Image
        T1w of the brain, zero outside.
    point : sequence of 3 float
        x, y, z in millimetres of the template's space.
    scale : Scale
    coordinates : bool
        Whether the position of each slice is written below it.
    reason : str
        Why there is no map, written across the template where there is none.
    """
    axes.axis("off")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        display = plotting.plot_stat_map(
            template if image is None else image,
            bg_img=template,
            cut_coords=tuple(point),
            axes=axes,
            colorbar=False,
            annotate=False,
            draw_cross=False,
            black_bg=False,
            dim=0,
            cmap=scale.colours,
            vmin=scale.lowest,
            vmax=scale.limit,
            threshold=np.inf if image is None else scale.threshold,
        )
    display.annotate(left_right=True, positions=coordinates, size=6)
    if image is None:
        label = {"boxstyle": "round", "facecolor": "white", "edgecolor": "0.6", "linewidth": 0.6}
        axes.text(0.5, 0.5, reason, ha="center", va="center", transform=axes.transAxes, bbox=label, zorder=1e4)


def draw_colour_bar(axes: plt.Axes, scale: Scale, label: str, orientation: str = "horizontal") -> None:
    """Draw a colour scale, what is transparent in it left blank."""
    values = np.linspace(scale.lowest, scale.limit, LEVELS)
    colours = scale.colours(np.linspace(0, 1, LEVELS))
    colours[np.abs(values) < scale.threshold] = 1
    marks = [-scale.limit, -scale.threshold] if scale.signed else [0]
    bar = Colorbar(
        axes,
        cmap=ListedColormap(colours),
        norm=Normalize(scale.lowest, scale.limit),
        orientation=orientation,
        ticks=[*marks, scale.threshold, scale.limit],
        format=lambda value, _: f"{value:.2f}".replace("-", "−").replace("0.00", "0"),
    )
    bar.set_label(label)
    bar.outline.set_linewidth(0.4)
