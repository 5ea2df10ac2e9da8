"""What a study found, in sentences that say no more than its numbers."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pandas as pd

from heatproof.report.accuracy import headline
from heatproof.report.comparison import number
from heatproof.report.figures import percent, scans_of, title_of
from heatproof.tables import own
from heatproof.task import PATIENTS, Task, plural

SCALED = {"pearson": "robustness", "faithfulness_pearson_cubes": "faithfulness", "pr_auc": "localisation"}
T_MAPS = {"t_map": "training", "t_map_test": "test"}


def names_of(task: Task) -> dict[str, str]:
    """Say how a page calls scans: patients and controls where classes are called so, else by the classes' names.

    Returns
    -------
    dict of str
        explained (the scans that most maps are averaged over), explained_class (what positive values speak for), output
        (which one is explained), targets_of (after "scans of"), references (scans that the target is held against),
        reference (one of them), t_map (of what), question and empty_question (what maps with such a reference answer,
        and others), gain (of a region), note (what these words are; empty of patients and controls).
    """
    target, group, references = task.target, f"{task.groups[task.explained].title}s", scans_of(task, task.reference)
    named = {"explained": group, "references": references, "reference": f"reference from the {references}"}
    if not task.classes:
        return named | {
            "explained_class": f"a higher {target}",
            "output": f"the output is {target}",
            "targets_of": "all participants",
            "t_map": target,
            "question": f"what makes the {target} of this scan higher than that of {references}?",
            "empty_question": f"what makes the {target} of this scan higher than that of an empty scan?",
            "gain": f"sum over all scans divided by sum over {references}",
            "note": f"The value {target} is explained. References are {references}: the mean control is the mean of "
            "those in the training set.",
        }
    named |= {
        "explained_class": f"the class {target}",
        "output": f"output {task.index} is the class {target}",
        "t_map": f"{scans_of(task, target)} against {references}",
    }
    if task.shown == PATIENTS.shown:
        return named | {
            "targets_of": "patients",
            "reference": "healthy reference",
            "question": "what makes this a patient rather than healthy?",
            "empty_question": "what makes this a patient rather than nothing?",
            "gain": "patients’ sum divided by controls’ sum",
            "note": "",
        }
    positive = "" if len(task.classes) > 2 else f" A true positive is a recognised {target} scan."
    return named | {
        "targets_of": f"the class {target}",
        "question": f"what makes this scan {target} rather than {task.reference}?",
        "empty_question": f"what makes this scan {target} rather than empty?",
        "gain": f"sum over {target} scans divided by sum over {references}",
        "note": f"The class {target} is explained and held against {task.reference}.{positive} The mean control "
        f"is the mean of the training {references}.",
    }


def count(n: int, noun: str) -> str:
    """Write a number of things."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def extremes(values: pd.Series, write: Callable[[float], str]) -> str:
    """Name the smallest and the largest of the methods' values, given by method; at least one has a value."""
    values = values.dropna()
    low, high = values.idxmin(), values.idxmax()
    if write(values[low]) == write(values[high]):
        return f"{write(values[low])} for {'every method' if len(values) > 1 else title_of(low)}"
    return f"{write(values[low])} ({title_of(low)}) to {write(values[high])} ({title_of(high)})"


def describe_scans(scans: pd.DataFrame, imported: bool = False, task: Task = PATIENTS) -> str:
    """Say what models learned from, if that is known, and what was explained; scans without a label do not count."""
    scans = scans.dropna(subset="label")
    parts = {split: scans[scans["split"] == split] for split in ("train", "test")}
    amounts = {
        split: f"{count(len(part), 'scan')} of {count(part['participant_id'].nunique(), 'participant')}"
        for split, part in parts.items()
    }
    labels = parts["test"]["label"]
    former = task.shown == PATIENTS.shown
    counted = ", ".join(f"{(labels == name).sum()} of {plural(name) if former else name}" for name in task.shown)
    if not task.classes:
        counted = f"{task.target} {number(labels.min())} to {number(labels.max())}"
    learned = "trained elsewhere, and here" if imported else f"trained on {amounts['train']} and"
    return f"{learned} explained on {amounts['test']} ({counted})"


def shared_regions(top: pd.DataFrame) -> str:
    """Say how many of their top regions two models share, by sum, density and gain, as far as there are values."""
    return "; ".join(
        f"by {metric}, {extremes(group.set_index('method')['overlap_mean'], percent)}"
        for metric, group in top.dropna(subset="overlap_mean").groupby("metric", sort=False)
    )


def summarise(
    scans: pd.DataFrame,
    accuracy: pd.DataFrame,
    l2: pd.DataFrame,
    top: pd.DataFrame,
    noise: pd.DataFrame,
    imported: bool = False,
    task: Task = PATIENTS,
) -> list[str]:
    """Answer the study's question in a few sentences.

    Parameters
    ----------
    scans, accuracy : DataFrame
        ``scans.tsv`` and ``accuracy.tsv`` of the study.
    l2, top : DataFrame
        ``l2.tsv`` and ``top_regions.tsv``, their rows of the maps of methods that are judged.
    noise : DataFrame
        The rows of ``top_regions.tsv`` of noise like the maps of each of these methods.
    imported : bool
        Whether the models were trained elsewhere.
    task : Task

    Returns
    -------
    list of str
        Paragraphs.
    """
    (name, quantity), several = headline(accuracy), len(accuracy) > 1
    low, high = quantity.write(accuracy[name].min()), quantity.write(accuracy[name].max())
    spread = f" on average, {low} to {high}" if low != high else " for each" if several else ""
    networks = accuracy["network"].nunique() if "network" in accuracy else 1
    counted = f"{len(accuracy)} {f'models of {networks} networks' if networks > 1 else 'networks'}"
    differ = f"{counted} {'' if imported else 'with the same settings and different seeds '}were"
    said = (
        f"Here {differ if several else '1 network was'} {describe_scans(scans, imported, task)}, with "
        f"{count(l2['method'].nunique(), 'attribution method')}. {quantity.title} on the test scans: "
        f"{quantity.write(accuracy[name].mean())}{spread}."
    )
    if comparable(l2, top):
        return [said, describe_agreement(l2, top, noise, f"{task.groups[task.explained].title}s")]
    alone = f"that takes two ({'train.models' if imported else 'train.seeds'})"
    title = task.groups[task.explained].title
    why = f"no two of them have maps over {title}s" if several else alone
    return [said, f"How far models agree is not known: {why}."]


def describe_agreement(l2: pd.DataFrame, top: pd.DataFrame, noise: pd.DataFrame, group: str = "true positives") -> str:
    """Say how far models agree, as far as there are values; arguments as in `summarise`."""
    rms, said = l2[l2["outcome"].isin(l2["outcome"].head(1))].set_index("method")["rms"], []
    if rms.notna().any():
        said.append(
            f"Root mean square difference per voxel between two models’ mean maps over {group}, each scaled to a "
            f"maximum of 1: {extremes(rms, number)}."
        )
    if top["overlap_mean"].notna().any():
        said.append(
            f"Share of their top {top['k'].iloc[0]} regions that two models have in common: {shared_regions(top)}; "
            f"by chance, {percent(top['chance'].mean())} on average."
        )
    if noise["overlap_mean"].notna().any():
        said.append(f"For noise with the same values and smoothness: {shared_regions(noise)}.")
    return " ".join(said)


def comparable(l2: pd.DataFrame, top: pd.DataFrame) -> bool:
    """Tell whether any two models have mean maps, or rankings of regions, that could be compared."""
    return bool(l2["rms"].notna().any() or top["overlap_mean"].notna().any())


def of_maps(scores: pd.DataFrame, measure: str, kind: str) -> pd.DataFrame:
    """Return value, low, high and chance of a measure of methods' own maps over true positives, by method."""
    rows = scores[(scores["measure"] == measure) & (scores["kind"] == kind)]
    rows = own(rows)
    return rows.set_index("method")[["value", "low", "high", "chance"]].dropna(subset="value")


def ranking_by_scale(table: pd.DataFrame) -> str:
    """Say in one sentence whether the ranking of methods turns with the width by which their maps are smoothed.

    Parameters
    ----------
    table : DataFrame
        ``scale.tsv`` of methods: method, check, measure, values, fwhm, value. Signed maps count, and of localisation
        absolute values of the smoothed signed maps.
    """
    rows = own(table[table["values"] == "signed"]).dropna(subset="value")
    said = []
    for measure, words in SCALED.items():
        means = rows[rows["measure"] == measure].pivot_table(index="method", columns="fwhm", values="value")
        means = means.dropna()
        if len(means) < 2 or means.shape[1] < 2:
            continue
        narrow, wide = means.columns[0], means.columns[-1]
        pairs = list(combinations(means.index, 2))
        order = np.sign([[means.at[a, fwhm] - means.at[b, fwhm] for fwhm in (narrow, wide)] for a, b in pairs])
        turned, first = np.count_nonzero(order[:, 0] * order[:, 1] < 0), [title_of(name) for name in means.idxmax()]
        said.append(
            f"by {words}, {turned or 'none'} of {len(pairs)} ({first[0]} is first"
            + (")" if first[0] == first[-1] else f" at {narrow:g} mm, {first[-1]} at {wide:g} mm)")
        )
    if not said:
        return ""
    widths = sorted(rows["fwhm"].unique())
    return (
        f"Pairs of methods that change places when maps are smoothed by {widths[-1]:g} mm instead of {widths[0]:g} mm: "
        f"{'; '.join(said)}."
    )


def judge(scores: pd.DataFrame, checks: pd.DataFrame | None, group: str = "true positives") -> list[str]:
    """Say in sentences how well localised maps are, and how far they depend on what was learned.

    Parameters
    ----------
    scores : DataFrame
        ``scores.tsv``.
    checks : DataFrame or None
        ``checks.tsv``.
    group : str
        The scans that maps are averaged over.

    Returns
    -------
    list of str
        Paragraphs.
    """
    said, agreement, right = [], of_maps(scores, "pearson", "method"), of_maps(scores, "pr_auc", "method")
    if len(right):
        chance = right["chance"].mean()
        above = [title_of(name) for name in right.index[right["low"] > right["chance"]]]
        bounds = of_maps(scores, "pr_auc", "bound")["value"]
        t_maps = [f"{value:.2f} ({T_MAPS[name]} scans)" for name, value in bounds.items() if name in T_MAPS]
        without = f"; of the t-map, without a network, {', '.join(t_maps)}" if t_maps else ""
        said.append(
            "In this study it is known which regions changed. Area under the precision-recall curve of mean maps over "
            f"{group} (chance {chance:.2f}): {extremes(right['value'], '{:.2f}'.format)}{without}."
        )
        if right["low"].notna().any():
            said[-1] += f" The 95 % interval lies above chance for {', '.join(above) or 'no method'}."
        if len(agreement):
            robust = agreement["value"].idxmax()
            area = f"its area is {right.loc[robust, 'value']:.2f}" if robust in right.index else "it has no area"
            said[-1] += (
                f" The maps of {title_of(robust)} are the most robust, voxel by voxel (correlation "
                f"{agreement.loc[robust, 'value']:.2f}); {area}."
            )
    elif len(agreement):
        said.append("These numbers show how well models agree, but not whether their maps show the change.")
    heads = pd.Series(dtype=float)
    if checks is not None:
        heads = checks[checks["check"] == "random_head"].groupby("method")["spearman"].mean().dropna()
    if len(heads):
        said.append(
            "Rank correlation of the absolute values of a model’s mean map with those of its map after the last layers "
            "are re-initialised (model parameter randomisation, Adebayo et al. 2018): "
            f"{extremes(heads, '{:.2f}'.format)}. Near 1, a method shows the same places whatever these layers "
            "learned; signs may differ."
        )
    if scores["low"].notna().any():
        said.append("Intervals cover other trainings and participants, but not other cohorts, networks or settings.")
    return said
