"""Table 1: the L2 norm of the difference of scaled mean maps, for every pair of models."""

import tracemalloc
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from heatproof.compare.compare_maps import compare_models, pairwise_l2
from heatproof.images import load_array, save_image
from heatproof.tables import read_table

OUTCOMES = {"sub-1": "TP", "sub-2": "TN", "sub-3": "TP", "sub-4": "TN"}


def save_maps(maps, folder):
    paths = [folder / f"{i}.nii.gz" for i in range(len(maps))]
    for volume, path in zip(maps, paths, strict=True):
        save_image(volume, np.eye(4), path)
    return paths


@pytest.fixture
def maps():
    return np.random.default_rng(0).normal(size=(5, 6, 7, 8)).astype(np.float32)


@pytest.mark.parametrize("slab_bytes", [1, 3000, 2**24])
def test_random_maps_equal_plain_numpy_whatever_the_slab(maps, tmp_path, slab_bytes):
    mask = np.random.default_rng(1).random(maps.shape[1:]) < 0.5
    mask[..., 2:4] = False
    scaled = [volume[mask].astype(float) / np.abs(volume[mask]).max() for volume in maps]
    peaks = [np.abs(volume[mask]).max() for volume in maps]
    expected = [np.linalg.norm(a - b) for a, b in combinations(scaled, 2)]
    l2 = pairwise_l2(save_maps(maps, tmp_path), peaks, mask, slab_bytes=slab_bytes)
    np.testing.assert_allclose(l2, expected, rtol=1e-12)


def test_maps_that_differ_by_their_strength_alone_are_at_distance_zero(maps, tmp_path):
    paths = save_maps([maps[0], maps[0] * 4, maps[0] * -4], tmp_path)
    peak = np.abs(maps[0]).max()
    l2 = pairwise_l2(paths, [peak, 4 * peak, 4 * peak], np.ones(maps.shape[1:], bool))
    assert l2[0] == 0
    assert l2[1] == pytest.approx(2 * np.linalg.norm(maps[0] / peak))


def test_a_tiny_difference_of_strong_maps_is_not_lost_to_cancellation(tmp_path):
    a = np.ones((20, 20, 20), np.float32)
    b = a.copy()
    b[0, 0, 0] = np.nextafter(np.float32(1), np.float32(0))
    l2 = pairwise_l2(save_maps([a, b], tmp_path), [1, 1], np.ones(a.shape, bool))
    assert l2[0] == 2.0**-24


def test_a_map_without_relevance_leaves_its_own_pairs_empty_and_no_other(maps, tmp_path):
    maps[1] = 0
    table = pd.DataFrame({"seed": [5, 3, 8], "path": save_maps(maps[:3], tmp_path)})
    mask = np.ones(maps.shape[1:], bool)
    pairs = compare_models(table.assign(peak=np.abs(maps[:3]).max(axis=(1, 2, 3))), [5, 3, 8], mask)
    assert pairs[["seed_a", "seed_b"]].values.tolist() == [[5, 3], [5, 8], [3, 8]]
    assert pairs["l2"].isna().tolist() == [True, False, True]
    assert pairs.loc[1, "rms"] == pytest.approx(pairs.loc[1, "l2"] / np.sqrt(mask.size))


@pytest.mark.parametrize("usable", [0, 1])
def test_fewer_than_two_usable_maps_give_empty_cells(maps, tmp_path, usable):
    table = pd.DataFrame({"seed": [0, 1], "path": save_maps(maps[:2], tmp_path), "peak": [float(usable), 0.0]})
    assert compare_models(table, [0, 1], np.ones(maps.shape[1:], bool))["l2"].isna().tolist() == [True]


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
    assert summary[["method", "outcome"]].values.tolist() == [
        ["smooth", "TP"],
        ["smooth", "TN"],
        ["rough", "TP"],
        ["rough", "TN"],
    ]
    expected_rms = np.mean(expected) / np.sqrt(mask.sum())
    np.testing.assert_allclose(
        summary.iloc[3, 2:].astype(float), [3, np.mean(expected), np.sum(expected), expected_rms]
    )


def test_memory_does_not_grow_with_the_number_of_models(tmp_path):
    shape = (64, 64, 64)
    maps = [np.random.default_rng(i).normal(size=shape).astype(np.float32) for i in range(16)]
    paths, mask = save_maps(maps, tmp_path), np.ones(shape, bool)

    def peak(count):
        tracemalloc.start()
        pairwise_l2(paths[:count], np.ones(count), mask, slab_bytes=2**20)
        largest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return largest

    peak(2)
    buffer_of_an_open_file = 2**17
    assert peak(16) < peak(4) + 12 * buffer_of_an_open_file
