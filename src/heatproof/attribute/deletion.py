"""Units of a scan replaced in the order of a heatmap: does the model's output change most where the map says so?

Three curves follow the model as units are hidden (deletion), shown (insertion) or given back their health (recovery).

References
----------
Petsiuk, Das and Saenko 2018, RISE (arXiv:1806.07421): deletion and insertion curves. Rieke et al. 2018
(arXiv:1808.02874): whole regions of an atlas, hidden instead of single voxels.
"""

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from heatproof.attribute.layers import outputs_of
from heatproof.attribute.outputs import with_margin
from heatproof.attribute.replacement import outputs_in_order
from heatproof.task import PATIENTS, Task, scans_by_group

STEPS = 20  # of recovery
COLUMNS = ["scan", "curve", "order", "n_units", "share", "value"]


def recognised_scans(predictions: pd.DataFrame, most: int, task: Task = PATIENTS) -> list[str]:
    """List scans of the group that is explained, no more than ``most``, spread over all in order of name."""
    scans = scans_by_group(predictions, task)[task.explained]
    if len(scans) <= most:
        return scans
    return [scans[i] for i in np.linspace(0, len(scans) - 1, most).round().astype(int)]


def depths(count: int) -> list[int]:
    """Return how many regions are changed at the points of a curve: 0, 1, 2, 3, 5, 8, ... and all of them.

    Dense where curves bend; `numpy.trapezoid` over these points differs little from one over all.
    """
    points, following = [0, 1], 2
    while following < count:
        points.append(following)
        following = points[-1] + points[-2]
    return [*points, count] if count > 1 else points[: count + 1]


def steps(count: int) -> list[int]:
    """Return how many of ``count`` units are healthy at the points of recovery: 0 to all, in even steps."""
    return np.unique(np.linspace(0, count, STEPS + 1).round().astype(int)).tolist()


def rank_units(heatmap: np.ndarray, numbers: np.ndarray, *, by: str) -> np.ndarray:
    """Return the units in the order of their signed relevance, the highest first.

    Parameters
    ----------
    heatmap : ndarray of float, shape (x, y, z)
    numbers : ndarray of int, shape (x, y, z)
        Units from 1 on; 0 is outside of every unit. A unit without a voxel is left out.
    by : {"sum", "density"}
        Over the unit's voxels.
    """
    sums, voxels = np.bincount(numbers.ravel(), heatmap.ravel().astype(float)), np.bincount(numbers.ravel())
    present = np.flatnonzero(voxels[1:]) + 1
    scores = sums[present] / (voxels[present] if by == "density" else 1)
    return present[np.argsort(-scores, kind="stable")]


def curve_table(scan: str, curve: str, order: str, points: list[int], values: np.ndarray) -> pd.DataFrame:
    """Make the rows of one curve: `COLUMNS`."""
    columns = {"n_units": points, "share": np.array(points) / points[-1], "value": values}
    return pd.DataFrame({"scan": scan, "curve": curve, "order": order, **columns})


def all_curves(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Join the rows of curves, of which there may be none."""
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)


def deletion_curves(
    model: nn.Module,
    image: Tensor,
    regions: Tensor,
    order: np.ndarray,
    *,
    target: int,
    baseline: float,
    batch_size: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Hide regions one after another, and show them one after another, in a given order.

    Parameters
    ----------
    model : Module
        Network in evaluation mode, images to logits (N, classes).
    image : Tensor, shape (C, x, y, z)
        A scan on the working grid.
    regions : Tensor of int, shape (x, y, z)
        Number of the region that each voxel belongs to; 0, no region, is never changed.
    order : ndarray of int, shape (regions,)
        Numbers of the regions.
    target : int
        The class whose probability is followed.
    baseline : float
        What a hidden voxel is set to.
    batch_size : int
        Changed scans that the network is given at once.

    Returns
    -------
    deletion, insertion : ndarray of float, each of shape (points,)
        Probability of the target with the first `depths` regions hidden, and with only them shown.
    """
    shown, blank = image, torch.full_like(image, baseline)
    hidden = torch.where(regions > 0, blank, shown)
    deletion, insertion = (
        outputs_in_order(model, start, other, regions, order, depths(len(order)), batch_size=batch_size)
        for start, other in ((shown, blank), (hidden, shown))
    )
    return tuple(outputs.softmax(dim=1)[:, target].double().cpu().numpy() for outputs in (deletion, insertion))


@torch.no_grad()
def recovery_curve(
    model: nn.Module,
    image: Tensor,
    healthy: Tensor,
    units: Tensor,
    order: np.ndarray,
    *,
    target: int,
    batch_size: int,
) -> np.ndarray:
    """Give units back their health one after another, in a given order.

    Parameters
    ----------
    model, target, batch_size
        As for `deletion_curves`.
    image, healthy : Tensor, shape (C, x, y, z)
        A patient's scan, and what stands for it without the disease.
    units : Tensor of int, shape (x, y, z)
    order : ndarray of int, shape (units,)

    Returns
    -------
    ndarray of float, shape (points,)
        Share of the gap between the margins of the scan and of the healthy one that is closed after `steps` units. It
        need not end at 1, as voxels of no unit stay; NaN where the scan's margin is not the larger one.
    """
    network = with_margin(model)
    outputs = outputs_in_order(network, image, healthy, units, order, steps(len(order)), batch_size=batch_size)
    margins = outputs[:, target].double().cpu().numpy()
    gap = margins[0] - float(outputs_of(network, healthy[None])[0, target])
    return (margins[0] - margins) / gap if gap > 0 else np.full(len(margins), np.nan)
