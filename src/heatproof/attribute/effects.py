"""What makes a scan a patient's rather than a healthy one's, to this model: the effects of units on its margin.

A unit is a region of the atlas or a cube. Its effect is the fall of the margin when its voxels are taken from a healthy
reference: the patient's own twin, where the cohort is simulated, or another person's scan. Nothing is hidden by zeros,
which no model has ever seen.

References
----------
Shapley 1953, doi:10.1515/9781400881970-018; permutations and their reverses: Mitchell et al. 2022, "Sampling
permutations for Shapley value estimation" (arXiv:2104.12199), section 4.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from heatproof.attribute.layers import outputs_of, require_repeatable
from heatproof.attribute.outputs import with_margin
from heatproof.attribute.replacement import falls, outputs_in_order
from heatproof.device import in_float32
from heatproof.errors import StudyError
from heatproof.generators import generator


class Effects(NamedTuple):
    """Effects of units on the margin of the target class.

    Attributes
    ----------
    margin, margin_reference : ndarray of float64, shape (N,)
        Of the scans and of their references.
    first, last : ndarray of float64, shape (N, units)
        Fall of the margin when the unit alone is taken from the reference, and when it is the last to be taken.
    shapley, shapley_error : ndarray of float64, shape (N, units), or None
        Shapley values, whose sum is the fall when all units are taken, and their standard errors.
    """

    margin: np.ndarray
    margin_reference: np.ndarray
    first: np.ndarray
    last: np.ndarray
    shapley: np.ndarray | None = None
    shapley_error: np.ndarray | None = None

    @property
    def mean(self) -> np.ndarray:
        """Mean of first and last, shape (N, units)."""
        return (self.first + self.last) / 2


@in_float32()
@torch.no_grad()
def unit_effects(
    model: nn.Module,
    images: Tensor,
    references: Tensor,
    units: Tensor | np.ndarray,
    target: int,
    *,
    shapley: int = 0,
    seed: int = 0,
    batch_size: int = 8,
) -> Effects:
    """Measure by how much the margin of a class falls when units of a scan are taken from a reference.

    Units that interact have no one effect. The first to be taken changes a scan that is otherwise the patient's, the
    last one that is otherwise the reference; the Shapley value is the mean over all orders, and is sampled.

    Parameters
    ----------
    model : Module
        Network in evaluation mode, images to logits (N, classes).
    images, references : Tensor, shape (N, C, x, y, z)
        Scans, and for each the one that units are taken from.
    units : Tensor or ndarray of int, shape (x, y, z)
        Units 1..n; voxels of 0 belong to none and stay the scan's (or, of the last, the reference's).
    target : int
        The class whose margin is measured: its logit less the log-sum-exp of the others'.
    shapley : int
        Random orders, half of them the reverses of the others: 0, or an even number from 4 on.
    seed : int
        Of the random orders.
    batch_size : int
        Scans that the network is given at once.

    Returns
    -------
    Effects
        A unit in which scan and reference are the same, or which has no voxel, has effect 0.

    Raises
    ------
    StudyError
        If grids or numbers of scans differ, there is no unit, a voxel is not finite, or ``shapley`` is no such number.
    """
    units = torch.as_tensor(units).to(images.device, torch.int64)
    check_scans(images, references, units)
    check_orders(shapley)
    require_repeatable(model, images)
    network, orders = with_margin(model), generator(seed, "shapley")
    pairs = list(zip(images, references, strict=True))
    margin, margin_reference = (margins_of(network, scans, target) for scans in (images, references))
    running = {"target": target, "batch_size": batch_size}
    first = [falls(network, *pair, units, before, **running) for pair, before in zip(pairs, margin, strict=True)]
    last = [
        -falls(network, other, image, units, before, **running)
        for (image, other), before in zip(pairs, margin_reference, strict=True)
    ]
    first, last = np.stack(first), np.stack(last)
    if not shapley:
        return Effects(margin, margin_reference, first, last)
    drawn = [shapley_values(network, *pair, units, orders, shapley, **running) for pair in pairs]
    values, errors = (np.stack(parts) for parts in zip(*drawn, strict=True))
    return Effects(margin, margin_reference, first, last, values, errors)


@in_float32()
@torch.no_grad()
def channel_effects(model: nn.Module, images: Tensor, references: Tensor, target: int) -> Effects:
    """Measure by how much the margin of a class falls when whole channels of a scan are taken from a reference.

    Parameters
    ----------
    model, images, references, target
        As for `unit_effects`.

    Returns
    -------
    Effects
        first and last of shape (N, channels).
    """
    network, first, last = with_margin(model), [], []
    margin, margin_reference = (margins_of(network, scans, target) for scans in (images, references))
    for channel in range(images.shape[1]):
        one, others = images.clone(), references.clone()
        one[:, channel], others[:, channel] = references[:, channel], images[:, channel]
        first.append(margin - margins_of(network, one, target))
        last.append(margins_of(network, others, target) - margin_reference)
    return Effects(margin, margin_reference, np.stack(first, axis=1), np.stack(last, axis=1))


def margins_of(network: nn.Module, scans: Tensor, target: int) -> np.ndarray:
    """Return an output of a network for each scan, run one by one; float64, shape (N,)."""
    return torch.cat([outputs_of(network, scan[None])[:, target] for scan in scans]).double().cpu().numpy()


def check_scans(images: Tensor, references: Tensor, units: Tensor) -> None:
    """Refuse scans, references and units that do not lie on one grid, no unit, and voxels that are not finite."""
    if images.shape != references.shape or images.shape[2:] != units.shape:
        shapes = [" x ".join(map(str, thing.shape)) for thing in (images, references, units)]
        raise StudyError(
            f"effects: the scans are {shapes[0]}, their references {shapes[1]} and the units {shapes[2]}; "
            "give one reference for each scan, and all on one grid"
        )
    if not units.any():
        raise StudyError("effects: there is no unit, as every voxel is 0; number the voxels of units from 1 on")
    for name, scans in (("scan", images), ("reference", references)):
        broken = torch.nonzero(~torch.isfinite(scans).flatten(1).all(dim=1))
        if len(broken):
            raise StudyError(f"effects: {name} {int(broken[0])} has NaN or infinite voxels; repair it or exclude it")


def check_orders(shapley: int) -> None:
    """Refuse a number of random orders that has no pairs, or but one, of which no error can be told."""
    if shapley and (shapley < 4 or shapley % 2):
        raise StudyError(f"effects: shapley is {shapley}; give 0 for none, or an even number of orders from 4 on")


def shapley_values(
    network: nn.Module,
    image: Tensor,
    other: Tensor,
    units: Tensor,
    orders: np.random.Generator,
    number: int,
    *,
    target: int,
    batch_size: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Sample the Shapley values of units in random orders and their reverses, with their standard errors.

    Parameters
    ----------
    network, image, other, units, target, batch_size
        As for `heatproof.attribute.replacement.falls`.
    orders : Generator
        Random orders are drawn from it.
    number : int
        Orders, an even number.

    Returns
    -------
    values, errors : ndarray of float64, each of shape (units,)
        The error is that of a mean over pairs of an order and its reverse, which are independent of each other.
    """
    present = units.unique().tolist()
    present = np.array([unit for unit in present if unit])
    points = range(len(present) + 1)
    drops = np.zeros((number // 2, int(units.max())))
    for pair in drops:
        order = orders.permutation(present)
        for followed in (order, order[::-1].copy()):
            outputs = outputs_in_order(network, image, other, units, followed, points, batch_size=batch_size)
            pair[followed - 1] += -np.diff(outputs[:, target].double().cpu().numpy()) / 2
    return drops.mean(axis=0), drops.std(axis=0, ddof=1) / np.sqrt(len(drops))
