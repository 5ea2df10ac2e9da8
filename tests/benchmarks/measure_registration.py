"""Write docs/real-scans.md: how real scans come through ``register``, by labels that other people made, and by quality.

    PYTHONPATH=src python tests/benchmarks/measure_registration.py --work FOLDER DATA

DATA holds datasets of scans: BIDS folders (ds000011, ds002748), and ``ixi``, whose scans have labels with the numbers
of the Neuromorphometrics atlas beside them. Where either is absent this is said, and nothing is written. Scans that are
finished in the work folder are not registered again.
"""

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path

import ants
import nibabel as nib
import numpy as np
import pandas as pd
import yaml
from scipy.spatial.transform import Rotation

from heatproof.command import threads
from heatproof.images import load_array
from heatproof.register.judge import LIMITS, deep, local_correlation
from heatproof.register.prepare_template import prepare_template
from heatproof.register.register_scan import dice
from heatproof.register.summarise_quality import draw_contact_sheet, gather_quality, registered_path
from heatproof.tables import write_table

VOXEL_SIZE = 2.0
PAGE = Path(__file__).with_name("real_scans.md")
STRUCTURES = {
    "hippocampus": (47, 48),
    "lateral ventricle": (51, 52),
    "thalamus": (59, 60),
    "caudate": (36, 37),
    "putamen": (57, 58),
    "amygdala": (31, 32),
    "pallidum": (55, 56),
    "accumbens": (23, 30),
    "ventral DC": (61, 62),
    "cerebellar white matter": (40, 41),
}
GOALS = {"hippocampus": 0.74, "lateral ventricle": 0.72, "thalamus": 0.83, "caudate": 0.74, "putamen": 0.76}
LEAST_DICE = 0.65
VARIANTS = {
    "defaults": {},
    "3 mm": {"resolution": 3.0},
    "affine alone": {"transform": "antsRegistrationSyNQuick[a]"},
    "no N4": {"n4": False},
}
POSES = {
    "upside down": (180, 0, 0),
    "front to back": (0, 0, 180),
    "rolled over": (0, 180, 0),
    "axes exchanged": (90, 0, 90),
    "tilted by 40 degrees": (40, 0, 0),
}
COLUMNS = {
    "scan": "scan",
    "outline_ml": "outline, ml",
    "extraction": "extraction",
    "inside_agreement": "inside",
    "brain_overlap": "overlap",
    "folded_share": "folded share",
    "brain_ml": "brain, ml",
    "poor": "poor",
}


def register(image: Path, scan: str, folder: Path, options: dict, space: str) -> Path:
    """Register one scan in a process of its own, as the rule does; return its folder."""
    out = folder / scan
    if (out / "qc.json").is_file():
        return out
    out.mkdir(parents=True, exist_ok=True)
    grids = folder.parent / "grids"
    command = [sys.executable, "-m", "heatproof.register.register_scan", "--image", str(image)]
    command += ["--template", str(grids / f"{VOXEL_SIZE:g}"), "--fixed", str(grids / f"{options['resolution']:g}")]
    command += ["--options", json.dumps(options), "--out", str(registered_path(folder, scan, space))]
    command += ["--transforms", str(out / "transforms"), "--volumes", str(out / "volumes.tsv")]
    with open(out / "log", "w") as log:
        subprocess.run([*command, "--quality", str(out / "qc.json")], stdout=log, stderr=log, check=True)
    return out


def contents(folder: Path) -> dict[str, bytes]:
    """Read every file of a registration but its log, which tells the time."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "log"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def turn_header(image: Path, angles: tuple[int, int, int], out: Path) -> Path:
    """Copy a scan with a header that turns it about the axes of space."""
    scan = nib.load(image)
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    out.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(scan.dataobj, turn @ scan.affine), out)
    return out


def measure_dice(labels: Path, transforms: Path, template: Path) -> dict[str, float]:
    """Bring labels to the working grid, and measure their overlap with the atlas: mean of both sides per structure."""
    moved = ants.apply_transforms(
        ants.image_read(str(template / "T1w.nii.gz")),
        ants.image_read(str(labels)).clone("float"),
        [str(path) for path in sorted(transforms.iterdir(), reverse=True)],
        interpolator="nearestNeighbor",
    )
    found, atlas = np.rint(moved.numpy()), load_array(template / "regions.nii.gz")
    return {
        name: float(np.mean([dice(found == side, atlas == side) for side in sides]))
        for name, sides in STRUCTURES.items()
    }


def borrowed_agreement(image: Path, transforms: Path, template: Path) -> float:
    """Return the agreement inside that a scan has where another scan's transforms bring it."""
    grid = ants.image_read(str(template / "T1w.nii.gz"))
    files = [str(path) for path in sorted(transforms.iterdir(), reverse=True)]
    moved = ants.apply_transforms(grid, ants.image_read(str(image)), files).numpy()
    mask = load_array(template / "brain_mask.nii.gz") > 0
    agreement = local_correlation(moved, grid.numpy(), mask, VOXEL_SIZE)
    return float(agreement[deep(mask, VOXEL_SIZE)].mean())


def measured(out: Path) -> dict:
    """Read a registration's agreement inside and the unevenness of what was registered."""
    quality = json.loads((out / "qc.json").read_text())
    return {name: quality[name] for name in ("inside_agreement", "unevenness")}


def labelled_rows(scans: dict[str, Path], work: Path, options: dict, space: str) -> pd.DataFrame:
    """Register the labelled scans well, in other ways, and badly; and one after the other in another pose.

    Returns
    -------
    DataFrame
        variant, scan, inside_agreement, unevenness, Dice of each structure.
    """
    rows = []
    for variant, changed in VARIANTS.items():
        for scan, image in scans.items():
            out = register(image, scan, work / variant.replace(" ", "_"), options | changed, space)
            rows.append((variant, scan, image, out / "transforms", out))
    for (pose, angles), (scan, image) in zip(POSES.items(), cycle(scans.items()), strict=False):
        turned = turn_header(image, angles, work / f"turned/{pose.replace(' ', '_')}_{scan}_T1w.nii.gz")
        try:
            out = register(turned, f"{pose.replace(' ', '_')}_{scan}", work / "poses", options, space)
        except subprocess.CalledProcessError:  # refused
            continue
        labels = image.with_name(image.name.replace("_T1w", "_labels"))
        turn_header(labels, angles, turned.with_name(turned.name.replace("_T1w", "_labels")))
        rows.append((f"header: {pose}", scan, turned, out / "transforms", out))
    names = list(scans)
    for scan, other in zip(names, names[1:] + names[:1], strict=True):
        rows.append(("another's transforms", scan, scans[scan], work / "defaults" / other / "transforms", None))
    template = work / f"grids/{VOXEL_SIZE:g}"
    return pd.DataFrame(
        {
            "variant": variant,
            "scan": scan,
            **(measured(out) if out else {"inside_agreement": borrowed_agreement(image, transforms, template)}),
            **measure_dice(image.with_name(image.name.replace("_T1w", "_labels")), transforms, template),
        }
        for variant, scan, image, transforms, out in rows
    )


def dice_table(rows: pd.DataFrame) -> str:
    """Write the Dice of each structure on each labelled scan, their mean, and the goals."""
    defaults = rows[rows["variant"] == "defaults"].set_index("scan")[list(STRUCTURES)].T
    table = defaults.assign(mean=defaults.mean(axis=1), goal=pd.Series(GOALS)).rename_axis("structure").reset_index()
    return table.astype(object).where(table.notna(), None).to_markdown(index=False, floatfmt=".3f", missingval="")


def ranking_table(rows: pd.DataFrame) -> str:
    """Write, for each way of registering, the Dice of the five structures with goals and the agreement inside."""
    rows = rows.assign(dice=rows[list(GOALS)].mean(axis=1))
    groups = rows.groupby("variant", sort=False)
    table = pd.DataFrame(
        {
            "Dice, mean": groups["dice"].mean(),
            "Dice, least": groups["dice"].min(),
            "inside, least": groups["inside_agreement"].min(),
            "inside, most": groups["inside_agreement"].max(),
            "unevenness, most": groups["unevenness"].max(),
        }
    )
    return table.sort_values("Dice, mean", ascending=False).reset_index().to_markdown(index=False, floatfmt=".3f")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--again", type=int, help="how many scans are registered a second time; all by default")
    parser.add_argument("--out", type=Path, default=Path("docs/real-scans.md"))
    parser.add_argument("--scans", type=int, help="how many scans of each BIDS dataset; all by default")
    arguments = parser.parse_args()
    config = yaml.safe_load(Path("config/config.yaml").read_text())["register"]
    options = config | {"resolution": config["resolution"] or 2.0}
    labelled = {path.name.removesuffix("_T1w.nii.gz"): path for path in sorted(arguments.data.glob("ixi/*_T1w.nii.gz"))}
    images = {
        f"{dataset.name}_{path.name.removesuffix('_T1w.nii.gz')}": path
        for dataset in sorted(arguments.data.glob("ds*"))
        for path in sorted(dataset.glob("sub-*/anat/*_T1w.nii.gz"))[: arguments.scans]
    }
    for found, name in ((labelled, "ixi, labelled scans"), (images, "BIDS datasets")):
        if not found:
            sys.exit(f"{arguments.data} lacks {name}: nothing is written")
    for edge in (2.0, 3.0):
        folder = arguments.work / f"grids/{edge:g}"
        if not (folder / "regions.tsv").is_file():
            prepare_template(config["template"], config["atlas"], edge, folder)
    rows = labelled_rows(labelled, arguments.work, options, config["space"])
    write_table(rows, arguments.work / "labelled.tsv")
    first, second = arguments.work / "first", arguments.work / "second"
    again = list(images)[: arguments.again]
    with ThreadPoolExecutor(threads()) as pool:
        jobs = [(scan, first) for scan in images] + [(scan, second) for scan in again]
        list(pool.map(lambda job: register(images[job[0]], *job, options, config["space"]), jobs))
    quality = gather_quality(pd.DataFrame({"scan": list(images)}), first)
    write_table(quality, first / "qc.tsv")
    (first / "template").unlink(missing_ok=True)
    (first / "template").symlink_to(Path("../grids") / f"{VOXEL_SIZE:g}")
    draw_contact_sheet(quality, first, config["space"], first / "contact_sheet.png")
    defaults = rows[rows["variant"] == "defaults"]
    means, least = defaults[list(GOALS)].mean(), defaults[list(GOALS)].min()
    turned = rows[rows["variant"].str.startswith("header")]
    text = PAGE.read_text().format(
        scans=len(images),
        labelled=len(labelled),
        again=len(again),
        same=sum(contents(first / scan) == contents(second / scan) for scan in again),
        voxel_size=VOXEL_SIZE,
        limit=LIMITS["inside_agreement"][0],
        met=", ".join(name for name, goal in GOALS.items() if means[name] >= goal) or "none",
        unmet=", ".join(name for name, goal in GOALS.items() if means[name] < goal) or "none",
        least=least.min(),
        least_goal=LEAST_DICE,
        poses=len(POSES),
        turned_back=(turned[list(GOALS)].mean(axis=1) > LEAST_DICE).sum(),
        turned_poor=(turned["inside_agreement"] < LIMITS["inside_agreement"][0]).sum(),
        good=(quality["poor"] == "").sum(),
        lowest=quality["inside_agreement"].min(),
        dice=dice_table(rows),
        ranking=ranking_table(rows),
        table=quality.assign(brain_ml=quality["brain_mm3"] / 1000)[list(COLUMNS)]
        .rename(columns=COLUMNS)
        .to_markdown(index=False, floatfmt=("", ".0f", "", ".3f", ".3f", ".3f", ".0f", "")),
    )
    arguments.out.write_text(text)


if __name__ == "__main__":
    main()
