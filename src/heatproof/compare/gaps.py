"""Why cells of this stage's tables are empty, in words."""

from collections.abc import Collection, Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from heatproof.compare.layout import split_name
from heatproof.compare.ranks import why_unranked
from heatproof.compare.regions import METRICS
from heatproof.models import Model, network_of
from heatproof.possible import Possible
from heatproof.task import PATIENTS, Task, whose

REFERENCES = {"twin": "healthy twins", "controls": "controls"}
ROUNDING = 1e-6  # share of a map's peak, of which differences between voxels say nothing


def left_out_gaps(
    possible: Possible, names: Sequence[str], seeds: Sequence[Model]
) -> list[tuple[str | None, Model | None, str]]:
    """Name the methods and sanity checks that are left out: method, seed and reason, empty where they concern all.

    Parameters
    ----------
    possible : Possible
    names : sequence of str
        Methods and checks of them, as `split_name` has them.
    seeds : sequence of int or str
        The models.
    """
    notes = {}
    for method, check in map(split_name, names):
        what, name = ("check", check) if check else ("method", method)
        subject = f"the sanity check {name.replace('_', ' ')} is " if check else ""
        for network in possible.networks:
            if reason := possible.why_not(what, name, network):
                concerned = [seed for seed in seeds if network_of(seed) == network] if network else [None]
                notes |= {(None if check else method, seed, f"{subject}left out: {reason}"): None for seed in concerned}
    return list(notes)


def accuracy_gaps(accuracy: dict[str, float], task: Task) -> Iterator[str]:
    """Name what a row of ``accuracy.tsv`` lacks, and the groups that no map could be averaged over."""
    for stratum in task.shown:
        sizes = [accuracy[f"n_{name}"] for name, group in task.groups.items() if group.stratum == stratum]
        if sizes and not any(sizes):
            yield (
                f"no {stratum} among the test scans" if task.classes else f"fewer than 3 test scans: no {stratum} third"
            )
    for name in task.compared:
        if accuracy[f"n_{name}"] == 0:
            yield f"no {task.groups[name].title}"


def map_gaps(maps: pd.DataFrame, within: str, task: Task) -> Iterator[str]:
    """Name the mean maps in one ``mean_maps.tsv`` that have scans behind them but one value in all voxels."""
    shown = maps[maps["outcome"].isin(task.compared) & (maps["n_scans"] > 0)]
    flat = shown[shown[f"span_{within}"] <= ROUNDING * shown[f"peak_{within}"]]
    for outcome, peak in zip(flat["outcome"], flat[f"peak_{within}"], strict=True):
        value = "the same" if peak else "zero"
        yield f"the mean map over {task.groups[outcome].title}s is {value} in every voxel of the {within}"


def grid_gaps(regions: pd.DataFrame) -> Iterator[str]:
    """Name the regions that the working grid is too coarse for, or that the brain mask leaves out."""
    for region in regions.loc[regions["n_voxels"] == 0, "region"]:
        yield f"{region} has no voxel of the working grid in the brain"


def region_gaps(regions: pd.DataFrame, top_k: int, task: Task) -> Iterator[str]:
    """Name what one ``regions.tsv`` lacks beside `grid_gaps`, unless the target's relevance is missing as a whole."""
    present = regions[regions["n_voxels"] > 0]
    if present["sum"].isna().all():
        return
    without_gain = np.count_nonzero(present["gain"].isna())
    if without_gain:
        held = whose(task.reference) if task.classes else f"{task.reference} third's"
        relevance = f"the {held} relevance"
        yield f"{without_gain} of {len(regions)} regions have no gain: {relevance} there is 0, or negative"
    for metric in METRICS:
        if reason := why_unranked(regions[metric].to_numpy(), top_k):
            yield f"regions are not ranked by {metric}: {reason}"


def score_gaps(scores: pd.DataFrame) -> Iterator[str]:
    """Name the measures of one method in ``scores.tsv`` that have no value, or no interval."""
    names = scores["measure"] + " (" + scores["outcome"] + ")"
    without_value = scores["value"].isna()
    without_interval = scores["low"].isna() & ~without_value
    if without_value.any():
        yield f"no value of {', '.join(names[without_value])}: fewer than 2 models can be compared, or none has a map"
    if without_interval.any():
        measures = "any measure" if without_interval.all() else ", ".join(names[without_interval])
        yield (
            f"no interval of {measures}: fewer than 3 models, or 2 groups of participants, can be left out in turn, "
            "or nothing changes without them"
        )


def effect_gaps(effects: pd.DataFrame, task: Task) -> Iterator[tuple[Model, str]]:
    """Name the models, by seed, that faithfulness is not measured for, as their margin has no gap to explain."""
    quantity = (
        f"margin of {task.groups[task.explained].title}s" if task.classes else f"{task.target} that models predict"
    )
    used = "twin" if (effects["reference"] == "twin").any() else "controls"
    without = effects[(effects["reference"] == used) & ~effects["explained"].astype(bool) & (effects["n_scans"] > 0)]
    for row in without.drop_duplicates("seed").itertuples():
        yield (
            row.seed,
            f"no faithfulness to effects: the {quantity}, {row.margin:.2g}, does not exceed that of "
            f"their {REFERENCES[used]}, {row.margin_reference:.2g}, by more than two standard errors",
        )


def check_gaps(
    names: pd.DataFrame, judged: Collection[str], checks: Collection[str]
) -> Iterator[tuple[str, None, str]]:
    """Name the sanity checks, by method, that a method has no maps of, as it was not computed here.

    Parameters
    ----------
    names : DataFrame
        method and check of all maps.
    judged, checks : collection of str
        Methods that are judged, and the study's sanity checks that explain another model.
    """
    there = set(names.itertuples(index=False, name=None))
    for method in judged:
        if absent := [check for check in checks if (method, check) not in there]:
            yield (
                method,
                None,
                f"no sanity check {', '.join(absent)}: its maps were made elsewhere, and none under it are given",
            )


def notes_on(
    accuracy: pd.DataFrame,
    maps: pd.DataFrame,
    regions: pd.DataFrame,
    scores: pd.DataFrame,
    within: str,
    top_k: int,
    effects: pd.DataFrame | None = None,
    left_out: Iterable[tuple[str | None, Model | None, str]] = (),
    task: Task = PATIENTS,
) -> pd.DataFrame:
    """Say in words why cells of the stage's tables are empty, one row per reason.

    Parameters
    ----------
    accuracy : DataFrame
        ``accuracy.tsv``.
    maps, regions : DataFrame
        ``mean_maps.tsv`` and ``regions.tsv`` of every method and model: method, seed, and their columns.
    scores : DataFrame
        ``scores.tsv``.
    within, top_k
        As in the config's ``compare`` section.
    effects : DataFrame or None
        ``effects.tsv``, where there are effects.
    left_out : iterable
        As `left_out_gaps` and `check_gaps` return it.
    task : Task

    Returns
    -------
    DataFrame
        method seed reason. An empty method means that the reason holds under every method, an empty seed that it holds
        for every model. A study without gaps has no row.
    """
    notes = list(left_out)
    notes += [(None, row["seed"], reason) for row in accuracy.to_dict("records") for reason in accuracy_gaps(row, task)]
    if effects is not None:
        notes += [(None, seed, reason) for seed, reason in effect_gaps(effects, task)]
    of_models = regions.groupby(["method", "seed"])
    for (method, seed), rows in maps.groupby(["method", "seed"], sort=False):
        of_model = of_models.get_group((method, seed))
        notes += [
            (method, seed, reason) for reason in [*map_gaps(rows, within, task), *region_gaps(of_model, top_k, task)]
        ]
    notes += [(None, None, reason) for reason in grid_gaps(of_model)]
    for method, rows in scores.query("kind == 'method'").groupby("method", sort=False):
        notes += [(method, None, reason) for reason in score_gaps(rows)]
    table = pd.DataFrame(notes, columns=["method", "seed", "reason"])
    return table if table["seed"].map(type).eq(str).any() else table.astype({"seed": "Int64"})
