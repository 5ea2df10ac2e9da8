"""A study with too many poor registrations is stopped, and all are named."""

import pandas as pd
import pytest

from heatproof.errors import StudyError
from heatproof.register.check_quality import check_quality, describe_poor

QUALITY = pd.DataFrame(
    {"scan": ["sub-1", "sub-2", "sub-3", "sub-4"], "poor": ["", "inside_agreement", None, "brain_mm3"]}
)


def test_more_poor_scans_than_allowed_stop_the_study_by_name():
    with pytest.raises(StudyError, match=r"2 of 4 scans .*: sub-2, sub-4\. .* register.most_poor \(0.25\)"):
        check_quality(QUALITY, 0.25)


@pytest.mark.parametrize("most_poor", [0.5, 1.0])
def test_as_many_as_allowed_do_not(most_poor):
    counted = {"kind": "scans", "scans": 4, "poor": 2, "most_poor": most_poor}
    assert check_quality(QUALITY, most_poor).to_dict("records") == [counted]
    check_quality(QUALITY.iloc[[0, 2]], 0.0)


def test_twins_are_counted_by_themselves_since_each_is_the_truth_of_a_patient():
    twins = pd.DataFrame(
        {"scan": ["sub-1twin", "sub-2twin"], "poor": ["brain_overlap", ""], "twin_of": ["sub-1", "sub-2"]}
    )
    both = pd.concat([QUALITY.assign(twin_of=""), twins], ignore_index=True)
    assert check_quality(both, 0.5)[["kind", "scans", "poor"]].to_numpy().tolist() == [["scans", 4, 2], ["twins", 2, 1]]
    assert describe_poor(both).endswith("; 1 of 2 twins (50.0%) are registered poorly: sub-1twin")
    sound = pd.concat([both[both["poor"].fillna("") == ""]] * 9 + [twins], ignore_index=True)
    with pytest.raises(StudyError, match=r"1 of 11 twins .*: sub-1twin\. .* exclude the patients whose twins they are"):
        check_quality(sound, 0.05)


def test_poor_scans_are_told_with_their_share():
    assert describe_poor(QUALITY) == "2 of 4 scans (50.0%) are registered poorly: sub-2, sub-4"
    assert describe_poor(QUALITY.iloc[[0, 2]]) == ""
