"""Conditions on a column: values, lists and comparisons, against what plain Python says of each value."""

from math import inf, nextafter

import pandas as pd
import pytest

from heatproof.cohort.conditions import bounds, missing, satisfies
from heatproof.errors import StudyError

VALUES = pd.Series(["0", "0.0", "0.5", "1", "2", "", "n/a"])


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
        ("≥ 1", ["1", "2"]),
        ("≤0.5", ["0", "0.0", "0.5"]),
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
    with pytest.raises(StudyError, match=r"asks for '> 0', but the table has 'sixty' there"):
        met("> 0", pd.Series(["1", "sixty"]))


WORDS = ["n/a", "N/A", "NA", "nan", "NaN", "None", "none", "NULL", "#N/A", "unknown", "Unk", "not available"]


@pytest.mark.parametrize("cell", ["", *WORDS, ".", "--", "***", "_"])
def test_words_for_a_missing_value_are_one(cell):
    assert missing(pd.Series([cell, "AD"])).tolist() == [True, False]
    assert met("> 0", pd.Series([cell, "1"])) == ["1"]


def test_a_word_for_a_missing_value_is_one_where_the_config_names_it_but_an_empty_cell_and_n_a_never_are():
    cells = pd.Series(["None", "AD", "", "n/a", "N/A"])
    assert met("None", cells) == ["None"] and met(["n/a", "AD"], cells) == ["AD"] and met("", cells) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *[("71", (71, 71)), ("71.5", (71.5, 71.5)), ("-1e-2", (-0.01, -0.01)), (".5", (0.5, 0.5))],
        *[("89+", (89, inf)), (">=89", (89, inf)), ("≥ 89", (89, inf)), (">89", (nextafter(89, inf), inf))],
        *[("<18", (-inf, nextafter(18, -inf))), ("60-64", (60, 64)), ("60 to 64", (60, 64)), ("64-60", None)],
        *[("AD", None), ("", None), ("71 years", None), ("nan", None), ("inf", None)],
    ],
)
def test_the_numbers_that_a_cell_may_mean(text, expected):
    assert bounds(text) == expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (">= 60", ["89+", ">89", "60-64", "71"]),
        ("> 64", ["89+", ">89", "71"]),
        ("<= 89", None),
        (">= 90", None),
        ("< 60", []),
        ("> 62", None),
    ],
)
def test_a_bounded_age_meets_a_comparison_where_that_is_certain_and_is_told_where_it_is_not(condition, expected):
    ages = pd.Series(["89+", ">89", "60-64", "71"])
    if expected is not None:
        assert met(condition, ages) == expected
    else:
        with pytest.raises(StudyError, match=r"in the table may or may not meet that; choose another number"):
            met(condition, ages)
