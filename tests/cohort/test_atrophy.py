"""Atrophy: Poisson's equation is solved, and regions change volume by what was prescribed."""

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import laplace

from heatproof.cohort.atrophy import calibrate_velocity, flow, jacobian_determinant, label_values, solve_poisson
from heatproof.errors import StudyError

NAMES = pd.DataFrame({"index": [1, 2, 5], "name": ["Left Hippocampus", "Right Hippocampus", "Brain Stem"]})


def test_poisson_against_the_seven_point_laplacian_of_scipy():
    divergence = np.random.default_rng(0).normal(size=(9, 7, 8))
    divergence -= divergence.mean()
    potential = solve_poisson(divergence, 2.0)
    np.testing.assert_allclose(laplace(potential, mode="nearest") / 2.0**2, divergence, atol=1e-10)


def test_a_uniform_expansion_flows_exponentially():
    """With v = x, points move to x exp(t): volumes grow by exp(3 t)."""
    centre = np.array([10.0, 10, 10])[:, None, None, None]
    points = np.indices((21, 21, 21)).astype(float)
    velocity = 3.0 * (points - centre)
    near = points[:, 8:13, 8:13, 8:13]
    moved = flow(near, velocity, 0.3, 3.0, steps=20)
    np.testing.assert_allclose(moved - centre, (near - centre) * np.exp(0.3), rtol=1e-3)
    np.testing.assert_allclose(jacobian_determinant(moved), np.exp(0.9), rtol=1e-2)


def test_regions_change_volume_as_prescribed_and_the_others_do_not():
    labels = np.zeros((30, 30, 30), int)
    labels[6:24, 6:24, 6:24] = 5
    labels[8:13, 10:18, 10:18] = 1
    labels[17:22, 10:18, 10:18] = 2
    prescribed = np.array([-0.4, 0.3, 0.0])
    velocity, achieved = calibrate_velocity(labels, NAMES, prescribed, labels > 0, 2.0)
    np.testing.assert_allclose(achieved, prescribed, atol=0.03)
    moved = flow(np.indices(labels.shape, float), velocity, 1.0, 2.0)
    volumes = jacobian_determinant(moved)
    assert volumes.min() > 0
    assert np.log(volumes[labels == 1].sum() / (labels == 1).sum()) == pytest.approx(-0.4, abs=0.03)


def test_flowing_forth_and_back_returns():
    labels = np.zeros((20, 20, 20), int)
    labels[6:14, 6:14, 6:14] = 1
    velocity, _ = calibrate_velocity(labels, NAMES.iloc[:1], np.array([-0.4]), labels > 0, 2.0)
    points = np.indices(labels.shape, float)[:, 4:16, 4:16, 4:16]
    back = flow(flow(points, velocity, 1.0, 2.0, steps=10), velocity, -1.0, 2.0, steps=10)
    assert np.abs(back - points).max() < 0.02


def test_values_are_given_by_name_with_or_without_side():
    assert label_values(NAMES, {"Hippocampus": -0.5}, "key").tolist() == [-0.5, -0.5, 0]
    assert label_values(NAMES, {"Hippocampus": -0.5, "Left Hippocampus": -0.1}, "key").tolist() == [-0.1, -0.5, 0]
    with pytest.raises(StudyError, match="'Hipocampus', unknown to the atlas"):
        label_values(NAMES, {"Hipocampus": -0.5}, "cohort.simulate.volume_change")
