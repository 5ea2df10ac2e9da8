"""Make a model that did not learn: the weights that training began with, or trained ones, the top of them drawn anew.

An explanation that stays as it was when the model's weights are replaced does not depend on what the model has learned
(Adebayo et al. 2018, Sanity checks for saliency maps).
"""

import argparse
import logging
import re
from pathlib import Path

import torch
from torch import nn

from heatproof.command import run
from heatproof.train.network import create_network, load_model, read_model, save_model


def weighted_layers(model: nn.Module) -> list[list[nn.Module]]:
    """List the layers that have weights, from input to output; batch norm goes with the layer before it."""
    layers = []
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and layers:
            layers[-1].append(module)
        elif hasattr(module, "reset_parameters"):
            layers.append([module])
    return layers


def head_size(model: nn.Module) -> int:
    """Count the linear layers at the end of a network."""
    kinds = ["L" if isinstance(layer[0], nn.Linear) else "-" for layer in weighted_layers(model)]
    return len(re.search("L*$", "".join(kinds))[0])


def randomise_top(model: nn.Module, layers: int, seed: int) -> None:
    """Draw the weights of the last layers anew, as they are drawn before training; batch norms begin anew as well."""
    torch.manual_seed(seed)
    for group in reversed(weighted_layers(model)[-layers:] if layers else []):
        for layer in group:
            layer.reset_parameters()


def randomise_model(path: Path, control: str, seed: int) -> nn.Module:
    """Make a control of a trained model.

    Parameters
    ----------
    path : Path
        The trained model.
    control : str
        ``untrained``, the weights that training began with; ``random_head``, the linear layers at the end drawn anew;
        ``random_top_{k}``, the last k layers drawn anew, linear ones and convolutions.
    seed : int
        The model's initialisation seed.
    """
    if control == "untrained":
        description, _ = read_model(path)
        torch.manual_seed(seed)
        return create_network(description["shape"], description["network"])
    model = load_model(path)
    layers = head_size(model) if control == "random_head" else int(control.removeprefix("random_top_"))
    randomise_top(model, layers, seed)
    logging.info("%s: the last %d of %d layers with weights", control, layers, len(weighted_layers(model)))
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="the trained model.safetensors")
    parser.add_argument("--control", required=True, help="untrained, random_head or random_top_{k}")
    parser.add_argument("--seed", type=int, required=True, help="the initialisation seed of the model")
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors to write")
    arguments = parser.parse_args()
    description, _ = read_model(arguments.model)
    model = randomise_model(arguments.model, arguments.control, arguments.seed)
    save_model(model, description["shape"], description["network"], arguments.out)


if __name__ == "__main__":
    run(main)
