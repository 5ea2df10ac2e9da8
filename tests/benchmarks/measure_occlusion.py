"""Measure exact occlusion against captum's sliding windows, on whole maps; writes docs/occlusion.md.

Run by ``make bench`` on a machine that does nothing else. Our maps are whole, of all patches that touch a brain-sized
ellipsoid; captum's time per position is taken from eight positions, since it does not depend on where they are.
"""

import argparse
import logging
import os
import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from captum.attr import Occlusion
from torch import nn

from heatproof.attribute.occlusion import occlusion
from heatproof.attribute.occlusion.patches import place_patches
from heatproof.train.network import build_network

CASES = [
    ((97, 115, 97), 1, 1, 800),
    ((193, 229, 193), 20, 10, 300),
    ((193, 229, 193), 8, 4, 1000),
    ((193, 229, 193), 1, 1, 3000),
]
CAPTUM_BATCHES = (1, 2, 4)
PAGE = """# Occlusion at voxel resolution

Written by `make bench` on {cores} cores with torch {torch}: the paper's network of random weights and a softmax, and an
image of uniform noise in an ellipsoid as large as a brain. Captum's Occlusion has the best of {batches} for its
`perturbations_per_eval`, and is timed at 8 positions; our maps are whole.

{speed}

Peak memory of the process, captum's batches included: {memory:.1f} GB. Largest error at 8 positions near the middle of
97 x 115 x 97 voxels, against sliding windows in float64:

{precision}
"""


def subject(shape: tuple[int, int, int]) -> tuple[nn.Sequential, torch.Tensor, np.ndarray]:
    """Return the paper's network for a grid, a scan and its brain mask."""
    torch.manual_seed(0)
    model = nn.Sequential(*build_network(shape), nn.Softmax(dim=1)).eval()
    axes = [((np.arange(n) - n / 2) / n) ** 2 for n in shape]
    mask = axes[0][:, None, None] / 0.36**2 + axes[1][:, None] / 0.40**2 + axes[2] / 0.38**2 < 1
    return model, torch.rand(1, 1, *shape) * torch.from_numpy(mask), mask


def captum_seconds(model: nn.Module, image: torch.Tensor) -> float:
    """Return captum's time per position at its best batch size, from windows that tile the volume in eight."""
    half = tuple(-(-edge // 2) for edge in image.shape[2:])
    options = {"target": 1, "sliding_window_shapes": (1, *half), "strides": (1, *half)}
    seconds = []
    for batch in CAPTUM_BATCHES:
        start = time.perf_counter()
        with torch.no_grad():
            Occlusion(model).attribute(image, perturbations_per_eval=batch, **options)
        seconds.append((time.perf_counter() - start) / 9)  # eight windows and the untouched scan
    return min(seconds)


def measure_speed() -> pd.DataFrame:
    """Time whole maps and captum's positions: grid, patch, stride, positions, times and their ratio, and the target."""
    rows = []
    for shape, patch, stride, target in CASES:
        model, image, mask = subject(shape)
        captum = captum_seconds(model, image)
        positions = int(place_patches(shape, patch, stride, mask).placed.sum())
        start = time.perf_counter()
        occlusion(model, image, 1, patch=patch, stride=stride, mask=mask)
        whole = time.perf_counter() - start
        rows.append(
            {
                "grid": " x ".join(map(str, shape)),
                "patch": patch,
                "stride": stride,
                "positions": positions,
                "whole map, s": whole,
                "captum, s a position": captum,
                "ours, ms a position": 1000 * whole / positions,
                "ratio": round(captum * positions / whole),
                "target": target,
            }
        )
        logging.info("%s", rows[-1])
    return pd.DataFrame(rows)


def drops(model: nn.Module, image: torch.Tensor, corners: np.ndarray, patch: int) -> np.ndarray:
    """Return the drops at some patches by plain forward passes, in the model's precision."""
    with torch.no_grad():
        score, found = model(image)[0, 1], []
        for x, y, z in corners:
            hidden = image.clone()
            hidden[0, 0, x : x + patch, y : y + patch, z : z + patch] = 0
            found.append((score - model(hidden)[0, 1]).item())
    return np.array(found)


def measure_precision() -> pd.DataFrame:
    """Compare both methods with float64 at 2 mm: patch, largest drop, our error, that of float32 sliding windows."""
    shape, rows = (97, 115, 97), []
    model, image, _ = subject(shape)
    exact = subject(shape)[0].double()
    for patch in (1, 8, 20):
        corners = patch * (np.array([40, 48, 40]) // patch + np.argwhere(np.ones((2, 2, 2))))
        mask = np.zeros(shape, bool)
        mask[tuple(corners.T)] = True
        side_by_side = occlusion(model, image, 1, patch=patch, stride=patch, mask=mask)[0, 0].double().numpy()
        truth = drops(exact, image.double(), corners, patch)
        rows.append(
            {
                "patch": patch,
                "largest drop": np.abs(truth).max(),
                "error, ours": np.abs(side_by_side[tuple(corners.T)] - truth).max(),
                "error, float32 sliding window": np.abs(drops(model, image, corners, patch) - truth).max(),
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/occlusion.md"))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(os.cpu_count() or 1)
    precision, speed = measure_precision(), measure_speed()
    text = PAGE.format(
        cores=os.cpu_count(),
        torch=torch.__version__,
        batches=", ".join(map(str, CAPTUM_BATCHES)),
        speed=speed.to_markdown(index=False, floatfmt=".3g"),
        memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        precision=precision.to_markdown(index=False, floatfmt=".2g"),
    )
    arguments.out.write_text(text)


if __name__ == "__main__":
    main()
