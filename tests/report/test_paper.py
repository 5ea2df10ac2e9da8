import pytest

from heatproof.report import paper

MODELS = 10


def test_every_printed_overlap_is_a_mean_of_the_whole_matrix():
    """Table 2 is printed to 0.2 %: means over 10 x 10 entries in steps of 10 %, each pair counted twice."""
    printed = [value for row in paper.OVERLAP.values() for value in row.values()]
    assert len(printed) == 12
    for value in printed:
        steps = paper.without_diagonal(value) * 45 / 0.1
        assert steps == pytest.approx(round(steps), abs=1e-6)


def test_the_diagonal_can_be_put_back():
    off = paper.without_diagonal(0.726)
    assert off == pytest.approx(0.695556, abs=1e-6)
    assert (off * 90 + 10) / 100 == pytest.approx(0.726)
