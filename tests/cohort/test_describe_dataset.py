"""The simulated scans form a BIDS dataset that the reader of BIDS datasets reads to the same table."""

import json
from pathlib import Path

import pandas as pd
import pytest

from heatproof.cohort.bids_files import FEWEST_BYTES
from heatproof.cohort.describe_dataset import describe_dataset
from heatproof.cohort.scans import list_scans

OF_CLASSES = {"simulate": {"patients": 16, "controls": 16}}
OF_SEVERITY = {
    **{"value": "severity", "label": "severity", "classes": None},
    "simulate": {"participants": 45, "severity": [0.0, 1.0], "sessions": [0.5, 0.5]},
}


@pytest.mark.parametrize("changes", [OF_CLASSES, OF_SEVERITY], ids=["classes", "severity"])
def test_the_simulated_dataset_reads_back_to_the_same_scans(tmp_path, config, changes):
    options = config["cohort"] | changes | {"simulate": config["cohort"]["simulate"] | changes["simulate"]}
    scans = list_scans(options, str(tmp_path))
    describe_dataset(options, tmp_path / "bids", tmp_path / "ground_truth")
    for image in scans["image"]:
        Path(image).parent.mkdir(parents=True, exist_ok=True)
        Path(image).write_bytes(bytes(FEWEST_BYTES))
    read = list_scans(options | {"bids": str(tmp_path / "bids")}, "elsewhere")
    pd.testing.assert_frame_equal(read, scans)
    description = json.loads((tmp_path / "bids/dataset_description.json").read_text())
    assert description["DatasetType"] == "raw"
    truth = pd.read_csv(tmp_path / "ground_truth/scans.tsv", sep="\t")
    assert set(truth["scan"]) == set(scans["scan"])
