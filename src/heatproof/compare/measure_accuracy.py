"""Measure how well each model classifies the test scans, or predicts their value: ``accuracy.tsv``, one row per seed.

The column network is there where the study has several.

Of the models of sanity checks it is ``checks_accuracy.tsv``, one row per check and seed, but for those left out.
"""

import argparse
from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, r2_score, recall_score, roc_auc_score

from heatproof.command import run
from heatproof.models import model_name, network_of
from heatproof.tables import read_table, write_table
from heatproof.task import PATIENTS, Task, scans_by_group, task_argument

COLUMNS = ["balanced_accuracy", "sensitivity", "specificity", "accuracy", "auc"]
COLUMNS_OF_VALUE = ["mae", "mae_constant", "rmse", "r2", "pearson", "spearman"]


def measure_accuracy(predictions: pd.DataFrame, task: Task = PATIENTS) -> dict[str, float]:
    """Score the predictions of one model for the test scans.

    Parameters
    ----------
    predictions : DataFrame
        scan, split, label, probability (of the target), predicted; where a value is learned, participant_id, and
        label and predicted are numbers.
    task : Task

    Returns
    -------
    dict
        balanced_accuracy, sensitivity, specificity, accuracy, auc, and n_TP, n_TN, n_FP, n_FN, per scan. NaN marks
        what does not exist: sensitivity without scans of the target, specificity without those of the other class, what
        needs both, and auc without probabilities. Balanced accuracy is the mean of the classes' recalls. Of more than
        two classes specificity and auc hold the target against all others, and the confusion matrix follows. Of a
        value `value_errors`, and n_all, n_high, n_low.
    """
    test = predictions[predictions["split"] == "test"]
    counts = {f"n_{group}": len(scans) for group, scans in scans_by_group(predictions, task).items()}
    if not task.classes:
        return value_errors(test["label"].astype(float), test["predicted"].astype(float)) | counts
    truth, predicted = test["label"], test["predicted"]
    recalls = recall_score(truth, predicted, labels=task.shown, average=None, zero_division=np.nan)
    others = truth != task.target
    ranked = others.nunique() == 2 and test["probability"].notna().all()
    shares = {
        "balanced_accuracy": recalls.mean(),
        "sensitivity": recalls[0],
        "specificity": (predicted[others] != task.target).mean(),
        "accuracy": accuracy_score(truth, predicted),
        "auc": roc_auc_score(~others, test["probability"]) if ranked else np.nan,
    }
    return shares | counts | (confusion(truth, predicted, task.shown) if len(task.classes) > 2 else {})


def value_errors(truth: pd.Series, predicted: pd.Series) -> dict[str, float]:
    """Compare predicted values with true ones.

    Returns
    -------
    dict
        mae, the mean absolute error, and mae_constant, that of the median of the true values said of every scan; rmse;
        r2, the coefficient of determination; pearson and spearman, correlations. NaN marks what does not exist.
    """
    error, several = predicted - truth, truth.nunique() > 1 and predicted.nunique() > 1
    return {
        "mae": error.abs().mean(),
        "mae_constant": (truth - truth.median()).abs().mean(),
        "rmse": float(np.sqrt((error**2).mean())),
        "r2": r2_score(truth, predicted) if truth.nunique() > 1 else np.nan,
        "pearson": truth.corr(predicted) if several else np.nan,
        "spearman": truth.corr(predicted, method="spearman") if several else np.nan,
    }


def confusion(truth: pd.Series, predicted: pd.Series, classes: Sequence[str]) -> dict[str, int]:
    """Count the scans of every class that were taken for each: ``{class}_as_{predicted}``."""
    return {f"{a}_as_{b}": int(((truth == a) & (predicted == b)).sum()) for a, b in product(classes, classes)}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--predictions", required=True, nargs="+", help="predictions.tsv of each model")
    parser.add_argument("--seeds", required=True, type=model_name, nargs="+", help="their seeds, in the same order")
    parser.add_argument("--checks", nargs="+", help="the sanity check that each is the model of, in the same order")
    task_argument(parser)
    parser.add_argument("--out", required=True, help="accuracy.tsv or checks_accuracy.tsv")
    args = parser.parse_args()

    models = [{"seed": seed} | ({"network": network_of(seed)} if network_of(seed) else {}) for seed in args.seeds]
    if args.checks:
        models = [{"check": check} | model for check, model in zip(args.checks, models, strict=True)]
    tables = [read_table(path) for path in args.predictions]
    rows = [
        model | measure_accuracy(table, args.task)
        for model, table in zip(models, tables, strict=True)
        if len(table) or not args.checks
    ]
    measured = COLUMNS if args.task.classes else COLUMNS_OF_VALUE
    columns = [*models[0], *measured, *(f"n_{group}" for group in args.task.groups)] if not rows else None
    write_table(pd.DataFrame(rows, columns=columns), args.out)


if __name__ == "__main__":
    run(main)
