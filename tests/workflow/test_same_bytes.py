"""The same config gives the same bytes: on other cores, in another folder, from a fresh clone, after any kill."""

import json
import shutil

import pytest
from killing import SMALLER
from same_bytes import study_bytes

pytestmark = pytest.mark.long

KEEP_NONE = [*SMALLER, "--config", "attribute={keep: none}"]


def test_a_fresh_clone_in_another_folder_gives_the_same_bytes_on_other_cores_after_kills(resumed_study, smaller_study):
    ours, theirs = study_bytes(resumed_study[0].results), study_bytes(smaller_study[0].results)
    assert {name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)} == set()
    kinds = {name.rpartition(".")[2] for name in ours}
    assert {"gz", "npy", "safetensors", "tsv", "json", "png", "svg", "html"} <= kinds


@pytest.fixture(scope="module")
def without_heatmaps(tmp_path_factory, smaller_study):
    """The study again from its models on, with ``attribute.keep: none``."""
    study = type(smaller_study[0])(tmp_path_factory.mktemp("keep-none") / "checkout")
    for part in ("results", ".snakemake"):
        shutil.copytree(smaller_study[0].folder / part, study.folder / part)
    for stage in ("attribute", "compare", "report"):
        shutil.rmtree(study.results / stage)
    done = study.snakemake("--cores", "2", *KEEP_NONE)
    assert done.returncode == 0, done.stdout[-3000:]
    return study


def test_heatmaps_that_are_not_kept_leave_the_same_tables_and_figures(without_heatmaps, smaller_study):
    assert not list(without_heatmaps.results.rglob("*_heatmap.nii.gz"))
    ours, theirs = study_bytes(without_heatmaps.results), study_bytes(smaller_study[0].results)
    names = {
        name
        for name in theirs
        if name.startswith(("compare/", "report/figure", "train/")) and "description" not in name
    }
    assert len(names) > 40 and {name for name in names if ours.get(name) != theirs[name]} == set()


def test_a_second_run_without_heatmaps_has_nothing_to_do(without_heatmaps):
    assert without_heatmaps.jobs(*KEEP_NONE) == {}


def test_heatmaps_that_are_not_kept_are_made_again_when_their_method_changes(without_heatmaps):
    changed = [*SMALLER, "--config", "attribute={keep: none, methods: {lrp: {rule: epsilon}}}"]
    jobs = without_heatmaps.jobs(*changed)
    assert jobs["average_explained"] == 4 and "explain_scans" not in jobs


def test_the_provenance_names_what_the_study_was_made_from(smaller_study):
    results = smaller_study[0].results
    provenance = json.loads((results / "provenance.json").read_text())
    scans = provenance["inputs"]["scans"]
    raw = [path for dataset in ("bids", "twins") for path in (results / "cohort" / dataset).rglob("*_T1w.nii.gz")]
    assert len(scans) == len(raw)
    assert (
        provenance["models"]["train/seed-0/model.safetensors"] == study_bytes(results)["train/seed-0/model.safetensors"]
    )
    assert {command.split(".")[1] for command in provenance["software"]} == {
        "cohort",
        "register",
        "train",
        "attribute",
        "compare",
    }
    assert provenance["software"]["heatproof.train.fit_model"][0]["torch"].startswith("2.")
