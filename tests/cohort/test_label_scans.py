"""Labels from a region's volume: thirds of the participants by its share of the brain, and a truth that names it."""

import json
import sys

import numpy as np
import pandas as pd
import pytest

from heatproof.cohort import label_scans
from heatproof.cohort.label_scans import label_thirds, measure_effects, volume_shares
from heatproof.cohort.scans import list_scans
from heatproof.errors import StudyError
from heatproof.images import load_array
from heatproof.tables import read_table, write_table

REGIONS = ["Left Hippocampus", "Right Hippocampus", "Left Amygdala", "Brain Stem"]


def volumes(*values: float) -> pd.DataFrame:
    return pd.DataFrame({"index": [1, 2, 3, 4], "name": REGIONS, "volume_mm3": values})


def test_a_share_of_volume_does_not_depend_on_the_size_of_the_head():
    shares = volume_shares({"sub-1": volumes(2, 3, 1, 14), "sub-2": volumes(4, 6, 2, 28)})
    assert shares.loc["sub-1"].tolist() == shares.loc["sub-2"].tolist() == [0.1, 0.15, 0.05, 0.7]


def test_the_lowest_third_of_the_people_are_patients_and_all_scans_of_one_are_alike():
    scans = pd.DataFrame({"participant_id": list("aabcdefg")}, index=range(10, 18))
    scans["scan"] = [f"sub-{name}_ses-{i}" for i, name in enumerate(scans["participant_id"])]
    share = pd.Series([0.1, 0.9, 0.2, 0.3, 0.4, 0.45, 0.6, 0.7], scans["scan"])
    labels = label_thirds(scans, share)
    assert labels.tolist() == ["", "", "patient", "patient", "", "", "control", "control"]
    assert labels.index.equals(scans.index)


def test_the_effect_is_that_of_the_named_region_and_the_others_are_told_beside_it():
    shares = volume_shares({"p": volumes(1, 2, 1, 16), "q": volumes(1, 2, 1, 16), "c": volumes(4, 4, 2, 10)})
    labels = pd.Series({"p": "patient", "q": "", "c": "control"})
    effects = measure_effects(shares, labels, np.array([True, True, False, False])).set_index("region")
    np.testing.assert_allclose(effects["effect"], [np.log(0.25), np.log(0.5), 0, 0])
    np.testing.assert_allclose(effects["measured"], np.log([0.25, 0.5, 0.5, 1.6]))


@pytest.fixture
def study(tmp_path, config, small_brain) -> dict:
    """A simulated cohort without labels, whose hippocampi are made to shrink with the number of the participant."""
    options = config["cohort"] | {"label": {"volume": "Hippocampus"}, "split": {"test": 4, "validation": 3, "seed": 0}}
    options["simulate"] |= {"patients": 15, "controls": 15}
    scans = list_scans(options, str(tmp_path))
    numbers = {name: i for i, name in enumerate(sorted(scans["participant_id"].unique()))}
    for row in scans.itertuples():
        table, head = small_brain.regions.copy(), 1 + 0.3 * np.sin(numbers[row.participant_id])
        shrunk = table["name"].str.contains("Hippocampus")
        table.loc[shrunk, "volume_mm3"] = 1000.0 * (1 + numbers[row.participant_id] / 10)
        write_table(table.assign(volume_mm3=head * table["volume_mm3"]), tmp_path / f"{row.scan}.tsv")
    return {"options": options, "scans": scans, "numbers": numbers, "folder": tmp_path, "template": small_brain.folder}


def run(study: dict, options: dict) -> None:
    folder = study["folder"]
    sys.argv = ["label_scans", "--options", json.dumps(options), "--folder", str(folder), "--volumes"]
    sys.argv += [f"{folder}/{{scan}}.tsv", "--template", str(study["template"]), "--ground-truth", f"{folder}/truth"]
    sys.argv += ["--out", f"{folder}/scans.tsv"]
    label_scans.main()


def test_the_table_keeps_the_split_that_was_known_before_and_the_truth_names_the_region(study, small_brain):
    run(study, study["options"])
    scans = read_table(study["folder"] / "scans.tsv")
    pd.testing.assert_series_equal(scans["split"], study["scans"]["split"])
    assert (study["scans"]["label"] == "").all()
    number = scans["participant_id"].map(study["numbers"])
    assert set(number[scans["label"] == "patient"]) == set(range(10))
    assert set(number[scans["label"] == "control"]) == set(range(20, 30))
    people = scans.drop_duplicates("participant_id")["split"].value_counts().to_dict()
    assert people == {"test": 12, "validation": 9, "train": 9}
    truth = read_table(study["folder"] / "truth/regions.tsv").set_index("region")["effect"]
    assert set(truth[truth != 0].index) == {"Left Hippocampus", "Right Hippocampus"} and (truth <= 0).all()
    mapped = load_array(study["folder"] / "truth/log_jacobian.nii.gz")
    hippocampi = small_brain.regions.loc[small_brain.regions["name"].str.contains("Hippocampus"), "index"]
    np.testing.assert_array_equal(mapped != 0, np.isin(small_brain.labels, hippocampi))
    severity = read_table(study["folder"] / "truth/scans.tsv").set_index("label")["severity"]
    assert severity["patient"].min() > 0 > severity["control"].max()


def test_a_split_without_a_class_is_told_with_what_to_change(study):
    options = study["options"] | {"split": {"test": 1, "validation": 1, "seed": 3}}
    with pytest.raises(
        StudyError, match=r"the split \w+ has no \w+: none of its participants .* another cohort.split.seed"
    ):
        run(study, options)
