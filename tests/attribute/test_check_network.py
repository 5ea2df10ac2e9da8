"""What a network must do, and what is said of each method before any scan is registered."""

import math

import networks
import nibabel as nib
import numpy as np
import pytest
import torch
from torch import nn

from heatproof.attribute.check_network import check_network, require_possible, try_all
from heatproof.attribute.explain import explain, from_template
from heatproof.errors import StudyError
from heatproof.task import PATIENTS, Task

SHAPE = (16, 12, 16)
BRAIN = torch.zeros(SHAPE, dtype=torch.bool)
BRAIN[2:-2, 2:-2, 2:-2] = True


def checked(name, tmp_path, task=PATIENTS, **options):
    network = {"function": f"{networks.__name__}:{name}"}
    return check_network(BRAIN, {"network": network, "batch_size": 4} | options, tmp_path, task)


@pytest.fixture
def brought(monkeypatch):
    """A function that makes a network of one's own known by the name ``brought``."""
    return lambda build: monkeypatch.setattr(networks, "brought", build, raising=False)


@pytest.mark.parametrize("name", networks.KINDS)
def test_networks_of_many_kinds_pass(name, tmp_path):
    network, scans = checked(name, tmp_path)
    assert not network.training and scans.shape == (2, 1, *SHAPE)
    assert not scans[:, 0, ~BRAIN].any() and 0 < scans.max() < 1


def test_lengths_in_millimetres_are_voxels_of_the_working_grid(tmp_path):
    nib.Nifti1Image(BRAIN.numpy().astype(np.uint8), np.diag([4.0, 4, 4, 1])).to_filename(tmp_path / "brain_mask.nii.gz")
    options = from_template({"method": "occlusion", "patch": "24 mm", "stride": 3, "mask": "brain"}, tmp_path)
    assert (options["patch"], options["stride"]) == (6, 3)
    assert torch.equal(options["mask"], BRAIN)


REFUSED = {
    "one_output": r"returns a tensor of shape \(2, 1\) for 2 scans; it must return logits alone, .* shape \(scans, 2\)",
    "with_names": r"returns a dict for 2 scans; it must return logits alone",
    "forgetful": r"written to a file and read again, returns other logits: .* not in its state_dict",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_study_cannot_go_on_with_is_refused(name, tmp_path):
    with pytest.raises(StudyError, match=REFUSED[name]):
        checked(name, tmp_path)


BROUGHT = {
    "three classes": (lambda shape: networks.linear(shape, 3), r"a tensor of shape \(2, 3\)"),
    "a voxel of logits": (
        lambda shape: nn.Sequential(nn.Conv3d(1, 2, 3), nn.AdaptiveAvgPool3d(1)),
        r"\(2, 2, 1, 1, 1\)",
    ),
    "a grid too small": (
        lambda shape: nn.Sequential(nn.MaxPool3d(8), nn.Conv3d(1, 4, 3), nn.Flatten(), nn.Linear(4, 2)),
        r"cannot be run on a grid of 16 x 12 x 16 voxels \(RuntimeError: .*choose a smaller register.voxel_size",
    ),
    "a mistake of one's own": (lambda shape: shape[3], r"cannot be built on a grid of .* \(IndexError: tuple index"),
    "no weights": (
        lambda shape: nn.Sequential(nn.AdaptiveAvgPool3d((1, 1, 2)), nn.Flatten()),
        r"cannot be trained \(ValueError: optimizer got an empty",
    ),
    "not finite": (lambda shape: networks.linear(shape).apply(spoil), "logits that are not finite"),
    "what no file holds": (lambda shape: WithState(networks.linear(shape)), "cannot be written to a file"),
    "company": (
        lambda shape: nn.Sequential(nn.BatchNorm3d(1, track_running_stats=False), *networks.linear(shape)),
        "output depends on the other scans of its batch",
    ),
    "one scan alone": (lambda shape: Squeezing(*networks.linear(shape)), r"a tensor of shape \(2,\) for 1 scan"),
    "gradients": (lambda shape: Scaled(*networks.linear(shape)), "gradients that are not finite"),
    "chance": (
        lambda shape: nn.Sequential(AlwaysDropout(), *networks.linear(shape)),
        "is another when it is asked again",
    ),
}


def spoil(layer):
    if isinstance(layer, nn.Linear):
        nn.init.constant_(layer.bias, math.nan)


class WithState(nn.Sequential):
    def get_extra_state(self):
        return "text"


class Squeezing(nn.Sequential):
    def forward(self, images):
        return super().forward(images).squeeze()


class Scaled(nn.Sequential):
    """By a square root whose gradient is infinite at 0."""

    def forward(self, images):
        return super().forward(images) + self[-1].bias.mul(0).sqrt().sum()


class AlwaysDropout(nn.Module):
    def forward(self, images):
        return nn.functional.dropout(images)


@pytest.mark.parametrize("kind", BROUGHT)
def test_whatever_goes_wrong_in_a_network_of_one_s_own_is_told_in_a_sentence(kind, brought, tmp_path):
    build, message = BROUGHT[kind]
    brought(build)
    with pytest.raises(StudyError, match=message):
        checked("brought", tmp_path)


def test_a_batch_of_one_scan_is_refused_where_a_norm_needs_two(tmp_path):
    with pytest.raises(StudyError, match=r"cannot be trained \(ValueError: .*; correct it, or raise train.batch_size"):
        checked("normed_head", tmp_path, batch_size=1)


ALL = {"target": "patient", "output": "logit", "sign": "signed"}
METHODS = {
    "gradient_input": {"method": "gradient_input"},
    "integrated_gradients": {"method": "integrated_gradients", "steps": 10**9},
    "smooth_grad": {"method": "smooth_grad", "samples": 10**9},
    "occlusion": {"method": "occlusion", "patch": 1, "stride": 1, "mask": "none"},
    "region_occlusion": {"method": "region_occlusion", "regions": "atlas"},
    "lrp": {"method": "lrp", "rule": "epsilon", "bias": True},
    "from_twin": {"method": "gradient_input", "reference": "twin"},
    "from_control": {"method": "integrated_gradients", "baseline": "mean_control"},
    "from_controls": {"method": "gradient_shap", "controls": 10**9, "samples": 10**9},
    "from_blurred": {"method": "deep_lift", "baseline": {"blurred": 8.0}},
    "region_of_control": {"method": "region_occlusion", "regions": "atlas", "baseline": "mean_control"},
    "gone": None,
}
ATTRIBUTE = {"methods": {name: options and ALL | options for name, options in METHODS.items()}, "convergence_scans": 1}


@pytest.fixture
def tried(small_brain, tmp_path):
    """A function that tries methods with a network, on the small brain's grid, and returns the table by name."""

    def table(network, attribute=ATTRIBUTE, compare=None):
        options = {"network": network, "batch_size": 4}
        network, scans = check_network(torch.from_numpy(small_brain.mask), options, tmp_path)
        compare = compare or {"checks": ["random_head", "noise"], "cascade_parts": 6}
        return try_all(network, scans, small_brain.folder, attribute, compare)

    return table


PAPER = {
    "function": "heatproof.train.network:build_network", "filters": [2, 3], "pools": [2, 3], "padding": 1, "hidden": 4
}  # fmt: skip


def test_the_paper_s_network_can_have_every_method_tried_without_the_work_of_it(tried):
    table = tried(PAPER)
    assert (table["possible"] == "yes").all()
    assert table.loc[0, "note"].startswith("4 layers with weights, 2 of them in the head; ")
    assert table["what"].tolist() == ["network", "check"] + ["method"] * 11 + ["convergence"] * 3
    require_possible(table, METHODS)


def test_what_a_network_cannot_have_is_refused_with_its_key_if_the_user_named_it_and_else_left_out(tried):
    table = tried({"function": f"{networks.__name__}:by_groups"})
    refused = table[table["possible"] == "no"]
    assert refused["name"].tolist() == ["from_blurred", "lrp"]
    assert table.loc[table["what"] == "convergence", "name"].tolist() == ["from_twin", "gradient_input"]
    with pytest.raises(StudyError, match=r"attribute.methods.lrp: lrp does not know .* \(null in its place"):
        require_possible(table, ["lrp", "random_head"])
    with pytest.raises(StudyError) as refused:
        require_possible(table, ["lrp"])
    assert "from_blurred" not in str(refused.value)
    require_possible(table, ["gradient_input", "random_head"])


def test_a_residual_network_with_gates_can_have_lrp_and_its_convergence(tried):
    table = tried({"function": f"{networks.__name__}:squeezed_resnet"})
    assert table.loc[table["possible"] == "no", "name"].tolist() == ["from_blurred"]  # DeepLIFT knows chains alone
    assert table.loc[table["what"] == "convergence", "name"].tolist() == ["from_twin", "gradient_input", "lrp"]


def test_convergence_that_cannot_be_measured_is_noted_and_left_out(tried):
    methods = {"gradient_input": ALL | {"method": "gradient_input"}}
    several_heads = {"function": f"{networks.__name__}:branching"}
    compare = {"checks": ["noise"], "cascade_parts": 1}
    table = tried(several_heads, {"methods": methods, "convergence_scans": 1}, compare)
    (row,) = table[table["what"] == "convergence"].itertuples()
    assert row.possible == "no" and "the last of which nothing passes by" in row.note
    require_possible(table, ["gradient_input"])


def test_a_network_that_can_have_no_method_ends_the_study_whoever_named_them(tried):
    attribute = {"methods": {"guided": ALL | {"method": "guided_backprop"}}, "convergence_scans": 0}
    with pytest.raises(StudyError, match=r"attribute.methods.guided: guided_backprop needs a network with ReLUs"):
        require_possible(tried({"function": f"{networks.__name__}:linear"}, attribute), [])


def test_all_that_is_impossible_is_told_at_once(tried):
    methods = {
        "guided": ALL | {"method": "guided_backprop"},
        "too_large": ALL | {"method": "occlusion", "patch": 1000, "stride": 1000, "mask": "brain"},
        "no_such_layer": ALL | {"method": "grad_cam", "layer": 7},
        "misspelt": ALL | {"method": "lrp", "role": "epsilon"},
        "input": ALL | {"method": "input"},
    }
    compare = {"checks": ["cascade"], "cascade_parts": 2}
    table = tried({"function": f"{networks.__name__}:linear"}, {"methods": methods, "convergence_scans": 0}, compare)
    assert table["name"].tolist() == ["Sequential", "cascade", *sorted(methods)]
    with pytest.raises(StudyError) as refused:
        require_possible(table, [*methods, "cascade"])
    message = str(refused.value)
    for part in ("cascade_parts", "methods.guided: ", "methods.too_large: ", "methods.no_such_layer: ", "'role'"):
        assert part in message
    assert "methods.input" not in message


def test_a_cascade_may_have_as_many_parts_as_there_are_layers(tried):
    attribute = {"methods": {"input": ALL | {"method": "input"}}, "convergence_scans": 0}
    table = tried(PAPER, attribute, {"checks": ["cascade"], "cascade_parts": 4})
    assert table["possible"].tolist() == ["yes"] * 3
    with pytest.raises(
        StudyError, match=r"the network has 4 layers with weights; set compare.cascade_parts to no more"
    ):
        require_possible(tried(PAPER, attribute, {"checks": ["cascade"], "cascade_parts": 5}), ["cascade"])


def test_what_is_tried_is_what_is_explained(tried, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "heatproof.attribute.check_network.explain",
        lambda network, scans, **options: seen.append(options) or explain(network, scans, **options),
    )
    tried(PAPER)
    (cubes,) = (options for options in seen if options["method"] == "occlusion")
    assert cubes["mask"].sum() == 1 and cubes["patch"] == cubes["stride"] == 1 and cubes["sign"] == "signed"


AGE = Task([], "age")


def test_a_network_that_says_a_value_has_one_output_with_a_bias(tmp_path, brought):
    network, _ = checked("one_output", tmp_path, loss="squared_error", task=AGE)
    assert not network.training
    with pytest.raises(
        StudyError, match=r"shape \(2, 2\) for 2 scans; it must return the value of age alone, .* \(scans, 1\)$"
    ):
        checked("resnet", tmp_path, loss="squared_error", task=AGE)
    brought(lambda shape: nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 1, bias=False)))
    with pytest.raises(StudyError, match=r"cohort.value is learned in standard deviations, .* with a bias"):
        checked("brought", tmp_path, loss="squared_error", task=AGE)
