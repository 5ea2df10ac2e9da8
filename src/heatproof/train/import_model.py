"""Bring weights that were trained elsewhere into the form of a trained model: ``model.safetensors``.

Weights are read from ``.safetensors``, or from what torch.save wrote, of which nothing but tensors and plain values is
unpickled. They must be those of `train.network`, name by name and shape by shape. What no file of weights tells is the
user's word: how scans were preprocessed, that output 0 is for controls and 1 for patients, and options of the network
that change no weight.
"""

import argparse
import logging
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from heatproof.command import json_option, run
from heatproof.errors import StudyError
from heatproof.images import load_image
from heatproof.train.layers import scan_shape
from heatproof.train.network import behind_zero, network_as_written, save_model, widened

KEYS = ("state_dict", "model_state_dict", "model", "net", "network", "weights")  # of weights in a larger dictionary
OF_CLINICADL = ("network.", "loss.")  # what names in ClinicaDL's weights begin with; those of its loss are left out
COUNTER = "num_batches_tracked"  # of batch norms, in evaluation without effect; older files lack it


def read_file(path: Path) -> object:
    """Read what is in a file of weights, on the CPU.

    Raises
    ------
    StudyError
        If it cannot be read, or holds more than tensors and plain values.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise StudyError(
            f"{path} holds more than weights, or is no file of torch.save, and is not unpickled; write "
            "model.state_dict() by torch.save or safetensors"
        ) from error
    except (OSError, EOFError, RuntimeError, SafetensorError) as error:
        raise StudyError(f"{path} cannot be read ({' '.join(str(error).split())}); write the weights again") from error


def is_weights(value: object) -> bool:
    """Tell whether something is a state_dict: tensors by name, and at least one."""
    return isinstance(value, Mapping) and bool(value) and all(isinstance(item, Tensor) for item in value.values())


def find_weights(content: object, path: Path) -> dict[str, Tensor]:
    """Find the weights in what a file holds: itself, or under one of `KEYS`, as in checkpoints.

    Raises
    ------
    StudyError
        If there are none, or several.
    """
    if is_weights(content):
        whole = all(name.startswith(OF_CLINICADL) for name in content)
        of_network = {name: tensor for name, tensor in content.items() if name.startswith(OF_CLINICADL[0])}
        return of_network if whole and of_network else dict(content)
    inside = content if isinstance(content, Mapping) else {}
    found = [key for key in KEYS if isinstance(inside.get(key), Mapping)]
    if len(found) != 1:
        what = f"weights under {', '.join(found)}" if found else f"no weights under any of {', '.join(KEYS)}"
        raise StudyError(f"{path} has {what}; write the state_dict of one model alone")
    return find_weights(inside[found[0]], path)


def without_prefix(weights: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take off what all names begin with, as ``module.`` or ``model.``, while a network's own names do not."""
    while True:
        prefix = next(iter(weights)).partition(".")[0] + "."
        if all(name.startswith(prefix) for name in wanted) or not all(name.startswith(prefix) for name in weights):
            return weights
        weights = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}


def check_weights(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path) -> None:
    """Check that weights are those of a network, by name and shape, and finite.

    Raises
    ------
    StudyError
        For the first that is not, in the network's order.
    """
    remedy = "name in train.network the network that they were trained with, on the grid of register.voxel_size"
    for name, own in wanted.items():
        if name not in weights and not name.endswith(COUNTER):
            raise StudyError(f"{path} has no {name} ({shape_of(own)}), which train.network has; {remedy}")
        if name in weights and weights[name].shape != own.shape:
            raise StudyError(
                f"{path} is of another network: its {name} is of shape {shape_of(weights[name])}, that of "
                f"train.network {shape_of(own)}; {remedy}"
            )
        if name in weights and not weights[name].isfinite().all():
            raise StudyError(f"{path} has values in {name} that are not finite; import weights that were trained")
    if further := [name for name in weights if name not in wanted]:
        name = further[0]
        raise StudyError(f"{path} has {name} ({shape_of(weights[name])}), which train.network has not; {remedy}")


def with_two_outputs(weights: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put an output of 0 before a single one, the logit of patients, where the network has two and is else the same.

    Both have the same margin, and so the same probability of a patient.
    """
    other = [name for name, own in wanted.items() if name in weights and weights[name].shape != own.shape]
    single = [name for name in other if weights[name].shape == (1, *wanted[name].shape[1:]) and len(wanted[name]) == 2]
    if other != single or len({name.rpartition(".")[0] for name in single}) != 1:
        return weights
    logging.info("one output, the logit of patients, becomes two, of which that of controls is 0")
    return weights | {name: behind_zero(weights[name]) for name in single}


def shape_of(tensor: Tensor) -> str:
    """Write a tensor's shape."""
    return " x ".join(map(str, tensor.shape)) or "one number"


def import_model(path: Path, shape: tuple[int, ...], network: dict) -> nn.Module:
    """Build a network and give it the weights of a file.

    Parameters
    ----------
    path : Path
        ``.safetensors``, or a file of torch.save.
    shape : tuple of 3 int
        Voxels of the working grid along x, y, z.
    network : dict
        The config's ``train.network``.

    Returns
    -------
    Module
        In evaluation mode, on the CPU.

    Raises
    ------
    StudyError
        If the file cannot be read, or is of another network.
    """
    torch.manual_seed(0)
    model = network_as_written(shape, network)
    own = model.state_dict()
    weights = with_two_outputs(without_prefix(find_weights(read_file(path), path), own), own)
    check_weights(weights, own, path)
    model.load_state_dict(own | weights)
    return (widened(model, scan_shape(shape, network)) if network.get("outputs") == 1 else model).eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True, help="the file that was trained elsewhere")
    parser.add_argument("--mask", type=Path, required=True, help="brain mask on the working grid")
    parser.add_argument("--network", type=json_option, required=True, help="the config's train.network, as JSON")
    parser.add_argument("--out", type=Path, required=True, help="the model.safetensors to write")
    arguments = parser.parse_args()
    shape = load_image(arguments.mask).shape
    save_model(import_model(arguments.weights, shape, arguments.network), shape, arguments.network, arguments.out)
    logging.info("the weights of %s are those of train.network on %s voxels", arguments.weights, shape)


if __name__ == "__main__":
    run(main)
