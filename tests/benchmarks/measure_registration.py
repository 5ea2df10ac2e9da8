"""Write docs/real-scans.md: how real scans come through ``register``, and whether twice the same.

    PYTHONPATH=src python tests/benchmarks/measure_registration.py --work FOLDER DATASET [DATASET ...]

DATASET is a BIDS folder. Scans that are finished in the work folder are not registered again.
"""

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import yaml

from heatproof.register.prepare_template import prepare_template
from heatproof.register.summarise_quality import draw_contact_sheet, gather_quality, registered_path
from heatproof.tables import write_table

VOXEL_SIZE = 2.0
LEAST_OVERLAP = 0.93
PAGE = Path(__file__).with_name("real_scans.md")
COLUMNS = {
    "scan": "scan",
    "solidity": "solidity",
    "extraction": "extraction",
    "brain_overlap": "overlap",
    "correlation": "correlation",
    "folded_share": "folded share",
    "brain_ml": "brain, ml",
    "outlier": "outlier",
}


def register(image: Path, scan: str, folder: Path, options: dict, space: str) -> None:
    """Register one scan in a process of its own, as the rule does."""
    out = folder / scan
    if (out / "qc.json").is_file():
        return
    out.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "heatproof.register.register_scan", "--image", str(image)]
    command += ["--template", str(folder / "template"), "--options", json.dumps(options)]
    command += ["--out", str(registered_path(folder, scan, space)), "--transforms", str(out / "transforms")]
    command += ["--volumes", str(out / "volumes.tsv"), "--quality", str(out / "qc.json")]
    with open(out / "log", "w") as log:
        subprocess.run(command, stdout=log, stderr=log, check=True)


def contents(folder: Path) -> dict[str, bytes]:
    """Read every file of a registration but its log, which tells the time."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "log"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path, nargs="+")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--again", type=int, help="how many scans are registered a second time; all by default")
    parser.add_argument("--out", type=Path, default=Path("docs/real-scans.md"))
    arguments = parser.parse_args()
    config = yaml.safe_load(Path("config/config.yaml").read_text())["register"]
    options = {key: config[key] for key in ("brain_extraction", "transform", "n4", "seed")}
    images = {
        f"{dataset.name}_{path.name.removesuffix('_T1w.nii.gz')}": path
        for dataset in arguments.datasets
        for path in sorted(dataset.glob("sub-*/anat/*_T1w.nii.gz"))
    }
    first, second = arguments.work / "first", arguments.work / "second"
    for folder in (first, second):
        prepare_template(config["template"], config["atlas"], VOXEL_SIZE, folder / "template")
    again = list(images)[: arguments.again]
    with ThreadPoolExecutor(2) as pool:
        jobs = [(scan, first) for scan in images] + [(scan, second) for scan in again]
        list(pool.map(lambda job: register(images[job[0]], *job, options, config["space"]), jobs))
    quality = gather_quality(pd.DataFrame({"scan": list(images)}), first)
    write_table(quality, first / "qc.tsv")
    draw_contact_sheet(quality, first, config["space"], first / "contact_sheet.png")
    table = quality.assign(brain_ml=(quality["brain_mm3"] / 1000).round().astype(int))[list(COLUMNS)].rename(
        columns=COLUMNS
    )
    text = PAGE.read_text().format(
        scans=len(images),
        again=len(again),
        same=sum(contents(first / scan) == contents(second / scan) for scan in again),
        above=(quality["brain_overlap"] >= LEAST_OVERLAP).sum(),
        least=LEAST_OVERLAP,
        lowest=quality["brain_overlap"].min(),
        voxel_size=VOXEL_SIZE,
        table=table.to_markdown(index=False, floatfmt=".3f"),
    )
    arguments.out.write_text(text)


if __name__ == "__main__":
    main()
