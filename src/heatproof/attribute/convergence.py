"""Cosine similarity convergence: how fast a method forgets where it began, on its way back through the network.

A method that hands back the same map whatever it is given at the top can not show what the top has learned.

References
----------
Sixt, Granz and Landgraf 2020, When explanations lie: why many modified BP attributions fail (arXiv:1912.09818).
"""

from collections.abc import Callable
from functools import partial
from itertools import combinations

import torch
from torch import Tensor, nn

from heatproof.attribute import gradients, propagation
from heatproof.attribute.layers import CONVOLUTIONS, WEIGHTED, Step, apply_apart, require_evaluation, unfold
from heatproof.errors import StudyError

STEPS_BACK: dict[str, Callable[..., tuple[Tensor, list[Step]]]] = {
    "gradient_input": gradients.steps_back,
    "guided_backprop": partial(gradients.steps_back, guided=True),
    "lrp": propagation.steps_back,
}


def name_layers(layers: list[nn.Module]) -> list[str]:
    """Name each layer with weights, ``convolution 1``, ``linear 1``, ...; the others have an empty name."""
    names = []
    for layer in layers:
        kind = "convolution" if isinstance(layer, CONVOLUTIONS) else "linear"
        before = sum(name.startswith(kind) for name in names)
        names.append(f"{kind} {before + 1}" if isinstance(layer, WEIGHTED) else "")
    return names


def is_chain(model: nn.Module) -> bool:
    """Tell whether a network can be walked through, and has weights in at least two of its layers."""
    return len([name for name in name_layers(unfold(model)) if name]) > 1


def inputs_of_last(model: nn.Module, images: Tensor) -> Tensor:
    """Return what the last layer with weights of a chain is given."""
    layers = unfold(model)
    last = max(i for i, layer in enumerate(layers) if isinstance(layer, WEIGHTED))
    return apply_apart(nn.Sequential(*layers[:last]), images)


def mean_cosine(vectors: list[Tensor]) -> float:
    """Return the absolute cosine of the angle between two vectors of each scan, averaged over pairs and scans.

    Parameters
    ----------
    vectors : list of Tensor, each of shape (N, ...)
        One vector for each of N scans; a vector that is zero is at an angle of 90 degrees to all others.
    """
    flat = [nn.functional.normalize(vector.flatten(1), dim=1, eps=1e-30) for vector in vectors]
    return float(torch.stack([(a * b).sum(dim=1).abs() for a, b in combinations(flat, 2)]).mean())


@torch.no_grad()
def trace_convergence(
    model: nn.Module, images: Tensor, *, method: str, draws: int, generator: torch.Generator, **options
) -> dict[str, float]:
    """Begin at the inputs of the last layer with random relevance, several times, and compare what arrives.

    What a unit begins with is its activation times a random number, so that units that are silent begin with none, as
    they would if the last layer had handed it to them.

    Parameters
    ----------
    model : Sequential
        Chain of layers in evaluation mode, images to (N, classes).
    images : Tensor, shape (N, 1, x, y, z)
        Scans on the working grid.
    method : str
        A key of `STEPS_BACK`.
    draws : int
        Beginnings for each scan, at least 2.
    generator : Generator
        Of the random numbers, on the CPU.
    **options
        The method's own.

    Returns
    -------
    dict of float
        Layer, from the last to the first: `mean_cosine` of what arrives at its inputs. The first entry is that of the
        beginnings; the last one that of the maps. 1: the maps are the same whatever was begun with.

    Raises
    ------
    StudyError
        If the network is not a chain with weights in at least two of its layers, or if the method does not know one.
    """
    if method not in STEPS_BACK:
        raise StudyError(f"convergence is not measured for {method!r}; choose one of {', '.join(STEPS_BACK)}")
    if not is_chain(model):
        raise StudyError("convergence is measured in chains of layers, with weights in at least two of them")
    require_evaluation(model)
    _, steps = STEPS_BACK[method](model, images, **options)
    names = name_layers([step.layer for step in steps])
    while not names[-1]:
        names.pop()
    top = inputs_of_last(model, images)
    relevances = [top * torch.randn(top.shape, generator=generator).to(top) for _ in range(draws)]
    cosines = {names.pop(): mean_cosine(relevances)}
    for name, step in reversed(list(zip(names, steps, strict=False))):
        relevances = [step.back(relevance) for relevance in relevances]
        if name:
            cosines[name] = mean_cosine(relevances)
    return cosines
