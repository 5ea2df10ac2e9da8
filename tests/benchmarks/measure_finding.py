"""Write docs/finding-brains.md: how ``register`` finds brains in other poses, and what it says of scans of none.

    PYTHONPATH=src python tests/benchmarks/measure_finding.py --work FOLDER DATA

DATA holds real scans: ``ixi``, ``ds000011`` (heads) and ``ds002748`` (brains). What is finished in the work folder is
not measured again.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import yaml
from measure_registration import POSES, register, turn_header
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from heatproof.errors import StudyError
from heatproof.images import load_image
from heatproof.register.extract_brain import outline
from heatproof.register.find_pose import GOOD_FIT, coarse_brain
from heatproof.register.judge import LEAST_INSIDE
from heatproof.register.prepare_scan import prepare
from heatproof.register.prepare_template import prepare_template
from heatproof.register.read_scan import read_scan
from heatproof.register.register_scan import dice
from heatproof.space import Grid, grid_of, resample

PAGE = Path(__file__).with_name("finding.md")
EDGE = 2.0
MOST_DEGREES, LEAST_DICE = 10.0, 0.95  # of a pose and a brain that are those of the upright scan


def found(image: Path, out: Path, template: Path, options: dict) -> tuple[dict, np.ndarray | None]:
    """Find a scan's brain and pose, or read them where this is done: outline, fit, rotation, or why it is refused."""
    if not out.with_suffix(".json").is_file():
        out.parent.mkdir(parents=True, exist_ok=True)
        within, t1w = (load_image(template / f"{name}.nii.gz") for name in ("brain_mask", "T1w"))
        model = coarse_brain(np.asarray(t1w.dataobj), np.asarray(within.dataobj) > 0, grid_of(t1w))
        raw = read_scan(image)[0]
        row = dict(zip(("solidity", "outline_ml"), outline(raw), strict=True))
        try:
            with tempfile.TemporaryDirectory() as folder:
                prepared, decision = prepare(raw, image, model, options, None, folder)
            row |= {"extraction": decision["extraction"], "fit": prepared.pose.fit}
            row["rotation"] = prepared.pose.rotation.tolist()
            nib.save(nib.Nifti1Image((prepared.brain.numpy() > 0).astype(np.uint8), raw.affine), f"{out}.nii.gz")
        except StudyError as error:
            row["refused"] = str(error).replace(f" in {image}", "").partition("Exclude")[0].rstrip()
        out.with_suffix(".json").write_text(json.dumps(row))
    row = json.loads(out.with_suffix(".json").read_text())
    return row, None if "refused" in row else np.asarray(nib.load(f"{out}.nii.gz").dataobj) > 0


def pose_rows(scans: dict[str, Path], work: Path, template: Path, options: dict) -> pd.DataFrame:
    """Find each scan as it is, and as headers turn it: scan, pose, degrees off, Dice of the brain, fit, outcome."""
    rows = []
    for scan, image in scans.items():
        upright, brain = found(image, work / f"upright/{scan}", template, options)
        for pose, angles in POSES.items():
            name = f"{scan}_{pose.replace(' ', '_')}"
            turned = turn_header(image, angles, work / f"turned/{name}.nii.gz")
            row, other = found(turned, work / f"found/{name}", template, options)
            if other is None:
                rows.append({"scan": scan, "pose": pose, "outcome": "refused"})
                continue
            expected = Rotation.from_euler("xyz", angles, degrees=True) * Rotation.from_matrix(upright["rotation"])
            off = np.degrees((Rotation.from_matrix(row["rotation"]) * expected.inv()).magnitude())
            right = off <= MOST_DEGREES and dice(brain, other) >= LEAST_DICE
            figures = {"degrees off": off, "Dice of the brain": dice(brain, other), "fit": row["fit"]}
            told = "right" if right else outcome(turned, name, work, options)["outcome"]
            rows.append({"scan": scan, "pose": pose, **figures, "outcome": told})
    return pd.DataFrame(rows)


def fakes() -> dict[str, np.ndarray]:
    """Make what is no brain, 120 x 120 x 120 voxels of 2 mm."""
    rng = np.random.default_rng(0)
    shape = (120, 120, 120)
    place = 2 * (np.indices(shape) - 59.5)
    radius, largest = np.sqrt(np.square(place).sum(axis=0)), np.abs(place).max(axis=0)
    noise, smooth = np.abs(rng.normal(0, 20, shape)), gaussian_filter(rng.normal(size=shape), 4)
    smooth = 100 + 1000 * (smooth - smooth.min()) / np.ptp(smooth)
    return {
        "pure noise": noise,
        "smooth noise": smooth,
        "a ball of noise": np.where(radius < 70, rng.uniform(50, 150, shape), 0),
        "a ball of smooth noise": np.where(radius < 70, smooth, 0),
        "a uniform ball of 1,150 ml": np.where(radius < 65, 800, 0) + noise,
        "a uniform ball of 2,100 ml": np.where(radius < 80, 800, 0) + noise,
        "a cube": np.where(largest < 60, 800, 0) + noise,
    }


def worse(head: nib.Nifti1Image) -> dict[str, nib.Nifti1Image]:
    """Make worse scans of a head."""
    voxels, grid = head.get_fdata(dtype=np.float32), grid_of(head)
    up = int(nib.io_orientation(grid.affine)[:, 0].tolist().index(2))
    ramp = np.linspace(-1, 1, voxels.shape[up]).reshape([-1 if axis == up else 1 for axis in range(3)])
    bright = np.percentile(voxels, 99)
    level = gaussian_filter(voxels, 10)
    body = level > 0.1 * bright
    half = [slice(None)] * 3
    half[up] = slice(voxels.shape[up] // 2 + 5, None)
    shift = np.array([part.start or 0 for part in half])
    cut = nib.affines.from_matvec(grid.affine[:3, :3], nib.affines.apply_affine(grid.affine, shift))
    thick = [3 if axis == up else 1 for axis in range(3)]
    slices = Grid(tuple(-(-n // k) for n, k in zip(grid.shape, thick, strict=True)), grid.affine @ np.diag([*thick, 1]))

    def like(array: np.ndarray, affine: np.ndarray = grid.affine) -> nib.Nifti1Image:
        return nib.Nifti1Image(array.astype(np.float32), affine)

    return {
        "as it is": head,
        "bias field of 7 to 1 from below to above": like(voxels * np.exp(ramp)),
        "its upper half": like(voxels[tuple(half)], cut),
        "slices three times as thick": like(resample(voxels, grid, slices), slices.affine),
        "dark and bright exchanged": like(np.where(body, np.clip(bright - voxels, 0, None), voxels)),
        "normalised, nothing dark within": like(np.where(body, 110 * voxels / np.maximum(level, 1) + 40, 0)),
    }


def outcome(image: Path, name: str, work: Path, options: dict) -> dict:
    """Register a scan, and say what comes of it: refused and why, or its figures, what is poor, and notes."""
    try:
        out = register(image, name, work / "registered", options, options["space"])
    except subprocess.CalledProcessError:
        last = (work / "registered" / name / "log").read_text().splitlines()[-1]
        if not last.startswith("error: "):
            sys.exit(f"{image}: {last}")
        why = last.removeprefix("error: ").replace(f" in {image}", "").partition("Exclude")[0]
        return {"outcome": f"refused: {why.rstrip()}"}
    quality = json.loads((out / "qc.json").read_text())
    notes = "; ".join(quality["notes"])
    figures = {"extraction": quality["extraction"], "fit": quality["pose_fit"], "inside": quality["inside_agreement"]}
    figures |= {name: quality[name] for name in ("unevenness", "cut_cm2", "largest_edge_mm")}
    return {**figures, "outcome": f"{'poor' if quality['poor'] else 'good'}{': ' if notes else ''}{notes}"}


def table(rows: list[dict] | pd.DataFrame) -> str:
    """Write rows as a table."""
    rows = pd.DataFrame(rows).astype(object)
    return rows.where(rows.notna(), None).to_markdown(index=False, floatfmt=".3f", missingval="")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--scans", type=int, default=3, help="how many scans of each dataset are turned")
    parser.add_argument("--out", type=Path, default=Path("docs/finding-brains.md"))
    arguments = parser.parse_args()
    work = arguments.work
    config = yaml.safe_load(Path("config/config.yaml").read_text())["register"]
    options = config | {"resolution": EDGE}
    images = {
        f"{dataset}_{path.name.removesuffix('_T1w.nii.gz')}": path
        for dataset, pattern in (("ixi", "*"), ("ds000011", "sub-*/anat/*"), ("ds002748", "sub-*/anat/*"))
        for path in sorted((arguments.data / dataset).glob(f"{pattern}_T1w.nii.gz"))[: arguments.scans]
    }
    heads = [path for scan, path in images.items() if scan.startswith("ixi")]
    if not heads:
        sys.exit(f"{arguments.data} lacks ixi: nothing is written")
    template = work / f"grids/{EDGE:g}"
    if not (template / "regions.tsv").is_file():
        prepare_template(config["template"], config["atlas"], EDGE, template)
    poses = pose_rows(images, work, template, options)
    upright = [found(image, work / f"upright/{scan}", template, options)[0]["fit"] for scan, image in images.items()]
    made = {}
    for name, voxels in fakes().items():
        affine = nib.affines.from_matvec(EDGE * np.eye(3), [-119.0] * 3)
        made[name] = nib.Nifti1Image(voxels.astype(np.float32), affine)
    rows: dict[str, list[dict]] = {"fakes": [], "worse": []}
    for kind, scans in (("fakes", made), ("worse", worse(read_scan(heads[0])[0]))):
        for name, image in scans.items():
            path = work / kind / f"{name.replace(' ', '_').replace(',', '')}_T1w.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nib.save(image, path)
            rows[kind].append({"scan": name, **outcome(path, path.name[: -len("_T1w.nii.gz")], work, options)})
    counts = poses["outcome"].str.partition(":")[0].value_counts()
    text = PAGE.read_text().format(
        turned=len(poses),
        scans=len(images),
        right=counts.get("right", 0),
        refused=counts.get("refused", 0),
        poor=counts.get("poor", 0),
        wrong=counts.get("good", 0),
        most_degrees=MOST_DEGREES,
        least_dice=LEAST_DICE,
        least_inside=LEAST_INSIDE,
        good_fit=GOOD_FIT,
        lowest=min(upright),
        head=heads[0].name.removesuffix("_T1w.nii.gz"),
        poses=table(poses),
        fakes=table(rows["fakes"]),
        worse=table(rows["worse"]),
    )
    arguments.out.write_text(text)


if __name__ == "__main__":
    main()
