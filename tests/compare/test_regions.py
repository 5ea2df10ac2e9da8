"""Sum, density and gain per region, and what stays empty."""

import numpy as np
import pandas as pd
import pytest

from heatproof.compare.regions import measure_regions, reference_map, regions_in_brain

NAMES = ["a", "b", "c"]


@pytest.fixture
def volumes():
    rng = np.random.default_rng(1)
    return rng.normal(size=(5, 6, 7)), rng.normal(size=(5, 6, 7)), rng.integers(0, 4, size=(5, 6, 7))


@pytest.mark.parametrize(("relevance", "part"), [("absolute", np.abs), ("signed", np.asarray)])
def test_random_maps_equal_plain_numpy(volumes, relevance, part):
    patients, controls, numbers = volumes
    measured = measure_regions(patients, controls, numbers, NAMES, voxel_volume=8.0, relevance=relevance)
    for i, row in enumerate(measured.itertuples(), start=1):
        inside = numbers == i
        total, divisor = part(patients[inside]).sum(), part(controls[inside]).sum()
        gain = total / divisor if divisor > 0 else np.nan
        expected = [inside.sum(), 8 * inside.sum(), total, part(patients[inside]).mean(), gain, divisor]
        np.testing.assert_allclose(list(row)[2:], expected)
    assert list(measured["region"]) == NAMES


def test_by_hand():
    patients = np.array([[[-3.0, 1.0, 5.0, 100.0]]])
    controls = np.array([[[1.0, 1.0, 2.0, 100.0]]])
    numbers = np.array([[[1, 1, 2, 0]]])
    measured = measure_regions(patients, controls, numbers, ["a", "b"], voxel_volume=1.0)
    assert measured[["sum", "density", "gain", "controls_sum"]].values.tolist() == [[4, 2, 2, 2], [5, 5, 2.5, 2]]
    signed = measure_regions(patients, controls, numbers, ["a", "b"], voxel_volume=1.0, relevance="signed")
    assert signed[["sum", "density", "gain", "controls_sum"]].values.tolist() == [[-2, -1, -1, 2], [5, 5, 2.5, 2]]


def test_gain_is_empty_where_controls_have_no_relevance(volumes):
    patients, controls, numbers = volumes
    measured = measure_regions(patients, np.where(numbers == 2, 0, controls), numbers, NAMES, voxel_volume=1.0)
    assert measured["gain"].isna().tolist() == [False, True, False]
    assert measured[["sum", "density"]].notna().all(axis=None)


def test_gain_is_empty_where_controls_speak_against_the_disease():
    patients, controls = np.array([[[3.0, 1.0]]]), np.array([[[-1.0, 2.0]]])
    signed = measure_regions(patients, controls, np.array([[[1, 2]]]), ["a", "b"], voxel_volume=1.0, relevance="signed")
    assert signed["gain"].isna().tolist() == [True, False]


def test_what_the_atlas_has_outside_of_the_brain_does_not_count():
    labels, brain = np.array([[[4, 7, 9, 9, 0]]]), np.array([[[True, False, True, False, True]]])
    atlas = pd.DataFrame({"index": [4, 7, 9], "name": ["Left Hippocampus", "Right Hippocampus", "Brain Stem"]})
    numbers, names = regions_in_brain(labels, atlas, brain, "hemispheres")
    assert names == ["Hippocampus", "Brain Stem"]
    assert numbers.tolist() == [[[1, 0, 2, 0, 0]]]


def test_without_patients_only_the_controls_are_measured(volumes):
    _, controls, numbers = volumes
    measured = measure_regions(None, controls, numbers, NAMES, voxel_volume=1.0)
    assert measured[["sum", "density", "gain"]].isna().all(axis=None)
    assert measured["controls_sum"].notna().all()


def test_without_controls_only_gain_is_missing(volumes):
    patients, _, numbers = volumes
    measured = measure_regions(patients, None, numbers, NAMES, voxel_volume=1.0)
    assert measured[["gain", "controls_sum"]].isna().all(axis=None)
    assert measured[["sum", "density"]].notna().all(axis=None)


def test_a_region_without_a_voxel_has_no_measure(volumes):
    patients, controls, numbers = volumes
    measured = measure_regions(patients, controls, numbers, [*NAMES, "lost"], voxel_volume=1.0).set_index("region")
    assert measured.loc["lost", "n_voxels"] == 0
    assert measured.loc["lost", ["sum", "density", "gain", "controls_sum"]].isna().all()


def test_all_controls_are_the_mean_over_their_scans_whatever_was_predicted(volumes):
    scans = np.random.default_rng(2).normal(size=(7, 2, 2, 2))
    maps, counts = {"TN": scans[:5].mean(axis=0), "FP": scans[5:].mean(axis=0)}, {"TN": 5, "FP": 2}
    np.testing.assert_allclose(reference_map(maps, counts, ["TN", "FP"]), scans.mean(axis=0))
    np.testing.assert_array_equal(reference_map(maps, counts, ["TN"]), maps["TN"])


def test_controls_that_are_not_there_have_no_map():
    maps = {"TN": np.zeros((2, 2, 2)), "FP": np.ones((2, 2, 2))}
    assert reference_map(maps, {"TN": 0, "FP": 3}, ["TN"]) is None
    assert reference_map(maps, {"TN": 0, "FP": 0}, ["TN", "FP"]) is None
    np.testing.assert_array_equal(reference_map(maps, {"TN": 0, "FP": 3}, ["TN", "FP"]), maps["FP"])
