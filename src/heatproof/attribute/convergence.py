"""Cosine similarity convergence: how fast a method forgets where it began, on its way back through the network.

A method that hands back the same map whatever it is given at the top cannot show what the top has learned.

References
----------
Sixt, Granz and Landgraf 2020, When explanations lie: why many modified BP attributions fail (arXiv:1912.09818).
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations

import torch
from torch import Tensor, nn

from heatproof.attribute import gradients, propagation
from heatproof.attribute.graph import Node, graph_of, value_of, walk_back
from heatproof.attribute.layers import CONVOLUTIONS, WEIGHTED, Step, require_evaluation
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


def last_with_weights(nodes: Sequence[Node]) -> int:
    """Return the number of the last layer with weights of a graph, through which all that it computes must pass.

    Raises
    ------
    StudyError
        If there are less than two layers with weights, or if there is a way around the last one.
    """
    names = name_layers([node.layer for node in nodes])
    numbers = [number for number, name in enumerate(names, 1) if name]
    around = {0}
    for number, node in enumerate(nodes, 1):
        if around.intersection(node.sources) and number != max(numbers, default=0):
            around.add(number)
    if len(numbers) < 2 or len(nodes) in around:
        raise StudyError(
            "convergence is measured in networks of at least two layers with weights, the last of which nothing passes "
            "by"
        )
    return numbers[-1]


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
    model : Module
        Network in evaluation mode, images to (N, classes), that `heatproof.attribute.graph` can follow.
    images : Tensor, shape (N, C, x, y, z)
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
        Layer, from the last to the first: `mean_cosine` of what arrives at what it reads, from all layers that read it.
        The first entry is that of the beginnings; the last one that of the maps. 1: the maps are the same whatever was
        begun with. Layers that are handed nothing, as in a gate, are left out.

    Raises
    ------
    StudyError
        If the network has not two layers with weights, or a way around the last of them, or if the method does not know
        a layer.
    """
    if method not in STEPS_BACK:
        raise StudyError(f"convergence is not measured for {method!r}; choose one of {', '.join(STEPS_BACK)}")
    require_evaluation(model)
    nodes = graph_of(model, images)
    begin = nodes[last_with_weights(nodes) - 1].sources[0]
    top = value_of(nodes, images, begin)
    _, steps = STEPS_BACK[method](model, images, **options)
    layers: dict[int, list[str]] = {}
    for name, step in zip(name_layers([step.layer for step in steps]), steps, strict=True):
        layers.setdefault(step.sources[0], []).extend([name] if name else [])
    draw = partial(torch.randn, top.shape, generator=generator)
    walks = [walk_back(steps, begin, top * draw().to(top)) for _ in range(draws)]
    cosines = {}
    for arrived in zip(*walks, strict=True):
        (number, *_), relevances = zip(*arrived, strict=True)
        names = layers.get(number, [])
        cosines |= dict.fromkeys(reversed(names), mean_cosine(relevances)) if names else {}
    return cosines
