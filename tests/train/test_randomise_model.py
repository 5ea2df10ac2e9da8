"""Controls of a model: the weights that training began with, or trained ones whose top is drawn anew."""

import numpy as np
import pandas as pd
import pytest
import torch

from heatproof.store import Store
from heatproof.train.fit_model import with_shuffled_labels
from heatproof.train.network import create_network, save_model
from heatproof.train.randomise_model import head_size, randomise_model, weighted_layers

SHAPE, NETWORK = (14, 12, 13), {"filters": [3, 4], "pools": [2, 3], "padding": 1, "hidden": 5}


@pytest.fixture
def trained(tmp_path):
    torch.manual_seed(7)
    model = create_network(SHAPE, NETWORK)
    for weight in model.state_dict().values():
        if weight.is_floating_point():
            weight += 1
    save_model(model, SHAPE, NETWORK, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors", model


def changed(model, other):
    """Name the layers with weights, from the input on, that differ."""
    layers, others = (weighted_layers(one) for one in (model, other))
    return [
        number
        for number, groups in enumerate(zip(layers, others, strict=True))
        if not all(
            torch.equal(a.state_dict()[name], b.state_dict()[name])
            for a, b in zip(*groups, strict=True)
            for name in a.state_dict()
        )
    ]


def test_untrained_weights_are_those_that_training_from_that_seed_begins_with(trained):
    torch.manual_seed(7)
    first = create_network(SHAPE, NETWORK)
    assert changed(randomise_model(trained[0], "untrained", 7), first) == []
    assert changed(randomise_model(trained[0], "untrained", 8), first) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("control", "layers"),
    [("random_head", [2, 3]), ("random_top_1", [3]), ("random_top_3", [1, 2, 3]), ("random_top_4", [0, 1, 2, 3])],
)
def test_layers_are_drawn_anew_from_the_top(trained, control, layers):
    path, model = trained
    assert changed(randomise_model(path, control, 0), model) == layers
    assert changed(randomise_model(path, control, 0), randomise_model(path, control, 0)) == []


def test_batch_norm_goes_with_its_convolution(trained):
    kinds = [[type(layer).__name__ for layer in group] for group in weighted_layers(trained[1])]
    assert kinds == [["Conv3d", "BatchNorm3d"], ["Conv3d", "BatchNorm3d"], ["Linear"], ["Linear"]]
    assert head_size(trained[1]) == 2


def test_shuffled_labels_are_dealt_to_participants_not_to_scans():
    people = [f"sub-{i}" for i in range(20) for _ in range(1 + i % 3)]
    labels = ["patient" if int(name[4:]) < 8 else "control" for name in people]
    store = Store(np.zeros(0), pd.DataFrame({"participant_id": people, "label": labels}))
    shuffled = with_shuffled_labels(store, 0).scans
    assert (shuffled.groupby("participant_id")["label"].nunique() == 1).all()
    dealt = shuffled.drop_duplicates("participant_id")["label"]
    assert (dealt == "patient").sum() == 8
    assert dealt.tolist() != store.scans.drop_duplicates("participant_id")["label"].tolist()
    assert shuffled.equals(with_shuffled_labels(store, 0).scans)
