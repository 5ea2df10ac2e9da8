"""Conventions that hold for every method: which class is explained, which output of it, and which sign is kept.

Maps of different methods can only be compared when these are equal, so they are applied outside the methods.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from heatproof.attribute.layers import is_one_of, outputs_of, unfold
from heatproof.errors import StudyError


def one_hot(outputs: Tensor, target: int | Tensor) -> Tensor:
    """Return 1 at the target class of each scan and 0 elsewhere.

    Parameters
    ----------
    outputs : Tensor, shape (N, classes)
        Whose shape, type and device the result has.
    target : int or Tensor, shape (N,)
        Class index, one for all scans or one each.

    Raises
    ------
    StudyError
        If there is no output of that class.
    """
    classes = torch.as_tensor(target, device=outputs.device).expand(len(outputs))
    if classes.max() >= outputs.shape[1]:
        raise StudyError(
            f"class {int(classes.max())} is to be explained, and the network has {outputs.shape[1]} output(s), from "
            "class 0 on; give it one output per class"
        )
    return functional.one_hot(classes, outputs.shape[1]).to(outputs)


def others(classes: int) -> Tensor:
    """List for each class the other ones, shape (classes, classes - 1)."""
    return torch.tensor([[other for other in range(classes) if other != one] for one in range(classes)])


def soft_minimum(differences: Tensor) -> Tensor:
    """Return the soft minimum over the last axis, -log sum exp(-x): of one difference, the difference itself."""
    return -torch.logsumexp(-differences, dim=-1)


class Margin(nn.Module):
    """By how much each class leads: its logit less the log-sum-exp of the others'.

    It is the log odds of the class, log(p / (1 - p)), and of two classes the difference of their logits. What is added
    to all logits, a number or a function of the scan, changes no probability and no margin, and a single logit at will.
    A single output leads no other: it is a value, or the log odds already, and stays as it is.
    """

    def forward(self, logits: Tensor) -> Tensor:
        """Turn logits (N, classes) into margins (N, classes)."""
        if logits.shape[1] == 1:
            return logits
        return soft_minimum(logits[:, :, None] - logits[:, others(logits.shape[1]).to(logits.device)])


def with_top(model: nn.Module, top: nn.Module) -> nn.Sequential:
    """Return a chain of the model's own layers and another one; a logarithm of a softmax below a margin is left out.

    It takes the same number from all logits of a scan, which is no part of a margin.
    """
    layers = unfold(model)
    if isinstance(top, Margin) and is_one_of(layers[-1], nn.LogSoftmax) and layers[-1].dim in (1, -1):
        layers = layers[:-1]
    chain = nn.Sequential(*layers, top)
    vars(chain)["explained"] = model  # not as a part of the chain
    chain.training = top.training = False  # eval() would reach the model's own layers
    return chain


def named_part(model: nn.Module, name: str) -> nn.Module | None:
    """Return a module of a network by its name in the network itself, whatever `with_top` has put around it."""
    return dict(vars(model).get("explained", model).named_modules()).get(name)


def with_softmax(model: nn.Module) -> nn.Sequential:
    """Return a chain of the model's own layers and a softmax: its output is the probability of each class."""
    return with_top(model, nn.Softmax(dim=1))


def with_margin(model: nn.Module) -> nn.Sequential:
    """Return a chain of the model's own layers and `Margin`."""
    return with_top(model, Margin())


@torch.no_grad()
def predicted_class(model: nn.Module, images: Tensor) -> Tensor:
    """Return the class of highest output per scan, shape (N,)."""
    return outputs_of(model, images).argmax(dim=1)


PATIENT = 1  # the output that ``patient`` names where no class is called so
TARGETS = {"patient": lambda model, images: PATIENT, "predicted": predicted_class}
OUTPUTS = {"margin": with_margin, "logit": lambda model: model, "probability": with_softmax}
SIGNS = {"signed": lambda heatmaps: heatmaps, "absolute": torch.abs, "positive": torch.relu}

CONVENTIONS = {"target": TARGETS, "output": OUTPUTS, "sign": SIGNS}
