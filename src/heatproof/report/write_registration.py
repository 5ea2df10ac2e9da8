"""Write a page that shows how scans lie on the template, before and after registration, and needs no network."""

import argparse
import json
from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from nibabel.affines import apply_affine
from PIL import Image
from scipy.io import loadmat
from scipy.ndimage import map_coordinates
from skimage.measure import find_contours

from heatproof.command import run
from heatproof.images import load_image
from heatproof.register.read_scan import read_scan
from heatproof.register.summarise_quality import registered_path
from heatproof.report.comparison import quality_cell
from heatproof.report.pages import render
from heatproof.tables import read_table

TILE_MM = 216.0  # a slice of any head, but for its neck
PIXEL_MM = 2.0
PIXELS = int(TILE_MM / PIXEL_MM)
PLANES = ((0, 1, 2), (0, 2, 1), (1, 2, 0))  # across, up and through: axial, coronal, sagittal
PLACES = (-28.0, 0.0, 28.0)  # mm from the middle of the brain, of the slices in each direction
QUALITY = 70  # of JPEG
SHOWN = ("inside_agreement", "correlation", "brain_overlap", "brain_covered", "mask_overlap")
FLIP = np.array([-1.0, -1.0, 1.0])  # between ITK's left, back, up and our right, front, up


def tile_points(centre: np.ndarray) -> np.ndarray:
    """Return the millimetres of every pixel of nine slices: three rows of axial, coronal and sagittal ones.

    Parameters
    ----------
    centre : ndarray, shape (3,)
        The middle of the brain.

    Returns
    -------
    ndarray, shape (3 PIXELS, 3 PIXELS, 3)
        Up is up, or the front; the left hemisphere is on the left, or the back.
    """
    along = (np.arange(PIXELS) + 0.5) * PIXEL_MM - TILE_MM / 2
    rows = []
    for across, up, through in PLANES:
        tiles = []
        for place in PLACES:
            tile = np.empty((PIXELS, PIXELS, 3))
            tile[..., across], tile[..., up], tile[..., through] = along[None, :], along[::-1, None], place
            tiles.append(tile)
        rows.append(np.concatenate(tiles, axis=1))
    return centre + np.concatenate(rows)


def sample(image: nib.Nifti1Image, points: np.ndarray, order: int = 1) -> np.ndarray:
    """Sample an image at millimetres of its space; 0 outside of its field of view."""
    voxels = apply_affine(np.linalg.inv(image.affine), points)
    return map_coordinates(np.asarray(image.dataobj, np.float32), np.moveaxis(voxels, -1, 0), order=order)


def picture(values: np.ndarray) -> str:
    """Write slices as a grey JPEG in a data URI, the brightest hundredth of what is not 0 white."""
    seen = values[values > 0]
    grey = np.clip(values / (np.percentile(seen, 99) if seen.size else 1), 0, 1)
    packed = BytesIO()
    Image.fromarray(np.rint(255 * grey).astype(np.uint8)).save(packed, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{b64encode(packed.getvalue()).decode()}"


def outline(mask: np.ndarray) -> str:
    """Write the edge of a mask's pixels as an SVG path."""
    lines = []
    for contour in find_contours(np.pad(mask.astype(float), 1), 0.5):
        corners = [f"{column - 0.5:.1f} {row - 0.5:.1f}" for row, column in contour[::2]]
        lines.append("M" + "L".join(corners) + "Z")
    return "".join(lines)


def shift_of(transforms: Path, centre: np.ndarray) -> np.ndarray:
    """Return the way from the middle of the template's brain to that of a scan's, as its header lays it, in mm.

    The linear part of the registration tells; 0 where there is none.

    Parameters
    ----------
    transforms : Path
        The scan's folder; ANTs keeps a linear transform as a MATLAB file: y = A (x - c) + t + c in ITK's directions.
    centre : ndarray, shape (3,)
    """
    files = sorted(transforms.glob("*GenericAffine.mat"))
    if not files:
        return np.zeros(3)
    content = loadmat(files[0])
    numbers = next(value for name, value in content.items() if name.startswith(("AffineTransform", "MatrixOffset")))
    fixed, numbers = content["fixed"].ravel(), numbers.ravel()
    there = numbers[:9].reshape(3, 3) @ (FLIP * centre - fixed) + numbers[9:] + fixed
    return FLIP * there - centre


def poorest_first(quality: pd.DataFrame) -> pd.DataFrame:
    """Sort scans: poor ones first, then outliers, then by how well the inside of the brain agrees with the template."""
    named = {name: quality[name].fillna("").astype(str).str.split(", ", regex=False) for name in ("poor", "outlier")}
    counts = {name: words.map(lambda found: len([word for word in found if word])) for name, words in named.items()}
    order = quality.assign(n_poor=counts["poor"], n_outlier=counts["outlier"])
    order = order.sort_values(
        ["n_poor", "n_outlier", "inside_agreement"], ascending=[False, False, True], kind="stable"
    )
    return quality.loc[order.index]


def said_of(row: pd.Series) -> dict:
    """Say how well a scan is registered: its figures, which of them are poor or off the others', and its notes."""
    words = {
        name: str(row[name]).replace("_", " ") for name in ("poor", "outlier") if pd.notna(row[name]) and row[name]
    }
    notes = [row["notes"]] if "notes" in row and pd.notna(row["notes"]) and row["notes"] else []
    figures = [
        f"{name.replace('_', ' ')} {quality_cell(row[name])}" for name in SHOWN if name in row and pd.notna(row[name])
    ]
    return {"figures": ", ".join(figures), "poor": words.get("poor"), "outlier": words.get("outlier"), "notes": notes}


def raw_images(cohort: Path) -> dict[str, str]:
    """Read where the raw image of every scan and of every healthy twin is."""
    scans = read_table(cohort / "scans.tsv")
    images = dict(zip(scans["scan"], scans["image"], strict=True))
    if (cohort / "twins.tsv").is_file():
        twins = read_table(cohort / "twins.tsv")
        images |= dict(zip(twins["twin"], twins["image"], strict=True))
    return images


def read_raw(path: str, placed: bool) -> nib.Nifti1Image:
    """Read a raw scan as its registration did, its axes at right angles or not."""
    if not placed:
        return read_scan(Path(path))[0]
    image = load_image(path)
    return nib.Nifti1Image(np.asarray(image.dataobj).reshape(image.shape[:3]), image.affine)


def show_scan(row: pd.Series, models: Path, space: str, image: str, points: np.ndarray, centre: np.ndarray) -> dict:
    """Draw one scan before and after, and say how well it is registered."""
    folder = models / "register" / row["scan"] / "transforms"
    placed = not any(folder.iterdir())
    before = sample(read_raw(image, placed), points + shift_of(folder, centre))
    after = sample(load_image(registered_path(models / "register", row["scan"], space)), points)
    return {"scan": row["scan"], "before": picture(before), "after": picture(after), **said_of(row)}


def gather(models: Path, space: str, most: int, scans: Sequence[str]) -> dict:
    """Gather the scans to show: those named, or the most poorly registered ones; the others by name."""
    quality = poorest_first(read_table(models / "register/qc.tsv"))
    chosen = quality[quality["scan"].isin(scans)] if scans else quality.head(most)
    brain = load_image(models / "register/template/brain_mask.nii.gz")
    mask = np.asarray(brain.dataobj) > 0
    centre = apply_affine(brain.affine, np.argwhere(mask).mean(axis=0))
    points, images = tile_points(centre), raw_images(models / "cohort")
    template = load_image(models / "register/fixed/T1w.nii.gz")
    edge = load_image(models / "register/fixed/brain_mask.nii.gz")
    edge = nib.Nifti1Image(np.asarray(edge.dataobj, np.float32), edge.affine)
    rest = quality[~quality["scan"].isin(chosen["scan"])]
    return {
        "template": picture(sample(template, points)),
        "outline": outline(sample(edge, points) > 0.5),
        "size": 3 * PIXELS,
        "scans": [show_scan(row, models, space, images[row["scan"]], points, centre) for _, row in chosen.iterrows()],
        "rest": [] if scans else [{"scan": row["scan"], **said_of(row)} for _, row in rest.iterrows()],
    }


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, help="name of the study that the page belongs to")
    parser.add_argument("--models", required=True, type=Path, help="results/{study} that scans come from")
    parser.add_argument("--space", required=True, help="register.space")
    parser.add_argument("--most", type=int, default=0, help="how many scans to show, the most poorly registered ones")
    parser.add_argument("--scans", nargs="*", default=[], help="or these")
    parser.add_argument("--output", required=True, type=Path, help="the page")
    args = parser.parse_args()

    content = gather(args.models, args.space, args.most, args.scans)
    content |= {"study": args.study, "report": "../report.html" if args.scans else "report.html"}
    content["bytes"] = len(json.dumps(content))
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(render("registration.html.jinja", content), encoding="utf-8")


if __name__ == "__main__":
    run(main)
