"""DeepLIFT equals captum's, and a map sums to what sets the output of the scan apart from that of the reference."""

import copy

import captum.attr
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from heatproof.attribute.deep_lift import deep_lift
from heatproof.attribute.explain import explain
from heatproof.attribute.outputs import with_margin, with_softmax
from heatproof.errors import StudyError


def captums(model, images, references, target):
    """Return captum's DeepLIFT.

    Its hooks of an activation and of a max-pooling right behind it lie on one tensor, and the activation's sees the
    plain gradient before the pooling's rule is applied: maps no longer sum to what sets the outputs apart (captum
    0.9.0). Where a layer that changes nothing makes these two tensors, they do.
    """
    model = copy.deepcopy(model)
    apart = [part for layer in model for part in ([nn.AvgPool3d(1)] * isinstance(layer, nn.MaxPool3d) + [layer])]
    method = captum.attr.DeepLift(nn.Sequential(*apart).eval())
    return method.attribute(images, baselines=references, target=target).detach()


def outputs_apart(model, images, references, target):
    with torch.no_grad():
        return (model(images) - model(torch.zeros_like(images) + references))[:, target]


@pytest.fixture(scope="module")
def references(scans):
    return torch.rand(scans.shape, dtype=scans.dtype, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("target", [1, torch.tensor([1, 0, 1])])
@pytest.mark.parametrize("one", [False, True], ids=["one reference each", "one reference for all"])
def test_it_is_captums_for_the_papers_network(paper_network, scans, references, target, one):
    references = references[:1] if one else references
    expected = captums(paper_network, scans, references, target)
    found = deep_lift(paper_network, scans, target, baseline=references)
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-12 * float(expected.abs().max()))


def test_it_is_captums_from_an_empty_scan_and_where_scan_and_reference_are_equal(paper_network, scans):
    half = torch.where(torch.arange(scans.shape[2])[:, None, None] < 18, scans, 0.0)
    expected = captums(paper_network, half[:1], 0.0, 1)
    found = deep_lift(paper_network, half[:1], 1)
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-12 * float(expected.abs().max()))
    assert not found[:, :, 18:].any()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), target=st.integers(0, 2))
def test_a_map_sums_to_what_sets_the_outputs_apart_whatever_the_chain(random_chain, seed, target):
    model, images = random_chain(seed)  # max-poolings whose windows overlap among them
    references = torch.rand(images.shape, dtype=images.dtype, generator=torch.Generator().manual_seed(seed))
    sums = deep_lift(model, images, target, baseline=references).sum(dim=(1, 2, 3, 4))
    torch.testing.assert_close(sums, outputs_apart(model, images, references, target), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("kind", [nn.ELU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.Softplus])
def test_other_activations_are_captums_too(kind):
    torch.manual_seed(0)
    layers = [nn.Conv3d(1, 3, 3), kind(), nn.AvgPool3d(2), nn.Flatten(), nn.Linear(3 * 8, 4), kind(), nn.Linear(4, 2)]
    model = nn.Sequential(*layers).double().eval()
    images, references = torch.randn((2, 2, 1, 6, 6, 6), dtype=torch.float64)
    expected = captums(model, images, references, 1)
    torch.testing.assert_close(deep_lift(model, images, 1, baseline=references), expected)


def test_a_maximum_that_moves_gives_its_rise_to_where_it_is_and_its_fall_to_where_it_was():
    model = nn.Sequential(nn.MaxPool3d((1, 1, 2)), nn.Flatten(), nn.Linear(2, 1, bias=False)).double().eval()
    model[2].weight.data[:] = torch.tensor([[1.0, 10.0]])
    scan = torch.tensor([5.0, 2.0, 1.0, 3.0], dtype=torch.float64).reshape(1, 1, 1, 1, 4)
    reference = torch.tensor([1.0, 3.0, 7.0, 4.0], dtype=torch.float64).reshape(1, 1, 1, 1, 4)
    heatmap = deep_lift(model, scan, 0, baseline=reference).flatten()
    assert heatmap.tolist() == [2.0, 0.0, -40.0, 0.0]  # 3 to 5 in the first window, 7 to 3 in the second


def test_of_a_linear_model_it_is_weight_times_difference():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(27, 2)).double().eval()
    scan, reference = torch.rand((2, 1, 1, 3, 3, 3), dtype=torch.float64)
    expected = model[1].weight[1].reshape(scan.shape) * (scan - reference)
    torch.testing.assert_close(deep_lift(model, scan, 1, baseline=reference), expected.detach())


def test_of_a_margin_it_is_the_difference_of_the_maps_of_two_classes(paper_network, scans, references):
    model = with_margin(paper_network)
    expected = deep_lift(paper_network, scans, 1, baseline=references)
    expected -= deep_lift(paper_network, scans, 0, baseline=references)
    torch.testing.assert_close(deep_lift(model, scans, 1, baseline=references), expected)


def test_what_there_is_no_rule_for_is_refused_by_name(paper_network, scans):
    with pytest.raises(
        StudyError, match="deep_lift has no rule for a layer of type Softmax; set output: margin or log"
    ):
        deep_lift(with_softmax(paper_network), scans, 1)
    with pytest.raises(StudyError, match="deep_lift has no rule for a layer of type GELU; use another method"):
        deep_lift(nn.Sequential(nn.GELU(), *paper_network), scans, 1)
    three = nn.Sequential(nn.Flatten(), nn.Linear(8, 3)).eval()
    with pytest.raises(StudyError, match="deep_lift explains a margin of two classes, and the network has 3; set outp"):
        explain(three, torch.rand(1, 1, 2, 2, 2), method="deep_lift")
    with pytest.raises(StudyError, match=r"baseline has the shape \(2, 1, 36, 38, 36\) and the scans \(3, 1, 36, 38"):
        deep_lift(paper_network, scans, 1, baseline=scans[:2])


def test_model_and_images_stay_as_they_were(paper_network, scans, untouched):
    check, before = untouched(paper_network), scans.clone()
    deep_lift(paper_network, scans, 1)
    check()
    assert torch.equal(scans, before)
