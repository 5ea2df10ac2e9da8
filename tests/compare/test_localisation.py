"""Localisation where the truth is known: hand-made cases, the ceiling, chance."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from heatproof.compare.localisation import effect_rank, region_effects, top_share, true_effects
from heatproof.compare.measures import MAP, measures_of
from heatproof.errors import StudyError
from heatproof.images import load_array
from heatproof.tables import read_table, write_table

VOXELS = ["pr_auc", "true_mass", "true_top"]


def score_voxels(values, true):
    """Every measure of where a map puts its relevance, by name."""
    return {name: measure.function(values, true, {}) for name, measure in measures_of(MAP).items()}


def score_regions(regions, effects):
    """The correlation of each metric's ranks with those of the effects, by name."""
    return {f"effect_rank_{name}": effect_rank(regions[name].to_numpy(float), effects, {}) for name in regions}


def average_precision(true, relevance):
    """The mean, over the true voxels, of the precision down to each, where no two voxels are equal."""
    order = np.argsort(-relevance)
    hits = true[order].cumsum()
    return np.mean((hits / np.arange(1, len(hits) + 1))[true[order]])


def test_by_hand():
    values = np.array([-6.0, 3.0, 2.0, 1.0])
    true = np.array([True, False, True, False])
    scores = score_voxels(values, true)
    assert scores["pr_auc"] == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert scores["true_mass"] == pytest.approx(8 / 12)
    assert scores["true_top"] == pytest.approx(1 / 2)


def test_random_maps_are_at_the_share_of_true_voxels_and_equal_the_definition():
    rng = np.random.default_rng(0)
    true = rng.random(2000) < 0.12
    maps = rng.normal(size=(40, 2000))
    scores = pd.DataFrame([score_voxels(values, true) for values in maps])
    np.testing.assert_allclose(scores.mean(), true.mean(), rtol=0.05)
    expected = [average_precision(true, np.abs(values)) for values in maps]
    np.testing.assert_allclose(scores["pr_auc"], expected)


def test_the_truth_itself_is_at_the_ceiling_and_its_opposite_at_the_bottom():
    true = np.random.default_rng(0).random(500) < 0.2
    assert list(score_voxels(-1.0 * true, true).values()) == [1, 1, 1]
    opposite = score_voxels(1.0 * ~true, true)
    assert [opposite["true_mass"], opposite["true_top"]] == [0, 0]
    assert opposite["pr_auc"] == pytest.approx(true.mean())


def test_a_map_without_differences_is_at_chance_wherever_the_truth_lies():
    true = np.arange(50) < 10
    assert score_voxels(np.full(50, 0.3), true) == pytest.approx(dict.fromkeys(VOXELS, 0.2))
    assert top_share(np.where(np.arange(50) < 5, 2.0, 1.0), true) == pytest.approx((5 + 5 * 5 / 45) / 10)


def test_region_scores_are_ranked_against_the_true_effects():
    regions = pd.DataFrame({"sum": [4.0, -9, 1, 0, 5], "density": [1.0, 2, 3, 4, np.nan]})
    effects = np.array([0.3, 0.45, 0, 0, np.nan])
    scores = score_regions(regions, effects)
    assert scores["effect_rank_sum"] == pytest.approx(spearmanr([4, 9, 1, 0], effects[:4]).statistic)
    assert scores["effect_rank_density"] == pytest.approx(spearmanr([1, 2, 3, 4], effects[:4]).statistic)


def test_regions_of_one_prescribed_effect_are_tied_whatever_their_size():
    rng = np.random.default_rng(0)
    numbers = rng.permutation(np.repeat(np.arange(30), rng.integers(1, 900, 30)))
    prescribed = np.where(np.arange(30) < 12, 0.45, np.where(np.arange(30) < 20, 0.9, 0.0))
    computed = region_effects(prescribed[numbers], numbers, 29)
    assert len(np.unique(computed)) > 3
    regions = pd.DataFrame(rng.random((29, 2)), columns=["sum", "density"])
    expected = {f"effect_rank_{name}": spearmanr(regions[name], prescribed[1:]).statistic for name in regions}
    assert score_regions(regions, computed) == pytest.approx(expected, abs=1e-12)


def test_random_region_scores_are_at_zero():
    rng = np.random.default_rng(0)
    effects = np.where(np.arange(72) < 11, rng.random(72), 0)
    regions = [pd.DataFrame(rng.random((72, 2)), columns=["sum", "density"]) for _ in range(300)]
    scores = pd.DataFrame([score_regions(table, effects) for table in regions])
    np.testing.assert_allclose(scores.mean(), 0, atol=0.03)


def test_effects_are_painted_by_name_without_their_sign():
    atlas = pd.DataFrame({"index": [4, 9, 30], "name": ["a", "b", "c"]})
    truth = pd.DataFrame({"region": ["b", "a"], "prescribed": [-0.45, 0.0]})
    assert true_effects(np.array([0, 4, 9, 30, 9]), atlas, truth).tolist() == [0, 0, 0.45, 0, 0.45]


@pytest.fixture
def scored(study):
    right = np.isin(study.labels, [4, 7]).astype(np.float32)
    outcomes = {"sub-1": "TP", "sub-2": "TN", "sub-3": "TP"}
    for seed in range(3):
        study.add_model(seed, outcomes, smooth={"sub-1": right, "sub-3": -3 * right})
    return study.finish()


def test_the_table_of_a_study(scored, study):
    table = read_table(scored / "rough/measures.tsv").query("seed_a == seed_b")
    table = table.set_index(["measure", "left_out", "seed_a"])
    true = np.isin(study.labels, [4, 7])[study.brain]
    values = load_array(scored / "rough/seed-2/left_out/group-1_mean_TP.nii.gz")[study.brain]
    for name, value in score_voxels(values, true).items():
        assert table.loc[(name, 1, 2), "value"] == pytest.approx(value)
        assert table.loc[(name, 1, 2), "chance"] == pytest.approx(true.mean())
    assert (table.loc[["effect_rank_sum", "effect_rank_density"], "chance"] == 0).all()


def test_a_right_method_scores_1_in_a_study(scored):
    scores = read_table(scored / "scores.tsv").query("method == 'smooth'").set_index("measure")
    assert scores.loc[VOXELS, "value"].tolist() == pytest.approx([1] * len(VOXELS))
    assert scores.loc[VOXELS, ["low", "high"]].isna().all(axis=None)


def test_a_truth_without_a_region_of_the_atlas_is_refused(study):
    study.add_model(0, {"sub-1": "TP", "sub-2": "TN"})
    write_table(pd.DataFrame({"region": ["elsewhere"], "prescribed": [0.4]}), study.truth)
    with pytest.raises(StudyError, match="no region of the study's atlas"):
        study.finish()


def test_a_model_without_true_positives_has_no_localisation(study):
    study.add_model(0, {"sub-1": "TP", "sub-2": "TN"})
    study.add_model(1, {"sub-1": "FN", "sub-2": "TN"})
    table = read_table(study.finish() / "rough/measures.tsv").query("left_out == 0 and seed_a == seed_b")
    assert (table["value"].isna() == (table["seed_a"] == 1)).all()
