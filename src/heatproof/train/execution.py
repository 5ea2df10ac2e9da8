"""The layers of a network in the order in which it runs them, and which of them are its head."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from heatproof.errors import StudyError


class Layer(NamedTuple):
    """What one layer computes with.

    Attributes
    ----------
    weights : list of str
        Keys of the network's ``state_dict``: parameters and buffers.
    in_head : bool
        Whether the layer comes behind the last place that has voxels.
    """

    weights: list[str]
    in_head: bool


def layers_in_order(model: nn.Module, scan: Sequence[int]) -> list[Layer]:
    """List the layers that have weights, from input to output, by running the network once on a random scan.

    Every operation counts that the logits need and that takes a weight and something that was made of the scan, whether
    a module does it or a function, and whatever the weight was turned into before. What a module owns itself and uses
    without another in between is a layer; what is used more than once counts where it is used last. Scales and shifts
    (batch norms and other norms) go with the layer before them, or where the network or its head begins with them, with
    the one behind.

    Parameters
    ----------
    model : Module
        Images (1, channels, x, y, z) to logits; it is left in evaluation mode.
    scan : sequence of 4 int
        Shape of a scan, (channels, x, y, z).

    Raises
    ------
    StudyError
        If the way from the scan to the logits cannot be followed, as through a scripted module.
    """
    image = torch.rand((1, *scan), generator=torch.Generator().manual_seed(0))
    state = own_weights(model)
    with torch.no_grad(), Tracer(image, state) as trace:
        logits = model.eval()(image)
    operations = trace.on_the_way_to(logits)
    last_voxels = max((i for i, operation in enumerate(operations) if operation.has_voxels), default=-1)
    used = {name: i for i, operation in enumerate(operations) for name in operation.weights}
    if not used or not all(tensor in trace.of_scan for tensor in tensors_in(logits)):
        raise StudyError(
            "the layers of the network that train.network names cannot be followed from the scan to its logits; build "
            "it of plain modules and functions of torch, none of them scripted"
        )

    def scales(names: Sequence[str]) -> bool:
        return all(state[name].ndim <= 1 for name in names)

    layers: list[Layer] = []
    in_order = sorted((name for name in state if name in used), key=used.get)
    for (module, in_head), group in groupby(in_order, lambda name: (owner(name), used[name] > last_voxels)):
        weights = [*group, *(name for name in state if owner(name) == module and name not in used)]
        before = layers[-1] if layers and layers[-1].in_head == in_head else None
        if before and (scales(weights) or scales(before.weights)):
            before.weights.extend(weights)
        else:
            layers.append(Layer(weights, in_head))
    return layers


def head_size(layers: Sequence[Layer]) -> int:
    """Count the layers of the head, at least the last layer."""
    return max(1, sum(layer.in_head for layer in layers))


def own_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return parameters and buffers by name; what goes by several names has the first of them."""
    first: dict[int, str] = {}
    state = {name: tensor for name, tensor in model.state_dict(keep_vars=True).items() if isinstance(tensor, Tensor)}
    return {name: tensor for name, tensor in state.items() if first.setdefault(id(tensor), name) == name}


def owner(name: str) -> str:
    """Return the module that owns a weight; of what makes a weight, as spectral norm does, the module that has it."""
    return name.partition("parametrizations.")[0].rpartition(".")[0]


class Operation(NamedTuple):
    """Something done to what was made of the scan.

    Attributes
    ----------
    weights : set of str
        Those that it took.
    earlier : set of int
        The operations that made what it took.
    has_voxels : bool
        Whether its result still has places: voxels, or the tokens of a transformer.
    may_have_voxels : bool
        The same, or whether the places of the scan are still there in another shape, no weight having met them in it.
    """

    weights: set[str]
    earlier: set[int]
    has_voxels: bool
    may_have_voxels: bool


class Tracer(TorchFunctionMode):
    """Note every operation on the way from a scan.

    Parameters
    ----------
    image : Tensor
        The scan.
    state : dict of Tensor
        The weights by name.

    Attributes
    ----------
    operations : list of Operation
        In the order in which they ran.
    """

    def __init__(self, image: Tensor, state: dict[str, Tensor]):
        super().__init__()
        self.operations = [Operation(set(), set(), True, True)]  # the scan itself
        self.of_scan = WeakTensorKeyDictionary({image: {0}})  # by which operations
        self.of_weights = WeakTensorKeyDictionary({tensor: {name} for name, tensor in state.items()})

    def __torch_function__(
        self, function: Callable, types: tuple, args: tuple = (), kwargs: dict | None = None
    ) -> object:
        result = function(*args, **(kwargs or {}))
        given, made = list(tensors_in([args, kwargs])), list(tensors_in(result))
        weights = set().union(*(self.of_weights.get(tensor, ()) for tensor in given))
        earlier = self.makers(given)
        if earlier:
            spread = any(self.operations[i].may_have_voxels for i in earlier)
            voxels = any(has_voxels(tensor, spread) for tensor in made)
            number = len(self.operations)
            self.operations.append(Operation(weights, earlier, voxels, voxels or (spread and not weights)))
            made += given[:1] if function is Tensor.__setitem__ else []
            self.of_scan.update({tensor: {number} for tensor in made})
            for view in made:
                if view._base is not None and any(view is tensor for tensor in given):  # what it is a view of changed
                    self.of_scan[view._base] = {number} | self.of_scan.get(view._base, set())
        elif weights:
            self.of_weights.update({tensor: weights for tensor in made})
        return result

    def makers(self, tensors: Sequence[Tensor]) -> set[int]:
        """Return the operations that made some tensors, or changed what these are views of."""
        seen = [*tensors, *(tensor._base for tensor in tensors if tensor._base is not None)]
        return set().union(*(self.of_scan.get(tensor, ()) for tensor in seen))

    def on_the_way_to(self, logits: object) -> list[Operation]:
        """Return the operations that were needed for the logits, in the order in which they ran."""
        needed = self.makers([*tensors_in(logits)])
        for number in range(len(self.operations) - 1, -1, -1):
            if number in needed:
                needed |= self.operations[number].earlier
        return [self.operations[number] for number in sorted(needed)]


def tensors_in(value: object) -> Iterator[Tensor]:
    """Yield the tensors in nested lists, tuples and dictionaries."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from tensors_in(item)


def has_voxels(tensor: Tensor, spread: bool) -> bool:
    """Tell whether what was made of one scan has places; without the axes of a volume, only what had them may."""
    return max(tensor.shape[2:]) > 1 if tensor.ndim == 5 else spread and sum(edge > 1 for edge in tensor.shape) > 1
