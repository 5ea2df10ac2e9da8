"""What models are called, and what their names say."""

import pandas as pd
import pytest

from heatproof.models import model_name, models_of, network_of, networks_of, of_one_network, seed_of, title_of_model


def test_the_models_of_one_network_are_called_by_their_seeds():
    train = {"network": {"function": "a:b"}, "seeds": [0, 3]}
    assert models_of(train) == [0, 3] and networks_of(train) == {"": train["network"]}
    assert models_of({**train, "networks": None}) == [0, 3]


@pytest.mark.parametrize(
    ("name", "network", "seed", "title"),
    [
        (3, "", 3, "Seed 3"),
        ("paper-0", "paper", 0, "paper, seed 0"),
        ("res_net18-12", "res_net18", 12, "res_net18, seed 12"),
    ],
)
def test_a_name_says_of_which_network_and_seed_a_model_is(name, network, seed, title):
    assert (network_of(name), seed_of(name), title_of_model(name)) == (network, seed, title)
    assert model_name(str(name)) == name


def test_pairs_within_a_network_are_told_from_those_between_two():
    pairs = pd.DataFrame({"seed_a": ["paper-0", "paper-0", "paper-1"], "seed_b": ["paper-1", "resnet-0", "resnet-1"]})
    assert of_one_network(pairs).tolist() == [True, False, False]
    assert of_one_network(pd.DataFrame({"seed_a": [0, 1], "seed_b": [1, 2]})).all()
    assert not len(of_one_network(pairs[:0]))
