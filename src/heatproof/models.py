"""The models of a study: what each is called, and of which network and seed it is.

A study of one network calls its models by their seeds: 0, 1. One of several (``train.networks``) calls them by network
and seed: paper-0, resnet-1. That name stands wherever a table has a seed.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pandas as pd

from heatproof.errors import StudyError

Model = int | str


def networks_of(train: Mapping) -> dict[str, dict]:
    """Return the options of each network of the config's ``train`` by name, an empty text where there is but one."""
    return dict(train.get("networks") or {"": train["network"]})


def with_option(config: Mapping, name: str, value: object) -> dict:
    """Give an option to the network of a config, or where ``train.networks`` names several to each of them."""
    train = config["train"]
    if isinstance(several := train.get("networks"), Mapping):
        given = {"networks": {network: {**own, name: value} for network, own in several.items()}}
    else:
        given = {"network": {**train["network"], name: value}}
    return {**config, "train": {**train, **given}}


def models_of(train: Mapping) -> list[Model]:
    """Name the models of the config's ``train``, network by network."""
    named = train.get("networks")
    return [f"{network}-{seed}" for network in named for seed in train["seeds"]] if named else list(train["seeds"])


def model_name(text: str) -> Model:
    """Read the name of a model on a command line."""
    return int(text) if text.isdecimal() else text


def network_of(model: Model) -> str:
    """Return the name of a model's network; an empty text where the study has but one."""
    return str(model).rpartition("-")[0]


def seed_of(model: Model) -> int:
    """Return the seed of a model."""
    return int(str(model).rpartition("-")[2])


def title_of_model(model: Model) -> str:
    """Name a model for a reader."""
    network = network_of(model)
    return f"{network}, seed {seed_of(model)}" if network else f"Seed {model}"


def of_one_network(pairs: pd.DataFrame) -> pd.Series:
    """Tell of each pair of models, seed_a and seed_b, whether both are of the same network."""
    return pairs["seed_a"].map(network_of) == pairs["seed_b"].map(network_of)


@contextmanager
def of_network(name: str) -> Iterator[None]:
    """Say of what goes wrong with ``train.network`` in which of ``train.networks`` it does."""
    try:
        yield
    except StudyError as error:
        if not name:
            raise
        raise StudyError(str(error).replace("train.network", f"train.networks.{name}")) from error
