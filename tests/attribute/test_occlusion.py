"""Occlusion equals captum's sliding window in float64."""

import copy

import captum.attr
import numpy as np
import pytest
import torch
from torch import nn

from heatproof.attribute.occlusion import occlusion
from heatproof.errors import StudyError


def captum_occlusion(model, images, target, patch, stride, baseline, dtype=torch.float64):
    patch, stride = ((v,) * 3 if isinstance(v, int) else tuple(v) for v in (patch, stride))
    ablator = captum.attr.Occlusion(copy.deepcopy(model).to(dtype))
    options = {"sliding_window_shapes": (1, *patch), "strides": (1, *stride), "baselines": baseline}
    return ablator.attribute(images.to(dtype), target=target, perturbations_per_eval=16, **options)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv3d(1, 3, 3), nn.Tanh(), nn.MaxPool3d(2), nn.Flatten(), nn.Linear(3 * 4 * 3 * 3, 2)
    ).eval()


@pytest.fixture
def images():
    return torch.randn((2, 1, 10, 8, 9), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("patch", "stride"), [(1, 1), (4, 3), ((2, 8, 3), (2, 5, 1)), (5, 5)])
def test_any_network_is_explained_as_captum_does(network, images, patch, stride):
    for target in (1, torch.tensor([0, 1])):
        heatmaps = occlusion(network, images, target, patch=patch, stride=stride, baseline=0.3)
        expected = captum_occlusion(network, images, target, patch, stride, 0.3)
        torch.testing.assert_close(heatmaps, expected.float(), rtol=0, atol=1e-6)


def test_only_patches_that_touch_the_mask_are_placed(network, images):
    mask = np.zeros((10, 8, 9), bool)
    mask[4, 4, 4] = True
    heatmap = occlusion(network, images[:1], 0, patch=2, stride=2, mask=mask)[0, 0]
    everywhere = captum_occlusion(network, images[:1], 0, 2, 2, 0.0)[0, 0].float()
    assert heatmap.count_nonzero() == 8
    torch.testing.assert_close(heatmap[4:6, 4:6, 4:6], everywhere[4:6, 4:6, 4:6], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch": 9}, "larger than the volume"),
        ({"stride": 0}, "stride 0"),
        ({"patch": (2, 2)}, "patch"),
        ({"patch": 2, "stride": 3}, "at most the patch"),
        ({"mask": np.ones((10, 8, 8))}, "mask"),
    ],
)
def test_bad_options_are_refused_by_name(network, images, options, message):
    with pytest.raises(StudyError, match=message):
        occlusion(network, images, 0, **{"patch": 4, "stride": 2} | options)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_voxel_that_is_not_finite_is_refused_by_name(network, images, value):
    images[1, 0, 3, 2, 5] = value
    with pytest.raises(StudyError, match=r"image 1 .*\(3, 2, 5\)"):
        occlusion(network, images, 0, patch=4, stride=2)
