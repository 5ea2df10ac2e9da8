"""Training in bfloat16: only products and convolutions, and only where the device's convolutions are right in it."""

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from heatproof.train.network import build_network
from heatproof.train.precision import largest_difference, lower, trusted

IMAGES = torch.rand((2, 1, 24, 24, 24), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build_network((24, 24, 24), filters=(4, 8), pools=(2, 3), hidden=5)


class Wrong(nn.Conv3d):
    """A convolution that loses its last plane in bfloat16, and does so in silence."""

    def forward(self, inputs):
        outputs = super().forward(inputs)
        return (
            outputs * (outputs.new_ones(outputs.shape[-1]).cumsum(0) < 8)
            if outputs.dtype == torch.bfloat16
            else outputs
        )


def test_right_convolutions_differ_by_rounding_and_are_trusted(network, untouched_bytes):
    check = untouched_bytes(network)
    assert 1e-4 < largest_difference(network, IMAGES) < 0.02
    assert trusted("bfloat16", network, IMAGES) == "bfloat16"
    check()


def test_a_convolution_that_is_wrong_in_bfloat16_is_not_trusted_and_the_log_says_so(network, caplog):
    network[4] = Wrong(4, 8, 3)
    assert largest_difference(network, IMAGES) > 0.1
    assert trusted("bfloat16", network, IMAGES) == "float32"
    assert "bfloat16 are off" in caplog.text and "float32" in caplog.text


class OfOnesOwn(nn.Module):
    """A convolution whose weight is made of others, one that is frozen, given by name, and one that is transposed."""

    def __init__(self):
        super().__init__()
        self.normed = weight_norm(nn.Conv3d(1, 2, 3))
        self.frozen, self.up = nn.Conv3d(2, 2, 3).requires_grad_(False), nn.ConvTranspose3d(2, 2, 3)

    def forward(self, images):
        return self.up(self.frozen(input=self.normed(images)))


def test_convolutions_of_every_kind_are_compared():
    torch.manual_seed(0)
    network = OfOnesOwn()
    assert 1e-4 < largest_difference(network, IMAGES) < 0.02


@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_other_precisions_are_taken_as_they_are(network, precision):
    network[4] = Wrong(4, 8, 3)
    assert trusted(precision, network, IMAGES) == precision


def test_convolutions_are_of_bfloat16_where_that_is_the_precision_alone(network):
    for precision, dtype in (("float32", torch.float32), ("tf32", torch.float32), ("bfloat16", torch.bfloat16)):
        with lower(precision, torch.device("cpu")):
            assert network[0](IMAGES).dtype == dtype


@pytest.fixture
def untouched_bytes():
    def watch(model):
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

        def check():
            assert model.training and not any(part._forward_hooks for part in model.modules())
            assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())

        return check

    return watch
