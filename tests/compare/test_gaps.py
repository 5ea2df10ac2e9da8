"""Nothing breaks where something is missing: the cell is empty, and notes.tsv says why."""

import numpy as np
import pytest

from heatproof.tables import read_table, write_table

ALL_RIGHT = {"sub-1": "TP", "sub-2": "TN", "sub-3": "TP", "sub-4": "TN"}
ZERO = np.zeros((6, 7, 5), np.float32)
SCATTERED = ["l2_rms", "pearson", "spearman", "ssim", "pr_auc", "true_mass"]  # whatever few regions there are


def notes_of(folder):
    notes = read_table(folder / "notes.tsv")
    assert list(notes) == ["method", "seed", "reason"]
    return [tuple(None if cell != cell else cell for cell in row) for row in notes.itertuples(index=False)]


def gaps_of(folder):
    """Return the notes but those on intervals: of three regions, all models may name the same two."""
    return [note for note in notes_of(folder) if not note[2].startswith("no interval")]


def filled(table, **where):
    """Tell for each row of a table with these values whether each of its cells has a value."""
    for name, value in where.items():
        table = table[table[name] == value]
    return table.notna()


def test_a_study_without_gaps_has_no_notes_and_no_empty_cell_but_the_chance_of_l2(study):
    for seed in range(3):
        study.add_model(seed, ALL_RIGHT)
    folder = study.finish()
    assert gaps_of(folder) == []
    for name in ("accuracy", "l2", "l2_pairs", "top_regions", "top_regions_pairs"):
        assert read_table(folder / f"{name}.tsv").notna().all(axis=None)
    scores = read_table(folder / "scores.tsv")
    assert scores.drop(columns=["low", "high", "chance"]).notna().all(axis=None)
    assert scores[scores["measure"].isin(SCATTERED)]["low"].notna().all()
    assert (scores["chance"].isna() == (scores["measure"] == "l2_rms")).all()


def test_a_measure_that_nothing_changes_has_no_interval_and_a_note(study):
    for seed in range(3):
        study.add_model(seed, ALL_RIGHT)
    folder = study.finish()
    (reason,) = [note[2] for note in notes_of(folder) if note[0] == "rough" and note[2].startswith("no interval")]
    assert reason.endswith("or nothing changes without them")
    scores = read_table(folder / "scores.tsv").query("method == 'rough'")
    empty = scores[scores["low"].isna()]
    assert all(f"{row.measure} ({row.outcome})" in reason for row in empty.itertuples())


def test_a_model_without_true_positive(study):
    for seed in range(3):
        study.add_model(seed, ALL_RIGHT)
    study.add_model(3, {"sub-1": "FN", "sub-2": "TN", "sub-3": "FN", "sub-4": "TN"})
    folder = study.finish()
    assert gaps_of(folder) == [(None, 3, "no true positive")]
    regions = read_table(folder / "smooth/seed-3/regions.tsv")
    assert regions[["sum", "density", "gain"]].isna().all(axis=None)
    assert regions["controls_sum"].notna().all()
    l2, pairs = read_table(folder / "l2.tsv"), read_table(folder / "l2_pairs.tsv")
    assert l2["n_models"].tolist() == [3, 4, 3, 4]
    assert l2.notna().all(axis=None)
    assert not filled(pairs, outcome="TP", seed_b=3)["l2"].any()
    assert filled(pairs, outcome="TN")["l2"].all()
    assert filled(pairs[pairs["seed_b"] != 3])["l2"].all()
    overlaps = read_table(folder / "top_regions_pairs.tsv")
    assert (overlaps["overlap"].isna() == (overlaps["seed_b"] == 3)).all()
    scores = read_table(folder / "scores.tsv")
    assert scores["value"].notna().all() and scores[scores["measure"].isin(SCATTERED)]["low"].notna().all()


def test_a_map_that_is_zero_in_every_voxel(study):
    for seed in range(3):
        study.add_model(seed, ALL_RIGHT)
    study.add_model(3, ALL_RIGHT, smooth={"sub-1": ZERO, "sub-3": ZERO})
    folder = study.finish()
    assert gaps_of(folder) == [
        ("smooth", 3, "the mean map over true positives is zero in every voxel of the brain"),
        ("smooth", 3, "regions are not ranked by sum: only 0 of 3 regions have a value other than 0, fewer than 2"),
        ("smooth", 3, "regions are not ranked by density: only 0 of 3 regions have a value other than 0, fewer than 2"),
        ("smooth", 3, "regions are not ranked by gain: only 0 of 3 regions have a value other than 0, fewer than 2"),
    ]
    pairs, overlaps = read_table(folder / "l2_pairs.tsv"), read_table(folder / "top_regions_pairs.tsv")
    assert not filled(pairs, method="smooth", outcome="TP", seed_b=3)["l2"].any()
    assert not filled(overlaps, method="smooth", seed_b=3)["overlap"].any()
    assert filled(pairs, method="rough")["l2"].all()
    assert filled(overlaps, method="rough")["overlap"].all()
    assert read_table(folder / "l2.tsv")["n_models"].tolist() == [3, 4, 4, 4]


def test_a_map_that_is_the_same_in_every_voxel(study):
    flat = np.full((6, 7, 5), 0.3, np.float32)
    for seed in range(3):
        study.add_model(seed, ALL_RIGHT)
    study.add_model(3, ALL_RIGHT, smooth={"sub-1": flat, "sub-3": flat * (1 + 1e-7)})
    assert ("smooth", 3, "the mean map over true positives is the same in every voxel of the brain") in notes_of(
        study.finish()
    )


def test_regions_where_controls_have_no_relevance(study):
    stem = (study.labels == 9).astype(np.float32)
    for seed in range(3):
        study.add_model(seed, ALL_RIGHT)
    study.add_model(3, ALL_RIGHT, rough={"sub-2": stem, "sub-4": stem})
    folder = study.finish()
    assert gaps_of(folder) == [
        ("rough", 3, "2 of 3 regions have no gain: the controls' relevance there is 0, or negative"),
        ("rough", 3, "regions are not ranked by gain: only 1 of 3 regions have a value, fewer than 2"),
    ]
    assert read_table(folder / "rough/seed-3/regions.tsv")["gain"].notna().tolist() == [False, True, False]
    overlaps = read_table(folder / "top_regions_pairs.tsv")
    empty = (overlaps["method"] == "rough") & (overlaps["metric"] == "gain") & (overlaps["seed_b"] == 3)
    assert (overlaps["overlap"].isna() == empty).all()


def test_relevance_in_fewer_than_k_regions_names_no_first_k(study):
    stem = (study.labels == 9).astype(np.float32)
    for seed in range(3):
        study.add_model(seed, ALL_RIGHT, rough={"sub-1": stem, "sub-3": stem})
    assert (
        "rough",
        0,
        "regions are not ranked by sum: only 1 of 3 regions have a value other than 0, fewer than 2",
    ) in notes_of(study.finish())


@pytest.mark.parametrize(
    ("outcomes", "label"),
    [
        ({"sub-1": "TN", "sub-2": "FP"}, "patient"),
        ({"sub-1": "TP", "sub-2": "FN"}, "control"),
    ],
)
def test_a_class_without_test_scans(study, outcomes, label):
    for seed in range(3):
        study.add_model(seed, outcomes)
    folder = study.finish()
    assert (None, 0, f"no {label} among the test scans") in notes_of(folder)
    assert read_table(folder / "accuracy.tsv")["balanced_accuracy"].isna().all()


def test_one_model_alone_has_nothing_to_be_compared_with(study):
    study.add_model(5, ALL_RIGHT)
    folder = study.finish()
    measures = "l2_rms (TP), l2_rms (TN), top_2_sum (TP), top_2_density (TP), top_2_gain (TP)"
    reason = f"no value of {measures}: fewer than 2 models can be compared, or none has a map"
    notes = notes_of(folder)
    assert [note for note in notes if note[2].startswith("no value")] == [
        ("smooth", None, reason),
        ("rough", None, reason),
    ]
    assert len(notes) == 4 and all("no interval of pr_auc" in note[2] for note in notes[1::2])
    assert read_table(folder / "l2_pairs.tsv").empty
    assert read_table(folder / "top_regions_pairs.tsv").empty
    assert read_table(folder / "l2.tsv")["l2_sum"].isna().all()
    assert read_table(folder / "top_regions.tsv")[["overlap_mean", "overlap_with_diagonal"]].isna().all(axis=None)
    assert len(read_table(folder / "scores.tsv")) == 2 * (5 + 5 + 2)
    for method in study.methods:
        table = read_table(folder / method / "measures.tsv")
        write_table(table[:0], folder / method / "measures.tsv")
    study.tabulate(study.options | {"top_k": 2})
    assert len(read_table(folder / "scores.tsv")) == 2 * 5
    assert read_table(folder / "seeds.tsv").empty


def test_two_models_have_values_but_no_intervals(study):
    for seed in range(2):
        study.add_model(seed, ALL_RIGHT)
    folder = study.finish()
    assert [reason.split(" of ")[0] for *_, reason in notes_of(folder)] == ["no interval", "no interval"]
    scores = read_table(folder / "scores.tsv")
    assert scores["value"].notna().all()
    assert scores[["low", "high"]].isna().all(axis=None)


def test_models_without_any_relevance_do_not_break_the_study(study):
    for seed in range(3):
        study.add_model(seed, ALL_RIGHT, smooth=dict.fromkeys(ALL_RIGHT, ZERO))
    folder = study.finish()
    l2 = read_table(folder / "l2.tsv").query("method == 'smooth'")
    assert l2["n_models"].tolist() == [0, 0]
    assert l2[["l2_mean", "l2_sum", "rms"]].isna().all(axis=None)
    scores = read_table(folder / "scores.tsv")
    of_maps = scores[~scores["measure"].isin(["deletion", "insertion"])]
    assert of_maps.query("method == 'smooth'")["value"].isna().all()
    measures = {
        method: set(zip(rows["measure"], rows["outcome"], strict=True)) for method, rows in scores.groupby("method")
    }
    assert measures["smooth"] == measures["rough"]
    assert "smooth" in {method for method, seed, _ in notes_of(folder) if seed is None}


def test_a_region_that_the_grid_lost_is_named_once(study):
    table = read_table(study.template / "regions.tsv")
    table.loc[len(table)] = [99, "Left Basal Forebrain", 0.0]
    table.to_csv(study.template / "regions.tsv", sep="\t", index=False)
    for seed in range(3):
        study.add_model(seed, ALL_RIGHT)
    assert gaps_of(study.finish()) == [(None, None, "Basal Forebrain has no voxel of the working grid in the brain")]
