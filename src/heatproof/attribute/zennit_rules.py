"""The parts of zennit that are used here, importable also beside a torch that torchvision was not built for."""

import torch

try:
    import torchvision  # noqa: F401
except RuntimeError:
    # zennit imports torchvision for networks that are not used here; it imports once these operators are declared.
    for operator in ("nms", "qnms"):
        torch.library.define(f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from zennit.rules import AlphaBeta, BasicHook, ClampMod, Epsilon, Flat, Gamma, Norm, ZBox
from zennit.types import Activation, AvgPool, BatchNorm, MaxPool

__all__ = [
    "Activation",
    "AlphaBeta",
    "AvgPool",
    "BasicHook",
    "BatchNorm",
    "ClampMod",
    "Epsilon",
    "Flat",
    "Gamma",
    "MaxPool",
    "Norm",
    "ZBox",
]
