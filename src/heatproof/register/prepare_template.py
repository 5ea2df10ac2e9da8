"""Put the template, its brain mask and the atlas on the working grid."""

import argparse
import logging
from pathlib import Path

import numpy as np

from heatproof.atlases import load_atlas
from heatproof.command import json_option, run
from heatproof.errors import StudyError
from heatproof.images import save_image
from heatproof.space import (
    Grid,
    grid_of,
    load_template,
    resample,
    share_within,
    stored_grid,
    voxel_sizes,
    working_grid,
)
from heatproof.tables import write_table

LEAST_WITHIN = 0.9  # of the template's brain on a grid that the config names
LEAST_INSIDE = 0.5  # of an atlas's voxels in the template's brain


def check_axes(grid: Grid) -> None:
    """Refuse a template whose axes are not those of space."""
    edges = voxel_sizes(grid.affine)
    if not np.allclose(grid.affine[:3, :3], np.diag(edges), atol=1e-3 * edges.max()):
        raise StudyError("register.template is sampled on tilted axes; resample it to axes along x, y and z")


def check_overlap(regions: np.ndarray, brain: np.ndarray) -> None:
    """Refuse an atlas that lies elsewhere than the template's brain."""
    inside = float((regions & brain).sum() / max(regions.sum(), 1))
    if inside < LEAST_INSIDE:
        raise StudyError(
            f"register.atlas has {inside:.0%} of its regions' voxels in the template's brain, not {LEAST_INSIDE:.0%}; "
            "name an atlas in the space of register.template"
        )


def prepare_template(
    template: str | dict, atlas: str | dict, voxel_size: float, folder: Path, like: str | None = None
) -> None:
    """Write T1w, brain_mask and regions on the working grid, and regions.tsv (index, name, volume_mm3).

    Parameters
    ----------
    template, atlas : str or dict
        As the config's ``register`` section names them; see `heatproof.space.load_template` and ``load_atlas``.
    voxel_size : float
        Edge of a working voxel in millimetres.
    folder : Path
    like : str, optional
        An image whose grid is the working grid, in place of one that covers the template.
    """
    image, mask = load_template(template)
    check_axes(grid_of(image))
    labels, names = load_atlas(atlas)
    grid = stored_grid(like) if like else working_grid(grid_of(image), voxel_size)
    voxel_size = float(voxel_sizes(grid.affine).prod()) ** (1 / 3) if like else voxel_size
    brain = resample(mask, grid_of(image), grid) > 0.5
    if like and share_within(mask, grid_of(image), grid) < LEAST_WITHIN:
        raise StudyError(
            f"{like}, which register.grid names, does not hold {LEAST_WITHIN:.0%} of the template's brain; name a scan "
            "that lies in the template's space"
        )
    regions = resample(np.asarray(labels.dataobj), grid_of(labels), grid, labels=True)
    check_overlap(np.isin(regions, names["index"]), brain)
    save_image(resample(np.asarray(image.dataobj), grid_of(image), grid), grid.affine, folder / "T1w.nii.gz")
    save_image(brain, grid.affine, folder / "brain_mask.nii.gz")
    save_image(regions.astype(np.int16), grid.affine, folder / "regions.nii.gz")
    voxels = np.bincount(regions.ravel(), minlength=names["index"].max() + 1)[names["index"]]
    write_table(names.assign(volume_mm3=voxels * voxel_size**3), folder / "regions.tsv")
    lost, unnamed = names["name"][voxels == 0], sorted(set(np.unique(regions)) - {0} - set(names["index"]))
    logging.info("working grid %s, %d voxels of brain", " x ".join(map(str, grid.shape)), brain.sum())
    if unnamed:
        logging.warning("labels without a name, which are no regions: %s", ", ".join(map(str, unnamed)))
    if len(lost):
        logging.warning("too small for this grid, without a voxel: %s", ", ".join(lost))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--template", type=json_option, required=True, help="register.template of the config, as JSON")
    parser.add_argument("--atlas", type=json_option, required=True, help="register.atlas of the config, as JSON")
    parser.add_argument("--voxel-size", type=float, required=True, help="edge of a working voxel in mm")
    parser.add_argument("--grid", default="", help="an image whose grid is the working grid")
    parser.add_argument("--out-dir", type=Path, required=True)
    arguments = parser.parse_args()
    prepare_template(arguments.template, arguments.atlas, arguments.voxel_size, arguments.out_dir, arguments.grid)


if __name__ == "__main__":
    run(main)
