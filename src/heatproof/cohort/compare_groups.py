"""Compare patients and controls in what is not their illness: age, sex and site, as far as the dataset tells them.

Writes ``demographics.tsv`` (split, label, participants, age_mean, age_sd, female, sites) and ``group_differences.tsv``
(characteristic, test, p, warning). A network may learn from any difference of these, and a heatmap will not say so.
"""

import argparse
import logging
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency, fisher_exact, mannwhitneyu

from heatproof.cohort.bids import read_sessions, read_text_table
from heatproof.command import run
from heatproof.tables import read_table, write_table

COLUMNS = {"age": ("age", "age_bl", "age_at_scan"), "sex": ("sex", "gender"), "site": ("site", "site_id", "centre")}
SEXES = {"f": "F", "female": "F", "m": "M", "male": "M"}
SIGNIFICANT = 0.05


def read_people(folder: Path, scans: pd.DataFrame) -> pd.DataFrame:
    """Gather age, sex and site of every participant at the first scan; empty where the dataset does not tell.

    Parameters
    ----------
    folder : Path
        A BIDS dataset. A session's own column goes before the participant's.
    scans : DataFrame
        scan, participant_id, session_id, label, split.

    Returns
    -------
    DataFrame
        participant_id, label, split, age (years), sex (F, M, or as written), site.
    """
    people = scans.fillna("").sort_values("scan").drop_duplicates("participant_id")
    sessions = read_sessions(folder, people["participant_id"])
    people = people.merge(sessions.rename(columns=str.lower), "left", ["participant_id", "session_id"])
    participants = read_text_table(folder / "participants.tsv").rename(columns=str.lower)
    people = people.merge(participants, "left", "participant_id", suffixes=("", "_of_participant"))
    for name, columns in COLUMNS.items():
        found = [column for column in people if column.removesuffix("_of_participant") in columns]
        values = people[found].astype("string").replace("", pd.NA).bfill(axis=1)
        people[name] = values.iloc[:, 0] if found else pd.NA
    people["age"] = pd.to_numeric(people["age"], errors="coerce").astype(float)
    people["sex"] = people["sex"].map(lambda text: SEXES.get(text.lower(), text), na_action="ignore")
    return people[["participant_id", "label", "split", "age", "sex", "site"]]


def describe_groups(people: pd.DataFrame) -> pd.DataFrame:
    """Describe each class in each split and in all: participants, age_mean, age_sd, female (share), sites (number)."""
    rows = []
    for split in ("train", "validation", "test", "all"):
        for label in ("patient", "control"):
            group = people[(people["label"] == label) & ((people["split"] == split) | (split == "all"))]
            sex = group["sex"].dropna()
            rows.append(
                {
                    "split": split,
                    "label": label,
                    "participants": len(group),
                    "age_mean": group["age"].mean(),
                    "age_sd": group["age"].std(),
                    "female": (sex == "F").mean() if len(sex) else np.nan,
                    "sites": group["site"].nunique() or np.nan,
                }
            )
    return pd.DataFrame(rows)


def age_test(patients: pd.Series, controls: pd.Series) -> tuple[str, float]:
    """Test whether two groups' ages are alike (Mann and Whitney 1947)."""
    return "Mann-Whitney U", float(mannwhitneyu(patients, controls).pvalue)


def count_test(patients: pd.Series, controls: pd.Series) -> tuple[str, float]:
    """Test whether two groups are made up alike: Fisher's exact test of two kinds, chi-squared of more."""
    counts = pd.concat([patients.value_counts(), controls.value_counts()], axis=1).fillna(0).to_numpy()
    if len(counts) == 2:
        return "Fisher exact", float(fisher_exact(counts).pvalue)
    return "chi-squared", float(chi2_contingency(counts).pvalue)


def compare_groups(people: pd.DataFrame) -> pd.DataFrame:
    """Test whether patients and controls differ: characteristic, test, p, warning (empty where they do not).

    Only characteristics that are told of some of both classes, and that vary, have a row.
    """
    rows = []
    for name in COLUMNS:
        patients, controls = (people.loc[people["label"] == label, name].dropna() for label in ("patient", "control"))
        if patients.empty or controls.empty or pd.concat([patients, controls]).nunique() < 2:
            continue
        test, p = (age_test if name == "age" else count_test)(patients, controls)
        warning = (
            f"Patients and controls differ in {name} ({test}, p = {p:.2g}): networks may have learned that instead."
        )
        rows.append((name, test, p, warning if p < SIGNIFICANT else ""))
    return pd.DataFrame(rows, columns=["characteristic", "test", "p", "warning"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="the BIDS folder")
    parser.add_argument("--scans", type=Path, required=True, help="cohort/scans.tsv")
    parser.add_argument("--groups", type=Path, required=True, help="demographics.tsv, to write")
    parser.add_argument("--differences", type=Path, required=True, help="group_differences.tsv, to write")
    arguments = parser.parse_args()
    people = read_people(arguments.dataset, read_table(arguments.scans))
    differences = compare_groups(people)
    write_table(describe_groups(people), arguments.groups)
    write_table(differences, arguments.differences)
    for warning in differences["warning"]:
        if warning:
            logging.warning(warning)


if __name__ == "__main__":
    run(main)
