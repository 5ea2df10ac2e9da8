"""Relevance, gradients and convergence through networks that are no chains: against zennit, autograd, and by hand."""

import copy

import networks
import numpy as np
import pytest
import torch
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from zennit.attribution import Gradient
from zennit.canonizers import NamedMergeBatchNorm
from zennit.composites import EpsilonPlus, EpsilonPlusFlat, LayerMapComposite
from zennit.layer import Sum
from zennit.rules import Epsilon, Norm, Pass, ZPlus
from zennit.types import Activation, AvgPool, BatchNorm, Linear

from heatproof.attribute.convergence import STEPS_BACK, trace_convergence
from heatproof.attribute.gradients import gradient, gradient_input, guided_backprop
from heatproof.attribute.graph import graph_of, lies_elsewhere, walk_back
from heatproof.attribute.lrp import lrp
from heatproof.attribute.outputs import one_hot, with_margin, with_softmax
from heatproof.errors import StudyError
from heatproof.running import to_device

SHAPE = (12, 10, 14)
OWN = ("sfcn", "sfcn_averaged_last", "resnet", "squeezed_resnet", "dense", "by_hand", "normed_head", "slices")
MONAI = {
    "ResNet18": lambda nets: nets.resnet18(spatial_dims=3, n_input_channels=1, num_classes=2, conv1_t_stride=2),
    "DenseNet121": lambda nets: nets.DenseNet121(spatial_dims=3, in_channels=1, out_channels=2),
    "SEResNet50": lambda nets: nets.SEResNet50(spatial_dims=3, in_channels=1, num_classes=2),
}
CONVERTED = (nn.Conv2d, nn.Conv3d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm3d)


def made(name, shape=None):
    """A network and two scans, in float64, with statistics of batch norms that leave most units alive."""
    torch.manual_seed(3)
    if name in MONAI:
        nets = pytest.importorskip("monai.networks.nets", reason="MONAI is not installed")
        shape, network = (32, 32, 32), MONAI[name](nets)
    else:
        shape = shape or SHAPE
        network = getattr(networks, name)(shape)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm3d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            if module.affine:
                module.weight.data.uniform_(0.5, 1.5).mul_(torch.rand(len(module.weight)).sub(0.1).sign())
                nn.init.normal_(module.bias, mean=0.2, std=0.1)
    images = torch.rand((2, 1, *shape), dtype=torch.float64)
    return network.double().eval(), images


class GatesAreWeights(TorchFunctionMode):
    """Take what ends in a sigmoid for a constant."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        return result.detach() if function in (torch.sigmoid, torch.Tensor.sigmoid) else result


@pytest.mark.parametrize("name", [*OWN, *MONAI])
def test_with_biases_epsilon_tends_to_gradient_times_input(name):
    network, images = made(name)
    heatmaps = lrp(network, images, 1, rule="epsilon", epsilon=1e-12, bias=True)
    with GatesAreWeights():
        expected = gradient_input(network, images, 1)
    assert expected.abs().max() > 0
    assert (heatmaps - expected).norm() < 1e-5 * expected.norm()


@pytest.mark.parametrize("name", [*OWN, *MONAI])
def test_weights_that_lie_as_in_a_job_give_the_same_relevance_in_batches_as_plain_ones_scan_by_scan(name):
    network, images = made(name)
    network, images = network.float(), images.float()  # which alone is convolved in that memory format
    expected = torch.cat([lrp(network, image[None], 1) for image in images])
    assert expected.abs().max() > 0
    heatmaps = lrp(to_device(network, "cpu"), images, 1)
    assert (heatmaps - expected).norm() < 2e-2 * expected.norm()  # float32, of DenseNet121 0.7 %


@pytest.mark.parametrize(
    ("shape", "size", "strides", "same"),
    [
        ((2, 3, 1, 1, 1), (2, 3, 1, 1, 1), (3, 1, 3, 3, 3), True),
        ((2, 2), (2, 2), (2, 1), True),
        ((2, 2), (2, 2), (1, 2), False),
        ((4,), (2, 2), (2, 1), False),
    ],
)
def test_the_same_numbers_that_lie_otherwise_are_told_from_numbers_in_another_order(shape, size, strides, same):
    node = make_fx(lambda numbers: numbers.clone().as_strided_(size, strides))(torch.rand(shape))
    (found,) = [one for one in node.graph.nodes if "as_strided_" in str(one.target)]
    assert lies_elsewhere(found) is same


def without_biases(network):
    """Set to 0 all that is added anywhere."""
    for module in network.modules():
        if isinstance(module, CONVERTED) and module.bias is not None:
            nn.init.zeros_(module.bias)
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm3d):
            nn.init.zeros_(module.running_mean)
            if module.affine:
                module.weight.data.abs_()
    return network


@pytest.mark.parametrize(
    "wrap", [lambda network: network, with_margin, with_softmax], ids=["logit", "margin", "chance"]
)
@pytest.mark.parametrize("name", [*OWN, *MONAI])
def test_where_nothing_is_added_relevance_sums_to_the_output(name, wrap):
    if name in MONAI and wrap is with_softmax:
        pytest.skip("the same as for the logit")
    network, images = made(name)
    network = wrap(without_biases(network))
    outputs = network(images)[:, 1].detach()
    heatmaps = lrp(network, images, 1, rule="epsilon", epsilon=1e-12, bias=True)
    torch.testing.assert_close(heatmaps.sum((1, 2, 3, 4)), outputs, rtol=1e-4, atol=0)


@pytest.mark.parametrize("name", ["squeezed_resnet", "dense"])
def test_with_biases_the_rest_of_the_output_is_what_they_were_handed(name):
    """By Euler: a piecewise linear function is its gradient times all that goes into it, images and biases."""
    network, images = made(name)
    heatmaps = lrp(network, images[:1], 1, rule="epsilon", epsilon=1e-12, bias=True)
    with GatesAreWeights():
        output = network(images[:1])[0, 1]
    added = [module.bias for module in network.modules() if isinstance(module, CONVERTED) and module.bias is not None]
    slopes = torch.autograd.grad(output, added, retain_graph=True, allow_unused=True)
    kept = sum((bias * slope).sum() for bias, slope in zip(added, slopes, strict=True) if slope is not None)
    for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm3d)):
        (slope,) = torch.autograd.grad(output, norm.bias, retain_graph=True)
        kept -= (norm.running_mean * (norm.running_var + norm.eps).rsqrt() * norm.weight * slope).sum()
    torch.testing.assert_close(heatmaps.sum() + kept.detach(), output.detach(), rtol=1e-6, atol=0)


class Weighed(nn.Module):
    """Features times a gate, through which relevance passes to the features alone."""

    def forward(self, features):
        return features * self.gate


class SummedBlock(networks.Block):
    """A block of the residual network, its sum and its product as modules that zennit has rules for."""

    def forward(self, images, excited=False):
        features = functional.relu(self.norm1(self.conv1(images)))
        features = self.norm2(self.conv2(features))
        if excited:
            means = functional.relu(self.squeeze(features.mean((2, 3, 4))))
            self.weighed.gate = self.excite(means).sigmoid()[..., None, None, None].detach()
            features = self.weighed(features)
        shortcut = images if self.shortcut is None else self.shortcut(images)
        return functional.relu(self.summed(torch.stack([features, shortcut], dim=-1)))


class PooledResNet(networks.ResNet):
    """The residual network, its pooling as a module."""

    def forward(self, images):
        features = functional.relu(self.norm(self.stem(images)))
        for block in self.blocks:
            features = block(features, self.excited)
        return self.head(self.pool(features).flatten(1))


def zennits(network, rule, *, merge):
    """Attribute as zennit does, by its composite and its canonizers: sums as modules, and batch norms merged."""
    network = copy.deepcopy(network)
    for module in list(network.modules()):
        if isinstance(module, networks.Block):
            module.__class__, module.summed, module.weighed = SummedBlock, Sum(), Weighed()
        elif isinstance(module, nn.ReLU):
            module.inplace = False
        elif type(module).__name__ == "ResNetBlock":
            module.summed = Sum()
            module.forward = residual.__get__(module)
    if isinstance(network, networks.ResNet):
        network.__class__, network.pool = PooledResNet, nn.AdaptiveAvgPool3d(1)
    if merge:
        pairs = {"norm": "stem", "norm1": "conv1", "norm2": "conv2", "bn1": "conv1", "bn2": "conv2"}
        names = dict(network.named_modules())
        for name, module in names.items():
            if isinstance(module, BatchNorm):
                parent, _, own = name.rpartition(".")
                before = pairs.get(own, "0")
                NamedMergeBatchNorm([([f"{parent}.{before}".lstrip(".")], name)]).apply(network)
                module.eps = 0.0
    composite = {
        "z_plus": lambda: LayerMapComposite([*BASE, (Linear, ZPlus(zero_params=["bias"]))]),
        "epsilon": lambda: LayerMapComposite([*BASE, (Linear, Epsilon())]),
        "epsilon_plus": lambda: EpsilonPlus(layer_map=BASE),
        "epsilon_plus_flat": lambda: EpsilonPlusFlat(layer_map=BASE),
    }[rule]()
    return Gradient(network, composite)


BASE = [(Weighed, Pass()), (Sum, Norm()), (Activation, Pass()), (AvgPool, Norm()), (BatchNorm, Pass())]


def residual(self, inputs):
    features = self.bn2(self.conv2(self.act(self.bn1(self.conv1(inputs)))))
    shortcut = inputs if self.downsample is None else self.downsample(inputs)
    return self.act(self.summed(torch.stack([features, shortcut], dim=-1)))


@pytest.mark.parametrize("rule", ["z_plus", "epsilon", "epsilon_plus", "epsilon_plus_flat"])
@pytest.mark.parametrize("name", ["resnet", "squeezed_resnet", "ResNet18"])
def test_residual_networks_are_explained_as_zennit_does_with_its_canonizers(name, rule):
    if rule == "epsilon_plus_flat" and name != "ResNet18":
        pytest.skip("zennit takes the layer that is defined first for the first")
    network, images = made(name)
    heatmaps = lrp(network, images, 1, rule=rule, bias=rule != "z_plus")
    with zennits(network, rule, merge=True) as attributor:
        expected = attributor(images.clone(), lambda outputs: outputs * one_hot(outputs, 1))[1]
    assert expected.abs().max() > 0
    torch.testing.assert_close(heatmaps, expected, rtol=1e-5, atol=1e-7 * float(expected.abs().max()))


def test_a_dense_network_is_explained_as_zennit_does_where_batch_norms_are_passed():
    network, images = made("DenseNet121")
    heatmaps = lrp(network, images, 1, rule="epsilon_plus", batch_norm="pass", bias=True)
    with zennits(network, "epsilon_plus", merge=False) as attributor:
        expected = attributor(images.clone(), lambda outputs: outputs * one_hot(outputs, 1))[1]
    torch.testing.assert_close(heatmaps, expected, rtol=1e-5, atol=1e-7 * float(expected.abs().max()))


class Small(nn.Module):
    """Two voxels; features, to which a linear layer of them is added; what is positive of it is summed."""

    def __init__(self):
        super().__init__()
        self.first, self.inner, self.head = nn.Linear(2, 2, False), nn.Linear(2, 2, False), nn.Linear(2, 1, False)
        self.first.weight.data = torch.tensor([[2.0, 0.0], [1.0, -1.0]])
        self.inner.weight.data = torch.tensor([[3.0, -1.0], [0.0, 1.0]])
        self.head.weight.data = torch.tensor([[1.0, 1.0]])

    def forward(self, images):
        features = functional.relu(self.first(images.flatten(1)))
        return self.head(functional.relu(features + self.inner(features)))


def test_z_plus_through_a_residual_block_is_what_one_works_out_by_hand():
    """Of (a, b) = (3, 1): features (6, 2), inner (16, 2), sum (22, 4), output 26.

    22 is shared as 6 : 16 and 4 as 2 : 2. Inner 16 goes to the first feature alone, whose weight 3 is the only positive
    one, and inner 2 to the second. So the features have 6 + 16 and 2 + 2, and both are of a alone by z+.
    """
    heatmap = lrp(Small().eval(), torch.tensor([3.0, 1.0]).reshape(1, 1, 2, 1, 1), 0, rule="z_plus")
    np.testing.assert_allclose(heatmap.flatten(), [26, 0], rtol=1e-5)
    # By epsilon, inner 16 is 18 - 2, and feature 2 is 3 - 1: the features have 6 + 18 and 2 - 2 + 2, b has -1 of 2.
    heatmap = lrp(Small().eval(), torch.tensor([3.0, 1.0]).reshape(1, 1, 2, 1, 1), 0, rule="epsilon")
    np.testing.assert_allclose(heatmap.flatten(), [24 + 3, -1], rtol=1e-5)


def test_of_a_product_with_a_gate_all_goes_to_the_signal():
    class Gated(nn.Module):
        def forward(self, images):
            signal, gate = images.flatten(1), images.mean((2, 3, 4)).sigmoid()
            return signal * gate.view(-1, 1)

    image = torch.tensor([2.0, 1.0]).reshape(1, 1, 2, 1, 1)
    heatmap = lrp(Gated().eval(), image, 0)
    np.testing.assert_allclose(heatmap.flatten(), [2 / (1 + np.exp(-1.5)), 0], rtol=1e-5)


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
def test_a_batch_norm_becomes_part_of_the_layer_before_or_behind(before, groups):
    """And the map, of rules that ignore biases as well, is that of the one convolution that the two are."""
    torch.manual_seed(0)
    convolution, norm, images = (
        nn.Conv3d(2, 4, 2, groups=groups),
        nn.BatchNorm3d(4 if before else 2),
        torch.rand(2, 1, 5, 4, 3),
    )
    for values in (norm.running_mean, norm.weight.data, norm.bias.data):
        values.normal_()
    body = [convolution, norm] if before else [norm, convolution]
    stem, end = [nn.Conv3d(1, 2, 1), nn.ReLU()], [nn.ReLU(), nn.Flatten(), nn.LazyLinear(2)]
    model = nn.Sequential(*stem, *body, *end).eval()
    model(images)
    model, images = model.double(), images.double()
    factors = norm.weight / (norm.running_var + norm.eps).sqrt()
    shifts = norm.bias - norm.running_mean * factors
    alone, ones = copy.deepcopy(convolution), [1, 1, 1]
    if before:
        alone.weight.data, alone.bias.data = (
            convolution.weight * factors.view(-1, 1, *ones),
            convolution.bias * factors + shifts,
        )
    else:
        by_input = factors.view(groups, -1).repeat_interleave(4 // groups, 0)
        alone.weight.data = convolution.weight * by_input.view(4, -1, *ones)
        alone.bias.data = convolution(shifts.view(1, 2, *ones).expand(1, 2, 2, 2, 2)).flatten()
    for rule in ("alpha2_beta1", "epsilon"):
        expected = lrp(nn.Sequential(*stem, alone, *end).eval(), images, 1, rule=rule)
        torch.testing.assert_close(lrp(model, images, 1, rule=rule), expected)


REFUSED = {
    "transformer": "passes a LayerNorm, which divides by a spread of the scan; choose another method",
    "by_groups": "passes a GroupNorm",
    "recurrent": "passes a GroupNorm",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_agreed_rule_is_refused_by_name(name):
    network, images = made(name, (16, 16, 16))
    with pytest.raises(StudyError, match=REFUSED[name]):
        lrp(network, images, 1)


class Of(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function, self.head = function, nn.Linear(2, 2)

    def forward(self, images):
        return self.head(self.function(images.flatten(1)))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x * x.roll(1, 1), "a product of two parts of the scan of which not exactly one is a gate"),
        (lambda x: x * x, "a product of two parts"),
        (lambda x: x.sigmoid() * (2 * x).sigmoid(), "a product of two parts"),
        (lambda x: x / (1 + x.sum(1, keepdim=True)), "a division by a part of the scan"),
        (lambda x: 1 / x, "passes the operation reciprocal|a division"),
        (lambda x: x.softmax(1), "a softmax before the outputs, as in attention"),
        (lambda x: x if x.sum() > 100 else -x, r"cannot be followed from layer to layer \(RuntimeError"),
        (lambda x: functional.instance_norm(x[:, None, :]).flatten(1), "an InstanceNorm"),
    ],
)
def test_an_operation_that_no_rule_holds_for_is_refused(function, message):
    with pytest.raises(StudyError, match=message):
        lrp(Of(function).eval(), torch.rand(1, 1, 2, 1, 1), 1)


def test_a_box_is_refused_where_the_first_layer_does_not_read_the_scan():
    with pytest.raises(StudyError, match="reads the scan in its bounds 0 and 1"):
        lrp(Of(lambda x: (x - 0.5) / 0.2).eval(), torch.rand(1, 1, 2, 1, 1), 1, rule="epsilon_gamma_box")


def test_several_heads_have_a_logit_and_no_margin_and_unneeded_parts_do_not_matter():
    network, images = networks.Branching().double().eval(), torch.rand(2, 1, 8, 8, 8, dtype=torch.float64)
    heatmaps = lrp(network, images, 1, rule="epsilon", epsilon=1e-12, bias=True)
    torch.testing.assert_close(heatmaps, gradient_input(network, images, 1), rtol=1e-5, atol=1e-9)
    with pytest.raises(StudyError, match="set output: logit"):
        lrp(with_margin(network), images, 1)


@pytest.mark.parametrize("name", [*OWN, *REFUSED])
@pytest.mark.parametrize(("method", "function"), [("gradient_input", gradient), ("guided_backprop", guided_backprop)])
def test_going_back_step_by_step_is_going_back_at_once(method, function, name):
    if (name, method) == ("by_groups", "guided_backprop"):
        pytest.skip("it has no ReLU")
    network, images = made(name, (16, 16, 16))
    outputs, steps = STEPS_BACK[method](network, images)
    torch.testing.assert_close(outputs, network(images).detach(), rtol=1e-5, atol=1e-9)
    *_, (_, values) = walk_back(steps, len(steps), one_hot(outputs, 1))
    torch.testing.assert_close(values, function(network, images, 1), rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "method"), [("squeezed_resnet", "lrp"), ("dense", "lrp"), ("transformer", "gradient_input")]
)
def test_convergence_is_measured_in_graphs_as_well(name, method):
    network, images = made(name, (16, 16, 16))
    cosines = trace_convergence(network, images, method=method, draws=3, generator=torch.Generator().manual_seed(0))
    layers = [node.layer for node in graph_of(network, images)]
    kinds = {"convolution": nn.Conv3d, "linear": nn.Linear}
    counted = {kind: sum(isinstance(layer, one) for layer in layers) for kind, one in kinds.items()}
    assert all(0 <= value <= 1 for value in cosines.values())
    assert next(iter(cosines)) == f"linear {counted['linear']}" and list(cosines)[-1].endswith(" 1")
    excited = counted["linear"] - 1 if name == "squeezed_resnet" else 0  # of the gates, which are handed nothing
    assert len(cosines) == sum(counted.values()) - excited


def test_where_something_passes_the_last_layer_by_there_is_no_convergence():
    with pytest.raises(StudyError, match="the last of which nothing passes by"):
        trace_convergence(
            networks.Branching().eval(),
            torch.rand(1, 1, 8, 8, 8),
            method="gradient_input",
            draws=2,
            generator=torch.Generator().manual_seed(0),
        )


def test_the_model_and_the_images_stay_as_they_were(untouched):
    for name in ("squeezed_resnet", "dense"):
        network, images = made(name)
        check, before = untouched(network), images.clone()
        lrp(with_margin(network), images, 1, rule="epsilon_gamma_box")
        check()
        assert torch.equal(images, before)
