"""Take maps that were made elsewhere as one model's heatmaps: check them, and sample them on the working grid."""

import argparse
import logging
from pathlib import Path

import nibabel as nib
import numpy as np

from heatproof.attribute.explain import is_constant
from heatproof.command import run
from heatproof.errors import StudyError
from heatproof.images import load_image, read_voxels, save_image
from heatproof.maps import files_of
from heatproof.space import Grid, grid_of, is_turned, resample, share_within, turn_of
from heatproof.tables import read_table

LEAST_WITHIN = 0.9  # of the template's brain in a map's field of view; what lies outside has no relevance


def take_map(path: str, brain: np.ndarray, grid: Grid) -> np.ndarray:
    """Sample a map on the working grid by its affine alone.

    Parameters
    ----------
    path : str
        A map in the template's space, on any grid along its axes; a last axis of one volume is dropped.
    brain : ndarray of bool, shape (x, y, z)
        The template's, on ``grid``.
    grid : Grid
        The working grid.

    Returns
    -------
    ndarray of float32, shape (x, y, z)
        Its own values, smoothed for larger voxels; 0 outside its field of view.

    Raises
    ------
    StudyError
        If it is no single volume, has voxels that are not finite, or does not lie in the template's space.
    """
    image = load_image(path)
    voxels = read_voxels(image, path)
    voxels = voxels[..., 0] if voxels.ndim == 4 and voxels.shape[3] == 1 else voxels
    if voxels.ndim != 3:
        raise StudyError(f"{path} has the shape {voxels.shape}; give one volume (x, y, z) for each scan")
    if not np.isfinite(voxels).all():
        raise StudyError(f"{path} has NaN or infinite voxels; write 0 where the map says nothing")
    if is_turned(image.affine):
        raise StudyError(
            f"{path} does not lie in the template's space: its grid is turned by {turn_of(image.affine):.2g} degrees "
            "against it; resample the map"
        )
    seen = share_within(brain, grid, grid_of(image))
    if seen < LEAST_WITHIN:
        raise StudyError(
            f"{path} does not lie in the template's space: its field of view holds {seen:.0%} of the template's brain, "
            f"not {LEAST_WITHIN:.0%}; resample the map, or correct its affine"
        )
    if voxels.shape == grid.shape and np.allclose(image.affine, grid.affine, atol=1e-4):
        return voxels
    return resample(voxels, grid_of(image), grid)


def take_maps(files: dict[str, str], mask: nib.Nifti1Image, folder: Path) -> None:
    """Write the heatmap of each scan, by its file, into a folder; errors as `take_map`."""
    brain, grid, constant = np.asarray(mask.dataobj) > 0, grid_of(mask), 0
    for scan, path in files.items():
        heatmap = take_map(path, brain, grid)
        save_image(heatmap, grid.affine, folder / f"{scan}_heatmap.nii.gz")
        constant += is_constant(heatmap)
    if constant:
        logging.warning("%d of %d maps say nothing: they have one value in all voxels", constant, len(files))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scans", type=Path, required=True, help="table of the test scans")
    parser.add_argument("--path", required=True, help="the map of a scan, with {scan} in its place")
    parser.add_argument("--mask", type=Path, required=True, help="brain_mask.nii.gz on the working grid")
    parser.add_argument("--out-dir", type=Path, required=True)
    arguments = parser.parse_args()
    files = files_of(arguments.path, read_table(arguments.scans)["scan"].tolist())
    take_maps(files, load_image(arguments.mask), arguments.out_dir)


if __name__ == "__main__":
    run(main)
