"""Compare the classes in age, sex and site, as far as a dataset tells them.

Writes ``demographics.tsv`` (split, label, participants, age_mean, age_sd, female, sex, sites) and
``group_differences.tsv`` (characteristic, test, p, warning). A network may learn from any difference of these, and a
heatmap will not say so.
"""

import argparse
import json
import logging
import re
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency, fisher_exact, kruskal, mannwhitneyu, spearmanr

from heatproof.cohort.bids_tables import cells, gather_tables, read_people
from heatproof.cohort.conditions import bounds, canonical, missing
from heatproof.command import run
from heatproof.tables import read_table, write_table
from heatproof.task import PATIENTS, Task, plural, task_argument

COLUMNS = {"age": ("age", "age_bl", "age_at_scan"), "sex": ("sex", "gender"), "site": ("site", "site_id", "centre")}
SEXES = {"F": {"f", "female", "woman", "women"}, "M": {"m", "male", "man", "men"}, "O": {"o", "other"}}
PER_YEAR = {"y": 1, "month": 12, "week": 365.25 / 7, "day": 365.25}
OLDEST = 125
SIGNIFICANT = 0.05


def read_groups(table: Path | None, scans: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Gather age, sex and site of every participant at the first scan; empty where the dataset does not tell.

    Parameters
    ----------
    table : Path
        A BIDS dataset's participants.tsv; None where there is none. A session's own cell goes before the participant's.
    scans : DataFrame
        scan, participant_id, session_id, label, split.

    Returns
    -------
    people : DataFrame
        participant_id, label, split, age (years), sex (F, M, O, or ``coded`` and the code), site.
    notes : list of str
        What was made of ages that are no plain numbers.
    """
    people = scans.fillna("").sort_values("scan").drop_duplicates("participant_id", ignore_index=True)
    if table is None:
        return people[["participant_id", "label", "split"]].assign(age=np.nan, sex=None, site=None), []
    tables = gather_tables(read_people(table), table.parent, people["participant_id"])
    found, notes = people[["participant_id", "label", "split"]].assign(**dict.fromkeys(COLUMNS, None)), []
    for name, known in COLUMNS.items():
        columns = dict.fromkeys(column for table in tables for column in table if column.lower() in known)
        for whose, column in product((0, 1), columns):  # visits' cells before participants'
            given = cells(people, column, tables)[whose]
            rest = given[~missing(given) & found[name].isna()].astype(object)
            values, remarks = READERS[name](rest, describe_column(table, column))
            found.loc[rest.index, name] = values
            notes += remarks
    return found.astype({"age": float}), notes


def describe_column(table: Path, column: str) -> dict:
    """Return what sessions.json, or participants.json beside the table of participants, says of a column."""
    for path in (table.parent / "sessions.json", table.with_suffix(".json")):
        try:
            described = json.loads(path.read_text(encoding="utf-8-sig"))[column]
        except (OSError, ValueError, LookupError, TypeError):
            continue
        if isinstance(described, dict):
            return described
    return {}


def read_ages(told: pd.Series, described: dict) -> tuple[pd.Series, list[str]]:
    """Read ages in years from text, and say what was made of those that are no plain numbers.

    An age that is only bounded counts as its bound (``89+`` as 89), a span of ages as its middle.
    """
    units = str(described.get("Units") or "years")
    words = re.findall(rf"\b({'|'.join(PER_YEAR)})", units.lower())
    per_year = PER_YEAR[words[0]] if words else 1
    texts = told.map(lambda text: re.sub(r"\s*y(ears?|rs?)?$", "", text, flags=re.IGNORECASE))
    spans = texts.map(lambda text: np.array(bounds(text) or (np.nan, np.nan)) / per_year)
    ages = spans.map(lambda span: np.mean(span[np.isfinite(span)]) if np.isfinite(span).any() else np.nan).astype(float)
    ages = ages.where(ages.between(0, OLDEST))
    bounded, lost = texts[ages.notna() & (spans.map(np.ptp) > 0)], texts[ages.isna()]
    notes = []
    if len(bounded):
        notes.append(
            f"{len(bounded)} ages are bounds or spans ({', '.join(sorted(set(bounded)))}): they count as the bound, or "
            "the middle, so that mean and spread are near, not exact."
        )
    if len(lost):
        notes.append(
            f"{len(lost)} ages are not counted, since {', '.join(sorted(set(lost)))} ({units}) can be no age in years."
        )
    return ages, notes


def read_sexes(told: pd.Series, described: dict) -> tuple[pd.Series, list[str]]:
    """Read F, M and O from words, or from what the column's levels say of its codes; other codes are told as such."""
    levels = described.get("Levels")
    levels = {canonical(code): level for code, level in levels.items()} if isinstance(levels, dict) else {}

    def read(code: str) -> str:
        words = set(re.findall(r"[^\W\d_]+", str(levels.get(canonical(code), code)).lower()))
        sexes = [sex for sex, names in SEXES.items() if words & names]
        return sexes[0] if len(sexes) == 1 else f"coded {code}"

    return told.map(read), []


def read_sites(told: pd.Series, described: dict) -> tuple[pd.Series, list[str]]:
    """Take sites as they are written."""
    return told, []


READERS = {"age": read_ages, "sex": read_sexes, "site": read_sites}


def describe_groups(people: pd.DataFrame, task: Task = PATIENTS) -> pd.DataFrame:
    """Describe each class in each split and in all; where a value is learned, everyone as the label ``all``.

    Returns
    -------
    DataFrame
        split, label, participants, age_mean, age_sd, female (a share; empty where anyone's sex is a code that is not
        known), sex (counts, as ``F (12), M (10)``), sites (their number).
    """
    rows, known = [], people["sex"].dropna().isin(SEXES).all()
    people = people if task.classes else people.assign(label="all")
    for split in ("train", "validation", "test", "all"):
        for label in task.shown if task.classes else ["all"]:
            group = people[(people["label"] == label) & ((people["split"] == split) | (split == "all"))]
            sex = group["sex"].dropna()
            rows.append(
                {
                    "split": split,
                    "label": label,
                    "participants": len(group),
                    "age_mean": group["age"].mean(),
                    "age_sd": group["age"].std(),
                    "female": (sex == "F").mean() if len(sex) and known else np.nan,
                    "sex": ", ".join(f"{name} ({count})" for name, count in sex.value_counts().sort_index().items()),
                    "sites": group["site"].nunique() or np.nan,
                }
            )
    return pd.DataFrame(rows)


def age_test(groups: Sequence[pd.Series]) -> tuple[str, float]:
    """Test whether groups' ages are alike (of two Mann and Whitney 1947, of more Kruskal and Wallis 1952)."""
    if len(groups) == 2:
        return "Mann-Whitney U", float(mannwhitneyu(*groups).pvalue)
    return "Kruskal-Wallis H", float(kruskal(*groups).pvalue)


def count_test(groups: Sequence[pd.Series]) -> tuple[str, float]:
    """Test whether groups are made up alike: Fisher's exact test of two kinds in two groups, chi-squared of more."""
    counts = pd.concat([group.value_counts() for group in groups], axis=1).fillna(0).to_numpy(float)
    if counts.shape == (2, 2):
        return "Fisher exact", float(fisher_exact(counts).pvalue)
    return "chi-squared", float(chi2_contingency(counts).pvalue)


def compare_groups(people: pd.DataFrame, task: Task = PATIENTS) -> pd.DataFrame:
    """Test whether the classes differ: characteristic, test, p, warning (empty where they do not).

    Only characteristics that are told of some of every class, and that vary, have a row. Where a value is learned,
    `relate` tests it.
    """
    if not task.classes:
        return relate(people, task.target)
    rows, names = [], [plural(name) for name in task.shown]
    who = f"{', '.join(names[:-1])} and {names[-1]}"
    for name in COLUMNS:
        groups = [people.loc[people["label"] == label, name].dropna() for label in task.shown]
        if any(group.empty for group in groups) or pd.concat(groups).nunique() < 2:
            continue
        test, p = (age_test if name == "age" else count_test)(groups)
        warning = (
            f"{who[0].upper()}{who[1:]} differ in {name} ({test}, p = {p:.2g}): networks may have learned that instead."
        )
        rows.append((name, test, p, warning if p < SIGNIFICANT else ""))
    return pd.DataFrame(rows, columns=["characteristic", "test", "p", "warning"])


def relate(people: pd.DataFrame, value: str) -> pd.DataFrame:
    """Test whether a value goes with other characteristics; columns as of `compare_groups`.

    Age is tested by Spearman's correlation, what has kinds by Kruskal and Wallis 1952. The value itself is left out.
    """
    rows = []
    for name in COLUMNS:
        known = people.dropna(subset=[name, "label"])
        if known[name].nunique() < 2 or name == value:
            continue
        if name == "age":
            test, p = "Spearman correlation", float(spearmanr(known["label"], known[name]).pvalue)
        else:
            kinds = [group["label"].to_numpy() for _, group in known.groupby(name)]
            test, p = "Kruskal-Wallis H", float(kruskal(*kinds).pvalue)
        warning = f"{value} goes with {name} ({test}, p = {p:.2g}): networks may have learned that instead."
        rows.append((name, test, p, f"{warning[0].upper()}{warning[1:]}" if p < SIGNIFICANT else ""))
    return pd.DataFrame(rows, columns=["characteristic", "test", "p", "warning"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--participants", type=Path, help="participants.tsv, where there is one")
    parser.add_argument("--scans", type=Path, required=True, help="cohort/scans.tsv")
    task_argument(parser)
    parser.add_argument("--groups", type=Path, required=True, help="demographics.tsv, to write")
    parser.add_argument("--differences", type=Path, required=True, help="group_differences.tsv, to write")
    arguments = parser.parse_args()
    people, notes = read_groups(arguments.participants, read_table(arguments.scans))
    noted = pd.DataFrame({"characteristic": "age", "test": "", "p": np.nan, "warning": notes})
    differences = pd.concat([compare_groups(people, arguments.task), noted], ignore_index=True)
    write_table(describe_groups(people, arguments.task), arguments.groups)
    write_table(differences, arguments.differences)
    for warning in differences["warning"]:
        if warning:
            logging.warning(warning)


if __name__ == "__main__":
    run(main)
