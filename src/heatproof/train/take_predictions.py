"""Take what a model predicted elsewhere for the test scans, in the form of a trained model's predictions."""

import argparse
from pathlib import Path

import pandas as pd

from heatproof.cohort.bids_tables import check_different
from heatproof.cohort.scans import name_classes, read_columns, read_labels
from heatproof.command import json_option, run
from heatproof.errors import StudyError
from heatproof.tables import read_table, write_table
from heatproof.task import PATIENTS, Task, task_argument


def read_predictions(path: str | Path, scans: pd.DataFrame, cohort: dict, task: Task = PATIENTS) -> pd.DataFrame:
    """Read a model's predictions for the test scans.

    Parameters
    ----------
    path : path
        A table with the column scan, and predicted (a class, or a value that the config names), probability (of the
        target) or both. Without predicted, a probability above 0.5 is of the target. A value is in predicted.
    scans : DataFrame
        Of the cohort: scan, participant_id, label, split.
    cohort : dict
        The config's ``cohort``: the classes.
    task : Task

    Returns
    -------
    DataFrame
        scan, participant_id, split, label, probability (empty where it is not told; none of a value) and predicted.

    Raises
    ------
    StudyError
        If a column, or the row of a scan, is lacking, or a value cannot be meant.
    """
    table = read_columns(path, ["scan"], "correct train.predictions")
    check_different(table["scan"].tolist(), "leave one row for each", Path(path))
    if not task.classes and "predicted" not in table:
        raise StudyError(
            f"{path} has no column predicted, the value of {task.target}; its columns are {', '.join(table)}"
        )
    if not {"predicted", "probability"} & set(table):
        raise StudyError(f"{path} has no column predicted or probability; its columns are {', '.join(table)}")
    if len(task.classes) > 2 and "predicted" not in table:
        raise StudyError(f"{path} has no column predicted, and a probability tells two classes alone; add it")
    found = scans.merge(table.drop(columns=["label", "participant_id"], errors="ignore"), on="scan", how="left")
    given = [column for column in (["probability"] if task.classes else []) + ["predicted"] if column in table]
    if len(absent := found.loc[found[given].isna().any(axis=1), "scan"]):
        raise StudyError(f"{path} has no prediction for {absent.iloc[0]}, a test scan; add its row")
    if not task.classes:
        predicted = read_labels(found["predicted"], cohort, f"{path}: predicted")
        return found.assign(predicted=predicted)[["scan", "participant_id", "split", "label", "predicted"]]
    probability = pd.to_numeric(found.get("probability", pd.Series(dtype=float)), errors="coerce").reindex(found.index)
    if "probability" in given and len(wrong := found.loc[~probability.between(0, 1), "probability"]):
        raise StudyError(f"{path} has the probability {wrong.iloc[0]}; give numbers from 0 to 1")
    if "predicted" in given:
        predicted = name_classes(found["predicted"], cohort, f"{path}: predicted")
    else:
        predicted = (probability > 0.5).map({True: task.target, False: task.reference})
    columns = ["scan", "participant_id", "split", "label", "probability", "predicted"]
    return found.assign(probability=probability, predicted=predicted)[columns]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--predictions", type=Path, required=True, help="table of scan, predicted, probability")
    parser.add_argument("--scans", type=Path, required=True, help="cohort/test.tsv")
    parser.add_argument("--cohort", type=json_option, required=True, help="the config's cohort: its classes")
    task_argument(parser)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    table = read_predictions(arguments.predictions, read_table(arguments.scans), arguments.cohort, arguments.task)
    write_table(table, arguments.out)


if __name__ == "__main__":
    run(main)
