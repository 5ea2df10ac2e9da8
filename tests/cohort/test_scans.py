"""The table of scans fits its schema, simulated or read from BIDS."""

from pathlib import Path

import jsonschema
import pytest
import yaml

from heatproof.cohort.bids_files import FEWEST_BYTES
from heatproof.cohort.scans import list_scans
from heatproof.errors import StudyError

SCHEMA = yaml.safe_load(Path("workflow/schemas/scans.schema.yaml").read_text())


def make_dataset(folder: Path, sessions: tuple[str, ...]) -> str:
    people = [f"sub-{i:02d}" for i in range(8)]
    rows = "".join(f"{name}\t{'AD' if i % 2 else 'CN'}\n" for i, name in enumerate(people))
    for name in people:
        for session in sessions:
            path = folder / name / session / "anat" / "_".join(filter(None, [name, session, "T1w.nii"]))
            path.parent.mkdir(parents=True)
            path.write_bytes(bytes(FEWEST_BYTES))
    (folder / "participants.tsv").write_text("participant_id\tgroup\n" + rows)
    return str(folder)


@pytest.mark.parametrize("sessions", [("",), ("ses-1", "ses-2"), None])
def test_every_row_fits_the_schema(config, tmp_path, sessions):
    options = config["cohort"] | {"bids": sessions and make_dataset(tmp_path, sessions)}
    if sessions:
        options["split"] = {"test": 1, "validation": 1, "seed": 0}
    scans = list_scans(options, "cohort")
    assert scans["scan"].is_unique
    for row in scans.to_dict("records"):
        jsonschema.validate(row, SCHEMA)


@pytest.mark.parametrize("simulated", [True, False])
def test_where_a_volume_is_the_label_every_scan_is_listed_and_split_without_one(config, tmp_path, simulated):
    bids = None if simulated else make_dataset(tmp_path, ("ses-1", "ses-2"))
    split = {"test": 1, "validation": 1, "seed": 0}
    scans = list_scans(config["cohort"] | {"bids": bids, "label": {"volume": "Hippocampus"}, "split": split}, "cohort")
    assert (scans["label"] == "").all() and (simulated or len(scans) == 16)
    assert scans.groupby("split")["participant_id"].nunique()[["test", "validation"]].tolist() == [3, 3]
    for row in scans.to_dict("records"):
        jsonschema.validate(row, SCHEMA)


def test_a_split_without_anyone_in_one_class_is_refused(config):
    patients = config["cohort"]["simulate"]["patients"]
    for left in (7, 0):
        config["cohort"]["exclude"] = [f"sub-P{i:03d}" for i in range(1, patients - left + 1)]
        with pytest.raises(StudyError, match=f"leaves none of the {left} patients for training"):
            list_scans(config["cohort"], "cohort")
