"""The 3D CNN of Eitel and Ritter 2019, and models on disk as safetensors that name their own network."""

import importlib
import json
from collections.abc import Callable, Sequence
from inspect import Parameter, signature
from math import prod
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn
from torch.nn.parameter import is_lazy

from heatproof.errors import StudyError
from heatproof.running import to_device
from heatproof.train.layers import INPUTS, OUTPUTS, PAPER_NETWORK, SHAPED, VALUE, feature_edges, scan_shape


def build_network(
    shape: Sequence[int],
    *,
    filters: Sequence[int] = (8, 16, 32, 64),
    kernel: int = 3,
    padding: int = 0,
    pools: Sequence[int] = (2, 3, 2, 3),
    dropout: float = 0.4,
    hidden: int = 128,
    classes: int = 2,
    in_channels: int = 1,
) -> nn.Sequential:
    """Build blocks of convolution, batch norm, ReLU and max-pooling, followed by two linear layers.

    Parameters
    ----------
    shape : sequence of 3 int
        Voxels of the working grid along x, y, z.
    filters, pools : sequence of int, equally long
        Filters of each convolution, and the edge of the max-pooling that follows it, in voxels.
    kernel, padding : int
        Edge of every convolution's kernel and zero padding on each side, in voxels.
    dropout : float
        Probability to drop a feature before each of the two linear layers.
    hidden, classes : int
        Units of the hidden linear layer, and outputs, in the order of ``cohort.classes``.
    in_channels : int
        Images of a scan, in the order of ``cohort.channels``.

    Returns
    -------
    Sequential
        Maps (N, in_channels, x, y, z) to logits (N, classes). Every layer is a module of its own and none works in
        place, as attribution by hooks requires.

    Raises
    ------
    StudyError
        If the grid is too small to reach the last pooling.
    """
    edges = feature_edges(shape, kernel=kernel, padding=padding, pools=pools)
    blocks, channels = [], in_channels
    for width, pool in zip(filters, pools, strict=True):
        blocks += [nn.Conv3d(channels, width, kernel, padding=padding), nn.BatchNorm3d(width), nn.ReLU()]
        blocks += [nn.MaxPool3d(pool)]
        channels = width
    features = channels * prod(edges)
    head = [nn.Flatten(), nn.Dropout(dropout), nn.Linear(features, hidden), nn.ReLU()]
    return nn.Sequential(*blocks, *head, nn.Dropout(dropout), nn.Linear(hidden, classes))


def network_function(name: str) -> Callable[..., nn.Module]:
    """Find a function or class that builds a network by its name ``package.module:function``.

    Raises
    ------
    StudyError
        If there is no such module or function.
    """
    module, _, function = name.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise StudyError(
            f"train.network.function {name!r} is not found ({error}); name it module:function, and install its package"
        ) from error


def parameters_of(function: Callable[..., nn.Module]) -> dict[str, Parameter]:
    """Return the parameters of a function by name, with those that its ``**options`` stand for, where that is known.

    A class hands them to the classes that it is derived from, a function to the class that it says it returns.
    """
    taken = dict(signature(function).parameters)
    if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in taken.values()):
        made = getattr(function, "__annotations__", {}).get("return")
        made = getattr(function, "__globals__", {}).get(made, made) if isinstance(made, str) else made
        classes = function.__mro__[1:] if isinstance(function, type) else made.__mro__ if isinstance(made, type) else ()
        for one in classes:
            if issubclass(one, nn.Module) and one is not nn.Module:
                taken = dict(signature(one).parameters) | taken
    return taken


def takes_shape(taken: dict[str, Parameter], options: dict) -> bool:
    """Tell whether a function is handed the grid's shape first: called so, or something needed that has no value."""
    name, first = next(iter(taken.items()), ("", None))
    needed = first is not None and first.default is Parameter.empty and first.kind < Parameter.VAR_POSITIONAL
    return name == "shape" or (needed and name not in (*SHAPED, *OUTPUTS, *options))


def create_network(shape: Sequence[int], options: dict) -> nn.Module:
    """Build the network that ``train.network`` names, as `network_as_written`; of one logit, `widened`."""
    model = network_as_written(shape, options)
    return widened(model, scan_shape(shape, options)) if options.get("outputs") == 1 else model


def widened(model: nn.Module, scan: Sequence[int]) -> nn.Module:
    """Give a network of one output, the logit of the second of two classes, a first one that is always 0.

    The margin of the second class is then that logit, and its probability the sigmoid. The last linear layer or
    convolution gets a unit without weights, and a `torch.nn.Sigmoid` behind it goes. ``scan`` is the shape of a scan.

    Raises
    ------
    StudyError
        If the output does not come from such a layer, and a sigmoid, alone.
    """
    training, scans = model.training, torch.rand((2, *scan), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = model.eval()(scans)
    modules, last = dict(model.named_modules()), last_linear(model)
    sigmoid = next((name for name in reversed(modules) if isinstance(modules[name], nn.Sigmoid)), None)
    if last is not None:
        for parameter in ("weight", "bias"):
            if (own := getattr(modules[last], parameter)) is not None:
                wider = nn.Parameter(behind_zero(own).detach(), own.requires_grad)
                setattr(modules[last], parameter, wider)
        for name in ("out_features", "out_channels"):
            if hasattr(modules[last], name):
                setattr(modules[last], name, 2)
    if sigmoid is not None and list(modules).index(sigmoid) > list(modules).index(last or sigmoid):
        model.set_submodule(sigmoid, nn.Identity())
        before = torch.logit(before.double()).float()
    with torch.no_grad():
        after = model(scans)
    model.train(training)
    if after.shape != (len(scans), 2) or not torch.allclose(after[:, 1:] - after[:, :1], before, rtol=1e-3, atol=1e-4):
        raise StudyError(
            "train.network.outputs is 1, and the network's output is not that of its last linear layer or convolution, "
            "or of a Sigmoid behind it; give it one output for each class"
        )
    return model


def last_linear(model: nn.Module) -> str | None:
    """Name the last linear layer or convolution that a network lists; None where it has none."""
    return next(
        (name for name, layer in reversed([*model.named_modules()]) if isinstance(layer, nn.Linear | nn.Conv3d)), None
    )


@torch.no_grad()
def rescale_output(model: nn.Module, scan: Sequence[int], mean: float, deviation: float) -> None:
    """Make a network of one output say ``mean + deviation * output``, by the weights of its last layer.

    ``scan`` is the shape of a scan, (channels, x, y, z).

    Raises
    ------
    StudyError
        If the output is not that of the last linear layer or convolution, with a bias.
    """
    last = last_linear(model)
    layer = model.get_submodule(last) if last else None
    device = next(model.parameters()).device
    scans = torch.rand((2, *scan), generator=torch.Generator().manual_seed(0)).to(device)
    training, before = model.training, model.eval()(scans)
    if layer is not None and layer.bias is not None:
        layer.weight.mul_(deviation)
        layer.bias.mul_(deviation).add_(mean)
    after, wanted = model(scans), mean + deviation * before
    model.train(training)
    if not torch.allclose(after, wanted, rtol=1e-3, atol=1e-3 * deviation):
        raise StudyError(
            "cohort.value is learned in standard deviations, and the network's output is not that of its last linear "
            "layer or convolution, with a bias, which could bring it into the value's unit; end it with such a layer"
        )


def behind_zero(single: torch.Tensor) -> torch.Tensor:
    """Put a unit of zeros before the weights, or the bias, of a single one."""
    return torch.cat([torch.zeros_like(single), single])


def network_as_written(shape: Sequence[int], options: dict) -> nn.Module:
    """Build the network that the config's ``train.network`` names, with the options given there.

    A function or class whose first parameter is the shape of the grid is handed it, and by name those of `SHAPED` that
    have no value of their own. Another one, of some package, is handed all of `SHAPED` that it takes. So too the number
    of outputs, the option ``outputs``, by any of the names in `OUTPUTS`; where there are not two, or where a scan has
    several channels, the option ``inputs``, these numbers go before a function's own. `VALUE` stands for one output
    that is the value that is learned. Options that are given go before
    these. Layers that take their size from what they are given get it, and their weights, here. Of a network that
    returns a list or tuple, the first item counts.

    A model of an older version may name options of the paper's network beside its own: those that the function does not
    take are left out.

    Raises
    ------
    StudyError
        If there is no such function, or if an option is neither its own nor the paper's network's.
    """
    options, scan = dict(options), scan_shape(shape, options)
    name, outputs, inputs = options.pop("function", PAPER_NETWORK), options.pop("outputs", 2), options.pop("inputs", 1)
    outputs = 1 if outputs == VALUE else outputs
    function = network_function(name)
    taken = parameters_of(function)
    if not any(parameter.kind is Parameter.VAR_KEYWORD for parameter in signature(function).parameters.values()):
        unknown = options.keys() - taken.keys() - signature(build_network).parameters.keys()
        if unknown:
            raise StudyError(f"train.network: {name} takes no option {min(unknown)!r}; it takes {', '.join(taken)}")
        options = {key: value for key, value in options.items() if key in taken}
    first = [tuple(shape)] if takes_shape(dict(signature(function).parameters), options) else []
    known = {key: follow(scan) for key, follow in SHAPED.items()} | dict.fromkeys(OUTPUTS, outputs)
    own = {key for key in taken if first and taken[key].default is not Parameter.empty}
    own -= {*(OUTPUTS if outputs != 2 else ()), *(INPUTS if inputs != 1 else ())}
    filled = known.keys() & taken.keys() - own
    model = function(*first, **{key: known[key] for key in filled} | options)
    if not isinstance(model, nn.Module):
        raise StudyError(f"train.network: {name} returns a {type(model).__name__} and no torch.nn.Module; correct it")
    if type(model).forward is not nn.Sequential.forward:
        model.register_forward_hook(first_of_several)
    if any(map(is_lazy, model.parameters())):
        with torch.no_grad():
            model.eval()(torch.zeros(1, *scan))
        model.train()
    return model


def first_of_several(model: nn.Module, images: object, outputs: object) -> object:
    """Return the first item of what a network returns, if that is a list or tuple: its logits, before other things."""
    return outputs[0] if isinstance(outputs, list | tuple) and outputs else outputs


def save_model(model: nn.Module, shape: Sequence[int], options: dict, path: str | Path) -> None:
    """Write weights as safetensors, with the shape and the network's options in the header.

    Weights that share memory, as of a module that goes by two names, are written under each name.
    """
    description = json.dumps({"shape": list(shape), "network": options}, sort_keys=True)
    weights = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in model.state_dict().items()
    }
    Path(path).write_bytes(save(weights, {"heatproof": description}))


def read_model(path: str | Path) -> tuple[dict, dict[str, torch.Tensor]]:
    """Read a model's shape and network, and its weights by name. Nothing is unpickled.

    Raises
    ------
    StudyError
        If the file is no model that `save_model` wrote.
    """
    try:
        with safe_open(path, framework="pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return json.loads(file.metadata()["heatproof"]), weights
    except (SafetensorError, KeyError, TypeError) as error:
        raise StudyError(f"{path} is not a model of this pipeline ({error}); delete it to train it again") from error


def load_model(path: str | Path, device: str | torch.device = "cpu") -> nn.Module:
    """Load a model in evaluation mode.

    Raises
    ------
    StudyError
        As `read_model` and `create_network` do, and if the weights are not those of the network that is built now.
    """
    description, weights = read_model(path)
    model = create_network(description["shape"], description["network"])
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise StudyError(
            f"{path} is of another network than is built now ({reason}); delete it to train it again"
        ) from error
    return to_device(model, device).eval()
