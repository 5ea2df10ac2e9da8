"""Measure how well each model classifies the test scans: ``accuracy.tsv``, one row per seed.

The column network is there where the study has several.

Of the models of sanity checks it is ``checks_accuracy.tsv``, one row per check and seed, but for those left out.
"""

import argparse

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, recall_score, roc_auc_score

from heatproof.command import run
from heatproof.compare.outcomes import OUTCOMES, scans_by_outcome
from heatproof.models import model_name, network_of
from heatproof.tables import read_table, write_table

COLUMNS = ["balanced_accuracy", "sensitivity", "specificity", "accuracy", "auc", *(f"n_{name}" for name in OUTCOMES)]


def measure_accuracy(predictions: pd.DataFrame) -> dict[str, float]:
    """Score the predictions of one model for the test scans.

    Parameters
    ----------
    predictions : DataFrame
        scan, split, label, probability (of being a patient), predicted.

    Returns
    -------
    dict
        balanced_accuracy, sensitivity, specificity, accuracy, auc, and n_TP, n_TN, n_FP, n_FN, per scan. NaN marks
        what does not exist: sensitivity without patients, specificity without controls, what needs both, and auc
        without probabilities.
    """
    test = predictions[predictions["split"] == "test"]
    truth, predicted = test["label"], test["predicted"]
    sensitivity, specificity = recall_score(
        truth, predicted, labels=["patient", "control"], average=None, zero_division=np.nan
    )
    ranked = truth.nunique() == 2 and test["probability"].notna().all()
    auc = roc_auc_score(truth == "patient", test["probability"]) if ranked else np.nan
    return {
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "accuracy": accuracy_score(truth, predicted),
        "auc": auc,
    } | {f"n_{outcome}": len(scans) for outcome, scans in scans_by_outcome(predictions).items()}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--predictions", required=True, nargs="+", help="predictions.tsv of each model")
    parser.add_argument("--seeds", required=True, type=model_name, nargs="+", help="their seeds, in the same order")
    parser.add_argument("--checks", nargs="+", help="the sanity check that each is the model of, in the same order")
    parser.add_argument("--out", required=True, help="accuracy.tsv or checks_accuracy.tsv")
    args = parser.parse_args()

    models = [{"seed": seed} | ({"network": network_of(seed)} if network_of(seed) else {}) for seed in args.seeds]
    if args.checks:
        models = [{"check": check} | model for check, model in zip(args.checks, models, strict=True)]
    tables = [read_table(path) for path in args.predictions]
    rows = [
        model | measure_accuracy(table)
        for model, table in zip(models, tables, strict=True)
        if len(table) or not args.checks
    ]
    write_table(pd.DataFrame(rows, columns=None if rows else [*models[0], *COLUMNS]), args.out)


if __name__ == "__main__":
    run(main)
