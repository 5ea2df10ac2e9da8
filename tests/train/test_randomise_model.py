"""Controls of a model: the weights that training began with, or trained ones whose top is re-initialised."""

import json

import networks
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from heatproof.errors import StudyError
from heatproof.store import Store
from heatproof.tables import read_table, write_table
from heatproof.task import PATIENTS
from heatproof.train import predict_scans
from heatproof.train import randomise_model as module
from heatproof.train.execution import Layer
from heatproof.train.fit_model import with_shuffled_labels
from heatproof.train.network import create_network, load_model, save_model
from heatproof.train.randomise_model import layers_of, randomise_model

SHAPE = (16, 12, 16)
PAPER = {"filters": [3, 4], "pools": [2, 3], "padding": 1, "hidden": 5}


def own(name):
    return {"function": f"{networks.__name__}:{name}"}


@pytest.fixture
def trained(tmp_path):
    """A function that writes a model whose weights are as if trained from seed 7, and returns its path."""

    def make(network):
        torch.manual_seed(7)
        model = create_network(SHAPE, network)
        for weight in {id(weight): weight for weight in model.state_dict().values()}.values():
            weight += 1
        save_model(model, SHAPE, network, tmp_path / "model.safetensors")
        return tmp_path / "model.safetensors"

    return make


def changed(model, other):
    """Name the modules that own the weights in which two models differ, each once."""
    other = other.state_dict()
    names = [name for name, weight in model.state_dict().items() if not torch.equal(weight, other[name])]
    return list(dict.fromkeys(name.rpartition(".")[0] for name in names))


def test_untrained_weights_are_those_that_training_from_that_seed_begins_with(trained):
    path = trained(PAPER)
    torch.manual_seed(7)
    first = create_network(SHAPE, PAPER)
    assert changed(randomise_model(path, "untrained", 7), first) == []
    assert changed(randomise_model(path, "untrained", 8), first) == ["0", "4", "10", "13"]


def test_an_initial_head_has_the_weights_that_training_began_with_on_a_trained_body(trained):
    path = trained(PAPER)
    made, model = randomise_model(path, "initial_head", 7), load_model(path)
    assert changed(made, model) == ["10", "13"]
    torch.manual_seed(7)
    first = create_network(SHAPE, PAPER).state_dict()
    head = [name for name in first if name.partition(".")[0] in ("10", "13")]
    assert len(head) == 4 and all(torch.equal(made.state_dict()[name], first[name]) for name in head)
    assert set(changed(made, randomise_model(path, "random_head", 7))) == {"10", "13"}


@pytest.mark.parametrize(
    ("check", "layers"),
    [
        ("random_head", ["10", "13"]),
        ("initial_head", ["10", "13"]),
        ("random_top_1_of_4", ["13"]),
        ("random_top_3_of_4", ["4", "5", "10", "13"]),
        ("random_top_4_of_4", ["0", "1", "4", "5", "10", "13"]),
        ("random_top_1_of_3", ["10", "13"]),
        ("random_top_1_of_1", ["0", "1", "4", "5", "10", "13"]),
    ],
)
def test_layers_are_drawn_anew_from_the_top(trained, check, layers):
    path = trained(PAPER)
    drawn = randomise_model(path, check, 0)
    assert changed(drawn, load_model(path)) == layers
    assert changed(drawn, randomise_model(path, check, 0)) == []
    assert "13" in changed(drawn, randomise_model(path, check, 1))


@pytest.mark.parametrize(("depth", "parts", "counts"), [(21, 6, [4, 7, 11, 14, 18, 21]), (6, 6, [1, 2, 3, 4, 5, 6])])
def test_parts_of_the_depth_are_equal_and_end_with_all_layers(depth, parts, counts):
    layers = [Layer([], False)] * depth
    assert [layers_of(f"random_top_{part}_of_{parts}", layers) for part in range(1, parts + 1)] == counts


@pytest.mark.parametrize("name", networks.KINDS)
def test_any_network_s_head_is_drawn_anew_and_its_body_stays(trained, name):
    path = trained(own(name))
    of_head = changed(randomise_model(path, "random_head", 7), load_model(path))
    by_name = {"by_hand": {"", "hidden"}, "normed_head": {"4", "5"}, "lazy": {"3"}}
    assert set(of_head) == by_name.get(name, {"classifier"} if "sfcn" in name else {"head"})


@pytest.mark.parametrize("name", networks.KINDS)
def test_a_cascade_ends_with_a_network_that_knows_nothing(trained, name):
    path = trained(own(name))
    drawn, model = (m.state_dict() for m in (randomise_model(path, "random_top_3_of_3", 7), load_model(path)))
    unused = {key for key in model if "squeeze" in key or "excite" in key} if name == "resnet" else set()
    assert {key for key in model if torch.equal(drawn[key], model[key])} == unused


def test_weights_are_drawn_as_the_network_itself_draws_them_and_not_as_training_began(trained, monkeypatch):
    def build(shape):
        network = networks.linear(shape)
        nn.init.normal_(network[1].weight, mean=5.0, std=0.1)
        return network

    monkeypatch.setattr(networks, "build", build, raising=False)
    path = trained(own("build"))
    drawn = randomise_model(path, "random_head", 7)
    assert drawn[1].weight.mean().item() == pytest.approx(5, abs=0.1)
    torch.manual_seed(7)
    first = networks.build(SHAPE)[1].weight
    assert abs(np.corrcoef(drawn[1].weight.detach().ravel(), first.detach().ravel())[0, 1]) < 0.1


def test_a_check_that_would_change_nothing_is_refused(tmp_path, monkeypatch):
    def build(shape):
        network = networks.linear(shape)
        nn.init.zeros_(network[1].weight)
        nn.init.zeros_(network[1].bias)
        return network

    monkeypatch.setattr(networks, "build", build, raising=False)
    path = tmp_path / "model.safetensors"
    save_model(build(SHAPE), SHAPE, own("build"), path)
    for check in ("random_head", "untrained"):
        with pytest.raises(
            StudyError, match=rf"{check} leaves every weight of .*; leave {check} out of compare.checks"
        ):
            randomise_model(path, check, 0)


def test_the_model_of_a_check_that_a_network_cannot_have_is_empty_and_predicts_nothing(tmp_path, monkeypatch):
    save_model(networks.linear(SHAPE), SHAPE, own("linear"), tmp_path / "model.safetensors")
    (tmp_path / "possible.tsv").write_text("what\tname\tpossible\tnote\ncheck\tcascade\tno\ttoo few layers\n")
    named = ["--check", "random_top_1_of_6", "--seed", "0", "--possible", str(tmp_path / "possible.tsv")]
    out = tmp_path / "check.safetensors"
    monkeypatch.setattr("sys.argv", ["", "--model", str(tmp_path / "model.safetensors"), *named, "--out", str(out)])
    module.main()
    assert out.read_bytes() == b""

    np.save(tmp_path / "test.npy", np.zeros((2, *SHAPE), np.float16))
    scans = pd.DataFrame({"scan": ["a", "b"], "participant_id": ["a", "b"], "label": ["patient", "control"]})
    write_table(scans, tmp_path / "test.tsv")
    arguments = ["--stores", str(tmp_path / "test.npy"), "--batch-size", "1", "--device", "cpu"]
    arguments += ["--task", json.dumps(PATIENTS._asdict())]
    monkeypatch.setattr("sys.argv", ["", "--model", str(out), *arguments, "--out", str(tmp_path / "predictions.tsv")])
    predict_scans.main()
    predicted = read_table(tmp_path / "predictions.tsv")
    assert not len(predicted)
    assert list(predicted.columns) == ["scan", "participant_id", "split", "label", "probability", "predicted"]


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


def test_labels_are_never_dealt_back_to_where_they_were():
    people = pd.DataFrame({"participant_id": ["sub-1", "sub-2"], "label": ["patient", "control"]})
    for seed in range(20):
        assert with_shuffled_labels(Store(np.zeros(0), people), seed).scans["label"].tolist() == ["control", "patient"]
