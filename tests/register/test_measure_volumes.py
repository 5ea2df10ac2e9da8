"""Volumes: what a known affine and a known warp do to a volume, and not the reverse."""

import ants
import numpy as np
import pandas as pd
import pytest

from heatproof.errors import StudyError
from heatproof.register.measure_volumes import check_written, region_volumes, volume_change

SHAPE = (20, 24, 22)
INSIDE = (slice(2, -2),) * 3


@pytest.fixture
def template():
    """A grid of 4 mm, with axes to the right and to the front as NIfTI's (ANTs counts to the left and to the back)."""
    return ants.from_numpy(np.zeros(SHAPE, np.float32), spacing=(4, 4, 4), direction=np.diag([-1.0, -1.0, 1.0]))


def write_affine(folder) -> str:
    """Carry template points to a scan that is larger by 1.1 * 0.9 * 1.2."""
    affine = ants.new_ants_transform(dimension=3, transform_type="AffineTransform")
    affine.set_parameters([1.1, 0, 0, 0, 0.9, 0.1, 0, 0, 1.2, 5, 4, 3])
    ants.write_transform(affine, str(folder / "affine.mat"))
    return str(folder / "affine.mat")


def write_warp(folder, template) -> tuple[str, np.ndarray]:
    """Displace along x by 6 mm * sin(x / 12 mm): the determinant is 1 + cos(x / 12 mm) / 2."""
    x = -4.0 * np.indices(SHAPE)[0]
    displacement = np.zeros((*SHAPE, 3), np.float32)
    displacement[..., 0] = 6 * np.sin(x / 12)
    field = ants.from_numpy(
        displacement, spacing=template.spacing, direction=np.array(template.direction), has_components=True
    )
    ants.image_write(field, str(folder / "warp.nii.gz"))
    return str(folder / "warp.nii.gz"), 1 + np.cos(x / 12) / 2


def test_an_affine_swells_space_by_its_determinant(template, tmp_path):
    change = volume_change(template, template, [write_affine(tmp_path)], str(tmp_path))
    assert np.allclose(change[INSIDE], 1.1 * 0.9 * 1.2, atol=1e-4)


def test_affine_and_warp_multiply(template, tmp_path):
    warp, determinant = write_warp(tmp_path, template)
    change = volume_change(template, template, [warp, write_affine(tmp_path)], str(tmp_path))
    assert determinant[INSIDE].min() < 0.6 and determinant[INSIDE].max() > 1.4
    assert np.allclose(change[INSIDE], determinant[INSIDE] * 1.1 * 0.9 * 1.2, atol=0.02)


def test_a_field_that_a_full_disk_cut_off_is_refused(template, tmp_path):
    warp, _ = write_warp(tmp_path, template)
    check_written(warp)
    (tmp_path / "cut.nii.gz").write_bytes((tmp_path / "warp.nii.gz").read_bytes()[:-2000])
    with pytest.raises(StudyError, match="no room for a transform"):
        check_written(str(tmp_path / "cut.nii.gz"))


def test_a_region_s_volume_is_the_sum_of_its_voxels_changes():
    labels = np.array([[[0, 3, 3], [7, 7, 7]]])
    change = np.array([[[9, 0.5, 1.5], [2, 2, 3.5]]])
    regions = pd.DataFrame({"index": [3, 5, 7], "name": ["a", "b", "c"], "volume_mm3": 0.0})
    volumes = region_volumes(change, labels, regions, voxel_mm3=8.0)
    assert volumes.columns.tolist() == ["index", "name", "volume_mm3"]
    assert volumes["volume_mm3"].tolist() == [16.0, 0.0, 60.0]
