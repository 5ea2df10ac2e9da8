"""Every measure with its interval, the methods tested against each other, and how many seeds would be enough."""

from collections.abc import Collection
from itertools import combinations

import numpy as np
import pandas as pd

from heatproof.compare.measures import MEASURES, range_of
from heatproof.compare.ranks import concordance
from heatproof.compare.resampling import (
    Measured,
    bounds,
    difference,
    holm,
    interval,
    interval_width,
    measured_of,
    p_value,
    variance_from_models,
    variance_from_participants,
)
from heatproof.errors import StudyError
from heatproof.models import network_of

ROUNDING = 1e-6  # that a value may lie beyond an end
NAMES = ["method", "check", "measure", "outcome"]
MODELS = (3, 4, 5, 7, 10, 15, 20, 30, 50, 100)  # whose interval widths are predicted


def spread(rows: pd.DataFrame) -> pd.DataFrame:
    """Spread the values of one measure and method; models without a value are as if they were not there.

    Parameters
    ----------
    rows : DataFrame
        left_out, seed_a, seed_b, value.

    Returns
    -------
    DataFrame
        One row for each seed_a and seed_b, one column for each left_out.
    """
    table = rows.pivot(index=["seed_a", "seed_b"], columns="left_out", values="value")
    return table[table[0].notna()]


def measured_in(table: pd.DataFrame) -> Measured:
    """Return what a table as `spread` returns it has measured."""
    return measured_of(table.to_numpy(float).T, table.index.to_frame().to_numpy())


def bound(name: str, measured: Measured, chance: float) -> tuple[float, float]:
    """Return the interval of a measure's value within its range.

    Raises
    ------
    StudyError
        If a value lies outside of that range, and so is none of this measure.
    """
    measure, values = range_of(name, chance), measured.values[~np.isnan(measured.values)]
    if (values < measure.lowest - ROUNDING).any() or (values > measure.highest + ROUNDING).any():
        raise StudyError(
            f"{name} has values from {values.min():.3g} to {values.max():.3g}, which its range in "
            f"heatproof/compare/measures.py, {measure.lowest:.3g} to {measure.highest:.3g}, excludes; correct one"
        )
    return bounds(measured, measure)


def add_concordance(scores: pd.DataFrame, models: pd.Series) -> pd.DataFrame:
    """Add Kendall's W, which follows from Spearman's correlation of region ranks, to a table of scores.

    Parameters
    ----------
    scores : DataFrame
        method, check, measure, outcome, value, low, high, chance.
    models : Series of int
        Models behind each row of ``scores``, of each network.
    """
    rows = scores[scores["measure"].str.startswith("region_spearman_")].copy()
    rankings = models.where(models > 1)[rows.index]
    for column in ("value", "low", "high", "chance"):
        rows[column] = concordance(rows[column], rankings)
    rows["low"] = rows["low"].clip(lower=MEASURES["kendall_w_{metric}"].range.lowest)
    rows["measure"] = rows["measure"].str.replace("region_spearman", "kendall_w")
    return pd.concat([scores, rows], ignore_index=True)


def chances_of(values: pd.DataFrame) -> pd.Series:
    """Return the mean chance of each measure, by method, check, measure and outcome."""
    return values[values["left_out"] == 0].groupby(NAMES)["chance"].mean()


def score(values: pd.DataFrame, measures: dict[tuple, Measured]) -> pd.DataFrame:
    """Tabulate value, interval and chance of every measure; all are as the module describes them."""
    chances = chances_of(values)
    rows = [(*key, found.value, *bound(key[2], found, chances[key]), chances[key]) for key, found in measures.items()]
    scores = pd.DataFrame(rows, columns=[*NAMES, "value", "low", "high", "chance"])
    models = pd.Series([found.n_models // found.n_networks if found.of_pairs else 1 for found in measures.values()])
    return add_concordance(scores, models)


def in_common(a: pd.DataFrame, b: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what two tables as `spread` returns them have of the same models and participants."""
    models, groups = a.index.intersection(b.index, sort=None), a.columns.intersection(b.columns)
    return a.loc[models, groups], b.loc[models, groups]


def compare_methods(tables: dict[tuple, pd.DataFrame]) -> pd.DataFrame:
    """Test every two methods against each other by every measure, over the models for which both have it.

    Parameters
    ----------
    tables : dict of DataFrame
        As `spread` returns them, by method, check, measure and outcome.
    """
    rows = []
    for key_a, key_b in combinations(tables, 2):
        if key_a[1:] == key_b[1:]:
            a, b = map(measured_in, in_common(tables[key_a], tables[key_b]))
            found = difference(a, b)
            rows.append((*key_a[2:], key_a[0], key_b[0], found.value, *interval(found), p_value(found)))
    columns = ["measure", "outcome", "method_a", "method_b", "difference", "low", "high", "p"]
    table = pd.DataFrame(rows, columns=columns)
    table["p_corrected"] = table.groupby(["measure", "outcome"])["p"].transform(lambda p: holm(p.to_numpy()))
    return table.sort_values(["measure", "outcome", "method_a", "method_b"], ignore_index=True)


def predict_widths(tables: dict[tuple, pd.DataFrame], chances: pd.Series) -> pd.DataFrame:
    """Tabulate how wide the interval of each measure is with several numbers of models of each network.

    Parameters
    ----------
    tables : dict of DataFrame
        As `spread` returns them, by method, check, measure and outcome.
    chances : Series
        By the same keys.
    """
    rows = []
    for key, table in tables.items():
        for network, of_network in table.groupby(table.index.get_level_values("seed_a").map(network_of), sort=False):
            found, limits = measured_in(of_network), range_of(key[2], chances[key])
            sizes = sorted({*MODELS, found.n_models}) if found.enough and found.n_groups > 1 else []
            rows += [(*key, network, models, *interval_width(found, limits, models)) for models in sizes]
    widths = pd.DataFrame(rows, columns=[*NAMES, "network", "n_models", "width", "floor"])
    return widths if widths["network"].any() else widths.drop(columns="network")


def tabulate_variances(measures: dict[tuple, Measured]) -> pd.DataFrame:
    """Tabulate how much of the variance of each measure models cause, and how much participants."""
    rows = [
        (*key, variance_from_models(found), variance_from_participants(found))
        for key, found in measures.items()
        if found.enough and found.n_groups > 1
    ]
    return pd.DataFrame(rows, columns=[*NAMES, "models", "participants"])


def tabulate_networks(values: pd.DataFrame, methods: Collection[str]) -> pd.DataFrame:
    """Tabulate what was measured within and between networks.

    Parameters
    ----------
    values : DataFrame
        As for `tabulate_scores`, pairs of models of two networks among them.
    methods : collection of str
        Whose own maps, or effects, it is about.

    Returns
    -------
    DataFrame
        method measure outcome network_a network_b value low high chance: over all pairs of models of these two
        networks, of different models of one where both are the same; or over the models of one network.
    """
    rows = values[values["method"].isin(methods) & (values["check"] == "")]
    rows = rows.assign(**{f"network_{end}": rows[f"seed_{end}"].map(network_of) for end in "ab"})
    found = []
    for key, of_key in rows.groupby(["method", "measure", "outcome", "network_a", "network_b"], sort=False):
        measured, chance = measured_in(spread(of_key)), of_key.loc[of_key["left_out"] == 0, "chance"].mean()
        found.append((*key, measured.value, *bound(key[1], measured, chance), chance))
    columns = ["method", "measure", "outcome", "network_a", "network_b", "value", "low", "high", "chance"]
    return pd.DataFrame(found, columns=columns)


def tabulate_scores(values: pd.DataFrame, expected: pd.DataFrame, judged: Collection[str]) -> dict[str, pd.DataFrame]:
    """Make the tables of scores.

    Parameters
    ----------
    values : DataFrame
        The rows of ``measures.tsv`` of all methods and checks: method, check, measure, outcome, left_out, seed_a,
        seed_b, value, chance. Of pairs of models only those of one network.
    expected : DataFrame
        method, check, measure, outcome of rows that have to be there, be there a value or not.
    judged : collection of str
        Methods that are judged. All others bound them, and so do all checks.

    Returns
    -------
    dict of DataFrame
        - ``scores``: method check measure outcome value low high chance kind. value is the mean over the pairs of
          different models, or over models; low and high bound its 95 % interval (see `heatproof.compare.resampling`);
          chance is the value of maps without information, empty where there is none; kind is ``method``, or ``bound``
          for what bounds them. ``kendall_w_{metric}`` follows from ``region_spearman_{metric}`` (see
          `heatproof.compare.ranks.concordance`);
        - ``differences``: measure outcome method_a method_b difference low high p p_corrected, for every two methods; a
          minus b, over the same models and participants, corrected by Holm's method over the pairs of methods of one
          measure and outcome;
        - ``seeds``: method measure outcome n_models width floor: how wide the interval is with that many models, as
          predicted from this study's, and with endlessly many; where there are several networks, of each, named in a
          column network before n_models;
        - ``variance``: method measure outcome models participants: the two variances that an interval is made of.
    """
    tables = {key: spread(rows) for key, rows in values.groupby(NAMES, sort=False)}
    measures = {key: measured_in(table) for key, table in tables.items()}
    scores = pd.concat([score(values, measures), expected]).drop_duplicates(NAMES)
    of_method = scores["method"].isin(judged) & (scores["check"] == "")
    scores["kind"] = np.where(of_method, "method", "bound")
    tables = {key: table for key, table in tables.items() if key[0] in judged and not key[1]}
    measures = {key: measures[key] for key in tables}
    return {
        "scores": scores[[*NAMES, "value", "low", "high", "chance", "kind"]],
        "differences": compare_methods(tables),
        "seeds": predict_widths(tables, chances_of(values)).drop(columns="check"),
        "variance": tabulate_variances(measures).drop(columns="check"),
    }
