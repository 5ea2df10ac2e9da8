"""Register one raw T1w scan to the template on the working grid with ANTs; measure how well that went, and volumes."""

import argparse
import logging
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import ants
import nibabel as nib
import numpy as np
import pandas as pd

from heatproof.command import json_option, run
from heatproof.images import load_array, load_image, save_image
from heatproof.register.extract_brain import read_mask
from heatproof.register.find_pose import coarse_brain
from heatproof.register.further import register_further
from heatproof.register.judge import check_inside, cut_area, deep, judge, local_correlation, unevenness, write_quality
from heatproof.register.measure_volumes import check_written, region_means, region_volumes, volume_change
from heatproof.register.prepare_scan import LARGE_TURN, for_voxels_of, prepare, start_of
from heatproof.register.read_scan import read_scan
from heatproof.space import grid_of
from heatproof.tables import read_table, write_table


def keep_transforms(forward: list[str], folder: Path) -> None:
    """Copy transforms into a folder, numbered in the order in which they bring the scan to the template."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(reversed(forward), start=1):
        shutil.copy(path, folder / f"{number}_{Path(path).name.lstrip('0123456789')}")


def dice(one: np.ndarray, other: np.ndarray) -> float:
    """Return the Dice overlap of two masks."""
    return float(2 * np.sum(one & other) / max(np.sum(one) + np.sum(other), 1))


def measure_brain(scan: nib.Nifti1Image, brain: ants.ANTsImage, reference: np.ndarray | None) -> dict:
    """Measure the brain in the scan's own space.

    Returns
    -------
    dict
        brain_mm3, its volume; intensity_low and intensity_high, its 5th and 95th percentile; and mask_overlap, its Dice
        overlap with a reference mask where there is one.
    """
    inside = brain.numpy() > 0
    low, high = np.percentile(np.asarray(scan.dataobj)[inside], [5, 95])
    measures = {
        "brain_mm3": float(inside.sum() * np.prod(brain.spacing)),
        "intensity_low": float(low),
        "intensity_high": float(high),
    }
    return measures if reference is None else measures | {"mask_overlap": dice(inside, reference)}


def turn_noted(degrees: float) -> list[str]:
    """Note a turn that no head makes in a scanner."""
    if degrees < LARGE_TURN:
        return []
    return [
        f"turned by {degrees:.0f} degrees against its header, and turned back; whether left is left cannot be seen: "
        "is its header's orientation right?"
    ]


def register_scan(
    scan: Path,
    template_folder: Path,
    fixed_folder: Path,
    options: dict,
    transforms: Path,
    mask: Path | None = None,
    further: Sequence[Path] = (),
) -> tuple[list[np.ndarray], dict, pd.DataFrame]:
    """Register a scan.

    Parameters
    ----------
    scan : Path
        A raw T1w image.
    template_folder : Path
        T1w.nii.gz on the working grid.
    fixed_folder : Path
        T1w.nii.gz, brain_mask.nii.gz, regions.nii.gz and regions.tsv on the grid that the transforms are found on.
    options : dict
        brain_extraction, transform, n4, intensities, seed and alignment of the config's ``register`` section.
    transforms : Path
        Folder that receives the transforms from the scan to the template, in ANTs' formats.
    mask : Path, optional
        The scan's brain mask: the brain, with ``brain_extraction: mask``; else the brain found is compared with it.

    further : sequence of Path
        Other images of the scan, which follow by its transform: `heatproof.register.further.register_further`.

    Returns
    -------
    registered : list of ndarray of float32, each of shape (x, y, z)
        The images on the working grid: in their own intensities, or corrected for bias, as ``intensities`` says.
    quality : dict
        inside_agreement, the mean local correlation with the template in the depth of the brain; correlation with it in
        its brain mask; brain_overlap, Dice of the masks; folded_share of the brain, where the transform turns space
        inside out; turned_degrees and pose_fit, of `heatproof.register.find_pose.Pose`; unevenness and cut_cm2, as
        `heatproof.register.judge` measures them; largest_edge_mm of a voxel; more from `measure_brain`,
        `heatproof.register.extract_brain.find_brain` and `heatproof.register.judge.judge`, whose doubts follow the
        notes of `heatproof.register.read_scan.read_scan`.
    volumes : DataFrame
        index, name, volume_mm3 in the individual brain and agreement, the mean local correlation, of each region.
    """
    ants.config.set_ants_deterministic(seed_value=options["seed"] + 1)  # before ITK counts its threads
    grid, fixed = (ants.image_read(str(folder / "T1w.nii.gz")) for folder in (template_folder, fixed_folder))
    within = load_array(fixed_folder / "brain_mask.nii.gz") > 0
    model = coarse_brain(
        load_array(fixed_folder / "T1w.nii.gz"), within, grid_of(load_image(fixed_folder / "T1w.nii.gz"))
    )
    raw, notes = read_scan(scan)
    with tempfile.TemporaryDirectory() as folder:
        prepared, decision = prepare(raw, scan, model, options, mask, folder)
        original, moving, brain, pose = prepared
        forward = ants.registration(
            fixed,
            moving,
            options["transform"],
            initial_transform=start_of(pose, model, f"{folder}/start.mat"),
            outprefix=f"{folder}/",
        )["fwdtransforms"]
        for path in forward:
            check_written(path)
        stored = moving if options["intensities"] == "corrected" else original
        registered = [ants.apply_transforms(grid, for_voxels_of(grid, stored), forward).numpy()]
        for path in further:
            other, more = register_further(path, prepared, grid, forward, options, folder)
            registered.append(other)
            notes += [f"{path.name}: {note}" for note in more]
        aligned = ants.apply_transforms(fixed, for_voxels_of(fixed, moving), forward).numpy()
        overlap = ants.apply_transforms(fixed, brain, forward, interpolator="nearestNeighbor").numpy() > 0
        change = volume_change(fixed, moving, forward, folder)
        keep_transforms(forward, transforms)
    agreement = local_correlation(aligned, fixed.numpy(), within, fixed.spacing[0])
    inside = float(agreement[deep(within, fixed.spacing[0])].mean())
    correlation = float(np.corrcoef(aligned[within], fixed.numpy()[within])[0, 1])
    check_inside(inside, correlation, scan)
    quality = {
        "inside_agreement": inside,
        "correlation": correlation,
        "brain_overlap": dice(overlap, within),
        "folded_share": float(np.mean(change[within] <= 0)),
        "turned_degrees": pose.degrees,
        "pose_fit": pose.fit,
        "unevenness": unevenness(aligned, fixed.numpy(), within, fixed.spacing[0]),
        "cut_cm2": cut_area(brain.numpy() > 0, brain.spacing),
        "largest_edge_mm": float(max(brain.spacing)),
        **measure_brain(raw, brain, read_mask(mask, raw) if mask else None),
        **decision,
    }
    judgement = judge(quality)
    quality |= {"poor": judgement["poor"], "notes": notes + turn_noted(pose.degrees) + judgement["doubts"]}
    labels = load_array(fixed_folder / "regions.nii.gz", np.int32)
    regions = read_table(fixed_folder / "regions.tsv")
    volumes = region_volumes(change, labels, regions, float(np.prod(fixed.spacing)))
    return registered, quality, volumes.assign(agreement=region_means(agreement, np.where(within, labels, 0), regions))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path, required=True, help="the raw scan")
    parser.add_argument("--template", type=Path, required=True, help="folder of the template on the working grid")
    parser.add_argument("--fixed", type=Path, required=True, help="folder of the template on the registration's grid")
    parser.add_argument("--options", type=json_option, required=True, help="keys of register as JSON")
    parser.add_argument("--mask", type=Path, help="the scan's brain mask")
    parser.add_argument("--further", type=Path, nargs="+", default=[], help="other images of the scan")
    parser.add_argument(
        "--out", type=Path, nargs="+", required=True, help="the registered scan to write, image by image"
    )
    parser.add_argument("--transforms", type=Path, required=True, help="the folder of transforms to write")
    parser.add_argument("--volumes", type=Path, required=True, help="the table of regions' volumes to write")
    parser.add_argument("--quality", type=Path, required=True, help="the JSON file of quality figures to write")
    arguments = parser.parse_args()
    registered, quality, volumes = register_scan(
        arguments.image,
        arguments.template,
        arguments.fixed,
        arguments.options,
        arguments.transforms,
        arguments.mask,
        arguments.further,
    )
    logging.info("brain extraction: %s", quality["extraction"])
    for note in quality["notes"]:
        logging.warning("%s: %s", arguments.image, note)
    for image, path in zip(registered, arguments.out, strict=True):
        save_image(image, load_image(arguments.template / "T1w.nii.gz").affine, path)
    write_table(volumes, arguments.volumes)
    write_quality(quality, [arguments.image, *arguments.further], arguments.quality)


if __name__ == "__main__":
    run(main)
