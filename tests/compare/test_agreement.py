"""Agreement of maps voxel by voxel: reference implementations, ceilings and chance."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.spatial.distance import dice as dice_distance
from skimage.metrics import structural_similarity

from heatproof.compare import agreement
from heatproof.compare.agreement import BrainMap, correlation, cube_means, ssim, top_voxels
from heatproof.compare.layout import left_out_groups
from heatproof.compare.measures import PAIRS_OF_MAPS, compare_pairs
from heatproof.images import load_array
from heatproof.tables import read_table

MEASURES = ["pearson", "spearman", "ssim", "dice_5"]


@pytest.fixture(scope="module")
def brain():
    x, y, z = np.indices((24, 26, 22)) - 12
    return x**2 + y**2 + z**2 < 100


def random_maps(brain, count, seed=0, smooth=0.0):
    rng = np.random.default_rng(seed)
    return [gaussian_filter(rng.normal(size=brain.shape), smooth)[brain].astype(np.float32) for _ in range(count)]


def compare_voxels(maps, brain, percent):
    """One row per pair of maps, one column per measure, and the chance of Dice."""
    things = {i: BrainMap(values, brain, percent) for i, values in enumerate(maps)}
    rows = compare_pairs(PAIRS_OF_MAPS, things, {"top_percent": percent}).set_index(["seed_a", "seed_b"])
    table = rows.pivot(columns="measure", values="value")[MEASURES]
    return table.assign(chance=rows.loc[rows["measure"] == "dice_5", "chance"])


def test_every_measure_equals_its_reference(brain):
    maps = random_maps(brain, 3)
    maps[1] += maps[0]
    maps[2] = np.round(maps[2], 1)
    table = compare_voxels(maps, brain, 5)
    assert list(table.columns) == [*MEASURES, "chance"]
    count = round(0.05 * brain.sum())
    for a, b in combinations(range(3), 2):
        row = table.loc[[(a, b)]].iloc[0]
        assert row["pearson"] == pytest.approx(scipy.stats.pearsonr(maps[a], maps[b]).statistic, abs=1e-6)
        assert row["spearman"] == pytest.approx(scipy.stats.spearmanr(maps[a], maps[b]).statistic, abs=1e-6)
        tops = [np.abs(m) >= np.sort(np.abs(m))[-count] for m in (maps[a], maps[b])]
        assert row["dice_5"] == pytest.approx(1 - dice_distance(*tops))
        assert row["chance"] == pytest.approx(2 * tops[0].mean() * tops[1].mean() / (tops[0].mean() + tops[1].mean()))


def ssim_by_scikit_image(a, b, brain):
    """Return the structural similarity of two maps near their values, on the whole grid."""
    volumes, near = [], np.zeros(brain.shape, bool)
    for values in (a, b):
        volume = np.zeros(brain.shape)
        volume[brain] = values / np.sqrt(np.mean(values.astype(float) ** 2))
        near |= maximum_filter(volume != 0, 7, mode="constant")
        volumes.append(np.pad(volume, 3))
    lift = max(np.abs(volume).max() for volume in volumes)
    lifted = [volume + lift for volume in volumes]
    _, similarity = structural_similarity(*lifted, win_size=7, data_range=1.0, full=True)
    return similarity[3:-3, 3:-3, 3:-3][brain & near].mean()


@pytest.mark.parametrize("kept", [1.0, 0.02])
def test_ssim_is_scikit_image_s_on_the_whole_grid(brain, kept):
    a, b = random_maps(brain, 2, smooth=1)
    b += a
    a, b = (np.where(values >= np.quantile(values, 1 - kept), values, 0) for values in (a, b))
    found = ssim(BrainMap(a, brain, 5), BrainMap(b, brain, 5), {})
    assert 0.05 < found < 0.9
    assert found == pytest.approx(ssim_by_scikit_image(a, b, brain), abs=1e-10)


def test_ssim_of_ten_maps_smooths_each_map_twice_and_each_pair_once(brain, monkeypatch):
    """Means and variances are those of a map, however many others it is compared with."""
    smoothed = []
    monkeypatch.setattr(agreement, "cube_means", lambda *given: smoothed.append(given) or cube_means(*given))
    compare_voxels(random_maps(brain, 10), brain, 5)
    assert len(smoothed) == 2 * 10 + 45


def test_identical_maps_are_at_the_ceiling_whatever_their_strength(brain):
    (a,) = random_maps(brain, 1)
    for values in (a, np.round(a), np.where(a > 2, a, 0)):
        np.testing.assert_allclose(compare_voxels([values, 4 * values], brain, 5).drop(columns="chance"), 1, atol=1e-6)


def test_a_map_and_its_negative_are_at_the_floor_but_share_their_strongest_voxels(brain):
    (a,) = random_maps(brain, 1)
    row = compare_voxels([a, -a], brain, 5).iloc[0]
    assert row[["pearson", "spearman"]].tolist() == pytest.approx([-1, -1], abs=1e-6)
    assert row["ssim"] < -0.8
    assert row["dice_5"] == 1


@pytest.mark.parametrize("smooth", [0.0, 1.0])
def test_random_maps_are_at_chance(brain, smooth):
    table = compare_voxels(random_maps(brain, 8, smooth=smooth), brain, 5)
    error = table.std() / np.sqrt(len(table)) + 0.005
    assert (np.abs(table.mean() - [0, 0, 0, 0.05, 0.05]) < 3 * error).all()


def test_maps_that_are_the_same_in_nothing_but_their_zeros_are_not_alike(brain):
    maps = [np.where(values > np.quantile(values, 0.99), values, 0) for values in random_maps(brain, 6, smooth=1)]
    table = compare_voxels(maps, brain, 5)
    assert table["ssim"].abs().max() < 0.1


def test_regions_of_one_value_are_at_the_chance_of_their_sizes(brain):
    rng = np.random.default_rng(0)
    regions = rng.integers(0, 40, brain.sum())
    maps = [rng.random(40).astype(np.float32)[regions] for _ in range(40)]
    table = compare_voxels(maps, brain, 5)
    assert table["dice_5"].mean() == pytest.approx(table["chance"].mean(), abs=0.01)


def test_a_rank_ignores_what_a_monotone_curve_does_to_a_map(brain):
    (a,) = random_maps(brain, 1)
    row = compare_voxels([a, np.exp(3 * a)], brain, 5).iloc[0]
    assert row["spearman"] == pytest.approx(1, abs=1e-6)
    assert row["pearson"] < 0.5


def test_top_voxels_by_hand():
    values = np.array([0.0, -5, 1, 4, 0, 0, -1, 2, 0, 0])
    assert np.flatnonzero(top_voxels(values, 30)).tolist() == [1, 3, 7]
    assert np.flatnonzero(top_voxels(values, 40)).tolist() == [1, 2, 3, 6, 7]
    assert np.flatnonzero(top_voxels(values, 100)).tolist() == [1, 2, 3, 6, 7]


def test_a_constant_has_no_correlation():
    assert np.isnan(correlation(np.ones(5), np.arange(5.0)))


def test_the_table_of_a_study_is_the_measures_of_its_files(study):
    outcomes = {f"sub-{i}": "TP" if i % 2 else "TN" for i in range(6)}
    for seed in (3, 1, 4):
        study.add_model(seed, outcomes)
    folder = study.finish()
    table = (
        read_table(folder / "rough/measures.tsv")
        .set_index(["measure", "outcome", "left_out", "seed_a", "seed_b"])
        .sort_index()
    )
    maps = [load_array(folder / f"rough/seed-{seed}/left_out/group-2_mean_TN.nii.gz") for seed in (3, 4)]
    inside = [volume[study.brain] for volume in maps]
    expected = scipy.stats.pearsonr(*inside).statistic
    assert table.loc[("pearson", "TN", 2, 3, 4), "value"] == pytest.approx(expected, abs=1e-6)
    scaled = [volume / np.abs(volume).max() for volume in inside]
    rms = np.sqrt(np.mean((scaled[0] - scaled[1]) ** 2))
    assert table.loc[("l2_rms", "TN", 2, 3, 4), "value"] == pytest.approx(rms, rel=1e-5)
    pairs = read_table(folder / "top_regions_pairs.tsv").query("method == 'rough' and metric == 'sum'")
    of_pairs = pairs.set_index(["seed_a", "seed_b"])["overlap"].sort_index()
    assert table.loc[("top_2_sum", "TP", 0), "value"].tolist() == of_pairs.tolist()
    l2 = read_table(folder / "l2_pairs.tsv").query("method == 'rough' and outcome == 'TP'")
    of_pairs = l2.set_index(["seed_a", "seed_b"])["rms"].sort_index()
    assert table.loc[("l2_rms", "TP", 0), "value"].tolist() == of_pairs.tolist()
    assert sorted(table.loc["pearson"].index.unique("left_out")) == [0, 1, 2, 3]


def test_a_group_that_is_behind_no_map_is_not_left_out(study):
    study.add_model(0, {"sub-1": "TP", "sub-2": "FN", "sub-3": "TP", "sub-4": "TN"})
    folder = study.average("smooth", 0)
    table = pd.concat(
        [read_table(folder / "mean_maps.tsv").assign(left_out=0), read_table(folder / "left_out/mean_maps.tsv")]
    )
    assert left_out_groups(table[table["outcome"] == "TP"].assign(seed=0)) == [0, 1, 3]
