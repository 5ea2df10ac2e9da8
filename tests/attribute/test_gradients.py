"""Gradient * input and guided backpropagation equal captum's."""

import copy

import captum.attr
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from heatproof.attribute.grad_cam import grad_cam
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
        with pytest.raises(StudyError, match="class 7 is to be explained"):
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


RECTIFIERS = {
    "module": nn.ReLU(),
    "in place": nn.ReLU(inplace=True),
    "function": functional.relu,
    "function in place": torch.relu_,
    "clamp": lambda inputs: inputs.clamp(min=0),
    "clamp_min": lambda inputs: inputs.clamp_min(0.0),
    "threshold": nn.Threshold(0, 0),
}


@pytest.mark.parametrize("rectify", RECTIFIERS.values(), ids=RECTIFIERS)
def test_guided_backprop_guides_a_relu_used_twice_in_place_or_as_a_function(rectify):
    torch.manual_seed(0)
    clean = nn.Sequential(nn.Conv3d(1, 2, 2), nn.ReLU(), nn.Conv3d(2, 3, 2), nn.ReLU(), nn.Flatten()).eval()
    images = torch.randn(2, 1, 3, 3, 3)
    expected = captum.attr.GuidedBackprop(copy.deepcopy(clean)).attribute(images, target=1)
    torch.testing.assert_close(guided_backprop(OneReLU(clean, rectify).eval(), images, 1), expected)


class Opaque(torch.autograd.Function):
    """A ReLU that brings its own backward pass."""

    @staticmethod
    def forward(context, inputs):
        context.save_for_backward(inputs)
        return inputs.clamp(min=0)

    @staticmethod
    def backward(context, gradients):
        return gradients * (context.saved_tensors[0] > 0)


class Checkpointed(nn.Module):
    def __init__(self, part):
        super().__init__()
        self.part = part

    def forward(self, inputs):
        return checkpoint(self.part, inputs, use_reentrant=True)


class Called(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, inputs):
        return self.function(inputs)


def compiled(part):
    return torch.compile(part, backend="aot_eager")


def compiled_in_place(part):
    part = Called(part)
    part.compile(backend="aot_eager")
    return part


HIDING = {
    "compiled": compiled,
    "compiled in place": compiled_in_place,
    "scripted": torch.jit.script,
    "checkpoint": Checkpointed,
    "autograd.Function": lambda part: nn.Sequential(*part[:-1], Called(Opaque.apply)),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", [guided_backprop, grad_cam])
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("hide", HIDING.values(), ids=HIDING)
def test_a_network_of_which_a_part_cannot_be_seen_is_refused(hide, whole, method):
    torch.manual_seed(0)
    parts = [nn.Sequential(nn.Conv3d(1, 2, 2), nn.ReLU()) for _ in range(2)]
    parts[1][0] = nn.Conv3d(2, 2, 2)
    hidden = hide(nn.Sequential(*parts[0], *parts[1]) if whole else parts[1])
    model = nn.Sequential(*([hidden] if whole else [parts[0], hidden]), nn.Flatten(), nn.Linear(16, 2)).eval()
    for _ in range(3):  # what is scripted is compiled when it has run
        with pytest.raises(StudyError, match="must see each activation of the network"):
            method(model, torch.rand(1, 1, 4, 4, 4), 1)


def test_what_only_spares_memory_hides_nothing():
    torch.manual_seed(0)
    part, images = nn.Sequential(nn.Conv3d(1, 2, 2), nn.ReLU()), torch.rand(1, 1, 4, 4, 4)
    end = [nn.Flatten(), nn.Linear(2 * 27, 2)]
    spared = nn.Sequential(Called(lambda inputs: checkpoint(part, inputs, use_reentrant=False)), *end).eval()
    expected = guided_backprop(nn.Sequential(part, *end).eval(), images, 1)
    torch.testing.assert_close(guided_backprop(spared, images, 1), expected)


def test_guided_backprop_refuses_a_network_without_relu():
    with pytest.raises(StudyError, match="needs a network with ReLUs"):
        guided_backprop(nn.Sequential(nn.Flatten(), nn.Linear(8, 2)), torch.rand(1, 1, 2, 2, 2), 1)
