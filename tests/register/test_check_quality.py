"""A study with too many poor registrations is stopped, and all are named."""

import pandas as pd
import pytest

from heatproof.errors import StudyError
from heatproof.register.check_quality import check_quality

QUALITY = pd.DataFrame(
    {"scan": ["sub-1", "sub-2", "sub-3", "sub-4"], "poor": ["", "inside_agreement", None, "brain_mm3"]}
)


def test_more_poor_scans_than_allowed_stop_the_study_by_name():
    with pytest.raises(StudyError, match=r"2 of 4 scans .* register.most_poor \(0.25\) .*: sub-2, sub-4"):
        check_quality(QUALITY, 0.25)


@pytest.mark.parametrize("most_poor", [0.5, 1.0])
def test_as_many_as_allowed_do_not(most_poor):
    assert check_quality(QUALITY, most_poor).to_dict("records") == [{"scans": 4, "poor": 2, "most_poor": most_poor}]
    check_quality(QUALITY.iloc[[0, 2]], 0.0)
