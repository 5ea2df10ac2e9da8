"""What bounds mean maps: noise like them, the t-map without a network, and how alike a sanity check's maps are."""

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter, uniform_filter
from scipy.stats import linregress, spearmanr, ttest_ind

from heatproof.compare.compare_checks import similarity
from heatproof.compare.make_noise import noise_like
from heatproof.compare.make_t_map import t_maps, without_groups
from heatproof.compare.measure_t_map import random_half
from heatproof.images import load_array
from heatproof.store import Store
from heatproof.tables import read_table, write_table
from heatproof.task import Task

LAGS = (1, 2, 4, 8)  # voxels


@pytest.fixture(scope="module")
def ball():
    """An irregular mask with a hole, 30 thousand voxels."""
    x, y, z = np.ogrid[-1:1:38j, -1:1:44j, -1:1:40j]
    return (x**2 + y**2 + z**2 < 1) & (x**2 + (y + 0.3) ** 2 + z**2 > 0.05) & (z > -0.7)


def smoothed(random, shape, sigma):
    field = gaussian_filter(random.standard_normal(shape), sigma)
    return field / field.std()


MAPS = {
    "smooth": lambda random, shape: smoothed(random, shape, 1.5) ** 3,
    "rough": lambda random, shape: smoothed(random, shape, 0.42),
    "of another smoothness along each axis": lambda random, shape: smoothed(random, shape, (0.5, 1, 2)),
    "occlusion": lambda random, shape: uniform_filter(random.standard_normal(shape) ** 3, 6) + 0.02,
    "clustered": lambda random, shape: random.standard_normal(shape) * np.exp(smoothed(random, shape, 3)),
    "clustered, of one sign": lambda random, shape: (
        smoothed(random, shape, 0.5) ** 2 * np.exp(smoothed(random, shape, 3))
    ),
}


def autocorrelations(volume, mask):
    """Correlations of voxels in a mask at several distances along each axis, in plain numpy."""
    found = []
    for axis in range(3):
        values, inside = np.moveaxis(volume, axis, 0), np.moveaxis(mask, axis, 0)
        for lag in LAGS:
            both = inside[lag:] & inside[:-lag]
            found.append(np.corrcoef(values[lag:][both], values[:-lag][both])[0, 1])
    return np.array(found)


@pytest.mark.parametrize("kind", MAPS)
def test_noise_is_autocorrelated_as_its_map_signed_and_absolute(ball, kind):
    volume = MAPS[kind](np.random.default_rng(1), ball.shape)
    noise = noise_like(volume[None], ball, np.random.default_rng(2))[0]
    for of in (np.asarray, np.abs):
        expected, found = autocorrelations(of(volume), ball), autocorrelations(of(noise), ball)
        np.testing.assert_allclose(found, expected, atol=0.06)


@pytest.mark.parametrize("kind", MAPS)
def test_noise_has_the_map_s_values_at_other_places(ball, kind):
    volume = MAPS[kind](np.random.default_rng(1), ball.shape)
    noise = [noise_like(volume[None], ball, np.random.default_rng(seed))[0] for seed in range(6)]
    for surrogate in noise:
        assert not surrogate[~ball].any()
        np.testing.assert_array_equal(np.sort(surrogate[ball]), np.sort(volume[ball].astype(np.float32)))
    alike = np.corrcoef([volume[ball], *(surrogate[ball] for surrogate in noise)])[np.triu_indices(7, 1)]
    assert abs(alike.mean()) < 0.05


def test_maps_without_a_group_have_their_values_at_the_places_of_the_whole(ball):
    random = np.random.default_rng(3)
    whole = smoothed(random, ball.shape, 1)
    without = whole + 0.1 * smoothed(random, ball.shape, 1)
    noise = noise_like(np.stack([whole, without]), ball, random)
    np.testing.assert_array_equal(np.sort(noise[1][ball]), np.sort(without[ball].astype(np.float32)))
    assert spearmanr(noise[1][ball], noise[0][ball]).statistic == pytest.approx(1)


def test_a_map_that_is_the_same_everywhere_stays(ball):
    np.testing.assert_array_equal(noise_like(np.full((2, *ball.shape), 0.5), ball, None), 0.5 * np.stack([ball, ball]))


PEOPLE = ["a", "a", "b", "c", "d", "e", "f", "f", "g", "h"]


@pytest.fixture
def store():
    images = np.random.default_rng(2).random((10, 1, 6, 7, 5)).astype(np.float16)
    images[:, :, 0, 0, 0] = 0
    scans = pd.DataFrame({"participant_id": PEOPLE, "label": ["patient"] * 5 + ["control"] * 5})
    scans["scan"] = [f"scan-{number}" for number in range(10)]
    return Store(images, scans)


@pytest.fixture
def stored(store, tmp_path):
    np.save(tmp_path / "scans.npy", store.images[:, 0])
    write_table(store.scans, tmp_path / "scans.tsv")
    return tmp_path / "scans.npy"


def test_the_t_map_is_welch_s_t_of_participants(store, monkeypatch):
    monkeypatch.setattr("heatproof.compare.make_t_map.SLAB_BYTES", 8 * 10 * 35 * 2)
    means = {p: store.images[[q == p for q in PEOPLE]].astype(float).mean(0) for p in PEOPLE}
    without_c = np.array([name != "c" for name in PEOPLE])
    found = t_maps(store, np.stack([np.ones(10, bool), without_c, store.scans["label"] == "patient"]))
    assert not found[:, 0, 0, 0].any() and not found[2].any()
    for volume, patients in ((found[0], "abcd"), (found[1], "abd")):
        groups = (np.stack([means[p] for p in people]) for people in (patients, "efgh"))
        expected = ttest_ind(*groups, equal_var=False).statistic
        np.testing.assert_allclose(volume.ravel()[1:], expected.ravel()[1:], rtol=1e-5)


def test_the_t_map_of_a_value_is_the_t_of_its_slope(store):
    values = np.array([61.0, 63.0, 75.0, 58.0, 80.0, 66.0, 70.0, 72.0, 55.0, 68.0])
    store = store._replace(scans=store.scans.assign(label=values), task=Task([], "age"))
    means = store.scans.groupby("participant_id")["label"].mean()
    images = {p: store.images[[q == p for q in PEOPLE]].astype(float).mean(0) for p in PEOPLE}
    found = t_maps(store, np.stack([np.ones(10, bool), np.array([p in "ab" for p in PEOPLE])]))
    assert not found[1].any() and not found[0, 0, 0, 0]
    fit = linregress(means.to_numpy(), [images[p][0, 2, 3, 4] for p in means.index])
    assert found[0, 2, 3, 4] == pytest.approx(fit.slope / fit.stderr, rel=1e-5)


def test_groups_of_the_t_map_s_own_participants_are_left_out(store):
    chosen = without_groups(store.scans, 4)
    assert chosen[0].all()
    for pair, scans in zip(("ae", "bf", "cg", "dh"), chosen[1:], strict=True):
        assert sorted(store.scans.loc[~scans, "participant_id"].unique()) == list(pair)


def test_halves_have_half_of_the_participants_of_each_class(store):
    halves = [random_half(store.scans, seed) for seed in range(20)]
    for half in halves:
        people = store.scans.loc[half].drop_duplicates("participant_id")
        assert (people["label"].value_counts() == 2).all() and len(people) == 4
        assert not set(people["participant_id"]) & set(store.scans.loc[~half, "participant_id"])
    assert len({tuple(half) for half in halves}) > 5
    np.testing.assert_array_equal(random_half(store.scans, 3), halves[3])


def test_the_t_map_s_robustness_is_that_of_halves_that_share_nobody(store, stored, study):
    out, options = study.compare / "t_map/measures.tsv", study.options | {"top_k": 2, "participant_groups": 2}
    made = {"scans": stored, "template": study.template, "options": options}
    for seed in (4, 7):
        study.run("make_t_map", **made, out=study.compare / f"t_map/seed-{seed}")
    seeds = {"seeds": [4, 7], "folder": study.compare, "method": "t_map"}
    study.run("measure_t_map", **made, **seeds, truth=study.truth, out=out)
    table = read_table(out)
    assert set(table["method"]) == {"t_map"} and set(table["check"]) == {""}
    assert table.query("measure == 'pr_auc' and left_out == 0")["value"].notna().tolist() == [True, True]
    assert (table["seed_a"] == table["seed_b"]).all() and set(table["seed_a"]) == {4, 7}
    assert set(table["outcome"]) == {"TP"} and set(table["left_out"]) == {0, 1, 2}
    half = random_half(store.scans, 7)
    maps = t_maps(store, np.stack([half, ~half]))[:, study.brain]
    value = table.query("measure == 'pearson' and left_out == 0").set_index("seed_a")["value"]
    assert value[7] == pytest.approx(np.corrcoef(maps)[0, 1], abs=1e-6)
    assert table.query("measure == 'top_2_gain'")["value"].isna().all()


def test_the_t_map_is_written_for_true_positives_alone(store, stored, study):
    folder = study.compare / "t_map_test/seed-1"
    options = study.options | {"participant_groups": 2}
    study.run("make_t_map", scans=stored, template=study.template, out=folder, options=options)
    np.testing.assert_allclose(load_array(folder / "mean_TP.nii.gz"), t_maps(store, np.ones((1, 10), bool))[0])
    assert not load_array(folder / "mean_TN.nii.gz").any()
    assert read_table(folder / "mean_maps.tsv").set_index("outcome")["n_scans"].tolist() == [10, 0, 0, 0]
    assert read_table(folder / "regions.tsv")["gain"].isna().all()
    behind = read_table(folder / "left_out/mean_maps.tsv").query("outcome == 'TP'")["n_scans"]
    assert behind.tolist() == without_groups(store.scans, 2)[1:].sum(axis=1).tolist()


def test_a_check_that_shows_the_same_is_alike_and_an_empty_one_has_no_value():
    random = np.random.default_rng(3)
    one, other = random.standard_normal((2, 5000))
    assert similarity(one, 3 * one) == pytest.approx((1, 1))
    assert similarity(one, -one) == pytest.approx((-1, 1))
    assert np.abs(similarity(one, other)).max() < 0.05
    assert similarity(one, one + other)[1] == pytest.approx(spearmanr(abs(one), abs(one + other))[0])
    assert np.isnan(similarity(one, 0 * one)).all()
