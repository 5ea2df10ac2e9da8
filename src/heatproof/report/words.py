"""What a study found, in sentences that say no more than its numbers."""

from collections.abc import Callable

import pandas as pd

from heatproof.report.comparison import number
from heatproof.report.figures import percent, title_of


def count(n: int, noun: str) -> str:
    """Write a number of things."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def extremes(values: pd.Series, write: Callable[[float], str]) -> str:
    """Name the smallest and the largest of the methods' values, given by method."""
    values = values.dropna()
    if values.empty:
        return "no value for any method"
    low, high = values.idxmin(), values.idxmax()
    if write(values[low]) == write(values[high]):
        return f"{write(values[low])} for {'every method' if len(values) > 1 else title_of(low)}"
    return f"{write(values[low])} ({title_of(low)}) to {write(values[high])} ({title_of(high)})"


def describe_scans(scans: pd.DataFrame) -> str:
    """Say what the models learned from and what was explained; scans without a label do not count."""
    scans = scans.dropna(subset="label")
    parts = {split: scans[scans["split"] == split] for split in ("train", "test")}
    amounts = {
        split: f"{count(len(part), 'scan')} of {count(part['participant_id'].nunique(), 'participant')}"
        for split, part in parts.items()
    }
    patients = (parts["test"]["label"] == "patient").sum()
    return (
        f"trained on {amounts['train']} and explained on {amounts['test']} "
        f"({patients} of patients, {len(parts['test']) - patients} of controls)"
    )


def summarise(scans: pd.DataFrame, accuracy: pd.DataFrame, l2: pd.DataFrame, top: pd.DataFrame) -> list[str]:
    """Answer the study's question in a few sentences.

    Parameters
    ----------
    scans, accuracy, l2, top : DataFrame
        ``scans.tsv``, ``accuracy.tsv``, ``l2.tsv`` and ``top_regions.tsv`` of the study.

    Returns
    -------
    list of str
        Paragraphs.
    """
    balanced = accuracy["balanced_accuracy"]
    spread = f"{percent(balanced.mean())} on average, {percent(balanced.min())} to {percent(balanced.max())}"
    rms = l2[l2["outcome"] == "TP"].set_index("method")["rms"]
    shared = [
        f"by {metric}, {extremes(group.set_index('method')['overlap_mean'], percent)}"
        for metric, group in top.groupby("metric", sort=False)
    ]
    return [
        f"Here {count(len(accuracy), 'network')} with the same settings and different seeds were "
        f"{describe_scans(scans)}, with {count(l2['method'].nunique(), 'attribution method')}. Balanced accuracy on "
        f"the test scans: {spread}.",
        f"Root mean square difference per voxel between two models’ mean maps over true positives, each scaled to a "
        f"maximum of 1: {extremes(rms, number)}. Share of their top {top['k'].iloc[0]} regions that two models have in "
        f"common: {'; '.join(shared)}; with random choices, {percent(top['chance'].mean())} on average.",
        "These numbers say how far models agree, not whether their maps are right.",
    ]
