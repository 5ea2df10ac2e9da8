"""How fast methods forget where they began: against autograd, and where the answer is known."""

import numpy as np
import pytest
import torch
from torch import nn

from heatproof.attribute.convergence import STEPS_BACK, last_with_weights, mean_cosine, trace_convergence
from heatproof.attribute.gradients import gradient, guided_backprop
from heatproof.attribute.graph import graph_of, value_of, walk_back
from heatproof.attribute.outputs import one_hot
from heatproof.errors import StudyError

OPTIONS = {"gradient_input": {}, "guided_backprop": {}, "lrp": {"rule": "z_plus"}}


def trace(model, images, method, **options):
    """Trace with four beginnings."""
    generator = torch.Generator().manual_seed(0)
    return trace_convergence(model, images, method=method, draws=4, generator=generator, **options)


@pytest.mark.parametrize(("method", "function"), [("gradient_input", gradient), ("guided_backprop", guided_backprop)])
def test_going_back_step_by_step_is_going_back_at_once(method, function, paper_network, scans):
    outputs, steps = STEPS_BACK[method](paper_network, scans)
    torch.testing.assert_close(outputs, paper_network(scans))
    *_, (_, values) = walk_back(steps, len(steps), one_hot(outputs, 1))
    torch.testing.assert_close(values, function(paper_network, scans, 1))


@pytest.mark.parametrize("method", OPTIONS)
def test_each_layer_with_weights_has_a_value_from_the_top_to_the_scan(method, paper_network, scans):
    cosines = trace(paper_network, scans, method, **OPTIONS[method])
    convolutions = [f"convolution {n}" for n in (4, 3, 2, 1)]
    assert list(cosines) == ["linear 2", "linear 1", *convolutions]
    assert all(0 <= value <= 1 for value in cosines.values())


def test_z_plus_forgets_and_the_gradient_does_not(paper_network, scans):
    """Sixt et al. 2020: a product of matrices without negative entries comes near rank 1."""
    forgetful, mindful = (
        trace(paper_network, scans, method, **OPTIONS[method]) for method in ("lrp", "gradient_input")
    )
    assert forgetful["convolution 1"] > 0.75 > 0.6 > mindful["convolution 1"]
    assert forgetful["linear 2"] == pytest.approx(mindful["linear 2"])


def test_through_one_unit_everything_is_forgotten():
    torch.manual_seed(0)
    narrow = nn.Sequential(nn.Flatten(), nn.Linear(27, 1), nn.Linear(1, 9), nn.Linear(9, 2)).double()
    images = torch.rand((2, 1, 3, 3, 3), dtype=torch.float64)
    cosines = trace(narrow, images, "gradient_input")
    assert cosines["linear 3"] < 0.95 and cosines["linear 1"] == pytest.approx(1)


def test_an_orthogonal_layer_keeps_the_angle():
    rotation = nn.Linear(8, 8, bias=False)
    nn.init.orthogonal_(rotation.weight)
    chain = nn.Sequential(nn.Flatten(), rotation, nn.Linear(8, 2)).double()
    cosines = trace(chain, torch.rand((3, 1, 2, 2, 2), dtype=torch.float64), "gradient_input")
    assert cosines["linear 1"] == pytest.approx(cosines["linear 2"])


def test_the_mean_cosine_is_over_pairs_and_scans():
    first = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    second = torch.tensor([[-2.0, 0.0], [1.0, -1.0]])
    assert mean_cosine([first, second]) == pytest.approx(0.5)
    third = torch.zeros((2, 2))
    assert mean_cosine([first, second, third]) == pytest.approx(0.5 / 3)


def test_the_inputs_of_the_last_layer_are_what_it_is_given(paper_network, scans):
    given = []
    last = [module for module in paper_network.modules() if isinstance(module, nn.Linear)][-1]
    with last.register_forward_hook(lambda module, inputs, outputs: given.append(inputs[0])):
        paper_network(scans)
    nodes = graph_of(paper_network, scans)
    (source,) = nodes[last_with_weights(nodes) - 1].sources
    np.testing.assert_array_equal(value_of(nodes, scans, source), given[0].detach())


def test_a_network_of_less_than_two_layers_with_weights_is_refused(scans):
    class Other(nn.Module):
        def forward(self, images):
            return images.mean(dim=(2, 3, 4)).repeat(1, 2)

    for network in (Other(), nn.Sequential(nn.Flatten(), nn.Linear(scans[0].numel(), 2).double())):
        with pytest.raises(StudyError, match="networks of at least two layers with weights"):
            trace(network.eval(), scans, "gradient_input")


def test_a_method_that_does_not_go_back_layer_by_layer_is_refused(paper_network, scans):
    with pytest.raises(StudyError, match="'occlusion'; choose one of gradient_input, guided_backprop, lrp"):
        trace(paper_network, scans, "occlusion")
