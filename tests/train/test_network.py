"""The paper's network, and models on disk."""

import sys

import networks
import numpy as np
import pytest
import torch
from torch import nn

from heatproof.errors import StudyError
from heatproof.running import to_device
from heatproof.train.network import build_network, create_network, load_model, save_model
from heatproof.train.presets import sfcn

OPTIONS = {"function": "heatproof.train.network:build_network", "filters": [2, 3], "pools": [2, 2], "hidden": 5}


def test_the_paper_s_network_has_5120_features_at_the_full_grid():
    network = build_network((193, 229, 193))
    convolutions = [layer for layer in network if isinstance(layer, nn.Conv3d)]
    assert [layer.out_channels for layer in convolutions] == [8, 16, 32, 64]
    assert [layer.kernel_size for layer in network if isinstance(layer, nn.MaxPool3d)] == [2, 3, 2, 3]
    assert [layer.p for layer in network if isinstance(layer, nn.Dropout)] == [0.4, 0.4]
    linear = [layer for layer in network if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == [(5120, 128), (128, 2)]


def test_layers_are_modules_of_their_own_and_none_works_in_place():
    network = build_network((20, 20, 20), filters=[2, 3], pools=[2, 2])
    assert len({id(layer) for layer in network}) == len(network)
    assert not any(getattr(layer, "inplace", False) for layer in network)


@pytest.mark.parametrize("padding", [0, 1])
def test_the_grid_is_followed_through_the_layers(padding):
    network = build_network((33, 29, 31), filters=[2, 3], pools=[2, 3], padding=padding).eval()
    assert network(torch.zeros(1, 1, 33, 29, 31)).shape == (1, 2)


def test_a_grid_too_small_is_refused_with_the_keys_to_change():
    with pytest.raises(StudyError, match=r"20 x 20 x 20 voxels is too small for train.network.*register.voxel_size"):
        build_network((20, 20, 20))


def test_a_model_comes_back_as_it_was_saved(tmp_path):
    torch.manual_seed(0)
    model = to_device(create_network((12, 13, 14), OPTIONS), "cpu").eval()
    save_model(model, (12, 13, 14), OPTIONS, tmp_path / "a.safetensors")
    save_model(model, (12, 13, 14), OPTIONS, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    image = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 1, 12, 13, 14)).astype(np.float32))
    loaded = load_model(tmp_path / "a.safetensors")
    assert not loaded.training and torch.equal(loaded(image), model(image))


def test_a_module_of_two_names_is_saved_and_comes_back_as_one(tmp_path):
    torch.manual_seed(0)
    options, model = {"function": f"{networks.__name__}:recurrent"}, networks.Recurrent().eval()
    save_model(model, (6, 6, 6), options, tmp_path / "model.safetensors")
    loaded, image = load_model(tmp_path / "model.safetensors"), torch.rand(1, 1, 6, 6, 6)
    assert torch.equal(loaded(image), model(image)) and loaded.same.weight is loaded.again.weight


def test_a_model_of_a_network_that_was_changed_since_is_refused_by_name(tmp_path, monkeypatch):
    options = {"function": f"{networks.__name__}:recurrent"}
    save_model(networks.Recurrent(), (6, 6, 6), options, tmp_path / "model.safetensors")
    monkeypatch.setattr(networks, "recurrent", networks.linear)
    with pytest.raises(
        StudyError, match=r"model.safetensors is of another network .*Missing key.*; delete it to train"
    ):
        load_model(tmp_path / "model.safetensors")


def test_what_is_no_model_is_refused_by_name(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"no model")
    with pytest.raises(StudyError, match=r"model.safetensors is not a model"):
        load_model(tmp_path / "model.safetensors")


def test_a_network_of_one_s_own_is_named_module_and_function():
    network = create_network((4, 5, 6), {"function": f"{networks.__name__}:linear", "classes": 3})
    assert network(torch.zeros(1, 1, 4, 5, 6)).shape == (1, 3)
    inherited = {"function": f"{networks.__name__}:linear", "filters": [8, 16], "dropout": 0.4}
    assert len(create_network((4, 5, 6), inherited)) == 2
    with pytest.raises(StudyError, match=r"takes no option 'depth'; it takes shape, classes"):
        create_network((4, 5, 6), inherited | {"depth": 3})
    with pytest.raises(StudyError, match=r"'torch.nn:nothing' is not found"):
        create_network((4, 4, 4), {"function": "torch.nn:nothing"})


@pytest.mark.parametrize("name", ["by_keywords", "by_class", "by_a_class_it_names", "Derived"])
def test_what_follows_from_the_scans_and_the_classes_is_filled_in_by_name(name):
    options = {"function": f"{networks.__name__}:{name}", "width": 3}
    network = create_network((4, 5, 6), options)
    assert (network.spatial_dims, network.in_channels, network.img_size) == (3, 1, (4, 5, 6))
    assert network(torch.zeros(2, 1, 4, 5, 6)).shape == (2, 2)
    assert create_network((4, 5, 6), options | {"num_classes": 3})(torch.zeros(1, 1, 4, 5, 6)).shape == (1, 3)


def test_a_function_that_is_handed_the_shape_keeps_its_own_values(tmp_path):
    network = create_network((4, 5, 6), {"function": f"{networks.__name__}:of_shape"})
    assert (network.shape, network.out_channels, network.num_classes) == ((4, 5, 6), 16, 2)


@pytest.mark.parametrize("kind", ["with_its_layers", "with_its_features"])
def test_of_several_outputs_the_first_counts_and_weights_keep_their_names(kind, tmp_path):
    options = {"function": f"{networks.__name__}:{kind}"}
    network, images = create_network((4, 5, 6), options).eval(), torch.rand(2, 1, 4, 5, 6)
    assert network(images).shape == (2, 2)
    assert network.state_dict().keys() == getattr(networks, kind)((4, 5, 6)).state_dict().keys()
    save_model(network, (4, 5, 6), options, tmp_path / "model.safetensors")
    assert torch.equal(load_model(tmp_path / "model.safetensors")(images), network(images))


def test_what_is_no_network_is_refused_by_name():
    with pytest.raises(StudyError, match=r":no_network returns a dict and no torch.nn.Module"):
        create_network((4, 5, 6), {"function": f"{networks.__name__}:no_network"})


def test_sfcn_is_as_published():
    network = sfcn((160, 192, 160)).eval()
    convolutions = [layer for layer in network if isinstance(layer, nn.Conv3d)]
    assert [layer.out_channels for layer in convolutions] == [32, 64, 128, 256, 256, 64, 2]
    assert [layer.kernel_size[0] for layer in convolutions] == [3, 3, 3, 3, 3, 1, 1]
    assert network[:20](torch.zeros(1, 1, 64, 64, 64)).shape == (1, 256, 2, 2, 2)
    assert network(torch.zeros(2, 1, 48, 57, 48)).shape == (2, 2)
    with pytest.raises(
        StudyError, match=r"24 x 28 x 24 voxels is too small for train.network, which halves it 5 times"
    ):
        create_network((24, 28, 24), {"function": "heatproof.train.presets:sfcn"})


@pytest.mark.parametrize(
    "function",
    [
        *("heatproof.train.presets:resnet18", "heatproof.train.presets:densenet121"),
        *("monai.networks.nets:resnet18", "monai.networks.nets:DenseNet121", "monai.networks.nets:SEResNet50"),
    ],
)
def test_networks_of_monai_need_no_wrapper(function):
    pytest.importorskip("monai", reason="MONAI is not installed")
    network = create_network((32, 32, 32), {"function": function}).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 1, 32, 32, 32)).shape == (1, 2)


def test_a_preset_of_monai_s_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "monai.networks", None)
    with pytest.raises(StudyError, match=r"MONAI's, which cannot be imported .*; pip install --no-deps monai"):
        create_network((32, 32, 32), {"function": "heatproof.train.presets:resnet18"})
