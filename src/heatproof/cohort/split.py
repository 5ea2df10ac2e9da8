"""Splitting participants, never scans, into training, validation and test."""

import hashlib

import pandas as pd

from heatproof.cohort.bids import read_text_table, some
from heatproof.errors import StudyError

SPLITS = ("train", "validation", "test")


def split_participants(scans: pd.DataFrame, split: dict) -> pd.Series:
    """Assign every scan the split of its participant.

    Parameters
    ----------
    scans : DataFrame
        participant_id and label of each scan.
    split : dict
        ``{test: n, validation: n, seed: s}``, counts of participants per class, the rest being for training; or
        ``{table: file}`` with the columns participant_id and split.

    Returns
    -------
    Series
        train, validation or test, aligned with ``scans``. It depends on who is in the table, not on the order.
    """
    people = scans.drop_duplicates("participant_id")[["participant_id", "label"]]
    assigned = read_split(people, split["table"]) if "table" in split else draw_split(people, split)
    return scans["participant_id"].map(assigned)


def draw_split(people: pd.DataFrame, split: dict) -> dict[str, str]:
    """Draw test and validation participants of each class in the order of a seeded hash of their names."""
    assigned = {}
    for label in ("patient", "control"):
        group = people.loc[people["label"] == label, "participant_id"]
        names = sorted(group, key=lambda name: hash_order(split["seed"], name))
        held_out = split["test"] + split["validation"]
        if len(names) <= held_out:
            raise StudyError(
                f"cohort.split asks for {split['test']} test and {split['validation']} validation participants per "
                f"class, which leaves none of the {len(names)} {label}s for training; lower the counts"
            )
        order = ["test"] * split["test"] + ["validation"] * split["validation"]
        assigned |= dict(zip(names, order + ["train"] * (len(names) - held_out), strict=True))
    return assigned


def hash_order(seed: int, name: str) -> bytes:
    """Return a key that puts names in an order that is random, but fixed by the seed and each name alone."""
    return hashlib.sha256(f"{seed}/{name}".encode()).digest()


def read_split(people: pd.DataFrame, path: str) -> dict[str, str]:
    """Read a split from a table and check that it covers every participant, once, and every class in each part."""
    table = read_text_table(path)
    if not {"participant_id", "split"} <= set(table.columns):
        raise StudyError(f"{path} needs the columns participant_id and split; it has {', '.join(table.columns)}")
    wrong = sorted(set(table["split"]) - set(SPLITS))
    if wrong:
        raise StudyError(f"{path} has the split {wrong[0]!r}; write train, validation or test")
    twice = table["participant_id"][table["participant_id"].duplicated()]
    if len(twice):
        raise StudyError(f"{path} lists {twice.iloc[0]} more than once; leave one row for each participant")
    absent = sorted(set(people["participant_id"]) - set(table["participant_id"]))
    if absent:
        raise StudyError(f"{path} has no row for {some(absent)}; add it, or name the participant in cohort.exclude")
    assigned = dict(zip(table["participant_id"], table["split"], strict=True))
    parts = people.assign(split=people["participant_id"].map(assigned)).groupby("label")["split"].agg(set)
    for label, part in parts.items():
        if set(SPLITS) - part:
            raise StudyError(f"{path} leaves no {label} for {min(set(SPLITS) - part)}; move at least one there")
    return assigned
