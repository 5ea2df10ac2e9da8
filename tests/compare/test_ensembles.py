"""Averaging over models: what the mean map of several of them gains."""

from itertools import combinations

import numpy as np
import pytest

from heatproof.compare.ensembles import (
    correlation_of_means,
    covariances,
    draw_disjoint,
    draw_subsets,
    spearman_brown,
    unit_maps,
)
from heatproof.compare.measure_ensembles import measure_localisation, measure_robustness
from heatproof.tables import read_table


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def test_few_sets_are_all_taken_and_of_many_some_are_drawn(generator):
    assert draw_subsets(4, 2, 20, generator) == list(combinations(range(4), 2))
    drawn = draw_subsets(12, 6, 20, generator)
    assert len(drawn) == 20 and all(len(set(models)) == 6 for models in drawn)


@pytest.mark.parametrize(("models", "size", "count"), [(4, 1, 6), (4, 2, 3), (5, 2, 15), (3, 2, 0)])
def test_every_two_disjoint_sets_come_once(models, size, count, generator):
    pairs = draw_disjoint(models, size, 20, generator)
    assert len({frozenset(pair) for pair in pairs}) == len(pairs) == count
    assert all(len(a) == len(b) == size and not set(a) & set(b) for a, b in pairs)


def test_drawn_sets_are_disjoint_as_well(generator):
    pairs = draw_disjoint(10, 4, 20, generator)
    assert len(pairs) == 20 and all(len({*a, *b}) == 8 for a, b in pairs)


def test_the_correlation_of_means_is_that_of_the_means_themselves(generator):
    maps = generator.normal(size=(6, 500)) + generator.normal(size=500)
    found = correlation_of_means(covariances(maps), (0, 2), (1, 4, 5))
    assert found == pytest.approx(np.corrcoef(maps[[0, 2]].mean(0), maps[[1, 4, 5]].mean(0))[0, 1])


def test_the_prediction_holds_for_a_shared_part_and_parts_of_their_own(generator):
    maps = generator.normal(size=(20, 200_000)) + 0.5 * generator.normal(size=200_000)
    covariance = covariances(maps)
    single = np.mean([correlation_of_means(covariance, (a,), (b,)) for a, b in combinations(range(20), 2)])
    assert correlation_of_means(covariance, tuple(range(10)), tuple(range(10, 20))) == pytest.approx(
        spearman_brown(single, 10), abs=0.01
    )


def test_alike_maps_stay_at_the_ceiling_and_random_ones_at_chance(generator):
    numbers = np.repeat(np.arange(1, 21), 200)
    one = unit_maps(generator.normal(size=(1, 4000)))
    alike = measure_robustness(np.repeat(one, 4, axis=0), numbers, 20, 5)
    assert np.allclose(alike["value"].dropna(), 1) and np.allclose(alike["predicted"].dropna(), 1)
    assert set(alike.loc[alike["value"].notna(), "n_models"]) == {1, 2}
    many = unit_maps(generator.normal(size=(40, 4000)))
    random = measure_robustness(many, numbers, 20, 5).dropna(subset="value").groupby("measure")[["value", "chance"]]
    means = random.mean()
    np.testing.assert_allclose(means["value"], means["chance"], atol=0.03)
    assert means.loc["top_5_sum", "chance"] == 0.25


def test_averaging_brings_out_what_is_right_in_noise(generator):
    true = np.arange(3000) < 300
    maps = unit_maps(generator.normal(size=(8, 3000)) + true)
    areas = measure_localisation(maps, true).set_index(["measure", "n_models"])["value"]["pr_auc"]
    assert areas.is_monotonic_increasing and areas[8] > 2 * areas[1]
    assert measure_localisation(unit_maps(generator.normal(size=(3, 3000))), true)["value"].mean() == pytest.approx(
        0.1, abs=0.02
    )


def test_single_models_are_all_compared(generator):
    maps = unit_maps(generator.normal(size=(9, 400)))
    table = measure_robustness(maps, np.repeat(np.arange(1, 5), 100), 4, 2).set_index(["measure", "n_models"])
    assert table["n_sets"].tolist()[:4] == [36, 36, 20, 20]
    assert table.loc[("pearson", 1), "value"] == pytest.approx(np.corrcoef(maps)[np.triu_indices(9, 1)].mean())


def test_signed_sums_are_those_that_are_compared():
    maps, numbers = unit_maps(np.array([[5.0, -5, 1, 1], [3, 4, 1, 1]])), np.array([1, 1, 2, 2])
    for relevance, expected in (("absolute", 1), ("signed", 0)):
        table = measure_robustness(maps, numbers, 2, 1, relevance).set_index("measure")["value"]
        assert table["top_1_sum"] == expected


def test_one_model_alone_has_no_robustness():
    assert measure_robustness(np.ones((1, 4)), np.array([1, 1, 2, 2]), 2, 1).empty


def test_the_first_row_is_the_mean_over_pairs_of_the_agreement(finished):
    for method in ("smooth", "rough"):
        ensembles = read_table(finished / method / "ensembles.tsv").set_index(["measure", "n_models"])["value"]
        agreement = read_table(finished / method / "measures.tsv")
        pairs = agreement[(agreement["outcome"] == "TP") & (agreement["left_out"] == 0)]
        for measure in ("pearson", "top_2_sum"):
            expected = pairs.loc[pairs["measure"] == measure, "value"].mean()
            assert ensembles[measure, 1] == pytest.approx(expected, abs=1e-6)
        assert ensembles["pr_auc", 1] == pytest.approx(pairs.loc[pairs["measure"] == "pr_auc", "value"].mean())


def test_a_map_that_is_the_same_everywhere_agrees_with_none_and_is_left_out(study):
    outcomes, level = {"sub-1": "TP", "sub-2": "TN", "sub-3": "TP"}, np.full(study.brain.shape, 0.1, np.float32)
    for seed in range(4):
        constant = {"smooth": dict.fromkeys(outcomes, level)} if seed == 3 else {}
        study.add_model(seed, outcomes, **constant)
    folder = study.finish() / "smooth"
    pairs = read_table(folder / "measures.tsv").query("measure == 'pearson' and outcome == 'TP' and left_out == 0")
    assert (pairs["value"].isna() == (pairs["seed_b"] == 3)).all()
    ensembles = read_table(folder / "ensembles.tsv").set_index(["measure", "n_models"])
    assert ensembles.loc[("pearson", 1), "n_sets"] == 3
    assert ensembles.loc[("pearson", 1), "value"] == pytest.approx(pairs["value"].mean(), abs=1e-6)
