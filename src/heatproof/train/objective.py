"""What training makes small, and by which score epochs are compared: of classes, or of a value."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from heatproof.task import Task

LOSSES = {"squared_error": functional.mse_loss, "absolute_error": functional.l1_loss}  # of a value


class Objective(NamedTuple):
    """Functions of a network's outputs (scans, outputs) and of what they should be (scans,).

    Attributes
    ----------
    loss : callable
        To a tensor of one number, the mean over scans.
    score : callable
        To a number that is higher for better outputs.
    name : str
        Of the score.
    """

    loss: Callable[[Tensor, Tensor], Tensor]
    score: Callable[[Tensor, Tensor], float]
    name: str

    @property
    def column(self) -> str:
        """Column of the score over validation scans in the table of epochs."""
        return f"validation_{self.name.split()[-1]}"


def objective_of(task: Task, options: dict) -> Objective:
    """Return the objective of a task; options are the config's ``train`` section, whose ``loss`` is that of a value."""
    if task.classes:
        return Objective(functional.cross_entropy, balanced_accuracy, "balanced accuracy")
    loss = LOSSES[options["loss"]]
    return Objective(lambda outputs, values: loss(outputs[:, 0], values), explained_variance, "r2")


def balanced_accuracy(logits: Tensor, classes: Tensor) -> float:
    """Return the mean over classes of the share of scans whose highest logit is that of their class."""
    right = (logits.argmax(1) == classes).double()
    return torch.stack([right[classes == c].mean() for c in classes.unique()]).mean().item()


def explained_variance(outputs: Tensor, values: Tensor) -> float:
    """Return the coefficient of determination: 1 at best, 0 for the mean of all values, below 0 for what is worse."""
    errors, spread = (outputs[:, 0] - values).double(), (values - values.mean()).double()
    return 1 - ((errors**2).sum() / (spread**2).sum()).item()
