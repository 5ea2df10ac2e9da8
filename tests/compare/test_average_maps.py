"""Mean maps are the signed means over the test scans of an outcome, one scan in memory at a time."""

import tracemalloc

import nibabel as nib
import numpy as np
import pytest

from heatproof.compare.average_maps import mean_maps, read_heatmap
from heatproof.errors import StudyError
from heatproof.images import load_array, load_image, save_image
from heatproof.tables import read_table, write_table

OUTCOMES = {"sub-1": "TP", "sub-2": "TP", "sub-3": "TN", "sub-4": "FN", "sub-5": "TP", "sub-6": "TN"}


def test_mean_maps_are_the_plain_mean_of_their_scans(study):
    study.add_model(3, OUTCOMES)
    folder = study.average("smooth", 3)
    for outcome in ("TP", "TN", "FN"):
        scans = [scan for scan in OUTCOMES if OUTCOMES[scan] == outcome]
        expected = np.mean([load_array(study.heatmap("smooth", 3, scan), np.float64) for scan in scans], axis=0)
        image = nib.load(folder / f"mean_{outcome}.nii.gz")
        assert image.get_data_dtype() == np.float32
        np.testing.assert_array_equal(image.affine, nib.load(study.template / "brain_mask.nii.gz").affine)
        np.testing.assert_array_equal(image.get_fdata(dtype=np.float32), expected.astype(np.float32))


def test_an_outcome_without_scans_has_a_map_of_zero_and_a_table_that_says_so(study):
    study.add_model(0, OUTCOMES)
    folder = study.average("smooth", 0)
    assert not load_array(folder / "mean_FP.nii.gz").any()
    maps = read_table(folder / "mean_maps.tsv").set_index("outcome")
    assert maps["n_scans"].to_dict() == {"TP": 3, "TN": 2, "FP": 0, "FN": 1}
    assert maps.loc["FP", "peak_grid"] == 0


def test_peaks_are_the_largest_absolute_values_in_the_brain_and_anywhere(study):
    heatmap = np.where(study.brain, -0.5, 3.0).astype(np.float32)
    study.add_model(0, {"sub-1": "TP"}, smooth={"sub-1": heatmap})
    maps = read_table(study.average("smooth", 0) / "mean_maps.tsv").set_index("outcome")
    assert maps.loc["TP", ["peak_brain", "peak_grid"]].tolist() == [0.5, 3.0]


def test_the_order_of_the_predictions_does_not_change_a_byte(study):
    study.add_model(0, OUTCOMES)
    folder, table = study.average("smooth", 0), study.root / "train/seed-0/predictions.tsv"
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    write_table(read_table(table).iloc[::-1], table)
    study.average("smooth", 0)
    assert {path: path.read_bytes() for path in folder.rglob("*.*")} == before
    assert len(before) == 6 + 2 + 5 * 2


def test_regions_are_those_of_the_mean_maps_on_disk_with_hemispheres_joined(study):
    study.add_model(0, OUTCOMES)
    folder = study.average("smooth", 0, regions="hemispheres")
    regions = read_table(folder / "regions.tsv").set_index("region")
    assert list(regions.index) == ["Hippocampus", "Brain Stem", "3rd Ventricle"]
    patients, controls = load_array(folder / "mean_TP.nii.gz"), load_array(folder / "mean_TN.nii.gz")
    inside = np.isin(study.labels, [4, 7])
    total, divisor = (np.abs(volume[inside].astype(float)).sum() for volume in (patients, controls))
    expected = [inside.sum(), 8.0 * inside.sum(), total, total / inside.sum(), total / divisor, divisor]
    np.testing.assert_allclose(regions.loc["Hippocampus"], expected, rtol=1e-12)


def test_signed_relevance_over_all_controls_divides_by_every_control_scan(study):
    study.add_model(8, {"sub-1": "TP", "sub-2": "FP", "sub-3": "TN", "sub-4": "FP"})
    folder = study.average("smooth", 8, relevance="signed", gain_controls="all")
    regions = read_table(folder / "regions.tsv").set_index("region")
    stem = study.labels == 9
    controls = [load_array(study.heatmap("smooth", 8, f"sub-{i}"), float)[stem].sum() for i in (2, 3, 4)]
    patients = load_array(study.heatmap("smooth", 8, "sub-1"), float)[stem].sum()
    assert regions.loc["Brain Stem", "controls_sum"] == pytest.approx(np.mean(controls), rel=1e-5)
    assert regions.loc["Brain Stem", "sum"] == pytest.approx(patients)
    assert regions.loc["Brain Stem", "gain"] == pytest.approx(patients / np.mean(controls), rel=1e-5)


def test_regions_are_measured_as_far_as_they_lie_in_the_brain(study):
    study.add_model(0, OUTCOMES)
    brain = study.brain.copy()
    brain[:3] = False
    mask = study.template / "brain_mask.nii.gz"
    save_image(brain, load_image(mask).affine, mask)
    stem = read_table(study.average("smooth", 0) / "regions.tsv").set_index("region").loc["Brain Stem"]
    inside = brain & (study.labels == 9)
    assert stem["n_voxels"] == inside.sum() < (study.labels == 9).sum()
    mean = load_array(study.compare / "smooth/seed-0/mean_TP.nii.gz", float)
    assert stem["sum"] == pytest.approx(np.abs(mean[inside]).sum())


def test_maps_without_a_group_are_the_plain_mean_of_all_other_participants(study):
    study.add_model(0, OUTCOMES | {"sub-7": "TP"})
    folder = study.average("smooth", 0, participant_groups=2)
    patients = ["sub-1", "sub-2", "sub-4", "sub-5", "sub-7"]
    kept = {1: patients[1::2], 2: patients[0::2]}
    counts = read_table(folder / "left_out/mean_maps.tsv").set_index(["left_out", "outcome"])["n_scans"]
    regions = read_table(folder / "left_out/regions.tsv").set_index(["left_out", "region"])
    for group, names in kept.items():
        recognised = [name for name in names if name != "sub-4"]
        volumes = [load_array(study.heatmap("smooth", 0, name), float) for name in recognised]
        found = load_array(folder / f"left_out/group-{group}_mean_TP.nii.gz")
        np.testing.assert_allclose(found, np.mean(volumes, axis=0), rtol=1e-6)
        assert counts[group, "TP"] == len(recognised)
        total = np.abs(found[study.labels == 9].astype(float)).sum()
        assert regions.loc[(group, "Brain Stem"), "sum"] == pytest.approx(total)


def test_a_voxel_that_is_not_finite_is_refused_by_the_name_of_its_file(study):
    broken = np.zeros(study.labels.shape, np.float32)
    broken[0, 0, 0] = np.nan
    study.add_model(0, OUTCOMES, smooth={"sub-5": broken})
    with pytest.raises(StudyError, match=r"sub-5_heatmap\.nii\.gz has voxels that are not finite"):
        study.average("smooth", 0)


def test_memory_does_not_grow_with_the_number_of_scans(tmp_path):
    shape = (40, 40, 40)
    paths = [tmp_path / f"{i}.nii.gz" for i in range(24)]
    for path in paths:
        save_image(np.random.default_rng(0).normal(size=shape).astype(np.float32), np.eye(4), path)

    def peak(count):
        tracemalloc.start()
        mean_maps(map(read_heatmap, paths[:count]), [1 + i % 2 for i in range(count)], 2, shape)
        largest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return largest

    volume = 4 * np.prod(shape)
    peak(1)
    assert peak(24) < peak(2) + volume / 4
