"""The layers of a network in the order in which they run, and its head."""

import networks
import pytest
import torch
from torch import nn

from heatproof.errors import StudyError
from heatproof.train.execution import head_size, layers_in_order
from heatproof.train.network import build_network

SHAPE = (16, 12, 16)


def modules_of(network, shape=SHAPE):
    """Return the modules that own the weights of each layer, in order, and the size of the head."""
    layers = layers_in_order(network, (1, *shape))
    owners = [[name.rpartition(".")[0] for name in layer.weights] for layer in layers]
    return [list(dict.fromkeys(names)) for names in owners], head_size(layers)


def test_batch_norm_goes_with_its_convolution():
    network = build_network(SHAPE, filters=[3, 4], pools=[2, 3], padding=1, hidden=5)
    assert modules_of(network) == ([["0", "1"], ["4", "5"], ["10"], ["13"]], 2)


@pytest.mark.parametrize("pooled_first", [True, False])
def test_a_convolution_of_one_voxel_is_a_head(pooled_first):
    layers, head = modules_of(networks.Sfcn(pooled_first))
    assert layers == [["body.0", "body.1"], ["body.4", "body.5"], ["classifier"]] and head == 1


def test_a_head_that_is_defined_first_comes_last_and_a_resnet_has_21_layers():
    layers, head = modules_of(networks.ResNet())
    assert layers[0] == ["stem", "norm"] and layers[-1] == ["head"] and head == 1
    assert [layer[0] for layer in layers[5:8]] == ["blocks.2.conv1", "blocks.2.conv2", "blocks.2.shortcut.0"]
    assert len(layers) == 21


def test_layers_without_voxels_in_the_middle_are_not_the_head():
    layers, head = modules_of(networks.ResNet(excited=True))
    assert ["blocks.0.squeeze"] in layers and len(layers) == 21 + 16 and head == 1


def test_bare_weights_and_attention_are_layers_and_tokens_are_places():
    layers, head = modules_of(networks.VisionTransformer(SHAPE))
    assert layers[:3] == [["patches"], [""], ["blocks.0.self_attn"]]  # "": class token and positions
    assert layers[3] == ["blocks.0.self_attn.out_proj", "blocks.0.norm1"]
    assert layers[-2:] == [["blocks.1.linear2", "blocks.1.norm2", "norm"], ["head"]] and head == 1


def test_weights_count_where_they_meet_the_scan_whatever_was_made_of_them_before():
    network = networks.ByHand()
    layers = layers_in_order(network, (1, *SHAPE))
    assert [layer.in_head for layer in layers] == [False, True, True]
    assert {"conv.parametrizations.weight.original0", "conv.bias", "norm.running_mean"} < set(layers[0].weights)
    assert layers[2].weights == ["head"]
    assert sorted(name for layer in layers for name in layer.weights) == sorted(network.state_dict())


def test_what_runs_several_times_counts_where_it_runs_last_and_under_its_first_name():
    assert modules_of(networks.Recurrent()) == ([["stem"], ["again", "norm"], ["head"]], 1)


def test_a_norm_goes_with_the_layer_behind_it_where_network_or_head_begin():
    assert modules_of(networks.normed_head(SHAPE)) == ([["0"], ["4", "5"]], 1)
    assert modules_of(nn.Sequential(nn.BatchNorm3d(1), *networks.normed_head(SHAPE))) == ([["0", "1"], ["5", "6"]], 1)


def test_a_network_that_is_all_head_or_none():
    assert modules_of(networks.linear(SHAPE)) == ([["1"]], 1)
    voxelwise = nn.Sequential(nn.Conv3d(1, 2, 3), nn.ReLU(), nn.Conv3d(2, 2, 3))
    assert modules_of(voxelwise) == ([["0"], ["2"]], 1)


def test_what_the_logits_do_not_need_is_no_layer_and_several_numbers_are_no_voxels():
    assert modules_of(networks.Branching()) == ([["body"], ["heads.0"], ["heads.1"], ["heads.2"]], 3)


def test_a_weight_that_changes_a_part_in_place_is_on_the_way():
    assert modules_of(networks.InPart()) == ([["body"], [""], ["head"]], 1)


def test_what_cannot_be_followed_is_refused():
    with pytest.raises(StudyError, match=r"layers of the network .* cannot be followed .* none of them scripted"):
        layers_in_order(networks.scripted(SHAPE), (1, *SHAPE))
    scripted_head = nn.Sequential(nn.Conv3d(1, 4, 3), nn.Flatten(), torch.jit.script(nn.Linear(4 * 14 * 10 * 14, 2)))
    with pytest.raises(StudyError, match="cannot be followed"):
        layers_in_order(scripted_head, (1, *SHAPE))
