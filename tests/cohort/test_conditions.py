"""Conditions on a column: values, lists and comparisons, against what plain Python says of each value."""

import pandas as pd
import pytest

from heatproof.cohort.conditions import satisfies
from heatproof.errors import StudyError

VALUES = pd.Series(["0", "0.0", "0.5", "1", "2", ""])


def met(wanted, values=VALUES) -> list[str]:
    return values[satisfies(values, wanted, "cohort.patient")].tolist()


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (0, ["0", "0.0"]),
        ("0.0", ["0", "0.0"]),
        ([0.5, 1], ["0.5", "1"]),
        ("> 0", ["0.5", "1", "2"]),
        (">=1", ["1", "2"]),
        ("<= 0.5", ["0", "0.0", "0.5"]),
        ("< 1", ["0", "0.0", "0.5"]),
        (["> 1", 0], ["0", "0.0", "2"]),
    ],
)
def test_numbers_compare_as_numbers_and_missing_values_meet_nothing(wanted, expected):
    assert met(wanted) == expected


def test_text_compares_as_text():
    assert met("AD", pd.Series(["AD", "ad", "1", "01", ""])) == ["AD"]
    assert met("01", pd.Series(["AD", "ad", "1", "01", ""])) == ["1", "01"]


def test_a_comparison_that_is_none_and_one_with_text_are_told():
    with pytest.raises(StudyError, match=r"cohort.patient is '=> 0'; write a comparison as '> 0'"):
        met("=> 0")
    with pytest.raises(StudyError, match=r"asks for '> 0', but the table has '60\+' there"):
        met("> 0", pd.Series(["1", "60+"]))
