"""The conventions that hold for every method: target, output and sign."""

import copy

import pytest
import torch
from torch import nn

from heatproof.attribute import METHODS
from heatproof.attribute.explain import explain
from heatproof.attribute.outputs import Margin, one_hot, with_margin, with_softmax
from heatproof.attribute.propagation import RULES
from heatproof.errors import StudyError

OPTIONS = {
    "gradient_input": {},
    "integrated_gradients": {"steps": 2},
    "smooth_grad": {"samples": 2},
    "guided_backprop": {},
    "grad_cam": {"layer": 0},
    "lrp": {"rule": "epsilon"},
    "occlusion": {"patch": 20, "stride": 18},
    "region_occlusion": {"regions": torch.arange(36 * 38 * 36).reshape(36, 38, 36) // 6000},
    "gradient_shap": {"controls": torch.linspace(0, 1, 36 * 38 * 36).reshape(1, 1, 36, 38, 36), "samples": 2},
}
BASELINES = ["edges", "input"]
APART = ["deep_lift"]  # it refuses probabilities and margins of three classes: test_deep_lift.py

each_method = pytest.mark.parametrize("method", OPTIONS)


def test_every_method_is_tested_or_ignores_the_model():
    assert METHODS.keys() == {*OPTIONS, *BASELINES, *APART}


@pytest.mark.parametrize("method", BASELINES)
def test_a_baseline_depends_on_no_model_target_or_output(method, paper_network, scans):
    heatmaps = explain(nn.Flatten(), scans, method=method)
    for choice in ({"target": "predicted"}, {"output": "probability"}, {"output": "logit"}, {"sign": "positive"}):
        assert torch.equal(explain(paper_network, scans, method=method, **choice), heatmaps)


def test_one_hot_marks_one_target_for_all_scans_or_one_for_each():
    outputs = torch.rand(3, 2)
    assert one_hot(outputs, 1).tolist() == [[0, 1], [0, 1], [0, 1]]
    assert one_hot(outputs, torch.tensor([1, 0, 0])).tolist() == [[0, 1], [1, 0], [1, 0]]


@pytest.mark.parametrize("method", ["gradient_input", "grad_cam", "lrp"])
def test_a_class_that_has_no_output_is_refused(method, images_of_one_output):
    model, images = images_of_one_output
    with pytest.raises(StudyError, match=r"class 1 is to be explained, and the network has 1 output"):
        explain(model, images, method=method, output="logit")


@pytest.fixture
def images_of_one_output():
    model = nn.Sequential(nn.Conv3d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 1))
    return model.eval(), torch.rand(1, 1, 4, 4, 4)


def test_probabilities_come_from_a_chain_of_the_models_own_layers(paper_network, scans):
    wrapped = with_softmax(paper_network)
    assert list(wrapped)[:-1] == list(paper_network)
    assert not any(module.training for module in wrapped.modules())
    torch.testing.assert_close(wrapped(scans), paper_network(scans).softmax(1))
    alone = nn.Flatten()
    assert next(iter(with_softmax(alone))) is alone


def test_wrapping_a_model_leaves_it_in_the_mode_that_it_was_in(paper_network):
    training = copy.deepcopy(paper_network).train()
    assert all(module.training for module in with_softmax(training)[:-1])
    assert all(module.training for module in with_margin(training)[:-1])


def test_a_margin_is_the_log_odds_of_each_class():
    logits = torch.randn(5, 4, dtype=torch.float64)
    probabilities = logits.softmax(1)
    torch.testing.assert_close(Margin()(logits), torch.log(probabilities / (1 - probabilities)))
    two = logits[:, :2]
    assert torch.equal(Margin()(two), torch.stack([two[:, 0] - two[:, 1], two[:, 1] - two[:, 0]], 1))
    assert torch.equal(Margin()(logits[:, :1]), logits[:, :1]), "a value, or log odds already"


def test_a_logarithm_of_a_softmax_is_no_part_of_a_margin(paper_network, scans):
    logged = nn.Sequential(paper_network, nn.LogSoftmax(dim=1)).eval()
    assert list(with_margin(logged))[:-1] == list(paper_network)
    torch.testing.assert_close(with_margin(logged)(scans), Margin()(logged(scans)))


@pytest.fixture(scope="module")
def undecided(paper_network, scans):
    """The network with the bias of its outputs moved so that it predicts both classes among the scans."""
    model = nn.Sequential(*paper_network, nn.Linear(2, 2)).double().eval()
    outputs = paper_network(scans)
    margin = outputs[:, 1] - outputs[:, 0]
    model[-1].weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).double()
    model[-1].bias.data = torch.stack([margin.sort().values[:2].mean(), torch.tensor(0.0)]).detach()
    assert len(set(model(scans).argmax(1).tolist())) == 2
    return model


@each_method
def test_by_default_the_patients_margin_is_explained_and_the_sign_kept(method, paper_network, scans):
    heatmaps = explain(paper_network, scans, method=method, **OPTIONS[method])
    torch.testing.assert_close(heatmaps, METHODS[method](with_margin(paper_network), scans, 1, **OPTIONS[method]))
    assert (heatmaps < 0).any()


@each_method
def test_a_single_logit_is_explained_where_that_is_asked_for(method, paper_network, scans):
    heatmaps = explain(paper_network, scans, method=method, output="logit", **OPTIONS[method])
    torch.testing.assert_close(heatmaps, METHODS[method](paper_network, scans, 1, **OPTIONS[method]))


@each_method
def test_a_single_output_is_its_own_margin(method, paper_network, scans):
    torch.manual_seed(5)
    value = nn.Sequential(*paper_network[:-1], nn.Linear(128, 1)).double().eval()
    found = [
        explain(value, scans, method=method, target=0, output=name, **OPTIONS[method]) for name in ("margin", "logit")
    ]
    torch.testing.assert_close(*found)
    assert found[0].any()


def with_more_in_all_logits(model, weight, bias):
    """Add the same linear function of the last features, and the same number, to all logits."""
    more = copy.deepcopy(model)
    more[-1].weight.data += weight
    more[-1].bias.data += bias
    return more


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(("weight", "bias"), [(0, -3), (1, 0), (1, -3)], ids=["number", "function", "both"])
@pytest.mark.parametrize(
    ("method", "options"),
    [*OPTIONS.items(), *(("lrp", {"rule": rule, "bias": bias}) for rule in RULES for bias in (False, True))],
)
def test_what_is_added_to_all_logits_changes_no_map(method, options, weight, bias, classes, paper_network, scans):
    torch.manual_seed(3)
    model = nn.Sequential(*paper_network[:-1], nn.Linear(128, classes)).double().eval()
    more = with_more_in_all_logits(model, weight * torch.randn(128, dtype=torch.float64), bias)
    torch.testing.assert_close(more(scans).softmax(1), model(scans).softmax(1))
    maps, again = (explain(one, scans, method=method, **options) for one in (model, more))
    torch.testing.assert_close(again, maps, rtol=0, atol=1e-6 * float(maps.abs().max()))
    if weight:
        lone, other = (explain(one, scans, method=method, output="logit", **options) for one in (model, more))
        assert (other - lone).abs().max() > 1e-3 * lone.abs().max()


@pytest.mark.parametrize("method", ["gradient_input", "occlusion", "region_occlusion"])
def test_of_two_classes_the_margins_map_is_the_difference_of_the_logits_maps(method, paper_network, scans):
    patient, control = (METHODS[method](paper_network, scans, target, **OPTIONS[method]) for target in (1, 0))
    heatmaps = explain(paper_network, scans, method=method, **OPTIONS[method])
    torch.testing.assert_close(heatmaps, patient - control, rtol=1e-5, atol=1e-12)


@each_method
def test_the_predicted_class_is_explained_scan_by_scan(method, undecided, scans):
    classes = undecided(scans).argmax(1)
    heatmaps = explain(undecided, scans, method=method, target="predicted", **OPTIONS[method])
    torch.testing.assert_close(heatmaps, METHODS[method](with_margin(undecided), scans, classes, **OPTIONS[method]))


@each_method
def test_the_probability_is_explained_through_the_softmax(method, paper_network, scans):
    heatmaps = explain(paper_network, scans, method=method, output="probability", **OPTIONS[method])
    expected = METHODS[method](with_softmax(paper_network), scans, 1, **OPTIONS[method])
    torch.testing.assert_close(heatmaps, expected)
    assert not torch.allclose(heatmaps, explain(paper_network, scans, method=method, **OPTIONS[method]))


def test_the_gradient_of_a_probability_is_that_of_its_logits_by_the_chain_rule(paper_network, scans):
    patient, control = (METHODS["gradient_input"](paper_network, scans, target) for target in (1, 0))
    p = paper_network(scans).softmax(1)[:, 1].reshape(-1, 1, 1, 1, 1)
    heatmaps = explain(paper_network, scans, method="gradient_input", output="probability")
    torch.testing.assert_close(heatmaps, p * (1 - p) * (patient - control))


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"method": "gradcam"}, "explain.method is 'gradcam', which does not exist; choose one of gradient_input, "),
        ({"method": "lrp", "target": "control"}, "explain.target is 'control'; choose one of patient, predicted"),
        ({"method": "lrp", "output": "logits"}, "explain.output is 'logits'; choose one of margin, logit, probability"),
        ({"method": "lrp", "sign": "+"}, r"explain.sign is '\+'; choose one of signed, absolute, positive"),
        ({"method": "lrp", "patch": 3}, "explain has no option 'patch'; lrp has method, target, output, sign, rule"),
    ],
)
def test_what_does_not_exist_is_refused_in_python_as_well(choice, message, paper_network, scans):
    with pytest.raises(StudyError, match=message):
        explain(paper_network, scans, **choice)


@each_method
def test_the_sign_is_dropped_or_negative_values_clipped_in_the_finished_map(method, paper_network, scans):
    signed = explain(paper_network, scans, method=method, **OPTIONS[method])
    absolute, positive = (
        explain(paper_network, scans, method=method, sign=sign, **OPTIONS[method]) for sign in ("absolute", "positive")
    )
    torch.testing.assert_close(absolute, signed.abs())
    torch.testing.assert_close(positive, signed.clamp(min=0))
