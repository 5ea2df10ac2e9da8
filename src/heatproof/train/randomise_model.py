"""Make a model that did not learn: the weights that training began with, or trained ones but for the top.

An explanation that stays as it was when the model's weights are replaced does not depend on what the model has learned
(Adebayo et al. 2018, Sanity checks for saliency maps). Where a network cannot have a check, its model is an empty file.
"""

import argparse
import logging
import re
from pathlib import Path

import torch
from torch import nn

from heatproof.command import run
from heatproof.errors import StudyError
from heatproof.generators import generator
from heatproof.possible import read_possible
from heatproof.train.execution import Layer, head_size, layers_in_order
from heatproof.train.layers import scan_shape
from heatproof.train.network import create_network, load_model, read_model, save_model

AS_BEGUN = ("untrained", "initial_head")


def layers_of(check: str, layers: list[Layer]) -> int:
    """Return how many of a network's last layers a check replaces: the head, or k of n parts of the depth."""
    if check in ("random_head", "initial_head"):
        return head_size(layers)
    part, parts = map(int, re.fullmatch(r"random_top_(\d+)_of_(\d+)", check).groups())
    return -(-part * len(layers) // parts)


@torch.no_grad()
def randomise_top(model: nn.Module, layers: list[Layer], fresh: nn.Module) -> None:
    """Copy the weights of some layers from another network of the same kind; batch norms begin anew as well."""
    weights, drawn = model.state_dict(), fresh.state_dict()
    for layer in layers:
        for name in layer.weights:
            weights[name].copy_(drawn[name])


def randomise_model(path: Path, check: str, seed: int) -> nn.Module:
    """Make the model of a sanity check from a trained one.

    Weights are drawn as the network's own initialisation draws them: a network is built from a seed, and those of some
    layers are taken from it. Its seed follows from the model's and is another, but where the weights are wanted with
    which training began: these are drawn from the model's own.

    Parameters
    ----------
    path : Path
        The trained model.
    check : str
        ``untrained``, the weights that training began with; ``initial_head``, those of the layers behind the last
        voxels, at least of the last layer; ``random_head``, the same layers re-initialised;
        ``random_top_{k}_of_{n}``, the last k n-ths of the layers re-initialised.
    seed : int
        The model's initialisation seed.

    Raises
    ------
    StudyError
        If all weights are those of the trained model.
    """
    description, trained = read_model(path)
    shape, network = description["shape"], description["network"]
    torch.manual_seed(seed if check in AS_BEGUN else int(generator(seed, "drawn anew").integers(2**63)))
    model = create_network(shape, network)
    if check != "untrained":
        fresh, model = model, load_model(path)
        layers = layers_in_order(model, scan_shape(shape, network))
        count = layers_of(check, layers)
        randomise_top(model, layers[-count:], fresh)
        logging.info("%s: the last %d of %d layers with weights", check, count, len(layers))
    if all(torch.equal(weight, trained[name]) for name, weight in model.state_dict().items()):
        raise StudyError(
            f"{check} leaves every weight of {path} as it was and would check nothing: training did not change "
            f"them, or the network draws none of them at random; leave {check} out of compare.checks"
        )
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="the trained model.safetensors")
    parser.add_argument("--check", required=True, help="untrained, initial_head, random_head or random_top_{k}_of_{n}")
    parser.add_argument("--seed", type=int, required=True, help="the initialisation seed of the model")
    parser.add_argument("--network", default="", help="name of the model's, where the study has several")
    parser.add_argument("--possible", help="possible.tsv; what is not is left out")
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors to write")
    arguments = parser.parse_args()
    if reason := read_possible(arguments.possible).why_not("check", arguments.check, arguments.network):
        logging.warning("%s is left out: %s", arguments.check, reason)
        arguments.out.write_bytes(b"")
        return
    description, _ = read_model(arguments.model)
    model = randomise_model(arguments.model, arguments.check, arguments.seed)
    save_model(model, description["shape"], description["network"], arguments.out)


if __name__ == "__main__":
    run(main)
