"""The page's answer: what each method is worth in four respects, and a verdict by a rule that is stated here alone."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import t as student

from heatproof.checks import BASELINES, FLOORS
from heatproof.references import name_of
from heatproof.report.comparison import decimal
from heatproof.report.figures import CHECKS, title_of
from heatproof.tables import own

HEADS = ("random_head", "initial_head")  # checks that replace the last layers alone; the first that a study has counts
REFERENCES = {"mean_control": "mean of the training {}", "twin": "healthy twin", "blurred": "blurred scan"}
FROM_EMPTY = (  # methods that compare a scan with an empty one where no option says else
    *("gradient_input", "integrated_gradients", "lrp", "deep_lift", "occlusion", "region_occlusion"),
)


class Respect(NamedTuple):
    """One respect in which methods are judged: a column of the table.

    Attributes
    ----------
    title, asks : str
        Head of the column, and the question that it answers.
    measures : mapping
        Names in ``scores.tsv`` to what they are in words; the first that a study has counts.
    checks : tuple of str
        Sanity checks that are floors.
    model_free : bool
        Whether methods that do not look at the model are floors, too.
    floor : float
        The least that a floor is, where chance is not known or lower.
    floor_name : str
        What that is.
    absent : str
        Why there may be no value.
    """

    title: str
    asks: str
    measures: Mapping[str, str]
    checks: tuple[str, ...] = ()
    model_free: bool = False
    floor: float = 0.0
    floor_name: str = "chance"
    absent: str = ""


RESPECTS = {
    "robust": Respect(
        "Robust over retraining",
        "Do networks that were trained again get the same maps?",
        {
            "agreement_pearson_cubes": "correlation of two models’ mean maps, summed over cubes",
            "pearson": "correlation of two models’ mean maps, voxel by voxel",
        },
        checks=("noise",),
        absent="Fewer than two models have a mean map.",
    ),
    "faithful": Respect(
        "Faithful to the model",
        "Do the maps show what changes the model’s output?",
        {
            "faithfulness_pearson_cubes": "correlation of a map’s sums over cubes with the cubes’ effects: the fall of "
            "the model’s output when a cube is replaced by that of a healthy reference",
        },
        checks=FLOORS,
        model_free=True,
        absent="The effects of cubes on the models were not measured (attribute.effects), or the models have none.",
    ),
    "localises": Respect(
        "Localises the change",
        "Do the maps show where the brain changed?",
        {"pr_auc": "area under the precision-recall curve for the voxels that changed"},
        checks=FLOORS,
        model_free=True,
        absent="Only in simulated cohorts is it known where the brain changed.",
    ),
    "depends": Respect(
        "Depends on what was learned",
        "Do the maps change when the last layers are re-initialised?",
        {
            "depends": "1 less the rank correlation of a map’s absolute values before and after (model parameter "
            "randomisation)",
        },
        floor=0.1,
        floor_name="maps that hardly change",
        absent="No sanity check re-initialises the last layers (compare.checks: random_head).",
    ),
}
ENOUGH = {"faithful": 0.5}  # what the whole interval exceeds in a method that is believed
STATES = ("below", "unsure", "above", "enough", "unknown")


class Rule(NamedTuple):
    """A verdict, and when it is given.

    Attributes
    ----------
    verdict, words : str
    states : mapping
        Respect to the states of `STATES` that it names.
    every : bool
        Whether every respect has to be in one of its states, or any.
    """

    verdict: str
    words: str
    states: Mapping[str, tuple[str, ...]]
    every: bool = False


RULES = (  # the first that holds gives the verdict
    Rule(
        "do not believe",
        "The whole interval of faithfulness lies at or below its floor.",
        {"faithful": ("below",)},
    ),
    Rule(
        "do not believe",
        "The whole interval of the dependence on what was learned lies at or below its floor, and faithfulness does "
        "not exceed its own.",
        {"faithful": ("unsure", "unknown"), "depends": ("below",)},
        every=True,
    ),
    Rule(
        "cannot tell",
        "The interval of faithfulness includes its floor, or does not exist. Or the maps have no healthy reference and "
        "do not exceed the floor: they answer another question, which is not measured here.",
        {"faithful": ("unsure", "unknown")},
    ),
    Rule(
        "believe",
        "The intervals of robustness, faithfulness and dependence lie above their floors, and that of faithfulness "
        f"above {ENOUGH['faithful']}.",
        {"robust": ("above", "enough"), "faithful": ("enough",), "depends": ("above", "enough")},
        every=True,
    ),
    Rule(
        "with care",
        "All other cases. The maps are faithful to some extent, but less than that; or they are not robust; or it is "
        "not shown that they depend on the last layers.",
        {},
        every=True,
    ),
)
BESIDE = {  # what is shown below the methods, by respect the method and check of scores.tsv
    "The models’ own effects": {"robust": ("effects", ""), "faithful": ("effects", "halves")},
    "Another model’s effects": {"faithful": ("effects", "other_model")},
    "t-map of training scans (no model)": {"localises": ("t_map", "")},
}
ORDER = ("believe", "with care", "cannot tell", "do not believe")


class Cell(NamedTuple):
    """One method in one respect: value, its 95 % interval, the floor and what it is, and where the interval lies."""

    value: float = np.nan
    low: float = np.nan
    high: float = np.nan
    floor: float = np.nan
    source: str = ""
    state: str = "unknown"

    @property
    def text(self) -> str:
        """The value for a reader."""
        return decimal(self.value)

    @property
    def floor_text(self) -> str:
        """The floor for a reader; nothing where there is none."""
        return "" if np.isnan(self.floor) else decimal(self.floor)

    @property
    def span(self) -> str:
        """The interval for a reader; nothing where there is none."""
        return "" if np.isnan(self.low) else f"{decimal(self.low)} to {decimal(self.high)}"


def reference_of(options: Mapping, controls: str = "controls") -> str:
    """Name in words what a method compares a scan with; an empty text for a method that compares it with nothing.

    Parameters
    ----------
    options : mapping
        Of an entry of the config's ``attribute.methods``.
    controls : str
        What the scans of the healthy are called.
    """
    if "controls" in options:
        return f"training {controls}"
    value = options.get("reference", options.get("baseline"))
    if name := name_of(value):
        return REFERENCES[name].format(controls)
    return "empty scan" if value is not None or options["method"] in FROM_EMPTY else ""


def is_healthy(options: Mapping) -> bool:
    """Tell whether a method compares a scan with that of somebody healthy; options as for `reference_of`."""
    return "controls" in options or name_of(options.get("reference", options.get("baseline"))) in (
        "mean_control",
        "twin",
    )


def mean_with_interval(values: pd.Series, level: float = 0.95) -> tuple[float, float, float]:
    """Return the mean over models and its interval by Student's t, which is NaN with fewer than 3 models."""
    values = values.dropna()
    half = student.ppf((1 + level) / 2, len(values) - 1) * values.sem() if len(values) > 2 else np.nan
    return values.mean(), values.mean() - half, values.mean() + half


def dependence(checks: pd.DataFrame | None) -> tuple[pd.DataFrame, str]:
    """Measure how far a method's maps change when the last layers are replaced.

    Parameters
    ----------
    checks : DataFrame or None
        ``checks.tsv``: method, check, seed, spearman.

    Returns
    -------
    table : DataFrame
        By method: value, low, high; 1 less Spearman's correlation of absolute values, as a mean over models.
    check : str
        Which of `HEADS` it is; an empty text if there is none.
    """
    found = [] if checks is None else [check for check in HEADS if (checks["check"] == check).any()]
    if not found:
        return pd.DataFrame(columns=["value", "low", "high"]), ""
    groups = (1 - checks[checks["check"] == found[0]].set_index("method")["spearman"]).groupby(level=0)
    table = pd.DataFrame({method: mean_with_interval(values) for method, values in groups}).T
    return table.set_axis(["value", "low", "high"], axis=1).clip(0, 2), found[0]


def place(value: float, low: float, high: float, floor: float, enough: float = np.inf) -> str:
    """Tell where an interval lies: a state of `STATES`; ``unsure`` where it includes the floor, or does not exist."""
    if np.isnan(value):
        return "unknown"
    if np.isnan(low) or low <= floor < high:
        return "unsure"
    return "below" if high <= floor else "enough" if low > enough else "above"


def floor_of(method: str, respect: Respect, rows: pd.DataFrame) -> tuple[float, str]:
    """Return the highest floor of a method in one respect, and what it is in words.

    Parameters
    ----------
    rows : DataFrame
        One measure of maps over true positives: method, check, value, chance, model_free.
    """
    chance = np.nan_to_num(rows.loc[rows["method"] == method, "chance"].mean())
    floors = {respect.floor_name: max(chance, respect.floor)}
    checks = rows[(rows["method"] == method) & rows["check"].isin(respect.checks)]
    floors |= {CHECKS.get(row.check, row.check): row.value for row in checks.itertuples()}
    if respect.model_free:
        floors |= {title_of(row.method): row.value for row in rows[rows["model_free"]].itertuples()}
    known = {name: value for name, value in floors.items() if np.isfinite(value)}
    name = max(known, key=known.get)
    return known[name], name


def cell_of(method: str, key: str, rows: pd.DataFrame) -> Cell:
    """Judge a method in one respect; rows as for `floor_of`, and low and high."""
    of_method = own(rows[rows["method"] == method])
    if of_method["value"].isna().all():
        return Cell()
    found = of_method.iloc[0][["value", "low", "high"]].astype(float)
    floor, source = floor_of(method, RESPECTS[key], rows)
    return Cell(*found, floor, source, place(*found, floor, ENOUGH.get(key, np.inf)))


def measured(scores: pd.DataFrame, checks: pd.DataFrame | None, methods: Mapping[str, Mapping]) -> dict[str, tuple]:
    """Choose the measure of each respect.

    Returns
    -------
    dict
        Respect to the measure in words, and its rows as for `cell_of`; None for a respect that was not measured.
    """
    model_free = [name for name, options in methods.items() if options["method"] in BASELINES]
    change, check = dependence(checks)
    change = change.rename_axis("method").reset_index().assign(measure="depends", check="", kind="method")
    change["chance"] = RESPECTS["depends"].floor
    tables = [table for table in (scores, change) if len(table)]
    scores = pd.concat(tables, ignore_index=True) if tables else scores
    scores = scores.assign(model_free=scores["method"].isin(model_free) & (scores["check"] == ""))
    found = {}
    for key, respect in RESPECTS.items():
        names = [name for name in respect.measures if scores.loc[scores["measure"] == name, "value"].notna().any()]
        if names:
            found[key] = respect.measures[names[0]], scores[scores["measure"] == names[0]]
    if "depends" in found:
        words, rows = found["depends"]
        found["depends"] = f"{words}; sanity check {check}", rows
    return found


def verdict_of(states: Mapping[str, str]) -> str:
    """Return the verdict of the first of `RULES` that holds; states by respect."""
    for rule in RULES:
        held = [states.get(key, "unknown") in named for key, named in rule.states.items()]
        if all(held) if rule.every else any(held):
            return rule.verdict
    raise ValueError(f"no rule holds for {states}")


def judge_method(states: Mapping[str, str], healthy: bool) -> str:
    """Return a method's verdict.

    Maps without a healthy reference answer another question than the effects do; where they do not follow these, that
    is no fault.
    """
    if not healthy and states.get("faithful") == "below":
        states = {**states, "faithful": "unknown"}
    return verdict_of(states)


def answer_rows(
    scores: pd.DataFrame,
    checks: pd.DataFrame | None,
    methods: Mapping[str, Mapping],
    judged: Sequence[str],
    controls: str = "controls",
) -> list[dict]:
    """Judge every method in every respect, those that are believed first.

    Methods that are not judged, as they do not look at the model, come last.

    Parameters
    ----------
    scores : DataFrame
        ``scores.tsv``.
    checks : DataFrame or None
        ``checks.tsv``.
    methods : mapping
        The config's ``attribute.methods``.
    judged : sequence of str
        Methods that are judged, in the order of their numbers.
    controls : str
        What the scans of the healthy are called.

    Returns
    -------
    list of dict
        number (that of the picture, or None), method (its title), reference (in words), cells (by respect, a `Cell`),
        verdict (an empty text where there is none), rank (of the verdict).
    """
    found, rows = measured(scores, checks, methods), []
    for name, options in methods.items():
        cells = {key: cell_of(name, key, found[key][1]) if key in found else Cell() for key in RESPECTS}
        reference = reference_of(options, controls)
        states = {key: cell.state for key, cell in cells.items()}
        verdict = judge_method(states, is_healthy(options)) if name in judged else ""
        number = 1 + list(judged).index(name) if name in judged else None
        rank = (*ORDER, "").index(verdict)
        named = {"number": number, "method": title_of(name), "reference": reference}
        rows.append({**named, "cells": cells, "verdict": verdict, "rank": rank})
    by = [
        (row["rank"], *(-np.nan_to_num(row["cells"][k].value, nan=-9) for k in ("faithful", "robust"))) for row in rows
    ]
    return [rows[i] for i in sorted(range(len(rows)), key=by.__getitem__)]


def beside_rows(scores: pd.DataFrame, checks: pd.DataFrame | None, methods: Mapping[str, Mapping]) -> list[dict]:
    """Write what stands beside the methods, as far as it was measured: name, and cells by respect, without a floor."""
    found, rows = measured(scores, checks, methods), []
    for name, places in BESIDE.items():
        cells = {}
        for key, (method, check) in places.items():
            table = found[key][1] if key in found else scores[:0]
            row = table[(table["method"] == method) & (table["check"] == check)]
            cells |= (
                {key: Cell(*row.iloc[0][["value", "low", "high"]].astype(float))} if row["value"].notna().any() else {}
            )
        rows += [{"method": name, "cells": {key: cells.get(key, Cell()) for key in RESPECTS}}] if cells else []
    return rows


def answer_heads(
    scores: pd.DataFrame, checks: pd.DataFrame | None, methods: Mapping[str, Mapping], nothing: str = ""
) -> dict[str, dict]:
    """Describe each column: title, asks, measure (in words, or why there is none), ends (of its scale), known.

    ``nothing`` is why no method has a mean map, where that is so.
    """
    found, heads = measured(scores, checks, methods), {}
    for key, respect in RESPECTS.items():
        words, rows = found.get(key, (nothing or respect.absent, None))
        ends = scale_of(own(rows)[["value", "low"]].to_numpy(float)) if rows is not None else (0.0, 1.0)
        heads[key] = {
            "title": respect.title,
            "asks": respect.asks,
            "measure": words,
            "ends": ends,
            "known": key in found,
        }
    return heads


def scale_of(values: np.ndarray) -> tuple[float, float]:
    """Return the ends of a column's scale: 0 to 1, or from the tenth below the least value if that is negative."""
    least = np.nanmin(values)
    return max(min(0.0, np.floor(10 * least) / 10), -1.0), 1.0


def answer_sentence(rows: Sequence[Mapping], models: int, networks: int = 1) -> str:
    """Answer in one sentence which methods can be believed; rows as `answer_rows` returns them."""
    judged = [row for row in rows if row["verdict"]]
    names = {verdict: [row["method"] for row in judged if row["verdict"] == verdict] for verdict in ORDER}
    said = {
        "believe": "{} can be believed",
        "with care": "{} with care",
        "cannot tell": "for {} this study cannot tell",
        "do not believe": "{} cannot be believed",
    }
    parts = [
        f"{said[verdict].format(len(found))} ({enumerate_some(found)})" for verdict, found in names.items() if found
    ]
    tried = f"{models} networks that differ by chance alone" if models > 1 else "one network"
    tried = f"{models} models of {networks} networks" if networks > 1 else tried
    of = f"Of {len(judged)} methods" if len(judged) > 1 else "Of one method"
    return f"{of}, tried on {tried}, {'; '.join(parts)}."


def enumerate_some(names: Sequence[str], most: int = 4) -> str:
    """Name up to ``most`` methods, or the first of more and how many follow."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"
