"""Measure exact occlusion against captum's sliding windows, on whole maps; writes docs/occlusion.md.

Run by ``make bench`` on a machine that does nothing else. Our maps are whole, of all patches that touch a brain-sized
ellipsoid; captum's time per position is taken from eight positions, since it does not depend on where they are.
"""

import argparse
import gc
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from captum.attr import FeatureAblation, Occlusion
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from heatproof.attribute.occlusion import chain, occlusion
from heatproof.attribute.occlusion.chunks import measured
from heatproof.attribute.occlusion.method import hide_patch, plan_work, read_network
from heatproof.attribute.occlusion.patches import Work, place_patches
from heatproof.attribute.occlusion.plain import plain_work, quickened
from heatproof.attribute.occlusion.windows import Reader, reached, runs
from heatproof.train import presets
from heatproof.train.network import build_network

CASES = [  # grid, patch, stride, and how many times faster than captum it ought to be
    ((97, 115, 97), 1, 1, 800),
    ((193, 229, 193), 20, 10, 300),
    ((193, 229, 193), 8, 4, 1000),
    ((193, 229, 193), 1, 1, 3000),
]
SIZES = (1, 2, 4, 8, 16, 32)
CAPTUM_BATCHES = (1, 2, 4)
COUNTED = {torch.ops.aten.addmm_: lambda to, left, right, **_: 2 * left[0] * left[1] * right[1]}  # on shapes
COUNTED_CHUNKS = 4


def subject(shape: tuple[int, int, int]) -> tuple[nn.Sequential, torch.Tensor, np.ndarray]:
    """Return the paper's network for a grid, a scan and its brain mask."""
    torch.manual_seed(0)
    model = nn.Sequential(*build_network(shape), nn.Softmax(dim=1)).eval()
    axes = [((np.arange(n) - n / 2) / n) ** 2 for n in shape]
    mask = axes[0][:, None, None] / 0.36**2 + axes[1][:, None] / 0.40**2 + axes[2] / 0.38**2 < 1
    return model, torch.rand(1, 1, *shape) * torch.from_numpy(mask), mask


def in_a_process_of_its_own(function: Callable, *arguments: object) -> object:
    """Call a function in a new process, so that memory is its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def memory(kind: str) -> float:
    """Return this process's memory in GB: VmRSS, now, or VmHWM, its peak since it was reset."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{kind}:")[1].split()[0]) / 2**20


def captum_seconds(shape: tuple[int, int, int]) -> float:
    """Return captum's time per position at its best batch size, from windows that tile the volume in eight."""
    torch.set_num_threads(os.cpu_count() or 1)
    model, image, _ = subject(shape)
    half = tuple(-(-edge // 2) for edge in shape)
    options = {"target": 1, "sliding_window_shapes": (1, *half), "strides": (1, *half)}
    seconds = []
    for batch in CAPTUM_BATCHES:
        start = time.perf_counter()
        with torch.no_grad():
            Occlusion(model).attribute(image, perturbations_per_eval=batch, **options)
        seconds.append((time.perf_counter() - start) / 9)  # eight windows and the untouched scan
    return min(seconds)


def whole_map(shape: tuple[int, int, int], patch: int, stride: int) -> dict:
    """Measure a whole map: its peak memory beyond what is kept of the untouched scan, and its time in warm memory."""
    torch.set_num_threads(os.cpu_count() or 1)
    model, image, mask = subject(shape)
    patches = place_patches(shape, patch, stride, mask)
    work = plan_work(read_network(model), image[0], 1, patches)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # begins a new peak
    kept = memory("VmRSS")
    for _ in measured(work):
        pass
    beyond = memory("VmHWM") - kept
    start = time.perf_counter()
    occlusion(model, image, 1, patch=patch, stride=stride, mask=mask)
    seconds = time.perf_counter() - start
    return {
        "positions": int(patches.placed.sum()),
        "whole map, s": seconds,
        "memory beyond kept, GB": beyond,
    }


def needed(stages: list, places: np.ndarray) -> float:
    """Count the multiply-adds that windows need, on average over patches: what each output reads that has changed."""
    total = np.zeros(len(places))
    for stage in stages:
        for layer, sources, number, _ in stage.layers:
            before, after = (stage.windows[each] for each in (sources[0] if sources else number, number))
            if isinstance(layer, chain.Convolution):
                reads, width = [axis_reads(*axis) for axis in zip(layer.readers, before, after, strict=True)], (0, 1)
            elif isinstance(layer, chain.Gather):
                reads, width = [np.ptp(ends, axis=0) for ends in before], (3, 4)
            else:
                continue
            x, y, z = (along[position] for along, position in zip(reads, places.T, strict=True))
            total += x * y * z * np.prod([layer.weight.shape[axis] for axis in width])
    return total.mean()


def axis_reads(reader: tuple, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Count, along one axis and for each position of a patch, how many inputs its outputs read that have changed."""
    windows = zip(*(map(tuple, ends.T.tolist()) for ends in (before, after)), strict=True)
    return np.array([sum(run.count for run in runs(reader, *window)) for window in windows])


def count_multiply_adds(shape: tuple[int, int, int], patch: int, stride: int) -> dict:
    """Count multiply-adds: those of a forward pass, and per position those needed and those done, on some chunks."""
    model, image, mask = subject(shape)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(image)
    whole = counter.get_total_flops() / 2
    work = plan_work(read_network(model), image[0], 1, place_patches(shape, patch, stride, mask))
    chosen = work.chunks[:: max(1, len(work.chunks) // COUNTED_CHUNKS)]
    with FlopCounterMode(display=False, custom_mapping=COUNTED) as counter:
        for chunk in chosen:
            work.measure(chunk)
    done = counter.get_total_flops() / 2 / sum(map(len, chosen))
    stages = work.measure.args[0]
    return {"forward": whole, "needed": needed(stages, np.concatenate(chosen)), "done": done}


def measure_speed() -> pd.DataFrame:
    """Time whole maps and captum's positions, and count what they take."""
    rows = []
    for shape, patch, stride, target in CASES:
        captum = in_a_process_of_its_own(captum_seconds, shape)
        ours = in_a_process_of_its_own(whole_map, shape, patch, stride)
        counts = in_a_process_of_its_own(count_multiply_adds, shape, patch, stride)
        rows.append(
            {
                "grid": " x ".join(map(str, shape)),
                "patch": patch,
                "stride": stride,
                **ours,
                "captum, s a position": captum,
                "times faster": round(captum * ours["positions"] / ours["whole map, s"]),
                "target": target,
                "multiply-adds needed, M": counts["needed"] / 1e6,
                "share of a forward pass": counts["needed"] / counts["forward"],
                "needed of done": counts["needed"] / counts["done"],
            }
        )
        logging.info("%s", rows[-1])
    return pd.DataFrame(rows)


def measure_growth() -> pd.DataFrame:
    """Time whole maps at 2 mm for patches of growing size, in steps of half of it."""
    shape, rows = (97, 115, 97), []
    for patch in SIZES:
        stride = max(1, patch // 2)
        ours = in_a_process_of_its_own(whole_map, shape, patch, stride)
        counts = in_a_process_of_its_own(count_multiply_adds, shape, patch, stride)
        rows.append(
            {
                "patch": patch,
                "stride": stride,
                "positions": ours["positions"],
                "whole map, s": ours["whole map, s"],
                "ms a position": 1000 * ours["whole map, s"] / ours["positions"],
                "multiply-adds needed, M": counts["needed"] / 1e6,
                "needed of done": counts["needed"] / counts["done"],
            }
        )
        logging.info("%s", rows[-1])
    return pd.DataFrame(rows)


def count_axis(length: int, patch: int) -> list[tuple[int, float, int]]:
    """Count along one axis what the convolutions of MONAI's ResNet18 read: weights, changed inputs, and all inputs.

    Changed inputs are summed over outputs, on average over the places of a patch; the shortcut changes no more than the
    two convolutions beside it.
    """
    starts, counts = np.arange(length - patch + 1), []
    layers = [(1, 64, 7, 1), (0, 0, 3, 2)]  # the second is the pooling
    for inputs, width, stride in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)):
        shortcut = [(inputs, width, 1, stride)] if stride > 1 else []
        layers += [*shortcut, (inputs, width, 3, stride), *[(width, width, 3, 1)] * 3]
    window = np.stack([starts, starts + patch])
    for inputs, width, kernel, stride in layers:
        outputs = (length + 2 * (kernel // 2) - kernel) // stride + 1
        reader = Reader(kernel, stride, kernel // 2, length, outputs)
        after = np.stack(reached(reader, *window))
        counts.append((inputs * width, axis_reads(reader, window, after).mean(), outputs * kernel))
        if kernel > 1:
            window, length = after, outputs
    return counts


def count_residual() -> pd.DataFrame:
    """Count the multiply-adds of MONAI's ResNet18 for a whole pass, and those that a hidden patch needs."""
    rows = []
    for shape, voxel, patch in (((97, 115, 97), 2, 1), ((97, 115, 97), 2, 12), ((193, 229, 193), 1, 1)):
        axes = list(zip(*(count_axis(length, patch) for length in shape), strict=True))
        some, whole = (sum(x[0] * x[i] * y[i] * z[i] for x, y, z in axes) for i in (1, 2))
        grid = " x ".join(map(str, shape))
        rows.append({"grid": grid, "voxel, mm": voxel, "patch": patch, "whole pass, G": whole / 1e9})
        rows[-1] |= {"needed, G": some / 1e9, "times fewer": whole / some}
    return pd.DataFrame(rows)


def seconds_each(work: Work, chunk: np.ndarray) -> float:
    """Return the processor time that a chunk takes for a patch."""
    start = time.process_time()
    work.measure(chunk)
    return (time.process_time() - start) / len(chunk)


def measure_branches() -> pd.DataFrame:
    """Time windows and whole passes of MONAI's ResNet18 for single voxels at 2 mm, on chunks all over the brain."""
    torch.set_num_threads(1)
    shape = (97, 115, 97)
    _, image, mask = subject(shape)
    placed = place_patches(shape, 1, 1, mask)
    torch.manual_seed(0)
    model = presets.resnet18(shape).eval()
    start = time.process_time()
    network = read_network(model)
    windows = plan_work(network, image[0], 1, placed)
    prepared = time.process_time() - start
    chosen = windows.chunks[len(windows.chunks) // 10 :: len(windows.chunks) // 5]
    few = placed._replace(placed=np.zeros_like(placed.placed))
    few.placed[tuple(chosen[0][:2].T)] = True
    whole = plan_work(network, image[0], 1, few)  # too few patches for windows
    timed = [(seconds_each(windows, chunk), seconds_each(whole, whole.chunks[0])) for chunk in chosen]
    mine, plain = np.mean(timed, axis=0)
    counts = {"voxels": int(placed.placed.sum()), "timed": sum(map(len, chosen))}
    times = {"windows, s": mine, "whole passes, s": plain, "times faster": plain / mine, "preparing, s": prepared}
    return pd.DataFrame([counts | times])


def measure_precision() -> pd.DataFrame:
    """Compare with captum at 2 mm, at eight patches in the middle: in float64, and captum in float32 with that."""
    shape, rows = (97, 115, 97), []
    model, image, _ = subject(shape)
    for patch in (1, 8, 20):
        corners = patch * (np.array([40, 48, 40]) // patch + np.argwhere(np.ones((2, 2, 2))))
        places, mask = torch.zeros(1, 1, *shape, dtype=torch.long), np.zeros(shape, bool)
        for number, (x, y, z) in enumerate(corners, start=1):
            places[0, 0, x : x + patch, y : y + patch, z : z + patch] = number
        mask[tuple(corners.T)] = True
        ours = occlusion(model, image, 1, patch=patch, stride=patch, mask=mask).double()
        exact, single = (
            FeatureAblation(model.to(dtype)).attribute(image.to(dtype), target=1, feature_mask=places).double()
            for dtype in (torch.float64, torch.float32)
        )
        inside = places > 0
        rows.append(
            {
                "patch": patch,
                "largest drop": exact[inside].abs().max().item(),
                "ours from captum in float64": (ours - exact)[inside].abs().max().item(),
                "captum in float32 from captum in float64": (single - exact)[inside].abs().max().item(),
            }
        )
    return pd.DataFrame(rows)


class Residual(nn.Module):
    """Two convolutions with batch norms beside a shortcut, as in a ResNet18."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        first, second = (
            nn.Conv3d(inputs, outputs, 3, stride, 1, bias=False),
            nn.Conv3d(outputs, outputs, 3, 1, 1, bias=False),
        )
        self.body = nn.Sequential(first, nn.BatchNorm3d(outputs), nn.ReLU(), second, nn.BatchNorm3d(outputs))
        self.shortcut = nn.Sequential(nn.Conv3d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm3d(outputs))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(features) + self.shortcut(features))


def measure_whole(shape: tuple[int, int, int] = (48, 57, 48), patch: int = 6, batch: int = 8) -> str:
    """Compare a pass of the fallback with a pass of the quickest batch of the same network, in one process."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    stem = [nn.Conv3d(1, 32, 7, 2, 3, bias=False), nn.BatchNorm3d(32), nn.ReLU(), nn.MaxPool3d(3, 2, 1)]
    blocks = [Residual(32, 32, 1), Residual(32, 64, 2), Residual(64, 128, 2), Residual(128, 256, 2)]
    model = nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(256, 2)).eval()
    image, quick = torch.rand(1, 1, *shape), quickened(model, torch.rand(1, *shape))
    patches = place_patches(shape, patch, patch)
    scans, count, hide = image.repeat(batch, 1, 1, 1, 1), int(patches.placed.sum()), partial(hide_patch, patches, 0.0)
    ours, passes = [], []
    for _ in range(3):
        start = time.process_time()
        quickest = quickened(model, image[0])
        work = plain_work(quickest, image[0], 1, np.argwhere(patches.placed), hide=hide, memory=2 * 10**9)
        for _ in measured(work):
            pass
        middle = time.process_time()
        with torch.inference_mode():
            for _ in range(-(-count // batch)):
                quick(scans)
        ours.append((middle - start) / count)
        passes.append((time.process_time() - middle) / (-(-count // batch) * batch))
    return (
        f"For a small residual network at {' x '.join(map(str, shape))} voxels and {count} patches, that took "
        f"{min(ours) / min(passes):.2f} times as long as the same number of bare passes in batches of {batch}."
    )


def short(value: object) -> str:
    """Write three digits of a number that is not a whole one."""
    return f"{value:#.3g}".rstrip(".") if isinstance(value, float) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/occlusion.md"))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    page = (Path(__file__).parent / "occlusion.md").read_text()
    text = page.format(
        cores=os.cpu_count(),
        torch=torch.__version__,
        batches=", ".join(map(str, CAPTUM_BATCHES)),
        whole=measure_whole(),
        speed=measure_speed().map(short).set_index("grid").T.rename_axis("grid").to_markdown(disable_numparse=True),
        growth=measure_growth().to_markdown(index=False, floatfmt=".3g"),
        branches=in_a_process_of_its_own(measure_branches).to_markdown(index=False, floatfmt=".3g"),
        residual=count_residual().to_markdown(index=False, floatfmt=".3g"),
        precision=measure_precision().to_markdown(index=False, floatfmt=".2g"),
    )
    arguments.out.write_text(text)


if __name__ == "__main__":
    main()
