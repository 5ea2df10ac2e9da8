"""A study that is killed with all its processes, time and again, ends as if it had not been, and does nothing twice."""

from killing import SHARES, SMALLER, kill_and_resume
from same_bytes import study_bytes


def test_a_study_that_is_killed_three_times_resumes_without_loss_and_ends_the_same(checkout, smaller_study):
    whole, jobs = smaller_study
    kills = kill_and_resume(checkout, SHARES[:3], jobs, SMALLER)
    assert [0 < kill.finished < jobs and len(kill.written) > 0 for kill in kills] == [True, True, True]
    assert [kill.twice(checkout.folder) for kill in kills] == [[], [], []]
    assert study_bytes(checkout.results) == study_bytes(whole.results)
