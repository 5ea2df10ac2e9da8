"""Layer-wise relevance propagation equals zennit, plain numpy, and numbers worked out by hand."""

import copy
from functools import partial

import captum.attr
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate
from torch import nn
from zennit.attribution import Gradient
from zennit.canonizers import SequentialMergeBatchNorm
from zennit.composites import EpsilonGammaBox, EpsilonPlus, EpsilonPlusFlat, LayerMapComposite
from zennit.rules import AlphaBeta, Epsilon, Gamma, Norm, Pass, ZPlus
from zennit.types import Activation, AvgPool, BatchNorm, Linear

from heatproof.attribute.gradients import gradient_input
from heatproof.attribute.lrp import lrp
from heatproof.attribute.outputs import with_margin, with_softmax
from heatproof.attribute.propagation import RULES
from heatproof.errors import StudyError

ZENNIT = {
    "alpha1_beta0": lambda zero: AlphaBeta(1, 0, zero_params=zero),
    "alpha2_beta1": lambda zero: AlphaBeta(2, 1, zero_params=zero),
    "epsilon": lambda zero: Epsilon(zero_params=zero),
    "gamma": lambda zero: Gamma(0.25, zero_params=zero),
    "z_plus": lambda zero: ZPlus(zero_params=zero),
}
COMPOSITES = {
    "epsilon_plus": EpsilonPlus,
    "epsilon_plus_flat": EpsilonPlusFlat,
    "epsilon_gamma_box": partial(EpsilonGammaBox, low=0.0, high=1.0),
}


def zennit_lrp(model, images, target, rule, batch_norm, bias):
    """Attribute by zennit's own hooks, and by its canonizer where batch norms are merged."""
    model = copy.deepcopy(model)
    if batch_norm == "merge":
        SequentialMergeBatchNorm().apply(model)
        for norm in (module for module in model.modules() if isinstance(module, BatchNorm)):
            norm.eps = 0.0  # the canonizer leaves it, and with it a batch norm that is not quite the identity
    zero_params = None if bias else ["bias"]
    if rule in COMPOSITES:
        composite = COMPOSITES[rule](zero_params=zero_params)
    else:
        passing = [(Activation, Pass()), (BatchNorm, Pass()), (AvgPool, Norm())]
        composite = LayerMapComposite([*passing, (Linear, ZENNIT[rule](zero_params))])
    with Gradient(model, composite) as attributor:
        return attributor(images.clone(), lambda outputs: outputs * torch.eye(outputs.shape[1])[target])[1]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("batch_norm", ["merge", "pass"])
@pytest.mark.parametrize("rule", RULES)
def test_the_papers_network_is_explained_as_zennit_does(rule, batch_norm, bias, paper_network, scans):
    heatmaps = lrp(paper_network, scans, 1, rule=rule, batch_norm=batch_norm, bias=bias)
    expected = zennit_lrp(paper_network, scans, 1, rule, batch_norm, bias)
    torch.testing.assert_close(heatmaps, expected, rtol=1e-6, atol=1e-9 * float(expected.abs().max()))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("batch_norm", ["merge", "pass"])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), target=st.integers(0, 2), rule=st.sampled_from(list(RULES)))
def test_any_chain_is_explained_as_zennit_does(batch_norm, bias, random_chain, seed, target, rule):
    model, images = random_chain(seed)
    heatmaps = lrp(model, images, target, rule=rule, batch_norm=batch_norm, bias=bias)
    expected = zennit_lrp(model, images, target, rule, batch_norm, bias)
    torch.testing.assert_close(heatmaps, expected, rtol=1e-6, atol=1e-9 * float(expected.abs().max()))


@pytest.fixture
def two_filters():
    """A row of four voxels, two filters of two voxels, ReLU, the maximum of each filter, and one output.

    The first filter gives ReLU(-1, 3, 0), the second ReLU(6, 4, 4), so the output is 4 * 3 - 1 * 6 + 1 = 7.
    """
    convolution, linear = nn.Conv3d(1, 2, (1, 1, 2)), nn.Linear(2, 2)
    model = nn.Sequential(convolution, nn.ReLU(), nn.MaxPool3d((1, 1, 3)), nn.Flatten(), linear).eval()
    model.load_state_dict(
        {
            "0.weight": torch.tensor([[1.0, -1.0], [1.0, 2.0]]).reshape(2, 1, 1, 1, 2),
            "0.bias": torch.tensor([1.0, -1.0]),
            "4.weight": torch.tensor([[0.5, 0.5], [4.0, -1.0]]),
            "4.bias": torch.tensor([0.0, 1.0]),
        }
    )
    return model, torch.tensor([1.0, 3.0, 1.0, 2.0]).reshape(1, 1, 1, 1, 4)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # 7 goes to the first filter alone, and there to the voxel of positive weight.
        ({"rule": "alpha1_beta0"}, [0, 7, 0, 0]),
        ({"rule": "z_plus"}, [0, 7, 0, 0]),
        # Of 7, the positive bias keeps 1 / 13, then that of the first filter 1 / 4.
        ({"rule": "alpha1_beta0", "bias": True}, [0, 7 * 12 / 13 * 3 / 4, 0, 0]),
        # The first filter gets 2 * 7, the second -1 * 7: then 2 * 14 and -1 * 14, and 2 * -7 shared as 1 : 6.
        ({"rule": "alpha2_beta1"}, [-2, 28 - 12, -14, 0]),
        # The first filter gets 12 / 6 * 7, the second -6 / 6 * 7: then 14 as 3 : -1 of 2, and -7 as 1 : 6 of 7.
        ({"rule": "epsilon"}, [-1, 21 - 6, -7, 0]),
        # With biases in the sums, 7 is 12 - 6 + 1, then 12 as 3 : -1 of 3, and -6 as 1 : 6 of 6.
        ({"rule": "epsilon", "bias": True}, [-1, 12 - 6, -4, 0]),
        # Positive weights doubled: 24 and -6 of 18, then 28 / 3 as 6 : -1 of 5, and -7 / 3 as 2 : 12 of 14.
        ({"rule": "gamma", "gamma": 1.0}, [-1 / 3, 56 / 5 - 2, -28 / 15, 0]),
        # 14 and -7 as for epsilon: 14 to the voxel of positive weight, -7 as 1 : 6 of 7.
        ({"rule": "epsilon_plus"}, [-1, 14 - 6, 0, 0]),
        # 14 and -7 in equal halves.
        ({"rule": "epsilon_plus_flat"}, [-3.5, 7 - 3.5, 7, 0]),
        # 14 as 3 : -1 + 1 of 3, and -7 as 1 : 6 of 7.
        ({"rule": "epsilon_gamma_box"}, [-1, 14 - 6, 0, 0]),
    ],
)
def test_every_rule_gives_what_one_works_out_by_hand(two_filters, options, expected):
    model, image = two_filters
    heatmap = lrp(model, image, 1, **options)
    np.testing.assert_allclose(heatmap.flatten(), expected, rtol=1e-5)


@pytest.mark.parametrize(("batch_norm", "expected"), [("pass", [7, 0]), ("merge", [0, 7])])
def test_a_batch_norm_of_negative_scale_turns_the_weights_only_where_it_is_merged(batch_norm, expected):
    norm = nn.BatchNorm3d(1, eps=0.0)
    model = nn.Sequential(nn.Conv3d(1, 1, (1, 1, 2), bias=False), norm, nn.ReLU(), nn.Flatten(), nn.Linear(1, 1)).eval()
    for weight, value in zip(model.parameters(), ([1, -1], [-2], [5], [1], [0]), strict=True):
        weight.data = torch.tensor(value, dtype=torch.float32).reshape(weight.shape)
    heatmap = lrp(model, torch.tensor([1.0, 2.0]).reshape(1, 1, 1, 1, 2), 0, batch_norm=batch_norm)
    np.testing.assert_allclose(heatmap.flatten(), expected, rtol=1e-5)


def numpy_lrp(model, image, target, epsilon=1e-6):
    """Alpha 1, beta 0 on every layer of one image, batch norms passed, biases ignored, in loops of plain numpy."""
    array, activations = image[0].numpy(), []
    for layer in model:
        activations.append(array)
        array = layer.eval()(torch.from_numpy(array)[None])[0].detach().numpy()
    relevance = np.where(np.arange(len(array)) == target, array, 0)
    for layer, inputs in zip(reversed(model), reversed(activations), strict=True):
        if isinstance(layer, nn.Linear):
            positive = layer.weight.detach().numpy().clip(min=0) * inputs
            relevance = (positive / (positive.sum(1, keepdims=True) + epsilon) * relevance[:, None]).sum(0)
        elif isinstance(layer, nn.Conv3d):
            padded = np.pad(inputs, [(0, 0), *[(padding, padding) for padding in layer.padding]])
            shared = np.zeros_like(padded)
            for kernel, part in zip(layer.weight.detach().numpy().clip(min=0), relevance, strict=True):
                ratio = part / (correlate(padded, kernel, "valid")[0] + epsilon)
                for place in np.ndindex(ratio.shape):
                    window = tuple(map(slice, place, np.add(place, kernel.shape[1:])))
                    shared[:, *window] += padded[:, *window] * kernel * ratio[place]
            inside = (slice(padding, padding + n) for padding, n in zip(layer.padding, inputs.shape[1:], strict=True))
            relevance = shared[:, *inside]
        elif isinstance(layer, nn.MaxPool3d):
            handed, edge = np.zeros_like(inputs), layer.kernel_size
            for channel, *place in np.ndindex(relevance.shape):
                window = (channel, *(slice(edge * i, edge * i + edge) for i in place))
                winner = np.unravel_index(inputs[window].argmax(), inputs[window].shape)
                handed[window][winner] = relevance[channel, *place]
            relevance = handed
        else:
            relevance = relevance.reshape(inputs.shape)
    return relevance


def test_passing_batch_norms_is_what_a_plain_reading_of_the_convention_gives():
    torch.manual_seed(1)
    blocks = [nn.Conv3d(1, 3, 3, padding=1), nn.BatchNorm3d(3), nn.ReLU(), nn.MaxPool3d(2)]
    blocks += [nn.Conv3d(3, 4, 2), nn.BatchNorm3d(4), nn.ReLU(), nn.MaxPool3d(2)]
    head = [nn.Flatten(), nn.Dropout(), nn.Linear(4 * 2 * 1 * 1, 5), nn.ReLU(), nn.Linear(5, 2), nn.Softmax(1)]
    model = nn.Sequential(*blocks, *head).double().eval()
    for norm in (model[1], model[5]):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.running_mean)
    images = torch.rand(2, 1, 10, 7, 6, dtype=torch.float64)
    heatmaps = lrp(model, images, 1, batch_norm="pass")
    expected = np.stack([numpy_lrp(model, image[None], 1) for image in images])
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(heatmaps, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rule", ["alpha1_beta0", "z_plus", "epsilon"])
def test_relevance_sums_to_the_output_it_started_from(rule, paper_network, scans):
    for model in (paper_network, with_softmax(paper_network)):
        outputs = model(scans)[:, 1]
        heatmaps = lrp(model, scans, 1, rule=rule, epsilon=1e-12)
        torch.testing.assert_close(heatmaps.sum(dim=(1, 2, 3, 4)), outputs, rtol=1e-4, atol=0)


@pytest.mark.parametrize("batch_norm", ["merge", "pass"])
def test_epsilon_with_biases_is_gradient_times_input_if_batch_norms_are_merged(batch_norm, paper_network, scans):
    expected = (
        captum.attr.InputXGradient(copy.deepcopy(paper_network))
        .attribute(scans.clone().requires_grad_(), target=1)
        .detach()
    )
    heatmaps = lrp(paper_network, scans, 1, rule="epsilon", epsilon=1e-12, bias=True, batch_norm=batch_norm)
    close = (heatmaps - expected).norm() < 1e-6 * expected.norm()
    assert close == (batch_norm == "merge")


def test_behind_a_softmax_relevance_starts_as_the_probability(paper_network, scans):
    share = with_softmax(paper_network)(scans)[:, 1] / paper_network(scans)[:, 1]
    expected = lrp(paper_network, scans, 1) * share[:, None, None, None, None]
    torch.testing.assert_close(lrp(with_softmax(paper_network), scans, 1), expected)


def differing(model, one, other):
    """The network with one output: a class's logit less another's, as one layer."""
    model = copy.deepcopy(model)
    head = max(i for i, layer in enumerate(model) if isinstance(layer, nn.Linear | nn.Conv3d))
    for parameter in model[head].parameters():
        parameter.data = parameter.data[[one]] - parameter.data[[other]]
    return model


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("batch_norm", ["merge", "pass"])
@pytest.mark.parametrize("rule", RULES)
def test_of_two_classes_a_margin_is_one_layer_of_the_difference_of_their_weights(
    rule, batch_norm, bias, paper_network, scans
):
    for target in (0, 1):
        model = differing(paper_network, target, 1 - target)
        expected = zennit_lrp(model, scans, 0, rule, batch_norm, bias)
        heatmaps = lrp(with_margin(paper_network), scans, target, rule=rule, batch_norm=batch_norm, bias=bias)
        torch.testing.assert_close(heatmaps, expected, rtol=1e-6, atol=1e-9 * float(expected.abs().max()))


@pytest.mark.parametrize("target", [0, 1, 2, torch.tensor([2, 0, 1])])
@pytest.mark.parametrize("rule", ["alpha1_beta0", "epsilon", "epsilon_plus"])
def test_of_more_classes_a_margin_goes_to_each_difference_as_published(rule, target, paper_network, scans):
    """Montavon et al. 2019: R of class c and another one is z exp(-z) / sum exp(-z), z the difference of their logits.

    The rules are linear in the relevance that they are given, so that each difference can be explained for itself.
    """
    torch.manual_seed(5)
    model = nn.Sequential(*paper_network[:-1], nn.Linear(128, 3)).double().eval()
    heatmaps = lrp(with_margin(model), scans, target, rule=rule)
    targets = torch.as_tensor(target).expand(len(scans)).tolist()
    for heatmap, scan, one in zip(heatmaps, scans, targets, strict=True):
        others = [other for other in range(3) if other != one]
        z = model(scan[None])[0, one] - model(scan[None])[0, others]
        terms = [lrp(differing(model, one, other), scan[None], 0, rule=rule)[0] for other in others]
        together = sum(part * share for part, share in zip(terms, torch.softmax(-z, 0), strict=True))
        torch.testing.assert_close(
            heatmap, together.detach(), rtol=1e-5, atol=1e-9 * float(together.detach().abs().max())
        )


def convolutional_head(*end):
    """A network whose classes are channels of its last convolution, averaged over voxels."""
    torch.manual_seed(0)
    layers = [nn.Conv3d(1, 4, 3), nn.BatchNorm3d(4), nn.ReLU(), nn.Dropout3d(), nn.Conv3d(4, 2, 1), *end]
    return nn.Sequential(*layers).double().eval()


@pytest.mark.parametrize("rule", ["alpha1_beta0", "epsilon", "epsilon_gamma_box"])
@pytest.mark.parametrize("end", [[], [nn.LogSoftmax(dim=1)]], ids=["logits", "logarithms of probabilities"])
def test_a_convolution_as_head_gives_the_differences(rule, end, scans):
    pooled = [nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Identity()]
    model, scans = convolutional_head(*pooled, *end), scans[..., :7, :6, :5]
    expected = lrp(differing(convolutional_head(*pooled), 1, 0), scans, 0, rule=rule)
    torch.testing.assert_close(lrp(with_margin(model), scans, 1, rule=rule), expected)
    assert expected.abs().max() > 0


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (
            [nn.AdaptiveMaxPool3d(1), nn.Flatten()],
            "which none but dropout, average-pooling and flatten layers may follow",
        ),
        ([nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Softmax(1)], "set output: logit"),
        ([nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.ReLU()], "set output: logit"),
        ([nn.AdaptiveAvgPool3d((1, 1, 2)), nn.Flatten()], "each one unit or channel of the network's last layer"),
    ],
)
def test_a_margin_that_is_not_linear_in_the_last_weights_is_refused(end, message, scans):
    with pytest.raises(StudyError, match=message):
        lrp(with_margin(convolutional_head(*end)), scans[..., :7, :6, :5], 1)


def test_several_scans_are_explained_as_each_and_each_for_its_own_target(paper_network, scans):
    one_by_one = [lrp(paper_network, scan[None], target) for scan, target in zip(scans, (1, 0, 1), strict=True)]
    torch.testing.assert_close(lrp(paper_network, scans, torch.tensor([1, 0, 1])), torch.cat(one_by_one))


def test_heatmaps_are_of_the_type_of_the_images_and_near_those_in_float64(paper_network, scans):
    heatmaps = lrp(copy.deepcopy(paper_network).float(), scans.float(), 1)
    assert heatmaps.dtype == torch.float32
    expected = lrp(paper_network, scans, 1)
    assert (heatmaps - expected).norm() < 1e-3 * expected.norm()


def test_activations_may_work_in_place(random_chain):
    model, images = random_chain(4)
    expected = lrp(model, images, 1)
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = True
    torch.testing.assert_close(lrp(model, images, 1), expected)


@pytest.mark.parametrize("batch_norm", ["merge", "pass"])
@pytest.mark.parametrize("rule", RULES)
def test_the_model_and_the_images_stay_as_they_were(rule, batch_norm, paper_network, scans, untouched, monkeypatch):
    check, before = untouched(paper_network), scans.clone()
    lrp(paper_network, scans, 1, rule=rule, batch_norm=batch_norm)
    with pytest.raises(RuntimeError):
        lrp(paper_network, scans[..., 1:-9], 1, rule=rule, batch_norm=batch_norm)
    monkeypatch.setattr(torch.autograd, "grad", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        lrp(paper_network, scans, 1, rule=rule, batch_norm=batch_norm)
    check()
    assert torch.equal(scans, before)


@pytest.mark.parametrize(
    ("layers", "options", "message"),
    [
        ([nn.Flatten()], {"rule": "alpha3"}, "no rule 'alpha3'; choose one of alpha1_beta0, alpha2_beta1"),
        ([nn.Flatten()], {"batch_norm": "drop"}, "'drop'.* to merge or pass"),
    ],
)
def test_what_lrp_cannot_do_is_refused(layers, options, message):
    with pytest.raises(StudyError, match=message):
        lrp(nn.Sequential(*layers).eval(), torch.rand(1, 1, 2, 2, 2), 1, **options)


def test_a_batch_norm_beside_no_layer_with_weights_is_one_of_its_own_or_passed():
    model = nn.Sequential(nn.BatchNorm3d(1), nn.Flatten()).eval()
    images = torch.rand(2, 1, 1, 1, 2)
    relevance = lrp(model, images, 1, batch_norm="pass")
    torch.testing.assert_close(relevance.flatten(1), model(images) * torch.tensor([0.0, 1.0]))
    model[0].bias.data[:] = 3.0
    own = lrp(model, images, 1, rule="epsilon", epsilon=1e-12, bias=True)
    torch.testing.assert_close(own, gradient_input(model, images, 1))
    without_biases = lrp(model, images, 1, rule="alpha1_beta0")
    torch.testing.assert_close(without_biases.flatten(1), model(images).detach() * torch.tensor([0.0, 1.0]))
