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
