"""What a cell of a table says: whether it is missing, which numbers it may be, and whether it meets a condition.

A condition of the config is a value, a list of values, or a comparison with a number such as ``> 0``.
"""

import math
import operator
import re

import pandas as pd

from heatproof.errors import StudyError

NEVER_A_VALUE = ("", "n/a")
MISSING = (
    *(*NEVER_A_VALUE, "na", "n.a.", "n.a", "#n/a", "<na>", "nan", "none", "null", "nil", "n/k"),
    *("missing", "unknown", "unk", "undefined", "unspecified", "not available", "not known", "not applicable"),
)
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
COMPARISONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
CONDITION = re.compile(rf"^(<=|>=|<|>)\s*({NUMBER})$")
SPAN = re.compile(rf"^({NUMBER})\s*(?:-|–|to)\s*({NUMBER})$")


def listed(wanted: object) -> list[str]:
    """Return a value or a list of values of the config as a list of text."""
    return [str(item) for item in (wanted if isinstance(wanted, list) else [wanted])]


def missing(values: pd.Series) -> pd.Series:
    """Tell which cells hold no value: a word for that, or signs alone; NaN, where there is no cell, is one of them."""
    text = values.fillna("")
    return text.str.casefold().isin(MISSING) | ~text.str.contains(r"[^\W_]")


def in_ascii(text: str) -> str:
    """Write comparisons with the signs that a keyboard has."""
    return text.replace("≥", ">=").replace("≤", "<=")


def canonical(text: str) -> str:
    """Write numbers alike, so that ``0``, ``0.0`` and ``0.00`` are one value; other text stays."""
    return repr(float(text)) if re.fullmatch(NUMBER, text) else text


def satisfies(values: pd.Series, wanted: object, key: str) -> pd.Series:
    """Tell which values of a column meet a condition of the config.

    Parameters
    ----------
    values : Series of str
        A cell that is empty or ``n/a`` meets no condition; another that is missing, such as ``None``, only that which
        names it.
    wanted : value or list of values
        Each is compared as text, numbers as numbers; or it is a comparison: ``> 0``, ``>= 60``.
    key : str
        The condition's place in the config, for the message.

    Returns
    -------
    Series of bool

    Raises
    ------
    StudyError
        If a comparison is not written as one, or meets a value that is no number.
    """
    met = pd.Series(False, values.index)
    for item in map(in_ascii, listed(wanted)):
        if item[:1] in ("<", ">", "="):
            met |= compare(values[~missing(values)], item, key).reindex(values.index, fill_value=False)
        else:
            met |= values.map(canonical) == canonical(item)
    return met & ~values.str.casefold().isin(NEVER_A_VALUE)


def bounds(text: str) -> tuple[float, float] | None:
    """Return the least and the largest number that a cell may mean; None where it is no number.

    ``71`` is 71; ``89+``, ``>= 89`` and ``>89``, as ages are written that would identify someone, have no upper end;
    ``60-64`` is any number between.
    """
    text = in_ascii(text.strip())
    if re.fullmatch(NUMBER, text):
        return float(text), float(text)
    if re.fullmatch(rf"{NUMBER}\s*\+", text):
        return float(text[:-1]), math.inf
    if parts := CONDITION.match(text):
        number, upwards = float(parts[2]), parts[1][0] == ">"
        end = number if "=" in parts[1] else math.nextafter(number, math.inf if upwards else -math.inf)
        return (end, math.inf) if upwards else (-math.inf, end)
    if (parts := SPAN.match(text)) and float(parts[1]) <= float(parts[2]):
        return float(parts[1]), float(parts[2])
    return None


def compare(values: pd.Series, condition: str, key: str) -> pd.Series:
    """Compare every value with the number of a condition; refuse values that do not tell whether they meet it."""
    parts = CONDITION.match(condition)
    if not parts:
        raise StudyError(
            f"config: {key} is {condition!r}; write a comparison as '> 0', with <, <=, > or >= and a number"
        )
    spans = values.map(bounds)
    if spans.isna().any():
        odd = values[spans.isna()].iloc[0]
        raise StudyError(f"config: {key} asks for {condition!r}, but the table has {odd!r} there; correct one")
    least, most = (spans.str[end].astype(float) for end in (0, 1))
    met, may_meet = (COMPARISONS[parts[1]](end, float(parts[2])) for end in (least, most))
    if (met != may_meet).any():
        raise StudyError(
            f"config: {key} asks for {condition!r}, and {values[met != may_meet].iloc[0]!r} in the table may or may "
            "not meet that; choose another number"
        )
    return met
