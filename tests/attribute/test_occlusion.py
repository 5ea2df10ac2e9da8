"""Occlusion is captum's sliding window in float64, in whatever way it is computed."""

import copy
import itertools
import re
from functools import partial

import captum.attr
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from heatproof.attribute.occlusion import differences, incremental, method, occlusion, plain
from heatproof.attribute.occlusion.branches import as_graph
from heatproof.attribute.occlusion.chunks import measured
from heatproof.attribute.occlusion.method import plan_work, read_network
from heatproof.attribute.occlusion.patches import place_patches
from heatproof.attribute.occlusion.windows import Reader, bins_of, reached, read, runs
from heatproof.attribute.outputs import Margin
from heatproof.errors import StudyError
from heatproof.train import presets
from heatproof.train.network import build_network, create_network

ROUNDING = 2.0**-22  # relative, of a heatmap and of captum's: it rounds sums to float32, and divides them there
NOISE = 1e-14  # of float64
PROPERTY = settings(max_examples=70, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
BLOCKS = ["C", "CR", "CNR", "CNRM", "CRM", "RM", "M", "A", "N", "R", "CA", "S", "CE", "CEM", "E", "G", "CG"]
ACTIVATIONS = [
    *(
        nn.LeakyReLU(0.2),
        nn.LeakyReLU(-0.5, inplace=True),
        nn.PReLU(),
        nn.RReLU(),
        nn.ELU(1.5),
        nn.CELU(0.5),
        nn.SELU(),
    ),
    *(nn.GELU(), nn.GELU("tanh"), nn.SiLU(inplace=True), nn.Mish(), nn.Softplus(2), nn.Softsign(), nn.Sigmoid()),
    *(
        nn.LogSigmoid(),
        nn.Tanh(),
        nn.ReLU6(),
        nn.Hardtanh(-0.5, 0.7),
        nn.Hardswish(),
        nn.Hardsigmoid(),
        nn.Tanhshrink(),
    ),
    *(nn.Softshrink(), nn.Hardshrink(), nn.Threshold(0.1, -2)),
]


def triples(values):
    return st.tuples(values, values, values)


@st.composite
def layers_of(draw, letter, channels):
    """Draw one layer; all their ways to read: kernels, steps, padding, dilation, groups, rounding up."""
    kernel, steps = draw(triples(st.integers(1, 3))), draw(triples(st.integers(1, 3)))
    half = tuple(draw(st.integers(0, edge // 2)) for edge in kernel)
    groups, yes = draw(st.sampled_from([1, channels])), draw(st.booleans())
    if letter == "C":
        made, dilation = groups * draw(st.integers(1, 2)), draw(st.one_of(st.just(1), triples(st.integers(1, 4))))
        padding, stride = draw(triples(st.integers(0, 2))), draw(st.sampled_from([1, steps]))
        return nn.Conv3d(channels, made, kernel, stride, padding, dilation, groups, bias=yes)
    if letter == "S":
        return nn.Conv3d(channels, 2, (3, 1, 3), padding="same", dilation=draw(st.integers(1, 2)))
    if letter == "M":
        return nn.MaxPool3d(kernel, draw(st.sampled_from([kernel, steps])), half, ceil_mode=yes)
    if letter == "A":
        divisor = draw(st.sampled_from([None, None, 5]))
        return nn.AvgPool3d(kernel, draw(st.sampled_from([kernel, steps])), half, yes, draw(st.booleans()), divisor)
    if letter == "G":
        return draw(st.sampled_from([nn.AdaptiveAvgPool3d, nn.AdaptiveMaxPool3d]))(draw(st.sampled_from([1, steps])))
    if letter == "E":
        return draw(st.sampled_from([*ACTIVATIONS, nn.PReLU(channels)]))
    return nn.BatchNorm3d(channels, affine=yes) if letter == "N" else nn.ReLU()


@st.composite
def chains(draw, shape, channels):
    """Draw a network that is a chain of layers, for volumes of a shape and a number of channels."""
    torch.manual_seed(draw(st.integers(0, 9999)))
    volume, sample = [], torch.zeros(1, channels, *shape)
    for letter in "".join(draw(st.lists(st.sampled_from(BLOCKS), max_size=3))):
        layer = draw(layers_of(letter, sample.shape[1])).eval()
        try:
            sample = layer(sample)
        except RuntimeError:  # what is left is smaller than what the layer reads
            break
        volume.append(layer)
    features, channels = sample[0].numel(), sample.shape[1]
    assume(0 < features < 5000)
    mean, slim = nn.AdaptiveAvgPool3d(1), nn.Conv3d(channels, 3, 1)
    heads = [
        [nn.Flatten(), nn.Linear(features, 3)],
        [nn.Flatten(), nn.Linear(features, 3), nn.Softmax(dim=1)],
        [nn.Flatten(), nn.Linear(features, 3), Margin()],
        [nn.Flatten(), nn.Linear(features, 3), nn.Softmax(dim=1), Margin()],
        [nn.Flatten(), nn.ReLU(), nn.Dropout(), nn.Linear(features, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)],
        [nn.Flatten(), nn.BatchNorm1d(features), nn.PReLU(features), nn.Linear(features, 3), nn.LogSoftmax(dim=1)],
        [nn.Flatten(), nn.Linear(features, 4), nn.PReLU(4), nn.Linear(4, 3), nn.Tanh(), Margin()],
        [mean, nn.Flatten(), nn.LeakyReLU(), nn.Linear(channels, 3)],
        [slim, mean, nn.Flatten(), Margin()],
        [mean, nn.Dropout(), slim, nn.Flatten(), nn.LogSoftmax(dim=1)],
        [slim, nn.AdaptiveMaxPool3d(1), nn.Flatten(), nn.Softmax(dim=1)],
    ]
    model = nn.Sequential(nn.Sequential(*volume), *draw(st.sampled_from(heads))).eval()
    assert read_network(model).chain
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm3d):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
    return model


@st.composite
def questions(draw):
    """Draw a network, a scan, a patch that fits in it and a stride, and a baseline: a number, or an image."""
    shape, channels = draw(triples(st.integers(5, 12))), draw(st.integers(1, 2))
    model = draw(chains(shape, channels))
    image = torch.randn(1, channels, *shape)
    patch = tuple(min(edge, length) for edge, length in zip(draw(triples(st.integers(1, 12))), shape, strict=True))
    stride = tuple(draw(st.integers(1, edge)) for edge in patch)
    image = image * (image > draw(st.sampled_from([-9.0, 0.0])))
    reference = torch.where(torch.randn(channels, *shape) > 0, torch.randn(channels, *shape), image)
    return model, image, patch, stride, draw(st.sampled_from([0.0, 0.4, reference]))


def captum_occlusion(model, images, target, patch, stride, baseline=0.0, dtype=torch.float64, channels="together"):
    """Captum gives each of the channels that a patch hides its whole drop."""
    deep = images.shape[1] if channels == "together" else 1
    baseline = baseline.to(images.device, dtype) if isinstance(baseline, torch.Tensor) else baseline
    patch, stride = ((v,) * 3 if isinstance(v, int) else v for v in (patch, stride))
    ablator = captum.attr.Occlusion(copy.deepcopy(model).to(dtype))
    options = {"sliding_window_shapes": (deep, *patch), "strides": (deep, *stride), "baselines": baseline}
    return ablator.attribute(images.to(dtype), target=target, perturbations_per_eval=64, **options).double() / deep


def captum_voxels(model, image, target, mask, dtype=torch.float64):
    """The drop of each voxel of a mask, from captum's ablation of single voxels."""
    features = torch.zeros(image.shape, dtype=torch.long)
    features[0, 0, mask] = torch.arange(1, int(mask.sum()) + 1)
    ablator = captum.attr.FeatureAblation(copy.deepcopy(model).to(dtype))
    return ablator.attribute(image.to(dtype), target=target, feature_mask=features)[0, 0, mask].double()


def largest(values):
    return values.abs().max().item()


def paper_network(shape, **options):
    """The paper's network with batch norms as after some training."""
    torch.manual_seed(0)
    model = build_network(shape, **options).eval()
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm3d):
            norm.running_mean.normal_(0, 0.1)
            norm.running_var.uniform_(0.5, 2)
    return model


@pytest.fixture
def chain():
    return paper_network((22, 24, 20), filters=(3, 4), pools=(2, 3), hidden=5)


@pytest.fixture
def image():
    image = torch.rand((1, 1, 22, 24, 20), generator=torch.Generator().manual_seed(1))
    image[..., :5, :, :] = 0
    return image


@pytest.fixture
def other_network():
    torch.manual_seed(0)
    norm = nn.InstanceNorm3d(3)
    return nn.Sequential(nn.Conv3d(1, 3, 3), norm, nn.MaxPool3d(2), nn.Flatten(), nn.Linear(3 * 4 * 3 * 3, 2)).eval()


@pytest.fixture
def images():
    return torch.randn((2, 1, 10, 8, 9), generator=torch.Generator().manual_seed(1))


@PROPERTY
@given(questions())
def test_any_chain_any_patch_is_explained_as_captum_does_in_float64(question):
    model, image, patch, stride, baseline = question
    heatmap = occlusion(model, image, 1, patch=patch, stride=stride, baseline=baseline).double()
    exact = captum_occlusion(model, image, 1, patch, stride, baseline)
    assert largest(heatmap - exact) <= ROUNDING * largest(exact) + NOISE


@PROPERTY
@given(questions(), st.sampled_from(DTYPES), st.sampled_from(DTYPES), st.sampled_from(DEVICES))
def test_scans_and_networks_of_any_type_on_any_device_are_explained_as_they_are(question, scans, weights, device):
    model, image, patch, stride, baseline = question
    model, image = model.to(device, weights), image.to(device, scans)
    heatmap = occlusion(model, image, 1, patch=patch, stride=stride, baseline=baseline)
    exact = captum_occlusion(model, image, 1, patch, stride, baseline)
    assert (heatmap.dtype, heatmap.device) == (torch.float32, image.device)
    assert largest(heatmap - exact) <= ROUNDING * largest(exact) + NOISE


@PROPERTY
@given(questions())
def test_channels_are_hidden_one_after_the_other_as_captum_does(question):
    model, image, patch, stride, baseline = question
    heatmap = occlusion(model, image, 1, patch=patch, stride=stride, baseline=baseline, channels="each").double()
    exact = captum_occlusion(model, image, 1, patch, stride, baseline, channels="each")
    assert largest(heatmap - exact) <= ROUNDING * largest(exact) + NOISE


@PROPERTY
@given(questions(), st.sampled_from([2**24, 2**8]))
def test_what_a_gpu_is_asked_for_gives_the_same(question, whole):
    model, image, patch, stride, baseline = question
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(differences, "on_gpu", lambda values: True)
        patched.setattr(differences, "WHOLE", whole)
        heatmap = occlusion(model, image, 1, patch=patch, stride=stride, baseline=baseline).double()
    exact = captum_occlusion(model, image, 1, patch, stride, baseline)
    assert largest(heatmap - exact) <= ROUNDING * largest(exact) + NOISE


def test_matrices_that_a_gpu_keeps_are_no_more_than_fit(monkeypatch):
    torch.manual_seed(0)
    network = read_network(build_network((24, 24, 24), filters=(4, 8), pools=(2, 3), hidden=5).eval())
    monkeypatch.setattr(differences, "on_gpu", lambda values: True)
    monkeypatch.setattr(differences, "KEPT", 2**17)
    work = plan_work(network, torch.rand(1, 24, 24, 24), 1, place_patches((24, 24, 24), 3, 2))
    for chunk in work.chunks:
        work.measure(chunk)
    convolutions = [layer for stage in work.measure.args[0] for layer in stage.layers if hasattr(layer, "bands")]
    numbers = [[kept.numel() for kept in layer.bands.values()] for layer in convolutions]
    assert all(0 < sum(kept) <= max(2**17, *kept) for kept in numbers)


@PROPERTY
@given(questions())
def test_differences_in_float32_are_as_exact_as_float32_allows(question):
    model, image, patch, stride, baseline = question
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(incremental, "SMALL", 0)
        heatmap = occlusion(model, image, 1, patch=patch, stride=stride, baseline=baseline).double()
    exact = captum_occlusion(model, image, 1, patch, stride, baseline)
    in_float32 = captum_occlusion(model, image, 1, patch, stride, baseline, torch.float32)
    assert largest(heatmap - exact) <= 10 * largest(in_float32 - exact) + 1e-6


def overlapping_network(shape):
    """A network whose poolings read voxels more than once."""
    torch.manual_seed(0)
    volume = [nn.Conv3d(1, 8, 3), nn.ReLU(), nn.MaxPool3d(3, 2, 1), nn.Conv3d(8, 16, 3), nn.ReLU(), nn.MaxPool3d(3, 2)]
    features = nn.Sequential(*volume)(torch.zeros(1, 1, *shape)).numel()
    return nn.Sequential(*volume, nn.Flatten(), nn.Linear(features, 64), nn.ReLU(), nn.Linear(64, 2)).eval()


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (partial(paper_network, padding=1), (48, 57, 48)),
        (partial(paper_network, filters=(8, 16, 32), pools=(2, 3, 3)), (84, 80, 75)),
        (overlapping_network, (50, 45, 48)),
    ],
)
def test_single_voxels_are_ten_times_more_exact_than_a_sliding_window_in_float32(network, shape, monkeypatch):
    monkeypatch.setattr(incremental, "SMALL", 0)
    model, image, mask = network(shape), torch.rand(1, 1, *shape), np.zeros(shape, bool)
    mask[tuple(np.random.default_rng(0).integers(0, np.subtract(shape, 5), (8, 3)).T)] = True
    drops = occlusion(model, image, 1, patch=1, stride=1, mask=mask)[0, 0, mask].double()
    exact, in_float32 = (captum_voxels(model, image, 1, mask, dtype) for dtype in (torch.float64, torch.float32))
    assert largest(drops - exact) <= 1e-5 * largest(exact)
    assert largest(drops - exact) <= largest(in_float32 - exact) / 10


@PROPERTY
@given(questions(), st.randoms(use_true_random=False))
def test_only_patches_that_touch_the_mask_are_placed(question, random):
    model, image, patch, stride, baseline = question
    mask = np.array([random.random() < 0.02 for _ in range(image[0, 0].numel())]).reshape(image.shape[2:])
    starts = [range(0, n - p + s, s) for n, p, s in zip(image.shape[2:], patch, stride, strict=True)]
    corners = itertools.product(*starts)
    boxes = [tuple(slice(first, first + p) for first, p in zip(corner, patch, strict=True)) for corner in corners]
    boxes = [box for box in boxes if mask[box].any()]
    exact, before = copy.deepcopy(model).double(), image.double()
    hidden = before.repeat(len(boxes), 1, 1, 1, 1)
    filling = torch.as_tensor(baseline, dtype=torch.float64).expand(image.shape)[0]
    for scan, box in zip(hidden, boxes, strict=True):
        scan[:, *box] = filling[:, *box]
    with torch.no_grad():
        scores = [exact(scans)[:, 2] for scans in (before, *hidden.split(64))]
    total, count = torch.zeros(2, *image.shape[2:], dtype=torch.float64)
    for box, score in zip(boxes, torch.cat(scores[1:] or [hidden.new_empty(0)]), strict=True):
        total[box] += scores[0] - score
        count[box] += 1
    heatmap = occlusion(model, image, 2, patch=patch, stride=stride, baseline=baseline, mask=mask)[0].sum(0)
    mean = total / count.clamp(min=1)
    assert largest(heatmap - mean) <= ROUNDING * largest(mean) + NOISE
    assert not heatmap[count == 0].any()


class Branches(nn.Module):
    """Layers that run beside each other, and are added, joined, or handed on as they are."""

    def __init__(self, ways, joins, stride, pooling, activation):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1, bias=False), nn.BatchNorm3d(4), nn.ReLU(inplace=True))
        self.ways = nn.ModuleList([nn.Conv3d(4, 4, kernel, stride, kernel // 2) for kernel in ways])
        self.norm, self.pooling, self.activation = nn.BatchNorm3d(4), pooling, activation
        self.mixed = nn.Conv3d(4 * len(ways) if joins else 4, 4, 3, padding=1)
        self.head, self.joins = nn.Linear(4, 2), joins

    def forward(self, images):
        features = self.pooling(self.stem(images))
        made = [way(features) for way in self.ways]
        made[0] = self.activation(self.norm(made[0]))
        together = torch.cat(made, 1) if self.joins else sum(made[1:], made[0])
        mixed = functional.relu(self.mixed(together))
        return self.head((mixed + together if not self.joins else mixed).mean((2, 3, 4)))


BRANCHES = {
    "sum": ((3, 1), False, 1, nn.Identity(), nn.ReLU()),
    "sum with steps": ((3, 1, 5), False, 2, nn.MaxPool3d(3, 2, 1), nn.LeakyReLU(0.1)),
    "sum of what misses a patch": ((1, 3), False, 3, nn.AvgPool3d(2), nn.ELU()),
    "joined": ((3, 1, 1), True, 2, nn.MaxPool3d(2), nn.PReLU(4)),
    "joined with gaps": ((1, 1), True, 4, nn.Identity(), nn.GELU()),
}


def in_branches(name):
    """Return a network of `BRANCHES` with batch norms that have seen scans."""
    torch.manual_seed(3)
    model = Branches(*BRANCHES[name]).eval()
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm3d):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
    return model


@pytest.fixture
def any_work_is_worth_windows(monkeypatch):
    monkeypatch.setattr(method, "FEW", 1)
    monkeypatch.setattr(method, "WORTH", np.inf)


@pytest.mark.parametrize("name", BRANCHES)
@pytest.mark.parametrize(
    ("patch", "stride", "top"), [(1, 1, Margin()), ((2, 8, 3), (2, 5, 1), nn.Softmax(dim=1))], ids=str
)
@pytest.mark.usefixtures("any_work_is_worth_windows")
def test_a_network_that_branches_is_explained_as_captum_does(name, patch, stride, top, images, caplog):
    model = nn.Sequential(in_branches(name), top).eval()
    with caplog.at_level("WARNING"):
        heatmaps = occlusion(model, images, 1, patch=patch, stride=stride).double()
    expected = captum_occlusion(model, images, 1, patch, stride)
    assert not caplog.records, "runs as a whole"
    assert largest(heatmaps - expected) <= ROUNDING * largest(expected) + NOISE


@pytest.mark.parametrize("name", BRANCHES)
@pytest.mark.usefixtures("any_work_is_worth_windows")
def test_in_float32_a_network_that_branches_keeps_the_digits_of_small_differences(name, images, monkeypatch):
    monkeypatch.setattr(incremental, "SMALL", 0)
    model = in_branches(name)
    heatmaps = occlusion(model, images, 1, patch=2, stride=2).double()
    expected = captum_occlusion(model, images, 1, 2, 2)
    assert largest(heatmaps - expected) < 1e-5 * largest(expected)


class Drawn(nn.Module):
    """Layers each of which takes what any earlier one has made; tensors of one shape are added, of one grid joined."""

    def __init__(self, draw, shape):
        super().__init__()
        self.layers, self.steps, made = nn.ModuleList(), [], [torch.zeros(1, 1, *shape)]
        for letter in draw(st.lists(st.sampled_from("CCCCNRMAE+++|"), min_size=3, max_size=9)):
            first = draw(st.integers(0, len(made) - 1))
            fitting = [n for n, each in enumerate(made) if each.shape[2:] == made[first].shape[2:]]
            fitting = [n for n in fitting if letter == "|" or made[n].shape == made[first].shape]
            several = [first, draw(st.sampled_from(fitting))]
            layer = nn.Identity() if letter in "+|" else draw(layers_of(letter, made[first].shape[1])).eval()
            try:
                made.append(self.apply_step(layer, letter, [made[n] for n in several]))
            except RuntimeError:  # what is left is smaller than what the layer reads
                continue
            self.layers.append(layer)
            self.steps.append((letter, several))
        self.head = nn.Linear(made[-1].shape[1], 3)

    def apply_step(self, layer, letter, inputs):
        if letter == "+":
            return inputs[0] + inputs[1]
        return torch.cat(inputs, 1) if letter == "|" else layer(inputs[0])

    def forward(self, images):
        made = [images]
        for layer, (letter, sources) in zip(self.layers, self.steps, strict=True):
            made.append(self.apply_step(layer, letter, [made[source] for source in sources]))
        return self.head(functional.adaptive_avg_pool3d(made[-1], 1).flatten(1))


@settings(PROPERTY, max_examples=40)
@given(st.data())
def test_any_graph_is_explained_as_captum_does_in_float64(data):
    shape = data.draw(triples(st.integers(6, 9)))
    torch.manual_seed(data.draw(st.integers(0, 9999)))
    model, image = Drawn(data.draw, shape).eval(), torch.randn(1, 1, *shape)
    patch = data.draw(triples(st.integers(1, 4)))
    nodes = as_graph(model, image[0])
    assume(nodes is not None)
    placed = place_patches(shape, patch, patch)
    places = np.argwhere(placed.placed)
    windows = [np.stack(ends) for ends in zip(placed.starts, placed.stops, strict=True)]
    stages = incremental.stages_for(nodes, image[0], -image[0].double(), windows, len(places))
    work = incremental.incremental_work(stages, 1, places, memory=10**8)
    drops = np.zeros(placed.placed.shape)
    for chunk, found in zip(work.chunks, measured(work), strict=True):
        drops[tuple(chunk.T)] = found
    hidden = image.double().repeat(len(places), 1, 1, 1, 1)
    for scan, place in zip(hidden, places, strict=True):
        method.hide_patch(placed, 0.0, scan, place)
    whole = copy.deepcopy(model).double()
    with torch.no_grad():
        exact = (whole(image.double())[0, 1] - whole(hidden)[:, 1]).numpy()
    assert np.abs(drops[tuple(places.T)] - exact).max() <= 1e-6 * np.abs(exact).max() + 1e-9


@pytest.mark.parametrize("build", ["resnet18", "densenet121"])
@pytest.mark.usefixtures("any_work_is_worth_windows")
def test_networks_that_are_often_explained_run_on_windows(build, caplog):
    sizes = {"resnet18": {"widen_factor": 0.0625}, "densenet121": {"init_features": 4, "growth_rate": 2}}
    model = getattr(presets, build)((33, 40, 34), **sizes[build]).eval()
    image, mask = torch.rand(1, 1, 33, 40, 34), np.zeros((33, 40, 34), bool)
    mask[tuple(np.array([(0, 0, 0), (16, 20, 17), (32, 39, 33)]).T)] = True
    options = {"patch": 1, "stride": 1, "mask": mask}
    heatmap = occlusion(model, image, 1, **options).double()
    assert not caplog.records
    whole = copy.deepcopy(model).double()
    with torch.no_grad():
        hidden = image.double().repeat(3, 1, 1, 1, 1)
        for scan, place in zip(hidden, np.argwhere(mask), strict=True):
            scan[(0, *place)] = 0
        drops = whole(image.double())[0, 1] - whole(hidden)[:, 1]
    assert torch.allclose(heatmap[0, 0][torch.from_numpy(mask)], drops, rtol=1e-6, atol=1e-12)


def test_windows_are_left_where_they_save_little_or_patches_are_few(images, caplog):
    occlusion(in_branches("sum"), images[:1], 1, patch=8, stride=8)
    assert "the whole network runs for each patch" in caplog.text


@pytest.mark.parametrize("worth", [np.inf, 0.0], ids=["windows", "whole passes"])
def test_calls_for_one_network_read_it_once_and_give_the_maps_of_calls_of_their_own(images, worth, monkeypatch):
    monkeypatch.setattr(method, "FEW", 1)
    monkeypatch.setattr(method, "WORTH", worth)
    model, options, read = in_branches("sum"), {"patch": 4, "stride": 4}, []

    def counted(function):
        return lambda model, image: read.append(function.__name__) or function(model, image)

    apart = [occlusion(model, image[None], 1, **options) for image in images]
    for function in (method.as_graph, method.quickened):
        monkeypatch.setattr(method, function.__name__, counted(function))
    shared = {}
    together = [occlusion(model, image[None], 1, shared=shared, **options) for image in images]
    assert len(images) > 1 and all(map(torch.equal, together, apart))
    assert read == (["as_graph"] if worth else ["as_graph", "quickened"])


def test_where_windows_save_little_none_are_computed(images, monkeypatch):
    monkeypatch.setattr(method, "FEW", 1)
    devices, found = [], method.stages_for

    def seen(nodes, image, *rest):
        devices.append(image.device.type)
        return found(nodes, image, *rest)

    monkeypatch.setattr(method, "stages_for", seen)
    occlusion(in_branches("sum"), images[:1], 1, patch=8, stride=8)
    assert devices == ["meta"]


@pytest.mark.parametrize("function", ["by_groups", "squeezed_resnet", "transformer"])
@pytest.mark.usefixtures("any_work_is_worth_windows")
def test_a_network_in_which_everything_changes_runs_as_a_whole(function):
    model = create_network((24, 24, 24), {"function": f"networks:{function}"}).eval()
    assert as_graph(model, torch.rand(1, 24, 24, 24)) is None


@pytest.mark.parametrize(("patch", "stride"), [(1, 1), (4, 3), ((2, 8, 3), (2, 5, 1)), (5, 5)])
@pytest.mark.parametrize("target", [1, torch.tensor([0, 1])])
def test_any_other_network_runs_as_a_whole_and_the_log_says_so(other_network, images, target, patch, stride, caplog):
    heatmaps = occlusion(other_network, images, target, patch=patch, stride=stride, baseline=0.3)
    exact = captum_occlusion(other_network, images, target, patch, stride, 0.3)
    torch.testing.assert_close(heatmaps, exact.float(), rtol=0, atol=1e-6)
    assert "whole network" in caplog.text


@pytest.mark.parametrize(
    "layer",
    [nn.Conv3d(1, 1, 3, padding=1, padding_mode="circular"), nn.MaxPool3d(2, 1, 1, dilation=2), nn.Flatten(1, 2)],
    ids=str,
)
def test_layers_with_unusual_options_are_not_taken_for_usual_ones(layer, images):
    model = nn.Sequential(layer, nn.Flatten(), nn.Linear(layer(images)[0].numel(), 2)).eval()
    heatmaps = occlusion(model, images, 1, patch=4, stride=3)
    torch.testing.assert_close(heatmaps.double(), captum_occlusion(model, images, 1, 4, 3), rtol=0, atol=1e-6)


def test_the_log_says_how_many_patches_there_are_and_how_long_they_may_take(other_network, images, caplog):
    caplog.set_level("INFO")
    occlusion(other_network, images, 1, patch=1, stride=1, memory=10**6)
    assert re.search(r"occlusion: 720 patches an image, for which some \d+ s are expected", caplog.text)


def test_a_network_with_hooks_runs_as_a_whole(chain, image):
    chain[0].register_forward_hook(lambda module, inputs, output: output.clamp(max=0.1))
    heatmap = occlusion(chain, image, 1, patch=9, stride=9)
    torch.testing.assert_close(heatmap.double(), captum_occlusion(chain, image, 1, 9, 9), rtol=0, atol=1e-6)


def test_several_images_each_with_its_target(chain, image):
    images = torch.cat([image, image.flip(2), image.flip(3)])
    targets = torch.tensor([1, 0, 1])
    heatmaps = occlusion(chain, images, targets, patch=6, stride=5)
    assert largest(heatmaps - captum_occlusion(chain, images, targets, 6, 5)) < 1e-8


def test_networks_and_scans_in_float64_give_the_same_heatmap(chain, image):
    heatmap = occlusion(copy.deepcopy(chain).double(), image.double(), 1, patch=6, stride=5)
    assert torch.equal(heatmap, occlusion(chain, image, 1, patch=6, stride=5))


@pytest.mark.parametrize("top", [nn.Softmax(dim=1), Margin()], ids=str)
@pytest.mark.parametrize("classes", [2, 4])
def test_scores_far_apart_do_not_overflow(top, classes, chain, image):
    torch.manual_seed(0)
    chain[-1] = nn.Linear(5, classes)
    for weight in chain[-1].parameters():
        weight.data *= 1e6
    model = nn.Sequential(chain, top)
    heatmap = occlusion(model, image, 1, patch=9, stride=9)
    torch.testing.assert_close(heatmap.double(), captum_occlusion(model, image, 1, 9, 9), rtol=1e-6, atol=1e6 * NOISE)


def test_a_margin_costs_no_digit_of_small_differences(chain, image):
    image[..., 7, 7, 7] = 1e-7
    mask = np.zeros(image.shape[2:], bool)
    mask[7, 7, 7] = True
    torch.manual_seed(0)
    for classes in (2, 3):
        chain[-1] = nn.Linear(5, classes)
        model = nn.Sequential(chain, Margin()).eval()
        drop = occlusion(model, image, 1, patch=1, stride=1, mask=mask)[0, 0, mask].double()
        scan = image.double().requires_grad_()
        (slope,) = torch.autograd.grad(copy.deepcopy(model).double()(scan)[0, 1], scan)
        torch.testing.assert_close(drop, 1e-7 * slope[0, 0, mask], rtol=1e-5, atol=0)
        assert drop.abs() > 1e-12


def test_patches_that_hide_only_the_baseline_are_not_computed(chain, image):
    patches = place_patches(image.shape[2:], 1, 1)
    places = np.concatenate(plan_work(read_network(chain), image[0], 1, patches).chunks)
    assert places[:, 0].min() == 5
    heatmap = occlusion(chain, image, 1, patch=1, stride=1)[0, 0]
    assert not heatmap[:5].any()
    assert heatmap[5:].any()


@pytest.mark.parametrize("size", [2**28, 0], ids=["float64", "float32"])
def test_chunks_give_the_same_bytes_alone_resumed_and_shared_among_threads(chain, image, size, monkeypatch):
    monkeypatch.setattr(incremental, "SMALL", size)
    monkeypatch.setitem(incremental.ROWS, "cpu", 500)
    work = plan_work(read_network(chain), image[0], 1, place_patches(image.shape[2:], 3, 2))
    drops = list(measured(work))
    again = plan_work(read_network(chain), image[0], 1, place_patches(image.shape[2:], 3, 2))
    assert len(drops) > 1
    for other in (list(measured(work._replace(workers=3))), [again.measure(chunk) for chunk in again.chunks]):
        assert [drop.tobytes() for drop in other] == [drop.tobytes() for drop in drops]
    assert [drop.tobytes() for drop in measured(again, first=1)] == [drop.tobytes() for drop in drops[1:]]


def test_little_memory_gives_the_same_heatmap(chain, image):
    frugal = occlusion(chain, image, 1, patch=6, stride=5, memory=10**5)
    torch.testing.assert_close(frugal, occlusion(chain, image, 1, patch=6, stride=5), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("count", [1, 2])
def test_each_image_has_its_own_reference_or_all_have_one(chain, other_network, image, images, count):
    for model, scans in ((chain, torch.cat([image, image.flip(2)])), (other_network, images)):
        reference = torch.rand_like(scans[:count])
        heatmaps = occlusion(model, scans, 1, patch=5, stride=4, baseline=reference)
        exact = captum_occlusion(model, scans, 1, 5, 4, reference)
        torch.testing.assert_close(heatmaps.double(), exact, rtol=1e-6, atol=1e-6)
        assert largest(heatmaps - occlusion(model, scans, 1, patch=5, stride=4)) > 1e-4


def test_a_number_is_the_image_that_has_it_everywhere(chain, other_network, image, images):
    for model, scans in ((chain, image), (other_network, images)):
        by_number, by_image = (
            occlusion(model, scans, 1, patch=5, stride=4, baseline=baseline)
            for baseline in (0.25, torch.full_like(scans, 0.25))
        )
        assert torch.equal(by_number, by_image)


def test_only_what_differs_from_the_reference_is_computed(chain, image):
    reference = image.clone()
    reference[..., 10, 11, 12] += 1
    patches = place_patches(image.shape[2:], 3, 3)
    places = np.concatenate(plan_work(read_network(chain), image[0], 1, patches, baseline=reference[0]).chunks)
    assert places.tolist() == [[3, 3, 4]]


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 2), st.integers(4, 9), st.data())
def test_windows_are_what_counting_finds(kernel, stride, padding, inputs, data):
    reader = Reader(kernel, stride, padding, inputs, (inputs + 2 * padding - kernel) // stride + 1)
    reads = [range(o * stride - padding, o * stride - padding + kernel) for o in range(reader.outputs)]
    start = data.draw(st.integers(0, inputs - 1))
    stop = data.draw(st.integers(start + 1, inputs))
    window = set(range(start, stop))
    hit = [output for output, voxels in enumerate(reads) if window & set(voxels)]
    first, last = (int(edge) for edge in reached(reader, start, stop))
    assert list(range(first, last)) == hit
    if hit:
        inside = set(range(inputs)) & set().union(*(reads[output] for output in hit))
        low, high = read(reader, first, last)
        assert (low, high) == (min(inside), max(inside) + 1)
    for output, run in zip(hit, runs(reader, (start, stop), (first, last)), strict=True):
        assert set(range(start + run.start, start + run.stop)) == window & set(reads[output])
        assert reads[output][run.tap] == start + run.start


@given(st.integers(1, 12), st.integers(1, 6), st.data())
def test_bins_are_those_of_torchs_adaptive_pooling(inputs, outputs, data):
    reader, line = bins_of(inputs, outputs), torch.randn(1, inputs, dtype=torch.float64)
    means = [line[0, start:stop].mean() for start, stop in zip(reader.starts, reader.stops, strict=True)]
    torch.testing.assert_close(nn.AdaptiveAvgPool1d(outputs)(line)[0], torch.stack(means))
    start = data.draw(st.integers(0, inputs - 1))
    window = set(range(start, data.draw(st.integers(start + 1, inputs))))
    bins = [set(range(*bin)) for bin in zip(reader.starts, reader.stops, strict=True)]
    first, last = (int(edge) for edge in reached(reader, min(window), max(window) + 1))
    assert list(range(first, last)) == [output for output, voxels in enumerate(bins) if voxels & window]
    assert read(reader, first, last) == (min(bins[first]), max(bins[last - 1]) + 1)


def test_sfcn_is_a_chain():
    torch.manual_seed(0)
    volume, channels = [], [1, 4, 8, 8, 8, 8]
    for width, made in itertools.pairwise(channels):
        volume += [nn.Conv3d(width, made, 3, padding=1), nn.BatchNorm3d(made), nn.MaxPool3d(2), nn.ReLU()]
    volume += [nn.Conv3d(8, 8, 1), nn.BatchNorm3d(8), nn.ReLU()]
    head = [nn.AvgPool3d((1, 2, 1)), nn.Dropout(), nn.Conv3d(8, 3, 1), nn.Flatten(), nn.LogSoftmax(dim=1)]
    model, image = nn.Sequential(nn.Sequential(*volume), *head).eval(), torch.rand(1, 1, 33, 64, 34)
    assert read_network(model).chain
    for norm in (layer for layer in model.modules() if isinstance(layer, nn.BatchNorm3d)):
        norm.running_mean.normal_(0, 0.1)
        norm.running_var.uniform_(0.1, 0.5)
    heatmap = occlusion(model, image, 1, patch=16, stride=16).double()
    exact = captum_occlusion(model, image, 1, 16, 16)
    assert largest(heatmap - exact) <= ROUNDING * largest(exact) + NOISE


@pytest.mark.parametrize("layer", ACTIVATIONS, ids=str)
def test_activations_keep_the_digits_of_small_differences(layer, monkeypatch):
    monkeypatch.setattr(incremental, "SMALL", 0)
    torch.manual_seed(0)
    linear = [
        nn.Conv3d(1, 4, 3),
        copy.deepcopy(layer),
        nn.Conv3d(4, 4, 3),
        copy.deepcopy(layer),
        nn.AdaptiveAvgPool3d(2),
    ]
    model, image = nn.Sequential(*linear, nn.Flatten(), nn.Linear(32, 2)).eval(), torch.rand(1, 1, 9, 9, 9)
    reference = image.clone()
    reference[0, 0, 4, 4, 4] += 1e-4
    mask = reference[0, 0] != image[0, 0]
    drop = occlusion(model, image, 1, patch=1, stride=1, mask=mask, baseline=reference)[0, 0, mask].double()
    exact = captum_occlusion(model, image, 1, 1, 1, reference)[0, 0, mask]
    torch.testing.assert_close(drop, exact, rtol=1e-4, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch": 9}, "larger than the volume"),
        ({"stride": 0}, "stride 0"),
        ({"patch": (2, 2)}, r"patch \(2, 2\)"),
        ({"patch": 2.5}, "patch 2.5"),
        ({"patch": 2, "stride": 3}, "at most the patch"),
        ({"mask": np.ones((10, 8, 8))}, "10 x 8 x 8"),
        ({"baseline": torch.zeros(1, 1, 10, 8, 8)}, r"baseline has the shape \(1, 1, 10, 8, 8\)"),
        ({"baseline": float("nan")}, "baseline has NaN or infinite values"),
    ],
)
def test_bad_options_are_refused_by_name(other_network, images, options, message):
    with pytest.raises(StudyError, match=message):
        occlusion(other_network, images, 0, **{"patch": 4, "stride": 2} | options)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_voxel_that_is_not_finite_is_refused_by_name(other_network, images, value):
    images[1, 0, 3, 2, 5] = value
    with pytest.raises(StudyError, match=r"image 1 .*\(3, 2, 5\)"):
        occlusion(other_network, images, 0, patch=4, stride=2)


def residual_network():
    """A network that is no chain, with batch norms behind its convolutions and one before."""

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Sequential(nn.BatchNorm3d(1), nn.Conv3d(1, 8, 3, padding=1), nn.BatchNorm3d(8), nn.ReLU())
            self.conv, self.norm, self.head = nn.Conv3d(8, 8, 3, padding=1), nn.BatchNorm3d(8), nn.Linear(8, 2)

        def forward(self, scans):
            features = self.stem(scans)
            return self.head((features + self.norm(self.conv(features))).relu().mean(dim=(2, 3, 4)))

    torch.manual_seed(0)
    model = Residual()
    for norm in (layer for layer in model.modules() if isinstance(layer, nn.BatchNorm3d)):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    return model.eval()


def test_a_whole_network_runs_with_its_batch_norms_merged_and_is_left_as_it_was(images):
    model = residual_network()
    weights, scans = copy.deepcopy(model.state_dict()), images.clone()
    quick = plain.quickened(model, images[0])
    assert sum(isinstance(layer, nn.BatchNorm3d) for layer in quick.modules()) == 1  # the one that follows nothing
    heatmaps = occlusion(model, images, 1, patch=4, stride=3, baseline=images.flip(0))
    exact = captum_occlusion(model, images, 1, 4, 3, images.flip(0))
    torch.testing.assert_close(heatmaps.double(), exact, rtol=0, atol=1e-6)
    assert all(torch.equal(weight, weights[name]) for name, weight in model.state_dict().items())
    assert torch.equal(images, scans)


def test_batch_norms_that_cannot_be_merged_safely_are_kept(images):
    model = residual_network()
    model.norm.register_forward_hook(lambda module, inputs, output: output.clamp(max=0.1))
    quick = plain.quickened(model, images[0])
    with torch.no_grad():
        torch.testing.assert_close(quick(images), model(images), rtol=1e-5, atol=1e-6)
    assert sum(isinstance(layer, nn.BatchNorm3d) for layer in quick.modules()) == 3
