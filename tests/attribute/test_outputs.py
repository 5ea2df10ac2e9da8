"""The conventions that hold for every method: target, output and sign."""

import pytest
import torch
from torch import nn

from heatproof.attribute import METHODS
from heatproof.attribute.explain import explain
from heatproof.attribute.outputs import one_hot, with_softmax

OPTIONS = {
    "gradient_input": {},
    "integrated_gradients": {"steps": 2},
    "smooth_grad": {"samples": 2},
    "guided_backprop": {},
    "grad_cam": {"layer": 0},
    "lrp": {"rule": "epsilon"},
    "occlusion": {"patch": 20, "stride": 18},
    "region_occlusion": {"regions": torch.arange(36 * 38 * 36).reshape(36, 38, 36) // 6000},
}
BASELINES = ["edges", "input"]

each_method = pytest.mark.parametrize("method", OPTIONS)


def test_every_method_is_tested_or_ignores_the_model():
    assert METHODS.keys() == {*OPTIONS, *BASELINES}


@pytest.mark.parametrize("method", BASELINES)
def test_a_baseline_depends_on_no_model_target_or_output(method, paper_network, scans):
    heatmaps = explain(nn.Flatten(), scans, method=method)
    for choice in ({"target": "predicted"}, {"output": "probability"}, {"sign": "positive"}):
        assert torch.equal(explain(paper_network, scans, method=method, **choice), heatmaps)


def test_one_hot_marks_one_target_for_all_scans_or_one_for_each():
    outputs = torch.rand(3, 2)
    assert one_hot(outputs, 1).tolist() == [[0, 1], [0, 1], [0, 1]]
    assert one_hot(outputs, torch.tensor([1, 0, 0])).tolist() == [[0, 1], [1, 0], [1, 0]]


def test_probabilities_come_from_a_chain_of_the_models_own_layers(paper_network, scans):
    wrapped = with_softmax(paper_network)
    assert list(wrapped)[:-1] == list(paper_network)
    assert not any(module.training for module in wrapped.modules())
    torch.testing.assert_close(wrapped(scans), paper_network(scans).softmax(1))
    alone = nn.Flatten()
    assert next(iter(with_softmax(alone))) is alone


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
def test_by_default_the_patients_logit_is_explained_and_the_sign_kept(method, paper_network, scans):
    heatmaps = explain(paper_network, scans, method=method, **OPTIONS[method])
    torch.testing.assert_close(heatmaps, METHODS[method](paper_network, scans, 1, **OPTIONS[method]))
    assert (heatmaps < 0).any()


@each_method
def test_the_predicted_class_is_explained_scan_by_scan(method, undecided, scans):
    classes = undecided(scans).argmax(1)
    heatmaps = explain(undecided, scans, method=method, target="predicted", **OPTIONS[method])
    torch.testing.assert_close(heatmaps, METHODS[method](undecided, scans, classes, **OPTIONS[method]))


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


@each_method
def test_the_sign_is_dropped_or_negative_values_clipped_in_the_finished_map(method, paper_network, scans):
    signed = explain(paper_network, scans, method=method, **OPTIONS[method])
    absolute, positive = (
        explain(paper_network, scans, method=method, sign=sign, **OPTIONS[method]) for sign in ("absolute", "positive")
    )
    torch.testing.assert_close(absolute, signed.abs())
    torch.testing.assert_close(positive, signed.clamp(min=0))
