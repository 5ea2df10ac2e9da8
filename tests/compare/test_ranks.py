"""Agreement of rankings: hand-made cases, definitions written out, ceilings and chance."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatproof.compare.ranks import (
    chance_overlaps,
    chance_top_overlap,
    concordance,
    overlap_curve,
    overlaps,
    rank_biased_overlap,
    rank_correlation,
    rankable,
    top_overlap,
)
from heatproof.tables import read_table

NAN = np.nan
seeds = st.integers(0, 2**32 - 1)


def random_values(seed, regions, missing=0):
    rng = np.random.default_rng(seed)
    values = rng.integers(1, 2 * regions, regions).astype(float)
    values[rng.choice(regions, missing, replace=False)] = NAN
    return values


def test_overlaps_by_hand():
    a, b = np.array([9.0, 8, 7, NAN, 5]), np.array([8.0, 9, NAN, 7, 6])
    assert overlaps(a, b).tolist() == pytest.approx([0, 1, 2 / 3, 3 / 4])


def test_equal_regions_stand_at_the_same_rank():
    a, b = np.array([9.0, 5, 5, 1]), np.array([5.0, 9, 1, 1])
    # {a}, {a, b, c}, {a, b, c}, all against {b}, {b, a}, all, all
    assert overlaps(a, b).tolist() == pytest.approx([0, 2 * 2 / 5, 2 * 3 / 7, 1])


def test_values_that_differ_by_rounding_alone_are_equal():
    third, tenths = 1 / 3, sum([0.1] * 3)
    assert tenths != 0.3
    a, b = np.array([tenths, 0.3, third, 0.2, NAN]), np.array([0.3, 0.3, 0.5, 0.1, 1.0])
    exact = np.array([0.3, 0.3, third, 0.2, NAN])
    assert rank_correlation(a, b) == rank_correlation(exact, b)
    assert overlaps(a, b).tolist() == overlaps(exact, b).tolist()
    assert chance_overlaps(a, b).tolist() == chance_overlaps(exact, b).tolist()
    assert np.isnan(rank_correlation(np.array([tenths, 0.3, 0.3]), np.arange(3.0)))
    close = 0.3 * (1 + 1e-8 * np.arange(4))
    assert rank_correlation(close, np.arange(4.0)) == 1


def plain_overlap(a, b, depth):
    """Share of two sets in plain Python: all regions at least as high as the one at this depth."""
    firsts = []
    for values in (a, b):
        known = sorted((v for v in values if v == v), reverse=True)
        firsts.append({i for i, v in enumerate(values) if v >= known[depth - 1]})
    return 2 * len(firsts[0] & firsts[1]) / (len(firsts[0]) + len(firsts[1]))


@given(seeds)
def test_overlaps_equal_sets_in_plain_python(seed):
    a, b = random_values(seed, 9, 2), random_values(seed + 1, 9, 1)
    assert overlaps(a, b).tolist() == pytest.approx([plain_overlap(a, b, depth) for depth in range(1, 8)])


@pytest.mark.parametrize("levels", [None, 3])
def test_chance_is_the_mean_over_random_rankings_with_and_without_equal_values(levels):
    rng = np.random.default_rng(0)
    values = rng.random((2, 12)) if levels is None else np.repeat([1.0, 2, 3], 4) * np.ones((2, 1))
    values[0, :4], values[1, 3:5] = NAN, NAN
    known = ~np.isnan(values)
    found = []
    for _ in range(3000):
        a, b = values.copy()
        a[known[0]], b[known[1]] = rng.permutation(a[known[0]]), rng.permutation(b[known[1]])
        found.append(overlaps(a, b))
    np.testing.assert_allclose(np.mean(found, axis=0), chance_overlaps(*values), atol=0.02)


@given(seeds)
def test_a_ranking_agrees_with_itself_whatever_is_equal_in_it(seed):
    values = random_values(seed, 9, 2)
    assert (overlaps(values, 2 * values) == 1).all()


@pytest.mark.parametrize(
    ("a", "b", "p", "expected"),
    [
        ("ab", "ba", 0.9, 0.9),  # 0.9² + 0.1/0.9 * 0.9²
        ("abc", "abc", 0.7, 1.0),
        ("abc", "bca", 0.5, 0.5 * (1 / 2 * 0.5 + 1 * 0.25) + 1 * 0.125),
        ("abcd", "wxyz", 0.9, 0.0),
        # an infinitely long tail of the last overlap, 1/2, after a first place that is shared
        ("ab", "ac", 0.5, 1 * 0.5 + 1 / 2 * 0.5),
    ],
)
def test_rank_biased_overlap_by_hand(a, b, p, expected):
    names = sorted(set(a + b))
    values = [np.array([-word.index(n) if n in word else NAN for n in names], float) for word in (a, b)]
    assert rank_biased_overlap(overlaps(*values), p) == pytest.approx(expected)


@given(seeds, st.floats(0.3, 0.98))
def test_rank_biased_overlap_is_the_endless_sum_of_its_definition(seed, p):
    found = overlaps(random_values(seed, 12), random_values(seed + 1, 12))
    expected = (1 - p) * sum(p**depth * overlap for depth, overlap in enumerate([*found, *([1.0] * 3000)]))
    assert rank_biased_overlap(found, p) == pytest.approx(expected)


def test_the_first_ten_ranks_have_the_weight_that_is_stated():
    only_first_ten = np.minimum(np.arange(1, 1001), 10) * 1.0
    depths = np.arange(1, 1001)
    p, head = 0.9, only_first_ten == depths
    weight = (1 - p) / p * np.sum(head * p**depths) + (1 - p) / p * 10 * np.sum((~head) * p**depths / depths)
    assert weight == pytest.approx(0.8556, abs=1e-4)


def test_random_rankings_are_at_chance_and_equal_ones_at_the_ceiling():
    rng = np.random.default_rng(0)
    values = rng.random((60, 40))
    pairs = list(combinations(values, 2))
    rbo = [rank_biased_overlap(overlaps(a, b), 0.9) for a, b in pairs]
    chance = rank_biased_overlap(chance_overlaps(values[0], values[1]), 0.9)
    assert np.mean(rbo) == pytest.approx(chance, abs=0.01)
    assert np.mean([rank_correlation(a, b) for a, b in pairs]) == pytest.approx(0, abs=0.01)
    assert rank_biased_overlap(overlaps(values[0], 3 * values[0]), 0.9) == pytest.approx(1)
    assert rank_correlation(values[0], np.exp(values[0])) == pytest.approx(1)


def test_rank_correlation_leaves_out_regions_that_one_does_not_have():
    a, b = np.array([1.0, 2, 3, 4, NAN]), np.array([2.0, 1, 3, NAN, 9])
    assert rank_correlation(a, b) == pytest.approx(0.5)
    assert np.isnan(rank_correlation(a[:2], b[:2]))
    assert np.isnan(rank_correlation(np.ones(4), np.arange(4.0)))


def kendall_w(ranks):
    """Kendall and Babington Smith's own formula, for m x n ranks without ties."""
    m, n = ranks.shape
    totals = ranks.sum(axis=0)
    return 12 * np.sum((totals - totals.mean()) ** 2) / (m**2 * (n**3 - n))


@given(seeds, st.integers(2, 8))
def test_concordance_is_kendall_s_w(seed, models):
    ranks = np.random.default_rng(seed).permuted(np.tile(np.arange(1.0, 10), (models, 1)), axis=1)
    mean = np.mean([rank_correlation(a, b) for a, b in combinations(ranks, 2)])
    assert concordance(mean, models) == pytest.approx(kendall_w(ranks))


def test_the_curve_passes_through_table_2_and_ends_at_1():
    values = [random_values(seed, 15) for seed in range(4)]
    curve = overlap_curve(values).set_index("k")
    for k in (1, 4, 10, 15):
        pairs, options = list(combinations(values, 2)), {"top_k": k}
        assert curve.loc[k, "overlap_mean"] == pytest.approx(np.mean([top_overlap(*pair, options) for pair in pairs]))
        assert curve.loc[k, "chance"] == pytest.approx(np.mean([chance_top_overlap(*pair, options) for pair in pairs]))
    assert curve.loc[15, "overlap_mean"] == 1


def test_chance_of_the_curve_is_k_of_n_where_no_two_regions_are_equal():
    curve = overlap_curve(list(np.random.default_rng(0).random((4, 15))))
    assert curve["chance"].tolist() == pytest.approx([k / 15 for k in range(1, 16)])


def test_a_model_whose_regions_cannot_be_ranked_has_no_part_in_the_curve():
    values = [random_values(seed, 6) for seed in range(3)]
    pd.testing.assert_frame_equal(overlap_curve([*values, np.zeros(6)]), overlap_curve(values))
    assert overlap_curve([values[0], np.zeros(6)]).empty
    assert overlap_curve(values[:1]).empty
    assert np.isnan(rankable(np.array([0.0, NAN]))).all()


def test_the_curve_of_a_study(study):
    for seed in range(3):
        study.add_model(seed, {"sub-1": "TP", "sub-2": "TN"})
    folder = study.finish(top_k=2)
    curve = read_table(folder / "overlap_curve.tsv")
    assert list(curve) == ["method", "metric", "k", "overlap_mean", "chance"]
    assert len(curve) == 2 * 3 * 3
    at_two = curve[curve["k"] == 2].drop(columns="k").reset_index(drop=True)
    table = read_table(folder / "top_regions.tsv")[list(at_two)]
    pd.testing.assert_frame_equal(at_two, table)
