"""Take one scan that already lies in the template's space: check that it does, and sample it on the working grid."""

import argparse
import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from heatproof.command import run
from heatproof.errors import StudyError
from heatproof.images import load_array, load_image, save_image
from heatproof.register.extract_brain import LARGEST_BRAIN_ML, LEAST_SOLID_BRAIN, outline
from heatproof.register.judge import LEAST_INSIDE, deep, judge, local_correlation, unevenness, write_quality
from heatproof.register.read_scan import background_value, check_values, read_volume
from heatproof.space import Grid, grid_of, is_turned, resample, share_within, turn_of, voxel_sizes
from heatproof.tables import write_table

LEAST_WITHIN = 0.98  # of the template's brain in the field of view
LEAST_COVERED = 0.8  # of it where the scan is not empty
NO_VOLUMES = ["index", "name", "volume_mm3", "agreement"]


def read_placed(path: Path) -> tuple[np.ndarray, Grid, list[str]]:
    """Read a scan with its own intensities, its axes along the template's; NaN becomes 0.

    Returns
    -------
    voxels : ndarray of float32, shape (x, y, z)
        In RAS order.
    grid : Grid
    notes : list of str
        What had to be settled, for a person to read.

    Raises
    ------
    StudyError
        If it can not be a T1w scan, or its axes are turned against the template's.
    """
    voxels, affine, notes = read_volume(path)
    check_values(voxels, path)
    image = nib.as_closest_canonical(nib.Nifti1Image(np.nan_to_num(voxels), affine))
    if is_turned(image.affine):
        raise StudyError(
            f"{path} does not lie in the template's space: its grid is turned by {turn_of(image.affine):.2g} "
            "degrees against it; name the files in that space by cohort.select, or register them (register.transform)"
        )
    return np.asarray(image.dataobj), grid_of(image), notes


def check_place(path: Path, seen: float, covered: float, inside: float) -> None:
    """Refuse a scan by the shares of the template's brain that it sees and covers, and by how its inside agrees."""
    if seen < LEAST_WITHIN:
        reason = f"its field of view holds {seen:.0%} of the template's brain, not {LEAST_WITHIN:.0%}"
    elif covered < LEAST_COVERED:
        reason = f"it covers {covered:.0%} of the template's brain, not {LEAST_COVERED:.0%}"
    elif abs(inside) < LEAST_INSIDE:
        reason = f"its inside agrees with the template's by {inside:.2f}, not by {LEAST_INSIDE:g}"
    else:
        return
    raise StudyError(
        f"{path} does not lie in the template's space: {reason}; choose other files by cohort.select, exclude it, or "
        "register the scans (register.transform)"
    )


def shown_brain(voxels: np.ndarray, grid: Grid) -> np.ndarray | None:
    """Return the mask of what a scan shows where that is a brain, by its outline; None where it is a head."""
    filled = background_value(voxels)
    shown = voxels != (0 if filled is None else filled)
    solid, millilitres = outline(nib.Nifti1Image(voxels - voxels.min(), grid.affine))
    return shown if solid >= LEAST_SOLID_BRAIN and millilitres <= LARGEST_BRAIN_ML else None


def take_scan(path: Path, template_folder: Path, fixed_folder: Path) -> tuple[np.ndarray, dict]:
    """Sample a scan on the working grid by its affine alone, and measure how well it lies on the template.

    Parameters
    ----------
    path : Path
        A T1w image, of a brain or a head, in the template's space.
    template_folder : Path
        T1w.nii.gz on the working grid.
    fixed_folder : Path
        T1w.nii.gz and brain_mask.nii.gz on the grid that agreement is measured on.

    Returns
    -------
    sampled : ndarray of float32, shape (x, y, z)
        The scan on the working grid in its own intensities, smoothed for larger voxels, 0 outside its field of view.
    quality : dict
        As `heatproof.register.register_scan.register_scan` has them: inside_agreement, correlation, unevenness,
        largest_edge_mm, intensity_low and intensity_high (in the template's brain), extraction, poor, notes; and, where
        the scan shows a brain alone, brain_overlap and brain_mm3. brain_covered is the share of the template's brain at
        which the scan is not empty.

    Raises
    ------
    StudyError
        If the scan does not lie in the template's space.
    """
    voxels, grid, notes = read_placed(path)
    fixed = load_image(fixed_folder / "T1w.nii.gz")
    within = load_array(fixed_folder / "brain_mask.nii.gz") > 0
    edge = float(voxel_sizes(fixed.affine)[0])
    filled = background_value(voxels)
    present = resample(voxels != (0 if filled is None else filled), grid, grid_of(fixed), labels=True) > 0
    covered = float(present[within].mean())
    template, sampled = np.asarray(fixed.dataobj, np.float32), resample(voxels, grid, grid_of(fixed))
    agreement = local_correlation(sampled, template, within, edge)
    inside = float(agreement[deep(within, edge)].mean())
    check_place(path, share_within(within, grid_of(fixed), grid), covered, inside)
    low, high = np.percentile(sampled[within], [5, 95])
    quality = {
        "inside_agreement": inside,
        "correlation": float(np.corrcoef(sampled[within], template[within])[0, 1]),
        "brain_covered": covered,
        "unevenness": unevenness(sampled, template, within, edge),
        "largest_edge_mm": float(voxel_sizes(grid.affine).max()),
        "intensity_low": float(low),
        "intensity_high": float(high),
        "extraction": "none",
    }
    if (brain := shown_brain(voxels, grid)) is not None:
        overlap = 2 * np.sum(present & within) / (present.sum() + within.sum())
        volume = float(brain.sum() * np.prod(voxel_sizes(grid.affine)))
        quality |= {"brain_overlap": float(overlap), "brain_mm3": volume}
    judgement = judge(quality)
    if "inside_agreement" in judgement["poor"]:
        notes.append("it may lie millimetres beside the template")
    quality |= {"poor": judgement["poor"], "notes": notes + judgement["doubts"]}
    working = grid_of(load_image(template_folder / "T1w.nii.gz"))
    return resample(voxels, grid, working).astype(np.float32), quality


def take_further(path: Path, template_folder: Path) -> tuple[np.ndarray, list[str]]:
    """Sample a further image of a scan on the working grid by its affine alone, with what had to be settled.

    Raises
    ------
    StudyError
        If it does not hold the template's brain.
    """
    voxels, grid, notes = read_placed(path)
    mask = load_image(template_folder / "brain_mask.nii.gz")
    check_place(path, share_within(np.asarray(mask.dataobj) > 0, grid_of(mask), grid), 1.0, 1.0)
    return resample(voxels, grid, grid_of(mask)).astype(np.float32), notes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path, required=True, help="the scan")
    parser.add_argument("--template", type=Path, required=True, help="folder of the template on the working grid")
    parser.add_argument("--fixed", type=Path, required=True, help="folder of the template on the grid of the figures")
    parser.add_argument("--further", type=Path, nargs="+", default=[], help="other images of the scan")
    parser.add_argument("--out", type=Path, nargs="+", required=True, help="the sampled scan to write, image by image")
    parser.add_argument("--transforms", type=Path, required=True, help="a folder, which stays empty")
    parser.add_argument("--volumes", type=Path, required=True, help="a table of volumes to write, without a row")
    parser.add_argument("--quality", type=Path, required=True, help="the JSON file of quality figures to write")
    arguments = parser.parse_args()
    sampled, quality = take_scan(arguments.image, arguments.template, arguments.fixed)
    images = [sampled]
    for path in arguments.further:
        further, notes = take_further(path, arguments.template)
        images.append(further)
        quality["notes"] += [f"{path.name}: {note}" for note in notes]
    for note in quality["notes"]:
        logging.warning("%s: %s", arguments.image, note)
    for image, path in zip(images, arguments.out, strict=True):
        save_image(image, load_image(arguments.template / "T1w.nii.gz").affine, path)
    arguments.transforms.mkdir(parents=True, exist_ok=True)
    write_table(pd.DataFrame(columns=NO_VOLUMES), arguments.volumes)
    write_quality(quality, [arguments.image, *arguments.further], arguments.quality)


if __name__ == "__main__":
    run(main)
