"""Every measure is in one table with value, interval and chance; methods are tested against each other."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from heatproof.compare.measures import range_of
from heatproof.compare.resampling import bounds, interval
from heatproof.compare.scores import bound, compare_methods, measured_in, spread
from heatproof.errors import StudyError
from heatproof.tables import read_table

KEYS = ["method", "measure", "outcome"]  # of methods' own maps
METRICS = ("sum", "density", "gain")
AGREEMENT = [
    *(
        (measure, outcome)
        for measure in ("l2_rms", "pearson", "spearman", "ssim", "dice_5")
        for outcome in ("TP", "TN")
    ),
    *((f"{name}_{metric}", "TP") for name in ("top_2", "rbo", "region_spearman", "kendall_w") for metric in METRICS),
]
LOCALISATION = [
    (measure, "TP") for measure in ("pr_auc", "true_mass", "true_top", "effect_rank_sum", "effect_rank_density")
]
FAITHFULNESS = [("deletion", "TP"), ("insertion", "TP")]


def arranged(rows):
    return measured_in(spread(rows))


def test_there_is_one_row_for_every_method_measure_and_outcome(finished):
    scores = read_table(finished / "scores.tsv")
    assert list(scores) == ["method", "check", *KEYS[1:], "value", "low", "high", "chance", "kind"]
    expected = {(method, *row) for method in ("smooth", "rough") for row in [*AGREEMENT, *LOCALISATION, *FAITHFULNESS]}
    assert sorted(scores[KEYS].itertuples(index=False, name=None)) == sorted(expected)
    assert (scores["kind"] == "method").all() and (scores["check"] == "").all()
    bounded = scores.dropna(subset=["low"])
    assert len(bounded) > 0.8 * len(scores)
    assert ((bounded["low"] <= bounded["value"]) & (bounded["value"] <= bounded["high"])).all()


def test_values_and_chance_are_those_of_the_tables_behind(finished):
    scores = read_table(finished / "scores.tsv").set_index(KEYS)
    l2 = read_table(finished / "l2.tsv").set_index(["method", "outcome"])
    top = read_table(finished / "top_regions.tsv").set_index(["method", "metric"])
    assert scores.loc[("rough", "l2_rms", "TN"), "value"] == pytest.approx(l2.loc[("rough", "TN"), "rms"])
    assert np.isnan(scores.loc[("rough", "l2_rms", "TN"), "chance"])
    gain = scores.loc[("smooth", "top_2_gain", "TP")]
    assert gain["value"] == pytest.approx(top.loc[("smooth", "gain"), "overlap_mean"])
    assert gain["chance"] == pytest.approx(top.loc[("smooth", "gain"), "chance"])
    localisation = read_table(finished / "rough/measures.tsv").query("measure == 'pr_auc' and left_out == 0")
    assert scores.loc[("rough", "pr_auc", "TP"), "value"] == pytest.approx(localisation["value"].mean())
    correlation, w = (scores.loc[("rough", f"{name}_sum", "TP")] for name in ("region_spearman", "kendall_w"))
    assert w["value"] == pytest.approx((1 + 3 * correlation["value"]) / 4)
    assert w["chance"] == 0.25


def test_intervals_are_those_of_the_table_s_rows(finished):
    rows = read_table(finished / "rough/measures.tsv").query("measure == 'pearson' and outcome == 'TN'")
    scores = read_table(finished / "scores.tsv").set_index(KEYS)
    found = scores.loc[("rough", "pearson", "TN"), ["low", "high"]]
    assert tuple(found) == pytest.approx(bounds(arranged(rows), range_of("pearson")))


def test_a_model_without_values_is_as_if_it_were_not_there():
    rng = np.random.default_rng(0)
    pairs = pd.DataFrame(combinations(range(5), 2), columns=["seed_a", "seed_b"])
    rows = pd.concat([pairs.assign(left_out=group, value=rng.random(10)) for group in range(4)])
    concerned = (rows["seed_a"] == 2) | (rows["seed_b"] == 2)
    gaps = rows.assign(value=rows["value"].where(~concerned))
    assert interval(arranged(gaps)) == interval(arranged(rows[~concerned]))


def test_bounds_end_where_the_measure_ends():
    rows = pd.DataFrame({"seed_a": [0, 1, 2], "seed_b": [0, 1, 2], "value": [0.0, 1.0, 0.2]})
    measured = arranged(pd.concat([rows.assign(left_out=group) for group in range(3)]))
    low, high = bound("unlimited", measured, np.nan)
    assert low < -1 and high > 2
    assert bound("true_mass", measured, 0.1) == (0, 1)
    assert bound("pearson", measured, 0) == (-1, 1)
    assert bound("l2_rms", measured, np.nan) == (0, 2)


def test_a_measure_of_another_range_keeps_its_values_and_one_beyond_its_own_is_refused():
    rows = pd.DataFrame({"seed_a": [0, 1, 2], "seed_b": [0, 1, 2], "value": [2.9, 3.03, 3.2]})
    measured = arranged(pd.concat([rows.assign(left_out=group) for group in range(3)]))
    low, high = bound("cohens_d", measured, 0)
    assert 0 < low < 3.03 < high < 5
    with pytest.raises(StudyError, match=r"pearson has values from 2\.9 to 3\.2"):
        bound("pearson", measured, 0)


def test_methods_are_compared_within_models_and_corrected_within_a_measure(finished):
    table = read_table(finished / "differences.tsv")
    columns = ["measure", "outcome", "method_a", "method_b", "difference", "low", "high", "p", "p_corrected"]
    assert list(table) == columns
    scores = read_table(finished / "scores.tsv").set_index(KEYS)["value"]
    assert len(table) == len(AGREEMENT) - 3 + len(LOCALISATION) + len(FAITHFULNESS)
    for row in table.itertuples():
        expected = scores[row.method_a, row.measure, row.outcome] - scores[row.method_b, row.measure, row.outcome]
        assert row.difference == pytest.approx(expected)
        assert (row.low > 0 or row.high < 0) == (row.p < 0.05)
    pd.testing.assert_series_equal(table["p_corrected"], table["p"], check_names=False)


def test_methods_are_compared_over_the_models_that_both_have():
    rng = np.random.default_rng(0)
    of_model = rng.random(5)
    rows = [
        pd.DataFrame({"seed_a": range(5), "seed_b": range(5), "left_out": group, "value": of_model + noise})
        for group, noise in enumerate(0.01 * rng.random(6))
    ]
    rows = pd.concat(rows)
    tables = {(name, "", "pr_auc", "TP"): spread(rows[rows["seed_a"] != lost]) for name, lost in (("a", 0), ("b", 4))}
    assert compare_methods(tables).loc[0, "difference"] == 0
    tables["b", "", "pr_auc", "TP"] += 0.1 + 0.001 * rng.random((4, 6))
    row = compare_methods(tables).loc[0]
    assert row["difference"] == pytest.approx(-0.1, abs=0.001)
    assert row["low"] < row["difference"] < row["high"] < 0 < row["p"] < 0.01


def test_more_models_narrow_the_interval_down_to_what_participants_leave(finished):
    table = read_table(finished / "seeds.tsv")
    assert list(table) == [*KEYS, "n_models", "width", "floor"]
    rows = table.query("method == 'rough' and measure == 'ssim' and outcome == 'TP'").set_index("n_models")
    low, high = read_table(finished / "scores.tsv").set_index(KEYS).loc[("rough", "ssim", "TP"), ["low", "high"]]
    assert rows.loc[4, "width"] == pytest.approx(high - low)
    assert rows.loc[100, "width"] < rows.loc[4, "width"]
    assert rows["floor"].nunique() == 1
