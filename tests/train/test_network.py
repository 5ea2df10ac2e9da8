"""The paper's network, and models on disk."""

import networks
import numpy as np
import pytest
import torch
from torch import nn

from heatproof.errors import StudyError
from heatproof.train.network import build_network, create_network, load_model, save_model

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
    model = create_network((12, 13, 14), OPTIONS).eval()
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
