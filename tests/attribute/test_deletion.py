"""Hiding and showing regions one after another: against networks whose answer is known."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from heatproof.attribute.deletion import (
    deletion_curves,
    depths,
    rank_units,
    recognised_scans,
    recovery_curve,
    steps,
)

REGIONS = np.zeros((4, 4, 4), np.int32)
REGIONS[:, :, 1], REGIONS[:, :, 2], REGIONS[:, :, 3] = 1, 2, 4  # region 3 has no voxel


class SumOf(nn.Module):
    """A network whose log odds for class 1 are the sum of the scan's voxels."""

    def forward(self, images):
        total = images.sum(dim=(1, 2, 3, 4))
        return torch.stack([torch.zeros_like(total), total], dim=1)


@pytest.mark.parametrize(
    ("count", "points"), [(0, [0]), (1, [0, 1]), (2, [0, 1, 2]), (8, [0, 1, 2, 3, 5, 8]), (9, [0, 1, 2, 3, 5, 8, 9])]
)
def test_curves_are_dense_where_they_begin(count, points):
    assert depths(count) == points


def test_regions_are_ranked_by_their_signed_sum():
    heatmap = np.zeros(REGIONS.shape, np.float32)
    heatmap[REGIONS == 1], heatmap[REGIONS == 2], heatmap[REGIONS == 4], heatmap[REGIONS == 0] = 0.1, -5, 3, 99
    assert rank_units(heatmap, REGIONS, by="sum").tolist() == [4, 1, 2]


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_the_curves_of_a_known_network_are_those_worked_out_by_hand(batch_size):
    image = torch.where(torch.from_numpy(REGIONS) > 0, 0.1, 0.5)[None]
    logits = lambda shown: 16 * 0.1 * shown + 16 * 0.5  # noqa: E731
    settings = {"target": 1, "baseline": 0.0, "batch_size": batch_size}
    deletion, insertion = deletion_curves(
        SumOf(), image, torch.from_numpy(REGIONS).long(), np.array([4, 1, 2]), **settings
    )
    expected = 1 / (1 + np.exp(-logits(np.array([3, 2, 1, 0]))))
    np.testing.assert_allclose(deletion, expected, rtol=1e-6)
    np.testing.assert_allclose(insertion, expected[::-1], rtol=1e-6)


def test_the_right_order_falls_faster_than_the_wrong_one():
    image = torch.from_numpy(REGIONS * 0.1).float()[None]
    regions = torch.from_numpy(REGIONS).long()
    settings = {"target": 1, "baseline": 0.0, "batch_size": 4}
    (right, _), (wrong, _) = (
        deletion_curves(SumOf(), image, regions, np.array(order), **settings) for order in ([4, 2, 1], [1, 2, 4])
    )
    assert right[0] == wrong[0] and right[-1] == wrong[-1] and (right[1:-1] < wrong[1:-1]).all()


class Interaction(nn.Module):
    """A network whose margin is a b + c of the values of regions 1, 2 and 4."""

    def forward(self, images):
        a, b, c = (images[:, 0, :, :, plane].mean(dim=(1, 2)) for plane in (1, 2, 3))
        return torch.stack([torch.zeros_like(a), a * b + c], dim=1)


@pytest.mark.parametrize(
    "order, margins",
    [([4, 1, 2], [11, 7, 4, 2]), ([1, 2, 4], [11, 8, 6, 2]), ([2, 1, 4], [11, 7, 6, 2])],
)
def test_health_is_given_back_as_worked_out_by_hand(order, margins):
    # from (2, 3, 5) to (1, 1, 1): the margin falls from 11 to 2
    image = torch.ones((1, *REGIONS.shape))
    for plane, value in ((1, 2.0), (2, 3.0), (3, 5.0)):
        image[..., plane] = value
    settings = {"target": 1, "batch_size": 2}
    found = recovery_curve(
        Interaction(), image, torch.ones_like(image), torch.from_numpy(REGIONS), np.array(order), **settings
    )
    np.testing.assert_allclose(found, (11 - np.array(margins)) / 9, rtol=1e-6)


def test_nothing_is_recovered_where_there_is_no_gap():
    image, units = torch.ones((1, *REGIONS.shape)), torch.from_numpy(REGIONS)
    found = recovery_curve(Interaction(), image, 2 * image, units, np.array([1, 2, 4]), target=1, batch_size=2)
    assert len(found) == 4 and np.isnan(found).all()


def test_recovery_goes_in_20_even_steps():
    assert steps(3) == [0, 1, 2, 3]
    assert steps(316)[:4] == [0, 16, 32, 47] and len(steps(316)) == 21 and steps(316)[-1] == 316


def test_units_are_ranked_by_their_density():
    heatmap = np.where(REGIONS == 4, 1.0, np.where(REGIONS == 1, 2.0, 0.0))
    few = np.where(np.arange(4)[:, None, None] < 1, REGIONS, 0)  # a quarter of each
    few[:, :, 3] = REGIONS[:, :, 3]
    assert rank_units(heatmap, few, by="density").tolist() == [1, 4, 2]
    assert rank_units(heatmap, few, by="sum").tolist() == [4, 1, 2]


def test_recognised_scans_are_spread_over_all():
    rows = [(f"sub-{i:02}", "test", "patient", "patient" if i % 2 else "control") for i in range(20)]
    rows += [("sub-99", "validation", "patient", "patient"), ("sub-98", "test", "control", "patient")]
    table = pd.DataFrame(rows, columns=["scan", "split", "label", "predicted"])
    assert recognised_scans(table, 50) == [f"sub-{i:02}" for i in range(1, 20, 2)]
    assert recognised_scans(table, 3) == ["sub-01", "sub-09", "sub-19"]
