"""Networks with weights and batch-norm statistics at random, in evaluation mode."""

import copy

import pytest
import torch
from torch import nn

import heatproof.attribute.zennit_rules  # noqa: F401  (from here on tests can import zennit, see there)
from heatproof.train.network import build_network

GRID = (36, 38, 36)


def ready(network):
    """Give batch norms statistics and scales of their own, some negative, and switch to evaluation in float64."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm3d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, -0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
    return network.double().eval()


@pytest.fixture(scope="session")
def paper_network():
    """The paper's network on a small grid."""
    torch.manual_seed(0)
    return ready(build_network(GRID, padding=1))


@pytest.fixture(scope="session")
def scans():
    """Three scans on that grid, in 0..1."""
    return torch.rand((3, 1, *GRID), dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="session")
def random_chain():
    """A function from a seed to a chain of layers, and two images for it, with negative voxels for odd seeds.

    Seeds 2, 3, 6, 7, ... have images of two channels.
    """

    def build(seed):
        torch.manual_seed(seed)
        shape, layers, channels = torch.randint(6, 9, (3,)).tolist(), [], 1 + seed // 2 % 2
        images = torch.rand((2, channels, *shape), dtype=torch.float64) - 0.5 * (seed % 2)
        for _ in range(int(torch.randint(1, 4, ()))):
            width, kernel, stride = (int(torch.randint(1, high, ())) for high in (4, 4, 3))
            padding = int(torch.randint(kernel // 2, 3, ()))
            layers += [nn.Conv3d(channels, width, kernel, padding=padding, stride=stride, bias=bool(seed % 3))]
            layers += [nn.BatchNorm3d(width)] * int(torch.randint(2, ()))
            layers += [nn.Sequential(nn.ReLU(), [nn.MaxPool3d, nn.AvgPool3d][seed % 2](2, 1, 1)), nn.Dropout3d()]
            channels = width
        with torch.no_grad():
            features = nn.Sequential(*layers, nn.Flatten()).eval()(images.float()[:1]).shape[1]
        head = [nn.Flatten(), nn.Linear(features, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)]
        return ready(nn.Sequential(*layers, *head)), images

    return build


@pytest.fixture
def untouched():
    """A function that compares a model with how it was: hooks, weights, gradients and what asks for them."""

    def portrait(model):
        hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
        return (
            [(name, id(module), module.training) for name, module in model.named_modules()],
            [len(getattr(module, hook)) for module in model.modules() for hook in hooks],
            [(name, id(weight), weight.requires_grad, weight.grad) for name, weight in model.named_parameters()],
        )

    def watch(model):
        before, weights = portrait(model), copy.deepcopy(model.state_dict())

        def check():
            assert portrait(model) == before
            assert all(torch.equal(now, weights[name]) for name, now in model.state_dict().items())

        return check

    return watch
