"""Intervals and tests: textbook cases, simulated coverage, and what cannot be resampled."""

from itertools import combinations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from heatproof.compare.measures import Range
from heatproof.compare.resampling import (
    Measured,
    around,
    bounds,
    difference,
    holm,
    interval,
    interval_width,
    measured_of,
    p_value,
    variance_from_models,
    variance_from_participants,
)

FREE, SHARE, CORRELATION = Range(), Range(0.1, 1, logit=True), Range(-1, 1)


def of_models(values):
    values = np.atleast_2d(values)
    return Measured(values, np.eye(values.shape[1], dtype=bool))


def of_pairs(matrix, groups=0):
    n = len(matrix)
    pairs = np.array(list(combinations(range(n), 2)), int).reshape(-1, 2)
    values = matrix[pairs[:, 0], pairs[:, 1]]
    members = (pairs[:, :, None] == np.arange(n)).any(axis=1)
    return Measured(np.tile(values, (1 + groups, 1)), members)


def random_pairs(rng, models, of_model, of_pair):
    parts = of_model * rng.normal(size=models)
    alone = np.triu(of_pair * rng.normal(size=(models, models)), 1)
    return of_pairs(parts[:, None] + parts + alone + alone.T)


def test_the_variance_of_single_models_is_that_of_a_mean():
    values = np.array([3.0, 1, 4, 1, 5])
    assert variance_from_models(of_models(values)) == pytest.approx(scipy.stats.sem(values) ** 2)


@pytest.mark.parametrize("between", [False, True])
@pytest.mark.parametrize(("of_model", "of_pair"), [(1.0, 0.0), (1.0, 1.0), (1.0, 0.3)])
def test_the_variance_of_pairs_of_several_networks_is_that_of_repeated_studies(between, of_model, of_pair):
    rng, names = np.random.default_rng(int(between)), [f"{network}-{seed}" for network in "ab" for seed in range(4)]
    pairs = [(a, b) for a, b in combinations(range(8), 2) if (a < 4 <= b) == between]
    studies = []
    for _ in range(3000):
        parts = of_model * rng.normal(size=8)
        values = np.array([[parts[a] + parts[b] + of_pair * rng.normal() + 5 * (a < 4) for a, b in pairs]])
        studies.append(measured_of(values, np.array([(names[a], names[b]) for a, b in pairs])))
    assert studies[0].between == between and studies[0].enough and studies[0].freedom == 6
    expected = np.var([study.value for study in studies])
    assert np.mean([variance_from_models(study) for study in studies]) == pytest.approx(expected, rel=0.15)


def test_two_models_of_a_network_are_too_few_for_pairs_within_it():
    names = np.array([("a-0", "a-1"), ("b-0", "b-1")])
    assert not measured_of(np.ones((1, 2)), names).enough
    assert measured_of(np.ones((1, 4)), np.array([(f"a-{i}", f"b-{j}") for i in (0, 1) for j in (0, 1)])).enough


@pytest.mark.parametrize("models", [4, 6, 10])
@pytest.mark.parametrize(("of_model", "of_pair"), [(1.0, 0.0), (1.0, 1.0), (1.0, 0.3)])
def test_the_variance_of_pairs_is_that_of_repeated_studies(models, of_model, of_pair):
    rng = np.random.default_rng(models)
    studies = [random_pairs(rng, models, of_model, of_pair) for _ in range(4000)]
    expected = np.var([study.value for study in studies])
    assert np.mean([variance_from_models(study) for study in studies]) == pytest.approx(expected, rel=0.15)


def test_without_a_part_of_the_pairs_the_variance_is_the_jackknife_s():
    rng = np.random.default_rng(0)
    parts = rng.normal(size=7)
    matrix = parts[:, None] + parts
    left_out = []
    for model in range(7):
        kept = np.delete(np.delete(matrix, model, 0), model, 1)
        left_out.append(kept[np.triu_indices(6, 1)].mean())
    expected = 6 / 7 * np.sum((left_out - np.mean(left_out)) ** 2)
    assert variance_from_models(of_pairs(matrix)) == pytest.approx(expected)


def test_three_models_are_left_out_as_they_are():
    matrix = np.array([[0, 1, 4], [1, 0, 2], [4, 2, 0.0]])
    left_out = np.array([2.0, 4.0, 1.0])
    expected = 2 / 3 * np.sum((left_out - left_out.mean()) ** 2)
    assert variance_from_models(of_pairs(matrix)) == pytest.approx(expected)


def test_the_variance_from_participants_is_that_of_the_mean_of_their_groups():
    groups = np.random.default_rng(0).normal(size=5)
    left_out = [np.delete(groups, group).mean() for group in range(5)]
    measured = Measured(np.array([[groups.mean()], *[[value] for value in left_out]]), np.ones((1, 1), bool))
    assert variance_from_participants(measured) == pytest.approx(scipy.stats.sem(groups) ** 2)


def test_an_interval_over_models_alone_is_student_s():
    values = np.array([3.0, 1, 4, 1, 5])
    measured = of_models(np.tile(values, (6, 1)))
    expected = scipy.stats.t.interval(0.95, 4, values.mean(), scipy.stats.sem(values))
    assert interval(measured) == pytest.approx(expected)
    assert p_value(measured) == pytest.approx(scipy.stats.ttest_1samp(values, 0).pvalue)


def test_variances_from_models_and_participants_add_up():
    rng = np.random.default_rng(0)
    values = rng.normal(size=8) + 0.3 * rng.normal(size=(6, 1))
    measured = of_models(values)
    both = variance_from_models(measured) + variance_from_participants(measured)
    low, high = interval(measured)
    widest, narrowest = (2 * scipy.stats.t.ppf(0.975, f) * np.sqrt(both) for f in (4, 11))
    assert narrowest <= high - low <= widest


def test_where_nothing_scatters_there_is_neither_interval_nor_test():
    measured = of_pairs(np.full((5, 5), 0.7), groups=5)
    assert np.isnan(interval(measured)).all()
    assert np.isnan(p_value(measured)) and np.isnan(p_value(difference(measured, measured)))


def test_a_model_without_a_value_without_a_group_is_no_scatter_of_participants():
    values = np.tile([1.0, 1, 1, 2.2], (6, 1))
    values[1, 3] = np.nan
    assert variance_from_participants(of_models(values)) == 0


@pytest.mark.parametrize(("models", "groups"), [(0, 5), (1, 5), (2, 5), (5, 0), (5, 1)])
def test_too_few_models_or_groups_have_no_interval(models, groups):
    matrix = np.random.default_rng(0).random((models, models))
    assert np.isnan(interval(of_pairs(matrix, groups))).all()


def test_a_difference_is_taken_within_pairs_of_models():
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(9, 9))
    a, b = of_pairs(shared, 5), of_pairs(shared + 0.5 + 0.01 * rng.normal(size=(9, 9)), 5)
    low, high = interval(difference(b, a))
    assert low < 0.5 < high
    assert high - low < 0.1 * (interval(a)[1] - interval(a)[0])


def test_a_test_of_no_difference_is_wrong_as_often_as_it_says():
    rng = np.random.default_rng(0)
    p = [p_value(of_models(np.tile(rng.normal(size=6), (6, 1)))) for _ in range(2000)]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.012)


def test_a_value_is_bounded_with_the_fewer_degrees_of_freedom():
    values = np.array([3.0, 1, 4, 1, 5])
    for left_out, freedom in ((3, 2), (8, 4)):
        measured = of_models(np.tile(values, (1 + left_out, 1)))
        expected = scipy.stats.t.interval(0.95, freedom, values.mean(), scipy.stats.sem(values))
        assert bounds(measured, FREE) == pytest.approx(expected)


def test_bounds_on_the_logit_scale_are_its_definition_and_stay_inside():
    low, high = around(0.3, 0.15, SHARE)
    logit, slope = np.log(0.2 / 0.7), 0.9 / (0.2 * 0.7)
    expected = [logit - 0.15 * slope, logit + 0.15 * slope]
    assert [np.log((end - 0.1) / (1 - end)) for end in (low, high)] == pytest.approx(expected)
    assert 0.1 < low < 0.3 < high < 1 and high - 0.3 > 0.3 - low
    assert around(1, 0.25, SHARE) == (0.75, 1) and around(0.75, 0.5, CORRELATION) == (0.25, 1)
    assert np.isnan(around(np.nan, np.nan, SHARE)).all() and np.isnan(around(0.5, np.nan, SHARE)).all()


def test_holm_by_hand():
    assert holm(np.array([0.04, 0.01, 0.03])).tolist() == pytest.approx([0.06, 0.03, 0.06])
    corrected = holm(np.array([0.5, np.nan, 0.6]))
    assert corrected[[0, 2]].tolist() == [1, 1] and np.isnan(corrected[1])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8, unique=True))
def test_holm_is_its_definition(p):
    ordered = sorted(p)
    steps = [max(min((len(p) - j) * ordered[j], 1) for j in range(i + 1)) for i in range(len(p))]
    assert holm(np.array(p)).tolist() == pytest.approx([steps[ordered.index(value)] for value in p])


def test_the_predicted_width_is_the_present_one_and_falls_to_the_floor():
    rng = np.random.default_rng(0)
    measured = of_models(rng.normal(size=8) + 0.05 * rng.normal(size=(6, 1)))
    low, high = bounds(measured, FREE)
    width, floor = interval_width(measured, FREE, 8)
    assert width == pytest.approx(high - low)
    widths = [interval_width(measured, FREE, models)[0] for models in (4, 8, 16, 10**6)]
    assert widths[0] > widths[1] > widths[2] > floor
    assert widths[-1] == pytest.approx(floor, rel=0.01)


def test_no_predicted_width_is_below_the_floor():
    rng = np.random.default_rng(0)
    measured = of_models(0.2 * rng.normal(size=8) + rng.normal(size=(6, 1)))
    widths, floors = zip(*(interval_width(measured, FREE, models) for models in (8, 30, 1000)), strict=True)
    assert min(widths) >= floors[0] == floors[1]
