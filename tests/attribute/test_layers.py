"""Layers are walked through only where they do what their class does; the model and its scans stay as they were."""

import copy
from functools import partial

import captum.attr
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from heatproof.attribute import METHODS
from heatproof.attribute.convergence import STEPS_BACK, trace_convergence
from heatproof.attribute.deletion import deletion_curves
from heatproof.attribute.explain import explain
from heatproof.attribute.layers import require_repeatable, unfold
from heatproof.attribute.occlusion.chain import as_chain
from heatproof.attribute.outputs import OUTPUTS
from heatproof.errors import StudyError

SHAPE = (8, 7, 6)
OPTIONS = {
    "gradient_input": {},
    "integrated_gradients": {"steps": 2},
    "smooth_grad": {"samples": 2},
    "guided_backprop": {},
    "grad_cam": {},
    "lrp": {"rule": "epsilon"},
    "occlusion": {"patch": 4, "stride": 2},
    "region_occlusion": {"regions": torch.arange(8 * 7 * 6).reshape(SHAPE) // 60},
    "edges": {},
    "input": {},
}
each_method = pytest.mark.parametrize("method", OPTIONS)
each_output = pytest.mark.parametrize("output", OUTPUTS)


@pytest.fixture
def images():
    return torch.rand((3, 1, *SHAPE), dtype=torch.float64, generator=torch.Generator().manual_seed(1)) - 0.3


def layers(*first):
    """A small chain of layers, some put before it."""
    torch.manual_seed(0)
    body = [nn.Conv3d(1, 3, 3, padding=1), nn.BatchNorm3d(3), nn.ReLU(), nn.MaxPool3d(2)]
    chain = nn.Sequential(*first, *body, nn.Flatten(), nn.Linear(3 * 4 * 3 * 3, 16), nn.ReLU(), nn.Linear(16, 2))
    return chain.double().eval()


class Lower(nn.Module):
    """What a preprocessing layer may do: change the scan that it is given."""

    def forward(self, images):
        images -= 0.1
        return images


class Lowered(nn.Module):
    """The same, on a scan of its own."""

    def forward(self, images):
        return images - 0.1


@each_method
@each_output
@pytest.mark.parametrize("target", ["patient", "predicted"])
@pytest.mark.parametrize(
    ("first", "same"), [(Lower(), Lowered()), (nn.ReLU(inplace=True), nn.ReLU())], ids=["-=", "relu"]
)
def test_a_network_that_changes_its_input_gets_a_copy(first, same, target, output, method, images):
    before = images.clone()
    options = {"method": method, "target": target, "output": output, **OPTIONS[method]}
    maps = explain(layers(first), images, **options)
    assert torch.equal(images, before)
    torch.testing.assert_close(maps, explain(layers(same), images, **options), rtol=1e-6, atol=1e-12)
    assert method in ("edges", "input") or maps.abs().max() > 0


@pytest.mark.parametrize("method", STEPS_BACK)
def test_layers_that_work_in_place_are_walked_back_through_as_others(method, images):
    before = images.clone()

    def trace(inplace):
        model = layers(nn.ReLU())
        for layer in model:
            if isinstance(layer, nn.ReLU):
                layer.inplace = inplace
        generator = torch.Generator().manual_seed(0)
        return trace_convergence(model, images, method=method, draws=3, generator=generator)

    assert trace(True) == pytest.approx(trace(False))
    assert torch.equal(images, before)


def test_the_regions_of_a_scan_are_hidden_in_copies(images):
    image, regions = images[0], OPTIONS["region_occlusion"]["regions"]
    before, order = image.clone(), regions[regions > 0].unique().numpy()
    settings = {"target": 1, "baseline": 0.0, "batch_size": 3}
    in_place, plain = (
        deletion_curves(layers(first), image, regions, order, **settings) for first in (Lower(), Lowered())
    )
    assert torch.equal(image, before)
    assert [curve.tolist() for curve in in_place] == [curve.tolist() for curve in plain]


def half(module, inputs, output=None):
    return 0.5 * output if output is not None else (0.5 * inputs[0],)


def hook_after(model):
    model.register_forward_hook(half)


def hook_before(model):
    model.register_forward_pre_hook(half)


def hook_layer_inside(model):
    model[-3].register_forward_hook(half)


def hook_batch_norm(model):
    model[1].register_forward_hook(half)


def hook_weight(model):
    nn.utils.parametrizations.weight_norm(model[0])
    model[0].parametrizations.weight.original0.data *= 2


def old_hook_of_weight(model):
    torch.nn.utils.weight_norm(model[0])
    model[0].weight_g.data *= 2


def own_forward(model):
    usual = model[0].forward
    model[0].forward = lambda inputs: 0.5 * usual(inputs)


CHANGES = [
    *[hook_after, hook_before, hook_layer_inside, hook_batch_norm],
    *[hook_weight, old_hook_of_weight, own_forward],
]


@pytest.mark.filterwarnings("ignore:.*weight_norm")
@pytest.mark.parametrize("nest", [lambda chain: chain, lambda chain: nn.Sequential(chain).eval()], ids=["root", "part"])
@pytest.mark.parametrize("change", CHANGES)
@each_output
def test_what_changes_a_layer_is_part_of_the_network_that_is_hidden_from(change, nest, output, images):
    chain = layers()
    change(chain)
    model = nest(chain)
    explained = OUTPUTS[output](model)
    reference = captum.attr.Occlusion(lambda scans: explained(scans)).attribute(
        images, sliding_window_shapes=(1, 4, 4, 4), strides=(1, 2, 2, 2), target=1
    )
    maps = explain(model, images, method="occlusion", output=output, patch=4, stride=2)
    torch.testing.assert_close(maps.double(), reference.double(), rtol=1e-5, atol=5e-7)
    torch.testing.assert_close(explained(images), OUTPUTS[output](lambda_of(model))(images))
    plain = explain(layers(), images, method="occlusion", output=output, patch=4, stride=2)
    assert (maps - plain).abs().max() > 1e-3 * plain.abs().max()


def lambda_of(model):
    """The model behind a module that cannot be unfolded."""

    class Whole(nn.Module):
        def forward(self, scans):
            return model(scans)

    return Whole().eval()


def test_hooks_of_all_modules_are_hooks_of_each(images):
    model, handle = layers(), nn.modules.module.register_module_forward_hook(lambda module, inputs, output: output / 2)
    try:
        assert unfold(model) == [model] and as_chain(model) is None
    finally:
        handle.remove()
    assert len(unfold(model)) == len(model)


@pytest.mark.filterwarnings("ignore:.*weight_norm")
@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_a_layer_is_part_of_the_network_that_relevance_goes_back_through(change, images):
    """By the rule epsilon with biases, whose map is gradient * input."""
    model, options = layers(), {"method": "lrp", "rule": "epsilon", "epsilon": 1e-12, "bias": True, "output": "logit"}
    plain = explain(model, images, **options)
    change(model)
    maps, expected = explain(model, images, **options), explain(model, images, method="gradient_input", output="logit")
    torch.testing.assert_close(maps, expected, rtol=1e-6, atol=1e-9)
    assert (maps - plain).abs().max() > 1e-3 * plain.abs().max()


class Standardised(nn.Conv3d):
    """A convolution that standardises its weights, as some networks do."""

    def forward(self, inputs):
        weight = self.weight - self.weight.mean()
        return functional.conv3d(inputs, weight, self.bias, self.stride, self.padding)


class Doubled(nn.Sequential):
    """A chain that does more than its layers, one after another."""

    def forward(self, images):
        return super().forward(images) + super().forward(0.5 * images)


class Named(nn.Sequential):
    """A chain that has a name, and no more."""


def test_only_chains_that_do_no_more_than_their_layers_are_unfolded():
    chain = layers()
    assert len(unfold(Named(chain, nn.Sequential(nn.Identity())))) == len(chain) + 1
    for whole in (Doubled(*chain), torch.jit.script(chain), torch.compile(chain, backend="eager")):
        assert unfold(whole) == [whole]


def test_a_layer_derived_from_one_that_is_known_is_not_taken_for_it(images):
    model = nn.Sequential(Standardised(1, 3, 3, padding=1), *layers()[1:]).double().eval()
    assert as_chain(model) is None
    maps = explain(model, images, method="lrp", rule="epsilon", epsilon=1e-12, bias=True)
    torch.testing.assert_close(maps, explain(model, images, method="gradient_input"), rtol=1e-6, atol=1e-9)


@each_method
@each_output
def test_a_chain_with_a_forward_pass_of_its_own_keeps_it(method, output, images):
    whole = Doubled(*layers()).eval()
    if method == "lrp" and output == "margin":
        with pytest.raises(StudyError, match="set output: logit"):
            explain(whole, images, method=method, output=output)
        return
    options = {"method": method, "output": output, **OPTIONS[method]}
    maps = explain(whole, images, **options)
    rounding = 5e-7 if method == "occlusion" else 1e-12  # of float32 scores, where batch norms may be merged
    torch.testing.assert_close(maps, explain(lambda_of(whole), images, **options), rtol=1e-6, atol=rounding)


def batch_norm_without_statistics():
    model = layers()
    model[1] = nn.BatchNorm3d(3, track_running_stats=False)
    return model.double().eval()


def in_training(kind):
    model = layers(nn.Dropout(0.5), nn.InstanceNorm3d(1, track_running_stats=True))
    next(layer for layer in model if isinstance(layer, kind)).train()
    return model


@each_method
@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (batch_norm_without_statistics, "depends on the other scans of its batch.* BatchNorm3d '.*1'"),
        (partial(in_training, nn.BatchNorm3d), "in training mode.* BatchNorm3d"),
        (partial(in_training, nn.Dropout), "in training mode.* Dropout"),
        (partial(in_training, nn.InstanceNorm3d), "in training mode.* InstanceNorm3d"),
    ],
)
def test_a_network_whose_scans_depend_on_one_another_or_on_chance_is_refused(build, message, direct, method, images):
    model = build()
    before = copy.deepcopy(model.state_dict())
    if direct and method in ("edges", "input"):
        return
    with pytest.raises(StudyError, match=message):
        if direct:
            METHODS[method](model, images, 1, **OPTIONS[method])
        else:
            explain(model, images, method=method, **OPTIONS[method])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


class Changing(nn.Module):
    """A network that is not a function of the scan alone."""

    def __init__(self, how):
        super().__init__()
        self.how, self.body, self.calls = how, layers(), 0
        self.register_buffer("mean", torch.zeros(1, dtype=torch.float64))

    def forward(self, images):
        self.calls += 1
        if self.how == "company":
            images = images - images.mean(0)
        if self.how == "dropout":
            images = functional.dropout(images, 0.5)
        if self.how == "calls":
            images = images * self.calls
        if self.how == "buffer":
            self.mean.copy_(images.mean())
        return self.body(images)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("company", "depends on the other scans of its batch"),
        ("dropout", "is another when it is asked again"),
        ("calls", "is another when it is asked again"),
        ("buffer", "changes its buffer 'mean'"),
    ],
)
@pytest.mark.parametrize("method", ["gradient_input", "occlusion", "grad_cam"])
def test_a_network_of_ones_own_is_asked_whether_it_repeats(how, message, method, images):
    with pytest.raises(StudyError, match=message):
        explain(Changing(how).eval(), images, method=method, **OPTIONS[method])


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ([nn.Softmax(dim=0)], "depends on the other scans of its batch"),
        ([nn.LogSoftmax(dim=-5)], "depends on the other scans of its batch"),
        (
            [nn.Flatten(2), nn.TransformerEncoderLayer(8**3, 1, 4), nn.Unflatten(2, (8, 8, 8))],
            "depends on the other scans of its batch",
        ),
        (
            [nn.FractionalMaxPool3d(2, output_ratio=0.7), nn.Upsample((8, 8, 8))],
            "when it is asked again|on the other scans",
        ),
    ],
)
def test_layers_of_torch_s_that_mix_scans_or_draw_are_asked_as_well(first, message):
    torch.manual_seed(0)
    model = nn.Sequential(*first, nn.Flatten(), nn.Linear(8**3, 2)).double().eval()
    images = torch.rand(2, 1, 8, 8, 8, dtype=torch.float64)
    with pytest.raises(StudyError, match=message):
        explain(model, images, method="gradient_input")


class Returning(nn.Module):
    """A network that returns its logits in another way."""

    def __init__(self, how):
        super().__init__()
        self.body, self.how = layers(), how

    def forward(self, images):
        return self.how(self.body(images))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (torch.squeeze, r"a tensor of shape \(2,\) for 1 scan"),
        (lambda logits: [logits], "a list for"),
        (lambda logits: {"logits": logits}, "a dict for"),
        (lambda logits: logits[..., None], r"a tensor of shape \(1, 2, 1\) for 1 scan"),
    ],
)
@pytest.mark.parametrize("method", ["gradient_input", "occlusion", "grad_cam", "region_occlusion"])
def test_what_is_no_row_of_logits_for_each_scan_is_refused(how, message, method, images):
    with pytest.raises(StudyError, match=f"the network returns {message}.*must return logits alone"):
        explain(Returning(how).eval(), images[:1], method=method, **OPTIONS[method])


@pytest.mark.parametrize("output", ["margin", "logit"])
@pytest.mark.parametrize("method", ["gradient_input", "occlusion", "lrp"])
def test_a_chain_that_does_not_end_in_rows_of_logits_is_refused(method, output, images):
    model = nn.Sequential(nn.Conv3d(1, 2, 3), nn.AdaptiveAvgPool3d(1)).double().eval()
    with pytest.raises(StudyError, match=r"returns a tensor of shape \(\d, 2, 1, 1, 1\)"):
        explain(model, images, method=method, output=output, **OPTIONS[method])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_network_that_repeats_is_not_refused_for_its_rounding(dtype, images):
    require_repeatable(Changing("nothing").eval().to(dtype), images.to(dtype))
    require_repeatable(Changing("nothing").eval().to(dtype), torch.full_like(images, torch.nan, dtype=dtype))


def test_a_spectral_norm_is_left_to_itself_and_refused_where_it_still_changes(images):
    model = layers()
    parametrizations.spectral_norm(model[-1])
    model.eval()
    maps = explain(model, images, method="occlusion", patch=4, stride=2)
    torch.testing.assert_close(maps, explain(lambda_of(model), images, method="occlusion", patch=4, stride=2))
    model[-1].train()
    with pytest.raises(StudyError, match="changes its buffer"):
        explain(model, images, method="occlusion", patch=4, stride=2)
