"""The simulated scans form a BIDS dataset that the reader of BIDS datasets reads to the same table."""

import json
from pathlib import Path

import pandas as pd

from heatproof.cohort.bids_files import FEWEST_BYTES
from heatproof.cohort.describe_dataset import describe_dataset
from heatproof.cohort.scans import list_scans


def test_the_simulated_dataset_reads_back_to_the_same_scans(tmp_path, config):
    options = config["cohort"]
    options["simulate"] |= {"patients": 16, "controls": 16}
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
