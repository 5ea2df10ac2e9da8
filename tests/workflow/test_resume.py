"""A study that is killed with all its processes, time and again, ends as if it had not been, and does nothing twice."""

import pytest

pytestmark = pytest.mark.long


def test_what_had_finished_before_a_kill_is_not_done_again(resumed_study, smaller_study):
    study, kills = resumed_study
    assert [0 < kill.finished < smaller_study[1] and len(kill.written) > 0 for kill in kills] == [True, True, True]
    assert [kill.twice(study.folder) for kill in kills] == [[], [], []]
