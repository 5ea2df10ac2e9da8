"""Conventions that hold for every method: which class is explained, which output of it, and which sign is kept.

Maps of different methods can only be compared when these are equal, so they are applied outside the methods.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

PATIENT = 1


def one_hot(outputs: Tensor, target: int | Tensor) -> Tensor:
    """Return 1 at the target class of each scan and 0 elsewhere.

    Parameters
    ----------
    outputs : Tensor, shape (N, classes)
        Whose shape, type and device the result has.
    target : int or Tensor, shape (N,)
        Class index, one for all scans or one each.
    """
    classes = torch.as_tensor(target, device=outputs.device).expand(len(outputs))
    return functional.one_hot(classes, outputs.shape[1]).to(outputs)


def with_softmax(model: nn.Module) -> nn.Sequential:
    """Return a chain of the model's own layers and a softmax: its output is the probability of each class."""
    layers = model if isinstance(model, nn.Sequential) else [model]
    return nn.Sequential(*layers, nn.Softmax(dim=1)).eval()


@torch.no_grad()
def predicted_class(model: nn.Module, images: Tensor) -> Tensor:
    """Return the class of highest output per scan, shape (N,)."""
    return model(images).argmax(dim=1)


TARGETS = {"patient": lambda model, images: PATIENT, "predicted": predicted_class}
OUTPUTS = {"logit": lambda model: model, "probability": with_softmax}
SIGNS = {"signed": lambda heatmaps: heatmaps, "absolute": torch.abs, "positive": torch.relu}

CONVENTIONS = {"target": TARGETS, "output": OUTPUTS, "sign": SIGNS}
