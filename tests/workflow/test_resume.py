"""A study that is killed with all its processes ends as if it had not been, and does nothing twice."""

import pytest
from killing import SHARES, SMALLER, kill_and_resume
from same_bytes import study_bytes


@pytest.mark.parametrize("share", SHARES[:3])
def test_a_killed_study_resumes_without_loss_and_ends_the_same(checkout, smaller_study, share):
    whole, jobs = smaller_study
    resumed = kill_and_resume(checkout.folder, share, jobs, SMALLER)
    assert 0 < resumed.finished < jobs and resumed.twice == []
    assert study_bytes(checkout.results) == study_bytes(whole.results)
