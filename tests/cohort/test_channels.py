"""Several images of one scan: found by their entities, or told in one sentence."""

from pathlib import Path

import pytest
from small_datasets import SCAN, dataset, put

from heatproof.channels import channels_of, check_channels, with_inputs
from heatproof.cohort.scans import read_cohort
from heatproof.cohort.twins import list_twins
from heatproof.config_checks import check_config
from heatproof.errors import StudyError

TABLE = "participant_id\tgroup\n" + "".join(f"sub-0{i}\t{'AD' if i < 4 else 'CN'}\n" for i in range(1, 8))
NAMES = [f"sub-0{i}" for i in range(1, 8)]
SPLIT = {"test": 1, "validation": 1, "seed": 0}


@pytest.fixture
def bids(tmp_path) -> Path:
    """A T1w and a FLAIR image of each of seven people."""
    files = [f"{name}/anat/{name}_{suffix}.nii.gz" for name in NAMES for suffix in ("T1w", "FLAIR")]
    return Path(dataset(tmp_path / "bids", TABLE, files))


@pytest.fixture
def options(config, bids) -> dict:
    return config["cohort"] | {"bids": str(bids), "channels": {"T1w": {}, "FLAIR": {}}, "split": SPLIT}


def test_each_channel_has_a_column(options, bids):
    scans = read_cohort(options, "").scans
    assert scans["image_FLAIR"].tolist() == [str(bids / f"{name}/anat/{name}_FLAIR.nii.gz") for name in NAMES]
    alone = read_cohort(options | {"channels": None}, "").scans
    assert scans[alone.columns].equals(alone) and "image_FLAIR" not in alone


def test_a_channel_is_told_by_its_entities(options, bids):
    for name in NAMES:
        put(bids / f"{name}/anat/{name}_acq-fast_T1w.nii.gz", SCAN)
    channels = {"T1w": {"acq": None}, "fast": {"suffix": "T1w", "acquisition": "fast"}}
    scans = read_cohort(options | {"channels": channels}, "").scans
    assert (
        scans["image_fast"].str.endswith("acq-fast_T1w.nii.gz").all() and not scans["image"].str.contains("acq").any()
    )


def test_a_scan_without_a_channel_is_refused_or_left_out(options, bids):
    (bids / "sub-02/anat/sub-02_FLAIR.nii.gz").unlink()
    with pytest.raises(StudyError, match=r"^sub-02: there is no file of cohort.channels.FLAIR; add it, .*leave_out$"):
        read_cohort(options, "")


@pytest.mark.parametrize("remedy", ["entity", "exclude"])
def test_two_files_for_one_channel_are_refused_until_one_is_chosen(options, bids, remedy):
    put(bids / "sub-02/anat/sub-02_run-2_FLAIR.nii.gz", SCAN)
    with pytest.raises(StudyError, match=r"several files for one scan: .*choose by cohort.channels.FLAIR \(run\)"):
        read_cohort(options, "")
    chosen = {
        "entity": {"channels": {"T1w": {}, "FLAIR": {"run": None}}},
        "exclude": {"exclude": ["sub-02_run-2_FLAIR.nii.gz"]},
    }
    assert not read_cohort(options | chosen[remedy], "").scans["image_FLAIR"].str.contains("run").any()


def test_a_channel_of_which_there_is_no_file_is_refused(options):
    with pytest.raises(StudyError, match=r"holds no file .*_PD.nii.gz.*; correct cohort.channels.PD"):
        read_cohort(options | {"channels": {"T1w": {}, "PD": {}}}, "")


def test_simulated_scans_and_their_twins_have_the_channels_too(config):
    options = config["cohort"] | {"channels": {"T1w": {}, "FLAIR": {}}}
    scans = read_cohort(options, "cohort").scans
    assert (scans["image_FLAIR"] == scans["image"].str.replace("T1w", "FLAIR")).all()
    twins = list_twins(scans, "twins")
    assert (twins["image_FLAIR"] == twins["image"].str.replace("T1w", "FLAIR")).all()
    assert twins["image"].str.fullmatch(r"twins/sub-P\d+twin/ses-M00/anat/sub-P\d+twin_ses-M00_T1w.nii.gz").all()


@pytest.mark.parametrize(
    ("channels", "said"),
    [
        ({"FLAIR": {}, "T1w": {}}, "the first of cohort.channels is FLAIR, .*name T1w first"),
        ({"T1w": {"suffix": "T2w"}}, "name T1w first, of suffix T1w"),
        ({"T1w": {}, "PD": {}}, "cohort.channels names PD, which cohort.simulate.contrasts has not"),
        ({"T 1": {}}, "cohort.channels"),
    ],
)
def test_channels_that_cannot_be_are_refused(config, channels, said):
    config["cohort"]["channels"] = channels
    with pytest.raises(StudyError, match=said):
        check_config(config)


def test_the_first_channel_stays_the_first_in_the_options_of_commands(config):
    options = config["cohort"] | {"channels": {"T1w": {}, "FLAIR": {}}}
    assert list(read_cohort(options, "cohort").scans)[-2:] == ["image", "image_FLAIR"]


def test_models_of_clinicadl_and_scans_without_images_know_one_channel(config):
    config["cohort"]["channels"] = {"T1w": {}, "FLAIR": {}}
    others = {**config, "train": {**config["train"], "network": {"function": "heatproof.train.clinicadl_networks:cnn"}}}
    with pytest.raises(
        StudyError, match=r"networks of ClinicaDL .* take one image of a scan, and cohort.channels names 2"
    ):
        check_channels(others)
    with pytest.raises(StudyError, match=r"cohort.channels is about images, and cohort.scans names scans without any"):
        check_channels({**config, "cohort": {**config["cohort"], "scans": "scans.tsv"}})


def test_networks_are_told_the_number_of_channels_where_there_are_several(config):
    assert with_inputs(config) == config and list(channels_of(config["cohort"])) == ["T1w"]
    config["cohort"]["channels"] = {"T1w": None, "FLAIR": None}
    told = with_inputs(config)
    check_config(told)
    assert told["train"]["network"] == config["train"]["network"] | {"inputs": 2}
    several = {**config, "train": {**config["train"], "networks": {"one": {"function": "a:b"}}}}
    assert with_inputs(several)["train"]["networks"] == {"one": {"function": "a:b", "inputs": 2}}
