"""Networks as chains of layers, which methods that know each layer walk through."""

from torch import nn


def unfold(model: nn.Module) -> list[nn.Module]:
    """Return the layers of a chain, and of the chains in it, in the order in which they are applied."""
    if type(model).forward is not nn.Sequential.forward:
        return [model]
    return [layer for part in model for layer in unfold(part)]
