"""Table 1: the L2 norm of the difference of scaled mean maps, for every pair of models."""

from itertools import combinations

import numpy as np
import pytest

from heatproof.compare.agreement import BrainMap, l2_rms
from heatproof.images import load_array
from heatproof.tables import read_table

OUTCOMES = {"sub-1": "TP", "sub-2": "TN", "sub-3": "TP", "sub-4": "TN"}


def distance(*maps):
    """The L2 norm of the difference of two maps over all voxels."""
    a, b = (BrainMap(values.ravel(), np.ones(values.shape, bool), 5) for values in maps)
    return l2_rms(a, b, {}) * np.sqrt(maps[0].size)


@pytest.fixture
def maps():
    return np.random.default_rng(0).normal(size=(5, 6, 7, 8)).astype(np.float32)


def test_random_maps_equal_plain_numpy(maps):
    scaled = [volume.astype(float) / np.abs(volume).max() for volume in maps]
    for a, b in combinations(range(5), 2):
        assert distance(maps[a], maps[b]) == pytest.approx(np.linalg.norm(scaled[a] - scaled[b]), rel=1e-12)


def test_maps_that_differ_by_their_strength_alone_are_at_distance_zero(maps):
    assert distance(maps[0], maps[0] * 4) == 0
    assert distance(maps[0], maps[0] * -4) == pytest.approx(2 * np.linalg.norm(maps[0] / np.abs(maps[0]).max()))


def test_a_tiny_difference_of_strong_maps_is_not_lost_to_cancellation():
    a = np.ones((20, 20, 20), np.float32)
    b = a.copy()
    b[0, 0, 0] = np.nextafter(np.float32(1), np.float32(0))
    assert distance(a, b) == pytest.approx(2.0**-24, rel=1e-12)


def test_a_map_without_relevance_has_no_distance(maps):
    assert np.isnan(distance(maps[0], 0 * maps[1]))


@pytest.mark.parametrize("within", ["brain", "grid"])
def test_tables_of_a_study(study, within):
    outside = np.where(study.brain, 1, 9).astype(np.float32)
    for seed in (0, 1):
        study.add_model(seed, OUTCOMES)
    study.add_model(2, OUTCOMES, rough={"sub-2": outside, "sub-4": outside})
    folder = study.finish(within=within)
    mask = study.brain if within == "brain" else np.ones_like(study.brain)
    volumes = [load_array(folder / f"rough/seed-{seed}/mean_TN.nii.gz", float)[mask] for seed in (0, 1, 2)]
    scaled = [volume / np.abs(volume).max() for volume in volumes]
    expected = [np.linalg.norm(a - b) for a, b in combinations(scaled, 2)]
    pairs = read_table(folder / "l2_pairs.tsv").query("method == 'rough' and outcome == 'TN'")
    np.testing.assert_allclose(pairs["l2"], expected, rtol=1e-12)
    summary = read_table(folder / "l2.tsv")
    assert (summary["check"] == "").all()
    assert summary[["method", "outcome"]].values.tolist() == [
        ["smooth", "TP"],
        ["smooth", "TN"],
        ["rough", "TP"],
        ["rough", "TN"],
    ]
    expected_rms = np.mean(expected) / np.sqrt(mask.sum())
    np.testing.assert_allclose(
        summary.iloc[3, 3:].astype(float), [3, np.mean(expected), np.sum(expected), expected_rms]
    )
