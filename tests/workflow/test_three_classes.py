"""A study of three classes runs from scans to page, and its numbers are those of a made table."""

import re

import numpy as np
import pytest

from conftest import run_over_smaller
from heatproof.images import load_array
from heatproof.tables import read_table

pytestmark = pytest.mark.long

CLASSES = ["AD", "MCI", "CN"]


@pytest.fixture(scope="module")
def three_study(tmp_path_factory):
    return run_over_smaller(tmp_path_factory.mktemp("three"), "three")


def test_every_class_is_split_trained_and_counted(three_study):
    scans = read_table(three_study / "cohort/scans.tsv")
    assert scans.groupby(["label", "split"])["participant_id"].nunique().eq(1).all() and len(scans) == 9
    twins = read_table(three_study / "cohort/twins.tsv")
    assert set(twins["participant_id"].str[:-3]) == {"sub-AD", "sub-MCI"} and set(twins["label"]) == {"CN"}
    for row in read_table(three_study / "compare/accuracy.tsv").to_dict("records"):
        test = read_table(three_study / f"train/seed-{row['seed']}/predictions.tsv").query("split == 'test'")
        right = [(test.loc[test["label"] == name, "predicted"] == name).mean() for name in CLASSES]
        assert row["balanced_accuracy"] == pytest.approx(np.mean(right)) and row["sensitivity"] == right[0]
        assert row["n_recognised-AD"] == row["AD_as_AD"] and sum(row[f"CN_as_{name}"] for name in CLASSES) == 1


def test_maps_are_averaged_over_the_recognised_and_the_missed_of_each_class(three_study):
    folder = three_study / "compare/lrp/seed-0"
    maps = read_table(folder / "mean_maps.tsv")
    assert maps["outcome"].tolist() == [
        f"{kind}-{name}" for kind in ("recognised", "missed") for name in ("AD", "CN", "MCI")
    ]
    test = read_table(three_study / "train/seed-0/predictions.tsv").query("split == 'test'")
    for row in test.itertuples():
        group = f"{'recognised' if row.predicted == row.label else 'missed'}-{row.label}"
        heatmap = load_array(three_study / f"attribute/lrp/seed-0/{row.scan}_heatmap.nii.gz")
        np.testing.assert_allclose(load_array(folder / f"mean_{group}.nii.gz"), heatmap, rtol=1e-6, atol=1e-12)


def test_the_page_names_the_classes(three_study):
    page = (three_study / "report/report.html").read_text()
    assert "The class AD is explained and held against CN." in page and "compare AD with all other classes" in page
    text = re.sub(r"<pre>.*?</pre>|<style>.*?</style>", "", page, flags=re.DOTALL)
    assert not re.search("patient|true positive|(?<!mean )control", text)
    assert "AD as MCI" in page and "recognised AD scans" in (three_study / "report/viewer.html").read_text()
