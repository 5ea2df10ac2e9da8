"""What a study found, in sentences that say no more than its numbers."""

from collections.abc import Callable

import pandas as pd

from heatproof.report.comparison import number
from heatproof.report.figures import percent, title_of

T_MAPS = {"t_map": "training", "t_map_test": "test"}


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


def shared_regions(top: pd.DataFrame) -> str:
    """Say how many of their top regions two models share, by sum, density and gain."""
    return "; ".join(
        f"by {metric}, {extremes(group.set_index('method')['overlap_mean'], percent)}"
        for metric, group in top.groupby("metric", sort=False)
    )


def summarise(
    scans: pd.DataFrame, accuracy: pd.DataFrame, l2: pd.DataFrame, top: pd.DataFrame, noise: pd.DataFrame
) -> list[str]:
    """Answer the study's question in a few sentences.

    Parameters
    ----------
    scans, accuracy : DataFrame
        ``scans.tsv`` and ``accuracy.tsv`` of the study.
    l2, top : DataFrame
        ``l2.tsv`` and ``top_regions.tsv``, their rows of methods that are judged.
    noise : DataFrame
        The rows of ``top_regions.tsv`` of noise like the maps of each of these methods, under the method's name.

    Returns
    -------
    list of str
        Paragraphs.
    """
    balanced = accuracy["balanced_accuracy"]
    spread = f"{percent(balanced.mean())} on average, {percent(balanced.min())} to {percent(balanced.max())}"
    rms = l2[l2["outcome"] == "TP"].set_index("method")["rms"]
    of_noise = f" Noise of the same values and as smooth: {shared_regions(noise)}." if len(noise) else ""
    return [
        f"Here {count(len(accuracy), 'network')} with the same settings and different seeds were "
        f"{describe_scans(scans)}, with {count(l2['method'].nunique(), 'attribution method')}. Balanced accuracy on "
        f"the test scans: {spread}.",
        f"Root mean square difference per voxel between two models’ mean maps over true positives, each scaled to a "
        f"maximum of 1: {extremes(rms, number)}. Share of their top {top['k'].iloc[0]} regions that two models have in "
        f"common: {shared_regions(top)}; with random choices, {percent(top['chance'].mean())} on average.{of_noise}",
    ]


def of_maps(scores: pd.DataFrame, measure: str, kind: str) -> pd.DataFrame:
    """Return value, low, high and chance of a measure over true positives, by method or by control."""
    rows = scores[(scores["measure"] == measure) & (scores["outcome"] == "TP") & (scores["kind"] == kind)]
    return rows.set_index("method")[["value", "low", "high", "chance"]].dropna(subset="value")


def judge(scores: pd.DataFrame, controls: pd.DataFrame | None) -> list[str]:
    """Say in sentences whether robust maps are also right, as far as the study can tell.

    Parameters
    ----------
    scores : DataFrame
        ``scores.tsv``.
    controls : DataFrame or None
        ``controls.tsv``.

    Returns
    -------
    list of str
        Paragraphs.
    """
    said, agreement, right = [], of_maps(scores, "pearson", "method"), of_maps(scores, "pr_auc", "method")
    if len(right) and len(agreement):
        robust, chance = agreement["value"].idxmax(), right["chance"].mean()
        above = [title_of(name) for name in right.index[right["low"] > right["chance"]]]
        bounds = of_maps(scores, "pr_auc", "control")["value"]
        t_maps = [f"of the {T_MAPS[name]} scans, {value:.2f}" for name, value in bounds.items() if name in T_MAPS]
        without = f"; the t-map, with no network, {', and '.join(t_maps)}" if t_maps else ""
        said.append(
            "Here it is known which regions truly changed. Area under the precision-recall curve of the mean maps over "
            f"true positives, which at chance is {chance:.2f}: {extremes(right['value'], '{:.2f}'.format)}{without}. "
            f"The 95 % interval lies above chance for {', '.join(above) or 'no method'}. The method whose models agree "
            f"most, voxel by voxel, is {title_of(robust)} (correlation {agreement.loc[robust, 'value']:.2f}); its area "
            f"is {right['value'].get(robust, float('nan')):.2f}."
        )
    else:
        said.append("These numbers say how far models agree, not whether their maps are right.")
    if controls is not None and (controls["control"] == "random_head").any():
        heads = controls[controls["control"] == "random_head"].groupby("method")["spearman"].mean()
        said.append(
            "Rank correlation of the absolute values of a model’s mean map and of its map after the last layers are "
            f"drawn anew, with nothing that they learned: {extremes(heads, '{:.2f}'.format)}. A method near 1 shows "
            "the same places whatever they learned, though signs may turn."
        )
    return [
        *said,
        "Intervals are about other trainings and other participants, not other cohorts, networks or settings.",
    ]
