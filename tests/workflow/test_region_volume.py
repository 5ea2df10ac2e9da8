"""A whole study whose labels are measured: the volume of a region, known only after registration."""

import pytest

from heatproof.tables import read_table

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def study(volume_study):
    return volume_study.folder / "results/volume"


def test_the_middle_third_is_neither_learned_nor_judged_but_its_test_scans_have_heatmaps(study):
    scans = read_table(study / "cohort/scans.tsv")
    unlabelled = set(scans.loc[scans["label"].isna(), "scan"])
    test = scans[scans["split"] == "test"]
    assert unlabelled & set(test["scan"]) and unlabelled - set(test["scan"])
    for split in ("train", "validation"):
        assert set(read_table(study / f"train/store/{split}.tsv")["label"]) == {"patient", "control"}
    judged = read_table(study / "train/seed-0/predictions.tsv")
    assert set(judged.loc[judged["split"] == "test", "scan"]) == set(test["scan"]) - unlabelled
    counts = read_table(study / "compare/accuracy.tsv").filter(like="n_").sum(axis=1)
    assert (counts == len(set(test["scan"]) - unlabelled)).all()
    for scan in test["scan"]:
        assert (study / f"attribute/lrp/seed-0/{scan}_heatmap.nii.gz").is_file()
    assert (study / "report/report.html").is_file()


def test_the_truth_is_the_named_region_and_the_simulated_atrophy_lies_elsewhere(study):
    truth = read_table(study / "cohort/ground_truth/regions.tsv")
    named = truth[truth["effect"] != 0]
    assert set(named["region"]) == {"Left Lateral Ventricle", "Right Lateral Ventricle"}
    assert (named["effect"] < 0).all()
    assert (study / "cohort/simulated_atrophy/regions.tsv").is_file()
