"""Effects of units on the margin: against networks whose effects can be worked out by hand, and plain passes."""

import numpy as np
import pytest
import torch
from torch import nn

from heatproof.attribute import replacement
from heatproof.attribute.effects import unit_effects
from heatproof.attribute.outputs import with_margin
from heatproof.attribute.replacement import outputs_in_order, outputs_one_by_one, split_network
from heatproof.errors import StudyError

SHAPE = (6, 5, 4)
UNITS = np.zeros(SHAPE, np.int32)
UNITS[:2], UNITS[2:4], UNITS[4:] = 1, 2, 3


class Margin(nn.Module):
    """A network whose margin of class 1 is a function of the three units' means."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, images):
        total = self.function(*(images[:, 0, 2 * i : 2 * i + 2].mean(dim=(1, 2, 3)) for i in range(3)))
        return torch.stack([-total / 2, total / 2], dim=1)


def scan(*values):
    """A scan in which each unit has one value."""
    return torch.tensor(values, dtype=torch.float32).repeat_interleave(2)[:, None, None].expand(SHAPE)[None, None]


def test_a_linear_model_on_voxels_has_exact_effects():
    torch.manual_seed(0)
    images, references = torch.rand(2, 3, 1, *SHAPE, dtype=torch.float64)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(120, 2)).double().eval()
    weight = (linear[1].weight[1] - linear[1].weight[0]).reshape(SHAPE).detach()
    products = (weight * (images - references))[:, 0].numpy()
    exact = np.stack([products[:, unit == UNITS].sum(axis=1) for unit in (1, 2, 3)], axis=1)
    effects = unit_effects(linear, images, references, UNITS, 1, shapley=4)
    for found in (effects.first, effects.last, effects.mean, effects.shapley):
        np.testing.assert_allclose(found, exact, rtol=1e-9)
    np.testing.assert_allclose(effects.shapley_error, 0, atol=1e-12)
    np.testing.assert_allclose(exact.sum(axis=1), effects.margin - effects.margin_reference, rtol=1e-9)


@pytest.mark.parametrize("target, sign", [(1, 1), (0, -1)])
def test_three_units_of_which_two_interact_have_the_effects_worked_out_by_hand(target, sign):
    # margin a b + c, from (2, 3, 5) to (1, 1, 1): 11 to 2
    model = Margin(lambda a, b, c: a * b + c)
    effects = unit_effects(model, scan(2, 3, 5), scan(1, 1, 1), UNITS, target, shapley=100)
    assert effects.margin == pytest.approx([sign * 11]) and effects.margin_reference == pytest.approx([sign * 2])
    np.testing.assert_allclose(
        effects.first, [[sign * 3, sign * 4, sign * 4]], rtol=1e-6
    )  # 6 - 1 * 3, 6 - 2 * 1, 5 - 1
    np.testing.assert_allclose(effects.last, [[sign * 1, sign * 2, sign * 4]], rtol=1e-6)  # 2 * 1 - 1, 1 * 3 - 1, 5 - 1
    np.testing.assert_allclose(effects.mean, [[sign * 2, sign * 3, sign * 4]], rtol=1e-6)
    # with a reverse beside every order, each of two units that interact is the first one in one of the two
    np.testing.assert_allclose(effects.shapley, [[sign * 2, sign * 3, sign * 4]], rtol=1e-5)


def test_shapley_values_lie_within_their_errors_and_sum_to_the_gap():
    # margin a b c from (1, 1, 1) to (0, 0, 0): the first takes it all, so that each has a third
    model = Margin(lambda a, b, c: a * b * c)
    few, many = (unit_effects(model, scan(1, 1, 1), scan(0, 0, 0), UNITS, 1, shapley=number) for number in (10, 400))
    assert (np.abs(many.shapley - 1 / 3) < 3 * many.shapley_error).all()
    assert (many.shapley_error > 0).all() and (many.shapley_error < few.shapley_error).all()
    pairs = np.array([0.5, 0.5, 0.0])  # an order and its reverse: the first and the last have half each
    assert many.shapley_error == pytest.approx(np.full((1, 3), pairs.std() / np.sqrt(200)), rel=0.1)
    for effects in (few, many):
        assert effects.shapley.sum() == pytest.approx(1, rel=1e-6)
    again = unit_effects(model, scan(1, 1, 1), scan(0, 0, 0), UNITS, 1, shapley=10)
    assert (again.shapley == few.shapley).all()
    other = unit_effects(model, scan(1, 1, 1), scan(0, 0, 0), UNITS, 1, shapley=10, seed=1)
    assert (other.shapley != few.shapley).any()


def test_a_model_that_looks_at_one_region_only_has_all_its_effect_there(paper_network, scans):
    units = np.zeros(scans.shape[2:], np.int32)
    units[:20], units[20:, :15], units[20:, 15:] = 1, 2, 3

    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = paper_network

        def forward(self, images):
            return self.network(images * torch.from_numpy(units == 2))

    effects = unit_effects(Masked().eval(), scans[:1], scans[1:2], units, 1, shapley=4)
    gap = effects.margin - effects.margin_reference
    for found in (effects.first, effects.last, effects.shapley):
        np.testing.assert_allclose(found, [[0, gap[0], 0]], rtol=1e-9, atol=1e-12)


def plain(model, image, other, units, chosen):
    """The outputs by one pass for each unit."""
    mixed = [torch.where(units == unit, other, image)[None] for unit in chosen]
    return torch.cat([model(scan) for scan in mixed])


def boxes(shape, rng):
    """Units that overlap in their boxes: voxels at random in some, cubes in others."""
    units = rng.integers(0, 4, shape) * (rng.random(shape) < 0.1)
    units[1:4, 2:5, 1:3], units[-2:, -3:, -2:] = 5, 6
    units[0, 0, 0] = 7
    return torch.from_numpy(units)


@pytest.mark.parametrize("share", [0.0, 0.3, 10.0])
@pytest.mark.parametrize("seed", [0, 1, 3, 4, 6, 9, 10])  # the others ignore their images
def test_units_on_windows_are_those_of_plain_passes_for_chains_at_random(random_chain, monkeypatch, seed, share):
    monkeypatch.setattr(replacement, "LARGEST", share)
    model, (image, other) = random_chain(seed)
    units = boxes(image.shape[1:], np.random.default_rng(seed))
    chosen = [unit for unit in units.unique().tolist() if unit]
    with torch.no_grad():
        expected = plain(model, image, other, units, chosen)
        found = outputs_one_by_one(model, image, other, units, chosen, batch_size=2)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
        assert not torch.allclose(expected, model(image[None]), rtol=1e-6)


OTHERS = {
    "same": [nn.Conv3d(2, 3, 4, padding="same"), nn.LeakyReLU(inplace=True), nn.AvgPool3d(2)],
    "dilated groups": [nn.Conv3d(2, 4, 3, dilation=2, groups=2, padding=(2, 1, 0)), nn.ELU(), nn.MaxPool3d((2, 1, 3))],
    "strides that skip voxels": [nn.Conv3d(2, 3, 1, stride=2), nn.Conv3d(3, 3, 2, stride=3), nn.ReLU()],
    "circular": [nn.Conv3d(2, 3, 3, padding=1, padding_mode="circular"), nn.ReLU(inplace=True), nn.MaxPool3d(2)],
    "padded pooling": [nn.Conv3d(2, 3, 3, padding=1), nn.MaxPool3d(3, 2, 1), nn.Conv3d(3, 2, 3, padding=1)],
    "pooling first": [nn.MaxPool3d(2, 2), nn.Conv3d(2, 3, 3, padding=1), nn.MaxPool3d(2, ceil_mode=True)],
}


@pytest.mark.parametrize("name", OTHERS)
def test_units_on_windows_are_those_of_plain_passes_for_other_layers_and_channels(name, monkeypatch):
    monkeypatch.setattr(replacement, "LARGEST", 10.0)
    torch.manual_seed(1)
    model = nn.Sequential(*OTHERS[name], nn.AdaptiveAvgPool3d(2), nn.Flatten(), nn.LazyLinear(2)).double().eval()
    image, other = torch.rand(2, 2, 11, 12, 13, dtype=torch.float64)
    units = boxes(image.shape[1:], np.random.default_rng(2))
    with torch.no_grad():
        expected = plain(model, image, other, units, [1, 2, 3, 5, 6, 7])
        found = outputs_one_by_one(model, image, other, units, [1, 2, 3, 5, 6, 7], batch_size=3)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_in_float32_windows_differ_from_plain_passes_by_rounding(paper_network, scans, untouched):
    units = np.zeros(scans.shape[2:], np.int64)
    units[3:9, 10:17, 20:30], units[20:31, 8:20, 2:11] = 1, 2
    model, (image, other) = paper_network.float(), scans[:2].float()
    check = untouched(model)
    try:
        with torch.no_grad():
            expected = plain(with_margin(model), image, other, torch.from_numpy(units), [1, 2])[:, 1].double()
            effects = unit_effects(model, image[None], other[None], units, 1)
        np.testing.assert_allclose(effects.margin - effects.first[0], expected, rtol=1e-5, atol=1e-5)
        check()
    finally:
        paper_network.double()


def test_windows_end_where_they_would_be_as_large_as_the_grid(paper_network, scans):
    small, large = np.zeros((2, 1, 3, 2), int)
    small[0], large[0] = [10, 12], [[2, 34], [2, 36], [2, 34]]
    layers = list(paper_network)
    found = {
        name: split_network(paper_network, scans[0], box) for name, box in {"small": small, "large": large}.items()
    }
    assert len(found["small"][0]) > 1 and not found["large"][0] and found["large"][1] is paper_network
    stages, rest = found["small"]
    assert [*(layer for stage in stages for layer in stage.layers), *rest] == layers


def test_a_network_with_hooks_runs_as_a_whole(random_chain):
    model, (image, other) = random_chain(1)
    handle = model[0].register_forward_hook(lambda layer, inputs, outputs: outputs.clamp(max=0.1))
    units = boxes(image.shape[1:], np.random.default_rng(0))
    with torch.no_grad():
        found = outputs_one_by_one(model, image, other, units, [1, 5], batch_size=2)
        torch.testing.assert_close(found, plain(model, image, other, units, [1, 5]), rtol=1e-10, atol=1e-10)
    handle.remove()


def test_units_taken_one_after_another():
    model = Margin(lambda a, b, c: a + 10 * b + 100 * c)
    outputs = outputs_in_order(
        model, scan(1, 1, 1)[0], scan(0, 0, 0)[0], torch.from_numpy(UNITS), [3, 1], [0, 1, 2], batch_size=2
    )
    np.testing.assert_allclose((outputs[:, 1] - outputs[:, 0]).numpy(), [111, 11, 10], rtol=1e-6)


@pytest.mark.parametrize(
    "images, references, units, options, message",
    [
        (
            scan(1, 1, 1),
            scan(1, 1, 1)[..., 1:],
            UNITS,
            {},
            "the scans are 1 x 1 x 6 x 5 x 4, their references 1 x 1 x 6",
        ),
        (scan(1, 1, 1), scan(1, 1, 1), UNITS[1:], {}, "and the units 5 x 5 x 4"),
        (scan(1, 1, 1), scan(1, 1, 1), 0 * UNITS, {}, "there is no unit"),
        (scan(1, 1, 1), scan(1, np.nan, 1), UNITS, {}, "reference 0 has NaN"),
        (scan(1, 1, 1), scan(1, 1, 1), UNITS, {"shapley": 2}, "shapley is 2"),
        (scan(1, 1, 1), scan(1, 1, 1), UNITS, {"shapley": 5}, "shapley is 5"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_a_sentence(images, references, units, options, message):
    with pytest.raises(StudyError, match=message):
        unit_effects(Margin(lambda a, b, c: a + b + c), images, references, units, 1, **options)
