"""Write docs/scale.md: jobs, hours, files and disk of large studies, from unit costs that were measured.

    PYTHONPATH=src:tests/workflow python tests/benchmarks/write_scale.py

Run by ``make bench`` after ``make demo`` and write_benchmarks.py: seconds a scan are read from docs/benchmarks.md,
bytes a voxel and files a scan from results/demo. Planning is timed on tiny images.
"""

import argparse
import re
import sys
import tempfile
import time
from math import prod
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import torch
from planning import make_adni, plan
from scipy.ndimage import gaussian_filter
from write_benchmarks import EPOCHS, GPU_OPERATIONS, GRID, MODELS, SCANS, STEP_PASSES, multiply_adds

from conftest import Checkout
from heatproof.images import load_array, save_image
from heatproof.train.network import build_network
from heatproof.train.pack_scans import scale_intensity

PAGE = Path(__file__).with_name("scale.md")
METHODS = ("gradient_input", "guided_backprop", "lrp", "occlusion")
VOXELS = prod(GRID)
READ_BYTES = 1e9  # a second
STORE_BYTES = 2  # a voxel
STUDIES = {"969 scans at 1 mm": 969, "45,000 scans (UK Biobank)": 45_000}


def share(scans: int, split: str) -> int:
    """Return how many of a study's scans are in a split, in the paper's proportions."""
    return round(scans * SCANS[split] / SCANS["all"])


def unit_costs(page: Path) -> pd.Series:
    """Read the seconds a scan of every unit from docs/benchmarks.md."""
    rows = re.findall(r"^\| (\w[\w ]*?) +\| +(\d+\.\d\d) \|$", page.read_text(), re.MULTILINE)
    return pd.Series({unit: float(seconds) for unit, seconds in rows})


def unit_sizes(results: Path) -> pd.Series:
    """Measure what one voxel of the working grid takes on disk in a study that ran: bytes, and files a scan."""
    voxels = unpacked_voxels(results)
    registered = list(results.glob("register/sub-*/sub-*.nii.gz"))
    transforms = [path for path in results.glob("register/sub-*/transforms/*") if path.stat().st_size]
    heatmaps = list(results.glob("attribute/*/seed-*/*_heatmap.nii.gz"))
    sizes = {
        "registered": mean_size(registered) / voxels,
        "transforms": sum(path.stat().st_size for path in transforms) / len(registered) / voxels,
        "heatmap": mean_size(heatmaps) / voxels,
        "files": 2 + 2 + len(transforms) / len(registered),  # scan, quality, transforms; log and benchmark
    }
    return pd.Series(sizes)


def unpacked_voxels(results: Path) -> int:
    """Return the number of voxels of a study's working grid."""
    return prod(nib.load(results / "register/template/brain_mask.nii.gz").shape)


def mean_size(paths: list[Path]) -> float:
    """Return the mean size of files in bytes."""
    return sum(path.stat().st_size for path in paths) / len(paths)


def work(scans: int, cost: pd.Series, operations: int) -> pd.DataFrame:
    """Estimate jobs, core hours and GPU hours: part, jobs, core_hours, gpu_hours.

    On a GPU, a training step is taken to cost `STEP_PASSES` forward passes, an explanation as many as on a CPU, and a
    forward pass ``operations`` multiply-adds, at an assumed rate. Registration has no GPU.
    """
    test, train, validation = share(scans, "test"), share(scans, "train"), share(scans, "validation")
    seconds = MODELS * EPOCHS * (train * cost["training step"] + validation * cost["forward pass"])
    explained = {name: MODELS * test * cost[name] for name in METHODS}
    rows = [("register", scans, scans * cost["register"], float("nan"))]
    rows.append(("train", MODELS, seconds, MODELS * EPOCHS * (STEP_PASSES * train + validation)))
    rows += [(f"attribute: {name}", MODELS, s, s / cost["forward pass"]) for name, s in explained.items()]
    one_pass = 2 * operations / GPU_OPERATIONS
    return pd.DataFrame(
        [(part, jobs, s / 3600, passes * one_pass / 3600) for part, jobs, s, passes in rows],
        columns=["part", "jobs", "core hours, measured units", "GPU hours, estimated"],
    )


def disk(scans: int, size: pd.Series) -> pd.DataFrame:
    """Work out what lies on disk: what, files, GB."""
    maps = len(METHODS) * MODELS
    heatmap = share(scans, "test") * VOXELS * size["heatmap"] / 1e9
    rows = [
        ("registered scans", scans, scans * VOXELS * size["registered"] / 1e9),
        ("transforms", scans * (size["files"] - 4), scans * VOXELS * size["transforms"] / 1e9),
        ("stores", 6, scans * VOXELS * STORE_BYTES / 1e9),
        ("heatmaps, `attribute.keep: all`", share(scans, "test") * maps, maps * heatmap),
        ("mean maps", 4 * maps, 4 * maps * VOXELS * size["heatmap"] / 1e9),
        ("quality, logs, benchmarks", 3 * scans, 3 * scans * 4096 / 1e9),
    ]
    return pd.DataFrame(rows, columns=["what", "files", "GB"])


def plan_study(name: str, participants: int, scans: int, *options: str) -> dict:
    """Plan a study of tiny images by ``snakemake -n``."""
    with tempfile.TemporaryDirectory() as folder:
        checkout = Checkout(Path(folder, "checkout")).folder
        make_adni(checkout / "data/adni", participants, participants * 193 // 344, scans)
        planned = plan(checkout, *options)
    row = {"study": name, "jobs": planned.jobs["total"], "seconds": planned.seconds}
    return row | {"of a processor": planned.processor_seconds, "GB of memory": planned.memory_gb}


def packing_seconds() -> float:
    """Measure the processor's time to read and scale one registered scan of 1 mm."""
    brain = np.ones(GRID, bool)
    scan = gaussian_filter(np.random.default_rng(0).random(GRID, np.float32), 1)
    with tempfile.TemporaryDirectory() as folder:
        save_image(scan, np.eye(4), Path(folder, "scan.nii.gz"))
        start = time.process_time()
        scale_intensity(load_array(Path(folder, "scan.nii.gz")), brain, (0, 100))
        return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("results/demo"))
    parser.add_argument("--benchmarks", type=Path, default=Path("docs/benchmarks.md"))
    parser.add_argument("--out", type=Path, default=Path("docs/scale.md"))
    arguments = parser.parse_args()
    cost, size = unit_costs(arguments.benchmarks), unit_sizes(arguments.results)
    operations = multiply_adds(build_network(GRID).eval(), torch.zeros(1, 1, *GRID))
    split = "cohort={split: {test: 300, validation: 200, seed: 0}}"
    large_study = ("--config", split, f"train={{seeds: {list(range(20))}}}")
    plans = [
        plan_study("969 scans, 10 seeds, 4 methods", 344, 969),
        plan_study("10,000 scans, 20 seeds, 4 methods", 3600, 10_000, *large_study),
    ]
    planning, pack = pd.DataFrame(plans), packing_seconds()
    sections = []
    for name, scans in STUDIES.items():
        hours, bytes_ = work(scans, cost, operations), disk(scans, size)
        sections += [f"## {name}", table(hours, ".1f"), table(bytes_, ".0f")]
    large = STUDIES["45,000 scans (UK Biobank)"]
    epoch = share(large, "train") * VOXELS * STORE_BYTES
    gpu_hours = work(large, cost, operations).set_index("part").loc["train", "GPU hours, estimated"]
    text = PAGE.read_text().format(
        planning=table(planning, ".1f"),
        studies="\n\n".join(sections),
        rate=GPU_OPERATIONS / 1e12,
        epochs=EPOCHS,
        models=MODELS,
        registered=size["registered"],
        transforms=size["transforms"],
        heatmap=size["heatmap"],
        epoch_gb=epoch / 1e9,
        read_tb=MODELS * EPOCHS * epoch / 1e12,
        read_hours=MODELS * EPOCHS * epoch / READ_BYTES / 3600,
        gpu_hours=gpu_hours,
        store_gb=large * VOXELS * STORE_BYTES / 1e9,
        pack_seconds=pack,
        pack_hours=share(large, "train") * pack / 3600,
        packed_in_an_hour=3600 / pack,
        register_hours=large * cost["register"] / 3600,
    )
    arguments.out.write_text(text)
    print(f"{arguments.out} written; planning:\n{planning.to_string(index=False)}", file=sys.stderr)


def table(rows: pd.DataFrame, digits: str) -> str:
    """Write a table in Markdown; an empty cell is what does not exist."""
    return rows.to_markdown(index=False, floatfmt=digits, intfmt=",").replace("nan", "   ")


if __name__ == "__main__":
    main()
