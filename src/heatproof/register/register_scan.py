"""Register one raw T1w scan to the template on the working grid with ANTs; measure how well that went, and volumes."""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import ants
import numpy as np
import pandas as pd

from heatproof.command import json_option, run
from heatproof.errors import StudyError
from heatproof.images import load_array, load_image, save_image
from heatproof.register.measure_volumes import region_volumes, volume_change
from heatproof.space import FWHM_TO_SIGMA
from heatproof.tables import read_table, write_table


def check_scan(path: Path) -> None:
    """Refuse what can not be a T1w scan: not three-dimensional, not finite, or the same everywhere."""
    voxels = load_array(path)
    if voxels.ndim != 3:
        raise StudyError(f"{path} has {voxels.ndim} dimensions; a T1w scan has three: replace it or exclude it")
    if not np.isfinite(voxels).all():
        raise StudyError(f"{path} has voxels that are NaN or infinite; correct them or name the scan in cohort.exclude")
    if voxels.min() == voxels.max():
        raise StudyError(f"{path} has the same value in every voxel; replace it or name the scan in cohort.exclude")


def for_voxels_of(template: ants.ANTsImage, scan: ants.ANTsImage) -> ants.ANTsImage:
    """Smooth a scan so that it can be sampled at the template's larger voxels without aliasing."""
    fwhm = np.sqrt(np.maximum(0, np.square(template.spacing) - np.square(np.min(scan.spacing))))
    return ants.smooth_image(scan, list(fwhm * FWHM_TO_SIGMA), sigma_in_physical_coordinates=True)


def dice(one: np.ndarray, other: np.ndarray) -> float:
    """Return the Dice overlap of two masks."""
    return float(2 * np.sum(one & other) / max(np.sum(one) + np.sum(other), 1))


def register_scan(
    scan: Path, template_folder: Path, options: dict, transforms: Path
) -> tuple[np.ndarray, dict, pd.DataFrame]:
    """Register a scan.

    Parameters
    ----------
    scan : Path
        A raw T1w image.
    template_folder : Path
        T1w.nii.gz, brain_mask.nii.gz, regions.nii.gz and regions.tsv on the working grid.
    options : dict
        transform, n4 and seed of the config's ``register`` section.
    transforms : Path
        Folder that receives the transforms from the scan to the template, in ANTs' formats.

    Returns
    -------
    registered : ndarray of float32, shape (x, y, z)
        The scan on the working grid in its own intensities.
    quality : dict
        correlation with the template in its brain mask, brain_overlap (Dice of the masks), folded_share: of the brain,
        where the transform turns space inside out.
    volumes : DataFrame
        index, name, volume_mm3 of each region of the atlas in the individual brain.
    """
    check_scan(scan)
    template = ants.image_read(str(template_folder / "T1w.nii.gz"))
    brain = load_array(template_folder / "brain_mask.nii.gz") > 0
    moving = ants.image_read(str(scan), dimension=3)
    foreground = ants.get_mask(moving)
    if options["n4"]:
        moving = ants.n4_bias_field_correction(moving, mask=foreground)
    ants.config.set_ants_deterministic(seed_value=options["seed"] + 1)
    with tempfile.TemporaryDirectory() as folder:
        fit = ants.registration(template, moving, options["transform"], outprefix=f"{folder}/")
        forward = fit["fwdtransforms"]
        registered = ants.apply_transforms(template, for_voxels_of(template, moving), forward).numpy()
        overlap = ants.apply_transforms(template, foreground, forward, interpolator="nearestNeighbor").numpy() > 0
        change = volume_change(template, moving, forward, folder)
        quality = {
            "correlation": float(np.corrcoef(registered[brain], template.numpy()[brain])[0, 1]),
            "brain_overlap": dice(overlap, brain),
            "folded_share": float(np.mean(change[brain] <= 0)),
        }
        transforms.mkdir(parents=True, exist_ok=True)
        for number, path in enumerate(reversed(forward), start=1):
            shutil.copy(path, transforms / f"{number}_{Path(path).name.lstrip('0123456789')}")
    labels = load_array(template_folder / "regions.nii.gz", np.int32)
    regions = read_table(template_folder / "regions.tsv")
    return registered, quality, region_volumes(change, labels, regions, float(np.prod(template.spacing)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path, required=True, help="the raw scan")
    parser.add_argument("--template", type=Path, required=True, help="folder of the template on the working grid")
    parser.add_argument("--options", type=json_option, required=True, help="transform, n4, seed as JSON")
    parser.add_argument("--out", type=Path, required=True, help="the registered scan to write")
    parser.add_argument("--transforms", type=Path, required=True, help="the folder of transforms to write")
    parser.add_argument("--volumes", type=Path, required=True, help="the table of regions' volumes to write")
    parser.add_argument("--quality", type=Path, required=True, help="the JSON file of quality figures to write")
    arguments = parser.parse_args()
    registered, quality, volumes = register_scan(
        arguments.image, arguments.template, arguments.options, arguments.transforms
    )
    save_image(registered, load_image(arguments.template / "T1w.nii.gz").affine, arguments.out)
    write_table(volumes, arguments.volumes)
    arguments.quality.write_text(json.dumps(quality, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
