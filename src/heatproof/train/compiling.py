"""Training steps that torch compiles, where it can."""

import copy
import logging
import os
from collections.abc import Callable

import torch
from torch import Tensor, nn

from heatproof.command import threads
from heatproof.train.precision import lower


def compiled(model: nn.Module, images: Tensor, precision: str) -> Callable[[Tensor], Tensor]:
    """Return a network whose passes are compiled, or as it is where that fails, which the log says.

    The compiled network has the plain one's weights, which training changes, and draws the same numbers for dropout.

    Parameters
    ----------
    model : Module
        Left as it was.
    images : Tensor, shape (N, channels, x, y, z)
        A batch as it is trained with: one step is tried on it.
    precision : {"float32", "tf32", "bfloat16"}
    """
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", str(threads()))  # read when the compiler is imported
    called = torch.compile(model, dynamic=False, options={"fallback_random": True})
    weights, training = copy.deepcopy(model.state_dict()), model.training
    with torch.random.fork_rng([images.device] if images.is_cuda else []):
        try:
            with lower(precision, images.device):
                called.train()(images).sum().backward()
        except Exception as error:  # of a missing compiler, or of what it meets in a network of someone's own
            reason = str(error).strip().partition("\n")[0]
            logging.warning("training steps are not compiled (%s: %s)", type(error).__name__, reason)
            called = model
    model.load_state_dict(weights)
    model.train(training).zero_grad()
    return called
