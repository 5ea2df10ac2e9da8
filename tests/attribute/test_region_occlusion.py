"""Region occlusion equals captum's feature ablation, with regions for features."""

import captum.attr
import pytest
import torch
from torch import nn

from heatproof.attribute.outputs import with_softmax
from heatproof.attribute.region_occlusion import region_occlusion
from heatproof.errors import StudyError


@pytest.fixture(scope="module")
def regions(scans):
    """Three regions, their numbers with a gap, scattered over a third of the voxels."""
    numbers = torch.randint(0, 12, scans.shape[2:], generator=torch.Generator().manual_seed(2))
    return torch.where(numbers == 4, 2, torch.where(numbers < 4, numbers, 0))


@pytest.mark.parametrize("target", [1, torch.tensor([1, 0, 1])])
@pytest.mark.parametrize("wrap", [lambda model: model, with_softmax], ids=["logit", "probability"])
def test_regions_are_hidden_as_captum_does(wrap, target, paper_network, scans, regions):
    model = wrap(paper_network)
    expected = captum.attr.FeatureAblation(model).attribute(scans, baselines=0.3, target=target, feature_mask=regions)
    heatmaps = region_occlusion(model, scans, target, regions=regions, baseline=0.3)
    torch.testing.assert_close(heatmaps, expected * (regions != 0), rtol=1e-6, atol=1e-12)
    assert heatmaps[0].unique().numel() == 4


def test_regions_on_another_grid_are_refused(paper_network, scans, regions):
    with pytest.raises(StudyError, match=r"the regions have .* voxels and the scans .*; give both the same grid"):
        region_occlusion(paper_network, scans, 1, regions=regions[1:])


def test_every_voxel_of_a_region_gets_what_a_sum_loses_without_it():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 1, bias=False)).eval()
    model[1].weight.data = torch.tensor([[1.0, 2.0, -3.0, 4.0]])
    image, regions = torch.tensor([1.0, 1.0, 2.0, 5.0]).reshape(1, 1, 1, 1, 4), torch.tensor([7, 7, 3, 0])
    heatmap = region_occlusion(model, image, 0, regions=regions.reshape(1, 1, 4))
    assert heatmap.flatten().tolist() == [3, 3, -6, 0]


def test_each_scan_may_have_a_reference_of_its_own(paper_network, scans, regions):
    references = scans.flip(0)
    expected = captum.attr.FeatureAblation(paper_network).attribute(
        scans, baselines=references, target=1, feature_mask=regions
    )
    heatmaps = region_occlusion(paper_network, scans, 1, regions=regions, baseline=references)
    torch.testing.assert_close(heatmaps, expected * (regions != 0), rtol=1e-6, atol=1e-12)


def test_other_networks_run_once_per_region_and_leave_no_trace(paper_network, scans, regions, untouched):
    model = nn.Sequential(paper_network, nn.Tanh(), nn.Softmax(dim=1), nn.Tanh()).eval()
    check, before = untouched(model), scans.clone()
    heatmaps = region_occlusion(model, scans, 1, regions=regions)
    expected = captum.attr.FeatureAblation(model).attribute(scans, target=1, feature_mask=regions)
    torch.testing.assert_close(heatmaps, expected * (regions != 0), rtol=1e-6, atol=1e-12)
    check()
    assert torch.equal(scans, before)
