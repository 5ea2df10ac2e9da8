"""Groups of test participants that are left out in turn."""

import pandas as pd

from heatproof.task import PATIENTS, Task


def participant_groups(predictions: pd.DataFrame, count: int, task: Task = PATIENTS) -> pd.Series:
    """Divide the test participants into groups of equal size that hold as many of each stratum as the others.

    Parameters
    ----------
    predictions : DataFrame
        scan, participant_id, split, label.
    count : int
        Number of groups; with fewer participants of a stratum, some groups have none of it.
    task : Task
        Whose strata are the classes, or the thirds of the value.

    Returns
    -------
    Series of int
        Scan to group, 1 to ``count``; all scans of a participant are in one.
    """
    return divide_participants(predictions[predictions["split"] == "test"], count, task)


def divide_participants(scans: pd.DataFrame, count: int, task: Task = PATIENTS) -> pd.Series:
    """Divide the participants of a table of scans (scan, participant_id, label) as `participant_groups` does."""
    people = scans[["participant_id"]].assign(stratum=task.strata(scans))
    people = people.drop_duplicates("participant_id").sort_values("participant_id")
    group = people.set_index("participant_id").groupby("stratum").cumcount() % count + 1
    return scans.set_index("scan")["participant_id"].map(group)
