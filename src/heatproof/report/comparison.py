"""Tables of a study as a page prints them, those of Eitel and Ritter 2019 beside them."""

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from heatproof.channels import tells_channels
from heatproof.compare.regions import METRICS
from heatproof.models import Model
from heatproof.register.check_quality import describe_poor
from heatproof.report import paper
from heatproof.report.figures import percent, percents, title_of
from heatproof.tables import own

SEEDS = {"pearson": "Pearson’s correlation", "pr_auc": "Area under the precision-recall curve"}
SHARED = {"same_initialisation": "order of batches", "same_order": "initialisation"}  # and what still differs


def number(value: float) -> str:
    """Write a number with three digits, or from thousands on in full; a dash where there is none."""
    if np.isnan(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")


def numbers(low: float, high: float) -> str:
    """Write a range of numbers."""
    return f"{number(low)}–{number(high)}"


def decimal(value: float) -> str:
    """Write a number between -1 and 1 with two decimals; a dash where there is none."""
    return "–" if np.isnan(value) else f"{value:.2f}".replace("-", "−")


def decimals(low: float, high: float) -> str:
    """Write a range of such numbers; a single one where both ends read alike."""
    return decimal(low) if decimal(low) == decimal(high) else f"{decimal(low)} to {decimal(high)}"


def intervals(scores: pd.DataFrame, write: Callable[[float, float], str]) -> dict[tuple[str, str, str], str]:
    """Write the 95 % interval of each measure of one group that has one, by method, check and measure."""
    known = scores.dropna(subset=["low", "high"])
    return {(row.method, row.check, row.measure): write(row.low, row.high) for row in known.itertuples()}


def group_rows(demographics: pd.DataFrame) -> list[dict]:
    """Write age, sex and sites of each class in each split: name, groups (a list of texts each)."""
    rows = []
    for split, groups in demographics.groupby("split", sort=False):
        rows.append({"name": split.capitalize(), "groups": [group_cells(group) for _, group in groups.iterrows()]})
    return rows


def group_cells(group: pd.Series) -> list[str]:
    """Write mean and standard deviation of age, the share of women, and the number of sites; dashes for the unknown.

    Where a dataset's codes for sex are not known, they are counted as they are.
    """
    age = "–" if np.isnan(group["age_mean"]) else f"{group['age_mean']:.1f}"
    spread = "" if np.isnan(group["age_sd"]) else f" ± {group['age_sd']:.1f}"
    coded = np.isnan(group["female"]) and isinstance(group["sex"], str)
    sex = group["sex"] if coded else percent(group["female"], 0)
    return [age + spread, sex, "–" if np.isnan(group["sites"]) else f"{group['sites']:.0f}"]


def l2_rows(l2: pd.DataFrame, scores: pd.DataFrame, methods: Mapping[str, dict]) -> list[dict]:
    """Write Table 1.

    Parameters
    ----------
    l2 : DataFrame
        method, check, outcome, n_models, l2_mean, l2_sum, rms.
    scores : DataFrame
        method, check, measure, outcome, low, high.
    methods : mapping
        The config's attribute.methods.

    Returns
    -------
    list of dict
        method and, for each group in outcomes: models, mean, sum, rms, interval of the rms and the paper's value; empty
        texts where there is none.
    """
    table, rows = own(l2).set_index(["method", "outcome"]), []
    spans = {group: intervals(of_group, numbers) for group, of_group in scores.groupby("outcome")}
    for name, options in methods.items():
        printed = paper.L2.get(options["method"], {})
        cells = [
            {
                "models": int(table.loc[(name, outcome), "n_models"]),
                "mean": number(table.loc[(name, outcome), "l2_mean"]),
                "sum": number(table.loc[(name, outcome), "l2_sum"]),
                "rms": number(table.loc[(name, outcome), "rms"]),
                "interval": spans.get(outcome, {}).get((name, "", "l2_rms"), ""),
                "paper": number(printed[outcome]) if outcome in printed else "",
            }
            for outcome in l2["outcome"].unique()
        ]
        rows.append({"method": title_of(name), "outcomes": cells})
    return rows


def overlap_rows(top: pd.DataFrame, scores: pd.DataFrame, methods: Mapping[str, dict]) -> list[dict]:
    """Write Table 2.

    Parameters
    ----------
    top : DataFrame
        method, check, metric, k, overlap_mean, overlap_with_diagonal, chance.
    scores, methods
        As in `l2_rows`.

    Returns
    -------
    list of dict
        method and, for sum, density and gain in metrics: pairs (mean over pairs of models), interval, whole (mean over
        the whole matrix), and the paper's values of both (paper_pairs, paper_whole).
    """
    table, spans = own(top).set_index(["method", "metric"]), intervals(scores, percents)
    rows = []
    for name, options in methods.items():
        cells = []
        for metric in METRICS:
            found, printed = table.loc[(name, metric)], paper.OVERLAP.get(options["method"], {}).get(metric)
            cells.append(
                {
                    "pairs": percent(found["overlap_mean"]),
                    "whole": percent(found["overlap_with_diagonal"]),
                    "interval": spans.get((name, "", f"top_{found['k']:.0f}_{metric}"), ""),
                    "paper_pairs": percent(paper.without_diagonal(printed), 2) if printed else "",
                    "paper_whole": percent(printed, 2) if printed else "",
                }
            )
        rows.append({"method": title_of(name), "metrics": cells})
    return rows


def bound_rows(scores: pd.DataFrame, top_k: int) -> tuple[list[str], list[dict] | None]:
    """Write localisation and robustness of every method and of its sanity checks, the best localised first.

    Returns
    -------
    heads : list of str
        Of the measures of which there is any value.
    rows : list of dict, or None
        As `measure_rows` writes them, for methods and checks with any value; sorted by robustness where the truth is
        not known.
    """
    columns = {
        "pr_auc": "Localisation: PR area",
        "true_top": "relevance rank accuracy",
        "pearson": "Robustness: Pearson",
    }
    columns |= {f"top_{top_k}_sum": f"top {top_k} regions"}
    known = scores[scores["measure"].isin(columns)].dropna(subset="value")
    columns = {name: head for name, head in columns.items() if (known["measure"] == name).any()}
    return list(columns.values()), rows_by_value(scores, columns, next(iter(columns), ""))


def rows_by_value(scores: pd.DataFrame, columns: Mapping[str, str], by: str) -> list[dict] | None:
    """Write some measures as `measure_rows` does, of every method and check with any value, the highest first.

    Parameters
    ----------
    scores, columns
        As for `measure_rows`.
    by : str
        The measure whose highest value stands first.
    """
    known = scores[scores["measure"].isin(columns)].dropna(subset="value")
    first = known[known["measure"] == by].sort_values("value", ascending=False, kind="stable")
    names = pd.concat([first, known])[["method", "check"]].drop_duplicates().itertuples(index=False, name=None)
    return measure_rows(scores, columns, list(names))


def noise_of(table: pd.DataFrame, methods: Collection[str]) -> pd.DataFrame:
    """Return the rows of noise like the maps of some methods."""
    return table[(table["check"] == "noise") & table["method"].isin(methods)]


def measure_rows(
    scores: pd.DataFrame, columns: Mapping[str, str], names: Sequence[tuple[str, str]]
) -> list[dict] | None:
    """Write some measures of ``scores.tsv``: a row for each name, one for noise like their maps, one for chance.

    Parameters
    ----------
    scores : DataFrame
        method, check, measure, value, low, high, chance; of one group.
    columns : mapping
        Measure to the head of its column.
    names : sequence of (str, str)
        Method and check, an empty text for the method's own maps.

    Returns
    -------
    list of dict, or None
        name and cells: (value, interval), texts in the order of ``columns``; None if nothing has any such measure.
    """
    chosen = scores[scores["measure"].isin(columns)]
    if chosen["value"].isna().all():
        return None
    value, spans = chosen.set_index(["method", "check", "measure"])["value"], intervals(chosen, decimals)
    rows = [
        {
            "name": title_of(*name),
            "cells": [
                (decimal(value.get((*name, measure), np.nan)), spans.get((*name, measure), "")) for measure in columns
            ],
        }
        for name in names
    ]
    shown = pd.MultiIndex.from_frame(chosen[["method", "check"]]).isin(names)
    noise = noise_of(chosen[~shown], [method for method, check in names if not check])
    floors = {"Noise like their maps": noise.groupby("measure")["value"]} if len(noise) else {}
    floors["Chance"] = chosen[shown].groupby("measure")["chance"]
    for name, groups in floors.items():
        ends = groups.agg(["min", "max"]).reindex(list(columns))
        rows.append({"name": name, "cells": [(decimals(low, high), "") for low, high in ends.itertuples(index=False)]})
    return rows


def cause_rows(scores: pd.DataFrame, methods: Sequence[str], top_k: int) -> tuple[list[str], list[dict]]:
    """Write how far models agree that differ in initialisation and order of batches, and that differ in one alone.

    Returns
    -------
    heads : list of str
        What is measured.
    rows : list of dict
        name (the method), differ (what differs) and cells as in `measure_rows`; none where models differ in both alone.
    """
    columns = {"pearson": "Pearson", f"top_{top_k}_sum": f"Top {top_k} regions, sum"}
    known = [shared for shared in SHARED if (scores["check"] == shared).any()]
    rows = []
    for method in methods if known else []:
        names = {(method, ""): "both"} | {(method, shared): SHARED[shared] for shared in known}
        written = measure_rows(scores, columns, list(names))
        for row, differ in zip(written, names.values(), strict=False):
            rows.append({"name": title_of(method), "differ": differ, "cells": row["cells"]})
    return list(columns.values()), rows


def variance_rows(variance: pd.DataFrame) -> list[dict]:
    """Write which share of the variance of Pearson's correlation, and of the area under the PR curve, models cause.

    Returns
    -------
    list of dict
        name and cells (texts): the shares of each measure of `SEEDS` that the study has, over true positives.
    """
    rows = variance[variance["measure"].isin(SEEDS)]
    total = rows["models"] + rows["participants"]
    share = (rows["models"] / total).mask(total == 0, 0)
    table = rows.assign(share=share).pivot(index="method", columns="measure", values="share")
    known = [measure for measure in SEEDS if measure in table]
    return [
        {"name": title_of(method), "cells": [percent(row[measure], 0) for measure in known]}
        for method, row in table.iterrows()
    ]


def enough_seeds(seeds: pd.DataFrame) -> list[str]:
    """Say how the 95 % intervals of `SEEDS` narrow with the number of models, as a mean over methods.

    Parameters
    ----------
    seeds : DataFrame
        method, measure, outcome, n_models, width, floor; network where there are several.

    Returns
    -------
    list of str
        A sentence for each measure, of each network, that has intervals.
    """
    sentences, named = [], seeds if "network" in seeds else seeds.assign(network="")
    for measure, words in SEEDS.items():
        of_measure = named[named["measure"] == measure]
        for network, rows in of_measure.groupby("network", sort=False):
            widths = rows.groupby("n_models")["width"].mean().reindex([4, 10, 30])
            written = ", ".join(f"{decimal(width)} with {models}" for models, width in widths.items())
            what = f"{words} ({network})" if network else words
            sentences.append(f"{what}: {written} and {decimal(rows['floor'].mean())} with endlessly many models.")
    return sentences


def metric_spans(top: pd.DataFrame, column: str) -> list[str]:
    """Write a column of ``top_regions.tsv`` by sum, density and gain: the range over methods."""
    groups = top.groupby("metric")[column]
    return [percents(groups.get_group(metric).min(), groups.get_group(metric).max()) for metric in METRICS]


def poor_registrations(quality: pd.DataFrame) -> list[str]:
    """Say how many scans are registered poorly, where any is: no table of regions is to be trusted for them."""
    poor = describe_poor(quality)
    if not poor:
        return []
    return [
        f"{poor}. Regions do not lie where the atlas has them there: look at their notes under Registration, and mend "
        "or exclude them."
    ]


def quality_rows(quality: pd.DataFrame) -> list[dict]:
    """Write the quality of registration, scans with an outlier first.

    Parameters
    ----------
    quality : DataFrame
        scan, figures of quality, and outlier, which names the figures that are outliers (empty if none is).

    Returns
    -------
    list of dict
        scan and cells: (text, whether it is an outlier), in the order of the figures.
    """
    figures = [column for column in quality.columns if column not in ("scan", "poor", "outlier")]
    quality = quality.assign(outlier=quality["outlier"].fillna(""))
    order = quality["outlier"].eq("").sort_values(kind="stable").index
    return [
        {
            "scan": row["scan"],
            "cells": [(quality_cell(row[name]), name in row["outlier"].split(", ")) for name in figures],
        }
        for _, row in quality.loc[order].iterrows()
    ]


def quality_cell(value: float | str) -> str:
    """Write a figure with four digits or all before the point, words as they are, and nothing for no value."""
    if isinstance(value, str):
        return value
    if pd.isna(value):
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.4g}"


def network_tables(networks: pd.DataFrame, methods: Collection[str], top_k: int) -> list[dict]:
    """Write how far models agree within and between networks, and how faithful and well localised the maps of each are.

    Parameters
    ----------
    networks : DataFrame
        ``networks.tsv``.
    methods : collection of str
    top_k : int

    Returns
    -------
    list of dict
        title, heads and rows of a table for each of the measures that has any value: name (of the method) and cells, of
        value and interval.
    """
    titles = {
        "pearson": "Correlation of two models’ maps",
        f"top_{top_k}_sum": f"Share of the top {top_k} regions, by sum",
    }
    titles |= {"agreement_pearson_cubes": "Correlation of two models’ maps or effects, summed over cubes"}
    titles |= {
        "faithfulness_pearson_cubes": "Faithfulness: correlation with the cubes’ effects",
        "pr_auc": "Localisation: PR area",
    }
    tables = []
    for measure, title in titles.items():
        rows = networks[networks["measure"] == measure]
        if rows["value"].isna().all():
            continue
        pairs = list(rows[["network_a", "network_b"]].drop_duplicates().itertuples(index=False, name=None))
        pairs.sort(key=lambda pair: pair[0] != pair[1])  # within networks first
        cells = {(row.method, row.network_a, row.network_b): row for row in rows.itertuples()}
        heads = [a if a == b else f"{a} and {b}" for a, b in pairs]
        named = [method for method in (*methods, "effects") if method in set(rows["method"])]
        written = [[network_cell(cells.get((method, *pair))) for pair in pairs] for method in named]
        made = [{"name": title_of(method), "cells": row} for method, row in zip(named, written, strict=True)]
        tables.append({"title": title, "heads": heads, "rows": made})
    return tables


def network_cell(row: tuple | None) -> tuple[str, str]:
    """Write value and interval of a row of ``networks.tsv``; a dash where there is none."""
    if row is None:
        return "–", ""
    return decimal(row.value), "" if np.isnan(row.low) else decimals(row.low, row.high)


def channel_tables(channels: pd.DataFrame, methods: Mapping[str, Mapping], group: str) -> list[dict]:
    """Write what each channel has of the maps of every method, and its effects on the models' margins.

    Parameters
    ----------
    channels : DataFrame
        ``channels.tsv``.
    methods : mapping
        Options of each method. Those that do not tell channels apart have no shares of their own.
    group : str
        Whose scans count.

    Returns
    -------
    list of dict
        title, heads and rows of a table: name and cells, each the mean over models and its range.
    """
    rows, names = channels[channels["outcome"] == group], list(dict.fromkeys(channels["channel"]))
    told = [(name, "share", title_of(name)) for name, options in methods.items() if tells_channels(options)]
    kinds = {"effects_twin": "taken from the twin", "effects_controls": "taken from controls"}
    places = {"effect_first": "alone", "effect_last": "as the last", "effect": "mean of both"}
    fallen = [
        (kind, measure, f"{words}, {place}") for kind, words in kinds.items() for measure, place in places.items()
    ]
    tables = []
    for title, lines in {"Share of a map’s relevance": told, "Fall of the margin": fallen}.items():
        made = []
        for method, measure, line in lines:
            own = rows[(rows["method"] == method) & (rows["measure"] == measure)]
            values = [own.loc[own["channel"] == name, "value"].dropna() for name in names]
            if all(map(len, values)):
                made.append({"name": line, "cells": [mean_and_range(value) for value in values]})
        if made:
            tables.append({"title": title, "heads": names, "rows": made})
    return tables


def mean_and_range(values: pd.Series) -> tuple[str, str]:
    """Write the mean of some numbers with three digits, and, where there are several, their range."""
    mean, low, high = (f"{value:.3g}".replace("-", "−") for value in (values.mean(), values.min(), values.max()))
    return mean, f"{low} to {high}" if len(values) > 1 else ""


def note_rows(notes: pd.DataFrame, seeds: Sequence[Model]) -> list[dict]:
    """Write the reasons for empty cells, those of several models in one row.

    Parameters
    ----------
    notes : DataFrame
        method, seed, reason; an empty method concerns every method, an empty seed every model.
    seeds : sequence of int or str
        All models.

    Returns
    -------
    list of dict
        method, seeds and reason.
    """
    rows = []
    for (method, reason), group in notes.groupby(["method", "reason"], sort=False, dropna=False):
        named = [model if isinstance(model, str) else int(model) for model in group["seed"].dropna()]
        rows.append(
            {
                "method": "every" if pd.isna(method) else title_of(method),
                "seeds": ", ".join(map(str, named)) if 0 < len(named) < len(seeds) else "every",
                "reason": reason,
            }
        )
    return rows
