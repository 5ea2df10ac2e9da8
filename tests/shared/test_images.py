"""Images: RAS order whatever the file's, and the same bytes for the same data."""

import nibabel as nib
import numpy as np
import pytest

from heatproof.errors import StudyError
from heatproof.images import load_array, load_image, open_image, read_voxels, save_image


def test_axes_run_right_front_and_up(tmp_path):
    voxels = np.arange(24.0).reshape(2, 3, 4)
    image = nib.Nifti1Image(voxels, np.eye(4))
    turn = nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt("PIL"))
    nib.save(image.as_reoriented(turn), tmp_path / "pil.nii.gz")
    loaded = load_image(tmp_path / "pil.nii.gz")
    assert nib.aff2axcodes(loaded.affine) == ("R", "A", "S")
    np.testing.assert_array_equal(load_array(tmp_path / "pil.nii.gz"), voxels)


def test_bytes_depend_on_data_alone(tmp_path):
    voxels = np.random.default_rng(0).random((4, 5, 6))
    save_image(voxels, np.eye(4), tmp_path / "one/a.nii.gz")
    save_image(voxels.copy(), np.eye(4), tmp_path / "two/b.nii.gz")
    assert (tmp_path / "one/a.nii.gz").read_bytes() == (tmp_path / "two/b.nii.gz").read_bytes()


@pytest.mark.parametrize(("dtype", "stored"), [(float, np.float32), (bool, np.uint8), (np.int16, np.int16)])
def test_types_are_compact(tmp_path, dtype, stored):
    save_image(np.ones((2, 2, 2), dtype), np.diag([2.0, 2, 2, 1]), tmp_path / "a.nii.gz")
    image = nib.load(tmp_path / "a.nii.gz")
    assert image.get_data_dtype() == stored
    assert image.header.get_xyzt_units()[0] == "mm" and image.header["sform_code"] == image.header["qform_code"] == 4


@pytest.mark.parametrize("noise", [2, 30000])
def test_a_packed_file_whose_bytes_changed_is_told_and_never_read_as_another_scan(tmp_path, noise):
    voxels = np.random.default_rng(0).integers(0, noise, (40, 40, 40), np.int16)
    path = tmp_path / "a.nii.gz"
    save_image(voxels, np.eye(4), path)
    whole = path.read_bytes()
    for place in np.linspace(1000, len(whole) - 1, 20).astype(int):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        with pytest.raises(StudyError, match=r"a\.nii\.gz ends too early or is damaged"):
            read_voxels(open_image(path), path)


def test_what_cannot_be_read_is_named(tmp_path):
    (tmp_path / "text.nii.gz").write_text("nothing")
    for name in ("text.nii.gz", "absent.nii.gz"):
        with pytest.raises(StudyError, match=name):
            load_array(tmp_path / name)
