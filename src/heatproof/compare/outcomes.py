"""Which test scans a model got right and wrong."""

import numpy as np
import pandas as pd

OUTCOMES = {"TP": "true positive", "TN": "true negative", "FP": "false positive", "FN": "false negative"}


def scans_by_outcome(predictions: pd.DataFrame) -> dict[str, list[str]]:
    """List the test scans of each outcome, sorted by name; a patient is a positive.

    Parameters
    ----------
    predictions : DataFrame
        scan, split, label and predicted (``patient`` or ``control``).

    Returns
    -------
    dict of list of str
        One list, possibly empty, for each of `OUTCOMES`.
    """
    test = predictions[predictions["split"] == "test"]
    truth = pd.Series(np.where(test["predicted"] == test["label"], "T", "F"), test.index)
    outcome = truth + test["predicted"].map({"patient": "P", "control": "N"})
    return {name: sorted(test.loc[outcome == name, "scan"]) for name in OUTCOMES}


def participant_groups(predictions: pd.DataFrame, count: int) -> pd.Series:
    """Divide the test participants into groups of equal size that hold as many of each class as the others.

    Parameters
    ----------
    predictions : DataFrame
        scan, participant_id, split, label.
    count : int
        Number of groups; with fewer participants of a class, some groups have none of it.

    Returns
    -------
    Series of int
        Scan to group, 1 to ``count``; all scans of a participant are in one.
    """
    return divide_participants(predictions[predictions["split"] == "test"], count)


def divide_participants(scans: pd.DataFrame, count: int) -> pd.Series:
    """Divide the participants of a table of scans (scan, participant_id, label) as `participant_groups` does."""
    people = scans[["participant_id", "label"]].drop_duplicates("participant_id").sort_values("participant_id")
    group = people.set_index("participant_id").groupby("label").cumcount() % count + 1
    return scans.set_index("scan")["participant_id"].map(group)
