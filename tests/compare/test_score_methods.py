"""Intervals come from resampling models, never pairs."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from heatproof.compare.score_methods import interval
from heatproof.tables import read_table


def random_pairs(models, seed=0):
    pairs = pd.DataFrame(combinations(models, 2), columns=["seed_a", "seed_b"])
    return pairs.assign(value=np.random.default_rng(seed).random(len(pairs)))


def test_bounds_are_those_of_models_drawn_one_by_one():
    models = [3, 0, 7, 5, 9, 11, 12]
    pairs = random_pairs(models)
    value = {frozenset(pair): v for *pair, v in pairs.itertuples(index=False)}
    rng = np.random.default_rng(1)
    means = []
    for _ in range(8000):
        drawn = rng.choice(models, size=7)
        values = [value[frozenset((a, b))] for a, b in combinations(drawn, 2) if a != b]
        if values:
            means.append(np.mean(values))
    np.testing.assert_allclose(interval(pairs, resamples=20000), np.quantile(means, [0.025, 0.975]), atol=0.02)


def test_one_deviant_model_widens_the_interval_more_than_resampled_pairs_would():
    pairs = random_pairs(range(8)).assign(value=0.0)
    pairs.loc[pairs["seed_a"] == 0, "value"] = 1.0
    low, high = interval(pairs)
    means = np.random.default_rng(0).choice(pairs["value"], size=(2000, len(pairs))).mean(axis=1)
    assert high - low > 1.3 * np.subtract(*np.quantile(means, [0.975, 0.025]))


def test_models_that_always_agree_have_an_interval_without_width():
    assert interval(random_pairs(range(5)).assign(value=0.7)) == pytest.approx((0.7, 0.7))


def test_the_same_pairs_give_the_same_bounds():
    assert interval(random_pairs(range(6))) == interval(random_pairs(range(6)))


@pytest.mark.parametrize("models", [0, 1, 2])
def test_fewer_than_three_models_have_no_interval(models):
    assert np.isnan(interval(random_pairs(range(models)))).all()


def test_a_model_without_values_is_as_if_it_were_not_there():
    pairs = random_pairs(range(4))
    without = pairs[(pairs["seed_a"] != 2) & (pairs["seed_b"] != 2)]
    pairs.loc[(pairs["seed_a"] == 2) | (pairs["seed_b"] == 2), "value"] = np.nan
    assert interval(pairs) == interval(without)


def test_scores_of_a_study(study):
    for seed in range(4):
        study.add_model(seed, {"sub-1": "TP", "sub-2": "TN"})
    folder = study.finish(top_k=2)
    scores = read_table(folder / "scores.tsv")
    assert list(scores) == ["method", "measure", "outcome", "value", "low", "high", "chance", "kind"]
    assert len(scores) == 2 * 5
    assert (scores["kind"] == "method").all()
    scores = scores.set_index(["method", "measure", "outcome"])
    assert (scores["low"] <= scores["high"]).all()
    l2 = read_table(folder / "l2.tsv").set_index(["method", "outcome"])
    top = read_table(folder / "top_regions.tsv").set_index(["method", "metric"])
    assert scores.loc[("rough", "l2_rms", "TN"), "value"] == l2.loc[("rough", "TN"), "rms"]
    assert np.isnan(scores.loc[("rough", "l2_rms", "TN"), "chance"])
    gain = scores.loc[("smooth", "top_2_gain", "TP")]
    assert gain["value"] == top.loc[("smooth", "gain"), "overlap_mean"]
    assert gain["chance"] == top.loc[("smooth", "gain"), "chance"]
    pairs = read_table(folder / "l2_pairs.tsv").query("method == 'rough' and outcome == 'TN'")
    expected = interval(pairs[["seed_a", "seed_b", "rms"]].rename(columns={"rms": "value"}))
    assert tuple(scores.loc[("rough", "l2_rms", "TN"), ["low", "high"]]) == pytest.approx(expected)
