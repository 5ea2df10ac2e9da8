"""A study in which a value is learned, the severity of simulated atrophy, runs from scans to page."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr

from conftest import run_over_smaller
from heatproof.images import load_array
from heatproof.tables import read_table

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return run_over_smaller(tmp_path_factory.mktemp("severity"), "severity")


def test_every_scan_has_its_severity_and_each_third_a_part_in_every_split(study):
    scans = read_table(study / "cohort/scans.tsv").set_index("scan")
    truth = read_table(study / "cohort/ground_truth/scans.tsv").set_index("scan")
    assert scans["label"].equals(truth.loc[scans.index, "severity"].rename("label")) and scans["label"].nunique() > 12
    thirds = pd.qcut(scans.groupby("participant_id")["label"].mean(), 3, labels=["low", "middle", "high"])
    people = scans.drop_duplicates("participant_id").set_index("participant_id")["split"]
    assert (pd.crosstab(thirds, people)[["test", "validation"]] == 1).all(axis=None)
    twins = read_table(study / "cohort/twins.tsv")
    assert sorted(twins["scan"]) == sorted(scans.index[scans["split"] == "test"]) and (twins["label"] == 0).all()


def test_models_are_judged_by_their_errors_in_the_value_s_own_unit(study):
    for row in read_table(study / "compare/accuracy.tsv").to_dict("records"):
        table = read_table(study / f"train/seed-{row['seed']}/predictions.tsv").query("split == 'test'")
        assert list(table) == ["scan", "participant_id", "split", "label", "predicted"]
        assert row["mae"] == pytest.approx((table["label"] - table["predicted"]).abs().mean())
        assert row["pearson"] == pytest.approx(pearsonr(table["label"], table["predicted"]).statistic)
        assert table["predicted"].between(-1, 2.5).all() and row["n_all"] == len(table)


def test_maps_are_averaged_over_all_scans_and_both_ends(study):
    folder = study / "compare/lrp/seed-0"
    maps = read_table(folder / "mean_maps.tsv").set_index("outcome")
    assert maps.index.tolist() == ["all", "high", "low"]
    test = read_table(study / "cohort/test.tsv").set_index("scan")
    heatmaps = {
        scan: load_array(study / f"attribute/lrp/seed-0/{scan}_heatmap.nii.gz").astype(float) for scan in test.index
    }
    means = test.groupby("participant_id")["label"].mean()
    highest = test.index[test["participant_id"] == means.idxmax()]
    for group, scans in {"all": test.index, "high": highest}.items():
        mean = np.mean([heatmaps[scan] for scan in scans], axis=0)
        np.testing.assert_allclose(load_array(folder / f"mean_{group}.nii.gz"), mean, rtol=1e-5, atol=1e-12)
        assert maps.at[group, "n_scans"] == len(scans)


def test_effects_are_falls_of_the_value_when_units_are_taken_from_the_twin(study):
    margins = read_table(study / "attribute/effects/seed-0_margins.tsv").query("reference == 'twin'").set_index("scan")
    predicted = read_table(study / "train/seed-0/predictions.tsv").set_index("scan")["predicted"]
    np.testing.assert_allclose(margins["margin"], predicted[margins.index], rtol=1e-4, atol=1e-5)
    scores = read_table(study / "compare/scores.tsv")
    assert set(scores.loc[scores["measure"] == "pr_auc", "outcome"]) == {"all"}
    assert (scores["measure"] == "faithfulness_pearson_cubes").any()


def test_the_page_speaks_of_the_value(study):
    page = (study / "report/report.html").read_text()
    assert "Mean absolute error" in page and "The value is severity" in page
    assert "severity" in (study / "report/participants.html").read_text()
    for words in ("Balanced accuracy", "true positive", "a patient", "of patients", "patients’"):
        assert words not in page, words
