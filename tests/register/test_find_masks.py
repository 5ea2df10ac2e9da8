"""Brain masks are found by their BIDS names, in the scan's own space only."""

import pytest

from heatproof.errors import StudyError
from heatproof.register.find_masks import find_masks

SCANS = ["sub-1", "sub-2_ses-M00"]


@pytest.fixture
def derivatives(tmp_path):
    """A dataset whose derivative ``bet`` has masks of both scans, and one in template space."""
    folder = tmp_path / "derivatives/bet"
    for name in (
        "sub-1/anat/sub-1_desc-brain_mask.nii.gz",
        "sub-1/anat/sub-1_space-MNI152NLin6Asym_desc-brain_mask.nii.gz",
        "sub-2/ses-M00/anat/sub-2_ses-M00_run-1_desc-brain_mask.nii",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_masks_are_found_in_the_dataset_s_derivatives_or_where_the_config_says(tmp_path, derivatives):
    expected = {
        "sub-1": f"{derivatives}/sub-1/anat/sub-1_desc-brain_mask.nii.gz",
        "sub-2_ses-M00": f"{derivatives}/sub-2/ses-M00/anat/sub-2_ses-M00_run-1_desc-brain_mask.nii",
    }
    assert find_masks({"brain_extraction": "mask", "masks": None}, str(tmp_path), SCANS) == expected
    assert find_masks({"brain_extraction": "mask", "masks": str(derivatives)}, None, SCANS) == expected


def test_masks_that_are_only_compared_may_be_missing(derivatives):
    options = {"brain_extraction": "auto", "masks": str(derivatives)}
    assert list(find_masks(options, "bids", ["sub-1", "sub-3"])) == ["sub-1"]
    assert find_masks(options | {"masks": None}, "bids", SCANS) == {}


def test_a_folder_named_for_masks_that_has_none_is_refused(tmp_path):
    with pytest.raises(StudyError, match=r"register.masks names .*, which has no brain mask .* of any scan"):
        find_masks({"brain_extraction": "auto", "masks": str(tmp_path)}, "bids", SCANS)


def test_missing_masks_are_refused_by_folder_and_every_scan(tmp_path, derivatives):
    with pytest.raises(StudyError, match=r"derivatives lacks brain masks .* of sub-3, sub-4; name"):
        find_masks({"brain_extraction": "mask", "masks": None}, str(tmp_path), [*SCANS, "sub-3", "sub-4"])


def test_two_masks_of_one_scan_are_refused_by_both_names_for_every_such_scan(tmp_path, derivatives):
    for name in ("sub-1/anat/sub-1_desc-brain_mask.nii.gz", "sub-2/ses-M00/anat/sub-2_ses-M00_desc-brain_mask.nii.gz"):
        other = tmp_path / "derivatives/synth" / name
        other.parent.mkdir(parents=True)
        other.touch()
    both = r"sub-1 has .*/bet/.* and .*/synth/.*; sub-2_ses-M00 has .*/bet/.* and .*/synth/"
    with pytest.raises(StudyError, match=both):
        find_masks({"brain_extraction": "mask", "masks": None}, str(tmp_path), SCANS)
