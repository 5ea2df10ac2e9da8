"""Gradient * input and guided backpropagation equal captum's."""

import copy

import captum.attr
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from heatproof.attribute.gradients import gradient_input, guided_backprop
from heatproof.errors import StudyError

PAIRS = [(gradient_input, captum.attr.InputXGradient), (guided_backprop, captum.attr.GuidedBackprop)]

pytestmark = pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU activations", "ignore:Input Tensor")


@pytest.mark.parametrize(("method", "reference"), PAIRS)
@pytest.mark.parametrize("target", [0, 1, torch.tensor([1, 0, 1])])
def test_the_papers_network_is_explained_as_captum_does(method, reference, target, paper_network, scans):
    expected = reference(copy.deepcopy(paper_network)).attribute(scans, target=target)
    torch.testing.assert_close(method(paper_network, scans, target), expected)


@pytest.mark.parametrize(("method", "reference"), PAIRS)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), target=st.integers(0, 2))
def test_any_chain_is_explained_as_captum_does(method, reference, random_chain, seed, target):
    model, images = random_chain(seed)
    expected = reference(copy.deepcopy(model)).attribute(images, target=target)
    torch.testing.assert_close(method(model, images, target), expected)


@pytest.mark.parametrize("method", [gradient_input, guided_backprop])
class TestEveryMethod:
    def test_explains_several_scans_as_it_does_each(self, method, paper_network, scans):
        one_by_one = [method(paper_network, scan[None], 1) for scan in scans]
        torch.testing.assert_close(method(paper_network, scans, 1), torch.cat(one_by_one))

    def test_answers_in_the_type_of_the_images(self, method, paper_network, scans):
        heatmaps = method(copy.deepcopy(paper_network).float(), scans.float(), 1)
        assert heatmaps.dtype == torch.float32
        assert heatmaps.shape == scans.shape
        assert not heatmaps.requires_grad

    def test_runs_the_network_once(self, method, paper_network, scans):
        runs = []
        handle = paper_network[0].register_forward_hook(lambda *_: runs.append(1))
        method(paper_network, scans, 1)
        handle.remove()
        assert len(runs) == 1

    def test_leaves_model_and_images_as_they_were(self, method, paper_network, scans, untouched):
        check, before = untouched(paper_network), scans.clone()
        with torch.no_grad():
            method(paper_network, scans, 1)
        with pytest.raises(RuntimeError):
            method(paper_network, scans, 7)
        check()
        assert torch.equal(scans, before)
        assert not scans.requires_grad


class OneReLU(nn.Module):
    """Two convolutions, with whatever stands for the ReLU behind each."""

    def __init__(self, first, rectify):
        super().__init__()
        self.first, self.second, self.rectify = first[0], first[2], rectify

    def forward(self, images):
        return self.rectify(self.second(self.rectify(self.first(images)))).flatten(1)


@pytest.mark.parametrize("rectify", [nn.ReLU(), nn.ReLU(inplace=True), functional.relu, torch.relu_])
def test_guided_backprop_guides_a_relu_used_twice_in_place_or_as_a_function(rectify):
    torch.manual_seed(0)
    clean = nn.Sequential(nn.Conv3d(1, 2, 2), nn.ReLU(), nn.Conv3d(2, 3, 2), nn.ReLU(), nn.Flatten()).eval()
    images = torch.randn(2, 1, 3, 3, 3)
    expected = captum.attr.GuidedBackprop(copy.deepcopy(clean)).attribute(images, target=1)
    torch.testing.assert_close(guided_backprop(OneReLU(clean, rectify).eval(), images, 1), expected)


def test_guided_backprop_refuses_a_network_without_relu():
    with pytest.raises(StudyError, match="needs a network with ReLUs"):
        guided_backprop(nn.Sequential(nn.Flatten(), nn.Linear(8, 2)), torch.rand(1, 1, 2, 2, 2), 1)
