"""Conditions on a column of a table: a value, a list of values, or a comparison with a number such as ``> 0``."""

import operator
import re

import pandas as pd

from heatproof.errors import StudyError

COMPARISONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
CONDITION = re.compile(r"^(<=|>=|<|>)\s*(-?\d+(?:\.\d+)?)$")


def listed(wanted: object) -> list[str]:
    """Return a value or a list of values of the config as a list of text."""
    return [str(item) for item in (wanted if isinstance(wanted, list) else [wanted])]


def canonical(values: pd.Series) -> pd.Series:
    """Write numbers alike, so that ``0``, ``0.0`` and ``0.00`` are one value; other text stays."""
    return values.map(lambda text: repr(float(text)) if re.fullmatch(r"-?\d+(\.\d+)?", text) else text)


def satisfies(values: pd.Series, wanted: object, key: str) -> pd.Series:
    """Tell which values of a column meet a condition of the config.

    Parameters
    ----------
    values : Series of str
        An empty text is a value that is missing, which meets no condition.
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
    for item in listed(wanted):
        if item[:1] in ("<", ">", "="):
            met |= compare(values, item, key)
        else:
            met |= canonical(values) == canonical(pd.Series([item])).iloc[0]
    return met & (values != "")


def compare(values: pd.Series, condition: str, key: str) -> pd.Series:
    """Compare every value that is given with the number of a condition."""
    parts = CONDITION.match(condition)
    if not parts:
        raise StudyError(
            f"config: {key} is {condition!r}; write a comparison as '> 0', with <, <=, > or >= and a number"
        )
    numbers = pd.to_numeric(values.where(values != ""), errors="coerce")
    odd = values[numbers.isna() & (values != "")]
    if len(odd):
        raise StudyError(f"config: {key} asks for {condition!r}, but the table has {odd.iloc[0]!r} there; correct one")
    return COMPARISONS[parts[1]](numbers, float(parts[2]))
