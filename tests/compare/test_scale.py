"""Robustness, localisation and faithfulness of maps that are smoothed by a common width."""

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import pearsonr
from sklearn.metrics import average_precision_score

from heatproof.compare.measure_scale import follower, measure_scale
from heatproof.images import load_array
from heatproof.tables import read_table, write_table
from heatproof.units import units_of
from heatproof.voxels import smoother

SIZES = (2.0, 2.0, 4.0)


@pytest.fixture(scope="module")
def brain():
    x, y, z = np.indices((22, 24, 14))
    return (x - 10) ** 2 + (y - 11) ** 2 + (2 * z - 12) ** 2 < 90


def values_of(table, measure, form="signed"):
    return table[(table["measure"] == measure) & (table["values"] == form)].groupby("fwhm")["value"].mean()


def test_smoothing_weighs_the_voxels_of_the_brain_alone_by_a_gaussian_of_their_distance_in_mm(brain):
    rng = np.random.default_rng(0)
    values, places = rng.normal(size=brain.sum()).astype(np.float32), np.argwhere(brain) * SIZES
    found = smoother(brain, SIZES, 6.0)(values)
    for voxel in (0, 700, brain.sum() - 1):
        distance = np.linalg.norm(places - places[voxel], axis=1)
        weights = 0.5 ** ((2 * distance / 6.0) ** 2)  # one half at half of the width
        assert found[voxel] == pytest.approx(weights @ values / weights.sum(), abs=1e-3)


def test_smoothing_leaves_a_constant_and_no_smoothing_leaves_everything(brain):
    values = np.random.default_rng(0).normal(size=brain.sum()).astype(np.float32)
    np.testing.assert_allclose(smoother(brain, SIZES, 20.0)(np.full_like(values, 3.0)), 3.0, rtol=1e-5)
    np.testing.assert_array_equal(smoother(brain, SIZES, 0)(values), values)


def test_unsmoothed_maps_have_the_values_of_scipy_and_scikit_learn(brain):
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, brain.sum())).astype(np.float32)
    true = rng.random(brain.sum()) < 0.1
    table = measure_scale({3: a, 5: a + b}, brain, SIZES, [0, 8], true)
    assert values_of(table, "pearson")[0] == pytest.approx(pearsonr(a, a + b).statistic, abs=1e-5)
    assert values_of(table, "pearson", "absolute")[0] == pytest.approx(pearsonr(abs(a), abs(a + b)).statistic, abs=1e-5)
    expected = np.mean([average_precision_score(true, np.abs(values)) for values in (a, a + b)])
    assert values_of(table, "pr_auc")[0] == pytest.approx(expected, abs=1e-6)
    assert set(table.loc[table["measure"] == "pr_auc", "chance"]) == {true.mean()}
    assert len(table) == 2 * 2 * (1 + 2)


def test_a_speckled_method_is_as_robust_as_a_smooth_one_once_both_are_smoothed(brain):
    """What two maps share is smooth; the noise of each is fine or coarse."""
    rng = np.random.default_rng(2)
    shared = gaussian_filter(rng.normal(size=brain.shape), 3)[brain]
    shared /= shared.std()
    fine = {seed: (shared + 3 * rng.normal(size=shared.size)).astype(np.float32) for seed in (0, 1)}
    robust = values_of(measure_scale(fine, brain, SIZES, [0, 12]), "pearson")
    assert robust[0] < 0.2 and robust[12] > 0.8


def test_signed_maps_lose_what_alternates_by_smoothing_and_absolute_ones_keep_where_it_is(brain):
    signs = (-1.0) ** np.indices(brain.shape).sum(axis=0)[brain]
    true = np.indices(brain.shape)[0][brain] < 6
    table = measure_scale({0: (signs * true).astype(np.float32)}, brain, SIZES, [12], true)
    assert values_of(table, "pr_auc", "absolute")[12] > 0.9 > values_of(table, "pr_auc")[12]


def test_a_map_of_the_effects_is_faithful_and_its_negative_is_not_but_for_its_size():
    cubes = np.repeat(np.arange(9), 5)
    effects = np.array([1.0, -2.0, 0.5, np.nan, 3.0, 0.0, -1.0, 2.0])
    values = np.r_[0, np.nan_to_num(effects, nan=100.0)][cubes]
    follow = follower({4: effects, 5: np.full(8, np.nan)}, cubes)
    assert follow(values, 4, np.asarray) == pytest.approx(1)
    assert follow(-values, 4, np.asarray) == pytest.approx(-1)
    assert follow(np.abs(values), 4, np.abs) == pytest.approx(1)
    assert np.isnan(follow(values, 5, np.asarray))


def test_the_command_measures_the_mean_maps_of_all_models_that_have_one(study):
    outcomes = {f"sub-{i}": "TP" if i % 2 else "TN" for i in range(6)}
    for seed in (3, 1, 4):
        study.add_model(seed, outcomes if seed != 4 else dict.fromkeys(outcomes, "FN"))
        study.average("rough", seed)
    numbers, names = units_of("cubes", study.template, "hemispheres", 4.0)
    rng = np.random.default_rng(0)
    for seed in study.seeds:
        rows = [(f"sub-{i}", "twin", "cubes", name, rng.normal()) for i in (1, 3, 5) for name in names]
        table = pd.DataFrame(rows, columns=["scan", "reference", "unit_kind", "unit", "effect"])
        write_table(table, study.root / f"effects/seed-{seed}.tsv")
        margins = pd.DataFrame({"scan": ["sub-1", "sub-3", "sub-5"], "reference": "twin", "margin": [3.0, 3.1, 2.9]})
        write_table(margins.assign(margin_reference=-3.0), study.root / f"effects/seed-{seed}_margins.tsv")
    files = {
        "margins": [study.root / f"effects/seed-{seed}_margins.tsv" for seed in study.seeds],
        "effects": [study.root / f"effects/seed-{seed}.tsv" for seed in study.seeds],
        "predictions": [study.root / f"train/seed-{seed}/predictions.tsv" for seed in study.seeds],
    }
    one = {"folder": study.compare, "method": "rough", "seeds": study.seeds, "template": study.template}
    options = {"regions": "hemispheres", "smoothing": [0, 4], "cubes": 4.0, "participant_groups": 3}
    out = study.compare / "rough/scale.tsv"
    study.run("measure_scale", **one, truth=study.truth, **files, options=options, out=out)
    table = read_table(out)
    assert list(table.columns) == [
        "method",
        "check",
        "measure",
        "values",
        "fwhm",
        "seed_a",
        "seed_b",
        "value",
        "chance",
    ]
    assert table.groupby("measure").size().to_dict() == {
        "faithfulness_pearson_cubes": 2 * 2 * 2,
        "pearson": 2 * 2,
        "pr_auc": 2 * 2 * 2,
    }
    means = read_table(files["effects"][0]).groupby("unit")["effect"].mean()
    values = load_array(study.compare / "rough/seed-3/mean_TP.nii.gz")
    sums = np.array([values[study.brain & (numbers == n + 1)].sum() for n in range(len(names))])
    row = table.query("measure == 'faithfulness_pearson_cubes' and values == 'signed' and fwhm == 0 and seed_a == 3")
    assert row["value"].item() == pytest.approx(pearsonr(sums, means[names]).statistic, abs=1e-5)
