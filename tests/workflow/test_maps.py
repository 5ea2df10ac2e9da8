"""Maps that were made elsewhere, planned beside the study's own methods."""

import pytest

from heatproof.maps import files_of

MINE = "attribute={methods: {mine: {method: files, path: 'maps/{seed}/{scan}.nii.gz'CHECKS}}}"
CHECKED = MINE.replace("CHECKS", ", checks: {random_head: 'maps/random/{seed}/{scan}.nii.gz'}")


@pytest.fixture
def mapped(checkout):
    """A checkout with maps of every scan of the tiny study by both of its models, and by these with a random head."""
    people = [f"sub-{kind}{number:03d}" for kind in "PC" for number in range(1, 6)]
    scans = [f"{name}_ses-M{month}" for name in people for month in ("00", "06", "12")]
    for folder in ("maps/0", "maps/1", "maps/random/0", "maps/random/1"):
        (checkout.folder / folder).mkdir(parents=True)
        for path in files_of(f"{folder}/{{scan}}.nii.gz", scans).values():
            (checkout.folder / path).touch()
    return checkout


def test_maps_are_taken_once_for_each_model_and_compared_as_all_others(mapped):
    jobs = mapped.jobs("--configfile", "tests/workflow/tiny.yaml")
    with_maps = mapped.jobs("--configfile", "tests/workflow/tiny.yaml", "--config", MINE.replace("CHECKS", ""))
    assert with_maps["take_maps"] == 2 and with_maps["explain_scans"] == jobs["explain_scans"]
    for rule in ("measure_ensembles", "draw_seeds"):
        assert with_maps[rule] == jobs[rule] + 1
    assert with_maps["average_maps"] == jobs["average_maps"] + 2
    assert with_maps["measure_method"] == jobs["measure_method"] + 2, "the maps', and noise like them"
    checked = mapped.jobs("--configfile", "tests/workflow/tiny.yaml", "--config", CHECKED)
    assert checked["take_maps"] == 4 and checked["measure_method"] == jobs["measure_method"] + 3


def test_a_map_that_is_not_there_is_named_before_any_job(mapped):
    (mapped.folder / "maps/random/1").rename(mapped.folder / "maps/random/2")
    done = mapped.snakemake("--dry-run", "--configfile", "tests/workflow/tiny.yaml", "--config", CHECKED)
    assert done.returncode == 1 and "mine.checks.random_head: maps/random/1/" in done.stdout
    assert "Traceback" not in done.stdout
