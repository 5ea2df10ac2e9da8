"""Table 2: the share of the first k regions that two models have in common."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatproof.compare.measures import PAIRS_OF_RANKINGS, compare_pairs
from heatproof.compare.ranks import why_unranked
from heatproof.compare.write_tables import with_diagonal
from heatproof.tables import read_table

NAN = np.nan


def compare_rankings(values, k):
    """The overlap of the first k regions of every two models, and its chance."""
    pairs = compare_pairs(PAIRS_OF_RANKINGS, values, {"top_k": k, "rbo_p": 0.9}, "sum")
    pairs = pairs[pairs["measure"] == f"top_{k}_sum"]
    return pairs.rename(columns={"value": "overlap"})[["seed_a", "seed_b", "overlap", "chance"]].reset_index(drop=True)


def test_by_hand():
    values = {
        0: np.array([9.0, 8, 7, 1, 2, 3]),
        1: np.array([9.0, 8, 1, 7, 2, 3]),
        2: np.array([1.0, 2, 3, 7, 8, 9]),
    }
    pairs = compare_rankings(values, 3)
    assert pairs[["seed_a", "seed_b"]].values.tolist() == [[0, 1], [0, 2], [1, 2]]
    np.testing.assert_allclose(pairs["overlap"], [2 / 3, 0, 1 / 3])
    np.testing.assert_allclose(pairs["chance"], 3 / 6)


@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_random_values_equal_sorting_in_plain_python(seed, k):
    values = np.random.default_rng(seed).normal(size=(4, 8))
    first = [set(sorted(range(8), key=lambda i, row=row: -row[i])[:k]) for row in values]
    expected = [len(a & b) / k for a, b in combinations(first, 2)]
    assert compare_rankings(dict(enumerate(values)), k)["overlap"].tolist() == expected


def test_of_equal_values_none_is_preferred():
    pair = compare_rankings({0: np.array([1.0, 5, 5, 5]), 1: np.array([5.0, 9, 1, 1])}, 2).loc[0]
    assert pair["overlap"] == pytest.approx(2 * 1 / (3 + 2))  # {1, 2, 3} and {0, 1}
    assert pair["chance"] == pytest.approx(2 * (3 * 2 / 4) / (3 + 2))


def test_regions_without_a_value_do_not_rank():
    values = {0: np.array([NAN, -3, NAN, -2, -5]), 1: np.array([9.0, -3, NAN, -2, -5])}
    assert compare_rankings(values, 2).loc[0, "overlap"] == 1 / 2


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([1.0, NAN, NAN], "only 1 of 3 regions have a value, fewer than 2"),
        ([NAN, NAN, NAN], "only 0 of 3 regions have a value, fewer than 2"),
        ([0.0, 0.0, NAN], "only 0 of 3 regions have a value other than 0, fewer than 2"),
        ([0.0, 4.0, 0.0], "only 1 of 3 regions have a value other than 0, fewer than 2"),
    ],
)
def test_what_cannot_be_ranked_has_a_reason_and_an_empty_overlap(values, reason):
    unranked, ranked = np.array(values), np.array([3.0, 2.0, 1.0])
    assert why_unranked(unranked, 2) == reason
    pairs = compare_rankings({0: unranked, 1: ranked, 2: ranked}, 2)
    assert pairs["overlap"].isna().tolist() == [True, True, False]
    assert pairs["chance"].isna().tolist() == [True, True, False]


def test_chance_is_the_mean_overlap_of_random_rankings():
    rng = np.random.default_rng(0)
    a, b = np.ones(12), np.ones(12)
    a[:4], b[3:5] = NAN, NAN
    overlaps = [
        compare_rankings({0: a * rng.random(12), 1: b * rng.random(12)}, 5).loc[0, "overlap"] for _ in range(1500)
    ]
    chance = compare_rankings({0: a * rng.random(12), 1: b * rng.random(12)}, 5).loc[0, "chance"]
    assert chance == pytest.approx(5 * 7 / (8 * 10))
    assert np.mean(overlaps) == pytest.approx(chance, abs=0.02)


def test_chance_of_ten_of_72_regions_is_that_of_the_paper():
    values = np.random.default_rng(0).random((2, 72))
    assert compare_rankings(dict(enumerate(values)), 10).loc[0, "chance"] == pytest.approx(0.1389, abs=5e-5)


@pytest.mark.parametrize(("off_diagonal", "printed"), [(0.6956, 0.726), (0.9644, 0.968), (0.4044, 0.464)])
def test_table_2_of_the_paper_includes_the_diagonal(off_diagonal, printed):
    assert with_diagonal(off_diagonal, 10) == pytest.approx(printed, abs=5e-5)


def test_both_means_are_those_of_the_full_matrix(study):
    for seed in range(4):
        study.add_model(seed, {"sub-1": "TP", "sub-2": "TN"})
    folder = study.finish(top_k=2)
    pairs = read_table(folder / "top_regions_pairs.tsv").query("method == 'rough' and metric == 'density'")
    matrix = np.eye(4)
    matrix[pairs["seed_a"], pairs["seed_b"]] = matrix[pairs["seed_b"], pairs["seed_a"]] = pairs["overlap"]
    row = read_table(folder / "top_regions.tsv").query("method == 'rough' and metric == 'density'").iloc[0]
    assert row["overlap_with_diagonal"] == pytest.approx(matrix.mean())
    assert row["overlap_mean"] == pytest.approx(matrix[~np.eye(4, dtype=bool)].mean())
    assert row["k"] == 2
    assert row["chance"] == pytest.approx(2 / 3)
