"""Maps that were made elsewhere: what can be said of a config that names them before any job starts."""

import pytest

from heatproof.config_checks import check_config
from heatproof.errors import StudyError
from heatproof.maps import check_maps, files_of, strange_maps

SCANS = ["sub-01", "sub-02_ses-M06"]


@pytest.fixture
def maps(tmp_path, monkeypatch):
    """A folder of maps of two scans by two models, which is below the working folder."""
    monkeypatch.chdir(tmp_path)
    for seed in "01":
        for path in files_of(f"maps/{seed}/{{scan}}_map.nii.gz", SCANS).values():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).touch()
    return tmp_path / "maps"


def entry(path="maps/{seed}/{scan}_map.nii.gz", **options):
    return {"mine": {"method": "files", "path": path, **options}, "lrp": None}


def test_every_test_scan_has_a_map_of_each_model(maps):
    check_maps(entry(), [0, 1], SCANS)
    assert list(strange_maps(entry(), [0, 1], SCANS)) == []
    (maps / "1/sub-01_map.nii.gz").rename(maps / "1/sub-1_map.nii.gz")
    message = r"methods.mine.path: maps/1/sub-01_map.nii.gz, which a test scan needs, does not exist; maps/1/sub-1_map."
    with pytest.raises(StudyError, match=message):
        check_maps(entry(), [0, 1], SCANS)
    with pytest.raises(StudyError, match=r"mine.path: maps/7/sub-01_map.nii.gz and 1 more, which a test scan needs"):
        check_maps(entry(), [7], SCANS)
    with pytest.raises(StudyError, match=r"mine.checks.random_head: random/0/sub-01.nii.gz and 1 more"):
        check_maps(entry(checks={"random_head": "random/{seed}/{scan}.nii.gz"}), [0], SCANS)


def test_a_map_of_no_scan_is_told(maps):
    (maps / "0/sub-03_map.nii.gz").touch()
    (maps / "0/mean.nii.gz").touch()
    (said,) = strange_maps(entry(), [0, 1], SCANS)
    assert said.startswith("attribute.methods.mine.path: maps/0/sub-03_map.nii.gz is the map of no scan of the cohort")


def test_a_scan_may_stand_in_the_path_twice(tmp_path):
    for scan in SCANS:
        (tmp_path / scan).mkdir()
        (tmp_path / scan / f"{scan}.nii.gz").touch()
    check_maps(entry(f"{tmp_path}/{{scan}}/{{scan}}.nii.gz"), [0], SCANS)
    assert len(list(strange_maps(entry(f"{tmp_path}/{{scan}}/{{scan}}.nii.gz"), [0], SCANS[:1]))) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"path": "maps/{scan}.nii.gz"},
            r"mine.path is 'maps/\{scan\}.nii.gz'; write \{seed\} into it",
        ),
        ({"path": "{seed}/{scan}_{run}.nii"}, r"mine.path has \{run\}; the words in braces are \{seed\} and \{scan\}"),
        ({"path": "maps/{seed}.nii.gz"}, r"attribute.methods.mine.path: .*does not match"),
        ({"checks": {"noise": "{seed}/{scan}"}}, r"mine.checks names noise, which is no sanity check of another model"),
        ({"sign": "signed"}, r"unknown key 'sign' in attribute.methods.mine"),
    ],
)
def test_an_entry_that_cannot_be_meant_is_refused(config, options, message):
    config["attribute"]["methods"] |= entry(**options)
    with pytest.raises(StudyError, match=message):
        check_config(config)


def test_an_entry_of_maps_needs_a_path_and_one_of_a_method_its_conventions(config):
    config["attribute"]["methods"]["mine"] = {"method": "files", "path": "{seed}/{scan}.nii.gz"}
    check_config(config)
    config["attribute"]["methods"]["mine"] = {"method": "files"}
    with pytest.raises(StudyError, match=r"methods.mine lacks the key 'path'"):
        check_config(config)
    config["attribute"]["methods"]["mine"] = {"method": "edges"}
    with pytest.raises(StudyError, match="lacks the key 'target', 'output', 'sign'"):
        check_config(config)
