"""Gather the quality figures of all registrations, and draw a contact sheet that a person can look at."""

import argparse
import json
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.ndimage import binary_erosion
from tqdm import tqdm

from heatproof.command import run
from heatproof.images import load_array
from heatproof.tables import read_table, write_table

OUTLINE = np.array([0.9, 0.25, 0.1])
SCANS_PER_ROW = 6
PICTURE_WIDTH = 300
PIXELS_PER_INCH = 100
OUTLIER_LIMIT = 3.5
FEWEST_SCANS = 5


def registered_path(folder: Path, scan: str, space: str) -> Path:
    """Name the file of a registered scan."""
    return folder / scan / f"{scan}_space-{space}_T1w.nii.gz"


def list_registered(scans: pd.DataFrame) -> pd.DataFrame:
    """List what was registered: scan; and where there are healthy twins, twin_of, the scan whose twin it is."""
    if "twin" not in scans:
        return scans[["scan"]]
    own = scans["twin"].isna()
    return pd.DataFrame({"scan": scans["twin"].where(~own, scans["scan"]), "twin_of": scans["scan"].mask(own, "")})


def gather_quality(scans: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Read each scan's quality figures, in the words of `heatproof.register.register_scan.register_scan`.

    Parameters
    ----------
    scans : DataFrame
        As `list_registered` returns it.
    folder : Path
        The results folder of the registration.

    Returns
    -------
    DataFrame
        One row per scan: the columns of ``scans``, the figures, notes, and outlier, which names the figures that are
        poor by themselves, or off the others' median by more than 3.5 robust standard deviations (Iglewicz and Hoaglin
        1993): agreement, correlation and overlaps below it, the folded share above it, volume and intensity to either
        side; and poor, which names the former. Figures that no scan has are left out.
    """
    rows = [scan | json.loads((folder / scan["scan"] / "qc.json").read_text()) for scan in scans.to_dict("records")]
    table = pd.DataFrame(rows).drop(columns=["scan_sha256", "further_sha256"], errors="ignore")
    off = pd.DataFrame({name: score(table[name]) for name, score in OFF.items() if name in table})
    outlier = [
        ", ".join(name for name in off if name in poor or scores[name] > OUTLIER_LIMIT)
        for poor, (_, scores) in zip(table["poor"], off.iterrows(), strict=True)
    ]
    notes = ["; ".join(lines) for lines in table.pop("notes")]
    return table.assign(poor=table["poor"].map(", ".join), notes=notes, outlier=outlier)


def robust_score(values: pd.Series) -> pd.Series:
    """Return deviations from the median in robust standard deviations; 0 where most values agree or are too few."""
    deviation = values - values.median()
    spread = 1.4826 * deviation.abs().median()
    return deviation / spread if spread > 0 and values.count() >= FEWEST_SCANS else deviation * 0


OFF = {
    "inside_agreement": lambda values: robust_score(-values),
    "correlation": lambda values: robust_score(-values),
    "brain_overlap": lambda values: robust_score(-values),
    "brain_covered": lambda values: robust_score(-values),
    "folded_share": robust_score,
    "brain_mm3": lambda values: robust_score(np.log(values)).abs(),
    "intensity_high": lambda values: robust_score(values).abs(),
    "mask_overlap": lambda values: robust_score(-values),
}


def three_views(volume: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Show an axial, a coronal and a sagittal slice side by side, with the mask's outline.

    Parameters
    ----------
    volume, mask : ndarray, shape (x, y, z)

    Returns
    -------
    ndarray of uint8, shape (rows, columns, 3)
        Red, green and blue; up is up, the left hemisphere is on the left. Voxels are left out where there are more
        than a picture is wide.
    """
    scale = np.percentile(volume[mask], 99.5)
    grey = np.clip(volume / scale if scale > 0 else volume, 0, 1)
    centre = [int(np.mean(where)) for where in np.nonzero(mask)]
    height = max(volume.shape[1:])
    views = []
    for axis in (2, 1, 0):
        picture = np.repeat(np.take(grey, centre[axis], axis).T[::-1, :, None], 3, axis=2)
        inside = np.take(mask, centre[axis], axis).T[::-1]
        picture[inside & ~binary_erosion(inside)] = OUTLINE
        above = (height - picture.shape[0]) // 2
        views.append(np.pad(picture, ((above, height - picture.shape[0] - above), (0, 0), (0, 0))))
    step = int(np.ceil(sum(view.shape[1] for view in views) / PICTURE_WIDTH))
    return np.round(255 * np.concatenate(views, axis=1)[::step, ::step]).astype(np.uint8)


def overlap_of(row: NamedTuple) -> str:
    """Say how far a scan's brain overlaps with the template's, or where it shows a head, covers it."""
    overlap = getattr(row, "brain_overlap", np.nan)
    return f"covers {row.brain_covered:.2f}" if np.isnan(overlap) else f"overlap {overlap:.2f}"


def draw_contact_sheet(quality: pd.DataFrame, folder: Path, space: str, path: Path) -> None:
    """Draw three slices of every registered scan under the template's outline, named, outliers marked."""
    mask = load_array(folder / "template" / "brain_mask.nii.gz") > 0
    pictures = [
        three_views(load_array(registered_path(folder, scan, space)), mask)
        for scan in tqdm(quality["scan"], desc="contact sheet", unit="scan")
    ]
    high, wide = pictures[0].shape[:2]
    zoom = max(1, round(250 / wide))
    rows = int(np.ceil(len(pictures) / SCANS_PER_ROW))
    cell_high, cell_wide = high * zoom + 24, wide * zoom + 12
    size = (SCANS_PER_ROW * cell_wide / PIXELS_PER_INCH, (rows * cell_high + 8) / PIXELS_PER_INCH)
    figure = plt.figure(figsize=size, dpi=PIXELS_PER_INCH, facecolor="white")
    for number, (picture, row) in enumerate(zip(pictures, quality.itertuples(), strict=True)):
        across, down = number % SCANS_PER_ROW * cell_wide, number // SCANS_PER_ROW * cell_high
        top = size[1] * PIXELS_PER_INCH - down
        figure.figimage(
            np.repeat(np.repeat(picture, zoom, 0), zoom, 1)[::-1], across + 6, top - cell_high, origin="lower"
        )
        label = f"{row.scan}   inside {row.inside_agreement:.2f}   {overlap_of(row)}"
        colour = "firebrick" if row.outlier else "black"
        place = ((across + 8) / size[0] / PIXELS_PER_INCH, (top - 17) / size[1] / PIXELS_PER_INCH)
        figure.text(*place, label, fontsize=7, color=colour)
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=Path, nargs="+", required=True, help="cohort/scans.tsv and twins.tsv, if any")
    parser.add_argument("--folder", type=Path, required=True, help="the results folder of the registration")
    parser.add_argument("--space", required=True, help="name of the template in file names")
    arguments = parser.parse_args()
    scans = pd.concat(map(read_table, arguments.scans), ignore_index=True)
    quality = gather_quality(list_registered(scans), arguments.folder)
    write_table(quality, arguments.folder / "qc.tsv")
    draw_contact_sheet(quality, arguments.folder, arguments.space, arguments.folder / "contact_sheet.png")


if __name__ == "__main__":
    run(main)
