"""Maps that were made elsewhere, checked and sampled on the working grid."""

import nibabel as nib
import numpy as np
import pytest

from heatproof.attribute.take_maps import take_map, take_maps
from heatproof.errors import StudyError
from heatproof.images import load_array
from heatproof.space import Grid, resample, working_grid


@pytest.fixture
def written(small_brain, tmp_path):
    """A function that writes a map and takes it."""
    grid = Grid(small_brain.mask.shape, small_brain.affine)

    def write(values, affine=small_brain.affine):
        nib.save(nib.Nifti1Image(np.asarray(values, np.float32), affine), tmp_path / "map.nii.gz")
        return take_map(str(tmp_path / "map.nii.gz"), small_brain.mask, grid)

    return write


def test_a_map_on_the_working_grid_stays_as_it_is(small_brain, written):
    values = np.random.default_rng(0).normal(size=small_brain.mask.shape).astype(np.float32)
    np.testing.assert_array_equal(written(values), values)
    np.testing.assert_array_equal(written(values[..., None]), values)


def test_a_map_on_another_grid_or_in_another_order_of_axes_is_sampled_by_its_affine(small_brain, written):
    values = np.random.default_rng(0).normal(size=small_brain.mask.shape).astype(np.float32)
    coarse = Grid(values.shape, small_brain.affine)
    fine = working_grid(coarse, 4.0)
    found = written(resample(small_brain.t1w, coarse, fine), fine.affine)
    assert np.corrcoef(found[small_brain.mask], small_brain.t1w[small_brain.mask])[0, 1] > 0.9
    flipped = small_brain.affine.copy()
    flipped[0] = -small_brain.affine[0]
    flipped[0, 3] = small_brain.affine[0, 3] + small_brain.affine[0, 0] * (len(values) - 1)
    np.testing.assert_allclose(written(values[::-1], flipped), values, atol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_voxel_that_is_not_finite_is_refused(small_brain, written, value):
    values = small_brain.t1w.copy()
    values[0, 0, 0] = value
    with pytest.raises(StudyError, match=r"map.nii.gz has NaN or infinite voxels; write 0 where the map says nothing"):
        written(values)


def test_a_map_that_is_turned_or_lies_elsewhere_is_refused(small_brain, written):
    turn = np.eye(4)
    angle = np.radians(3)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    with pytest.raises(StudyError, match=r"its grid is turned by 3 degrees against it; resample the map"):
        written(small_brain.t1w, turn @ small_brain.affine)
    beside = small_brain.affine.copy()
    beside[1, 3] += 500
    with pytest.raises(StudyError, match=r"its field of view holds 0% of the template's brain, not 90%"):
        written(small_brain.t1w, beside)
    with pytest.raises(StudyError, match=r"has the shape .*; give one volume"):
        written(np.stack([small_brain.t1w] * 2, -1))


def test_every_scan_gets_a_heatmap_and_maps_of_one_value_are_told(small_brain, tmp_path, caplog):
    for name, values in {"a": small_brain.t1w, "b": small_brain.t1w * 0}.items():
        nib.save(nib.Nifti1Image(values, small_brain.affine), tmp_path / f"{name}.nii")
    mask = nib.load(small_brain.folder / "brain_mask.nii.gz")
    take_maps({name: str(tmp_path / f"{name}.nii") for name in "ab"}, mask, tmp_path / "out")
    np.testing.assert_array_equal(load_array(tmp_path / "out/a_heatmap.nii.gz"), small_brain.t1w)
    assert not load_array(tmp_path / "out/b_heatmap.nii.gz").any()
    assert "1 of 2 maps say nothing" in caplog.text
