"""Splitting participants, never scans, into training, validation and test."""

import hashlib
import math
from collections.abc import Iterable, Sequence

import pandas as pd

from heatproof.cohort.bids_tables import check_different, read_text_table
from heatproof.errors import StudyError
from heatproof.task import PATIENTS, THIRDS, plural, thirds

SPLITS = ("train", "validation", "test")


def split_participants(scans: pd.DataFrame, split: dict, classes: Sequence[str] = PATIENTS.classes) -> pd.Series:
    """Assign every scan the split of its participant.

    Parameters
    ----------
    scans : DataFrame
        participant_id and label of each scan. Where labels are empty, since they are measured later, three times as
        many participants are drawn as the split asks for per class: a third each are of the two classes and of neither.
        Labels that are numbers are divided into thirds, and participants are drawn from each third as from a class.
        With a column ``anatomy``, which names the real brain that a participant was made from, brains are drawn
        instead of participants, since all that is made from one brain belongs together.
    split : dict
        ``{test: n, validation: n, seed: s}``, counts of participants per class, the rest being for training, or of the
        rest at most ``train``;
        ``{test: all}``, for models that are trained already, perhaps with ``learned``, a table of the participants
        (participant_id) that they know, who are for training; or ``{table: file}`` with the columns participant_id and
        split.
    classes : sequence of str
        None where labels are numbers.

    Returns
    -------
    Series
        train, validation or test, aligned with ``scans``, empty where a participant is in none. It depends on who is
        in the table, not on the order.
    """
    scans = scans if classes else scans.assign(label=thirds(scans))
    people = scans.drop_duplicates("participant_id")
    if split.get("table"):
        assigned = read_split(people, split["table"])
    elif split["test"] == "all":
        learned = read_learned(split["learned"]) if split.get("learned") else set()
        return scans["participant_id"].isin(learned).map({True: "train", False: "test"})
    elif "anatomy" in people:
        return scans["anatomy"].map(draw_brains(people, split, ["label"] if classes else []))
    else:
        assigned, unlabelled = {}, (people["label"] == "").all()
        for label in [""] if unlabelled else reversed(classes or THIRDS):
            group, times = people.loc[people["label"] == label, "participant_id"], 3 if unlabelled else 1
            assigned |= draw(group, {part: times * split[part] for part in counted(split)}, split, label)
    return scans["participant_id"].map(assigned)


def counted(split: dict) -> list[str]:
    """List the parts of which a split gives the number of participants."""
    return [part for part in SPLITS if split.get(part)]


def draw(names: Iterable[str], counts: dict[str, int], split: dict, label: str) -> dict[str, str]:
    """Draw names for test, validation and training, in this order, in the order of a seeded hash.

    Where ``counts`` has no number for training, all others are for training; where it has one, others are in no part.
    """
    ordered = sorted(names, key=lambda name: hash_order(split["seed"], name))
    parts = ["test"] * counts["test"] + ["validation"] * counts["validation"]
    rest = len(ordered) - len(parts)
    if rest <= 0:
        raise StudyError(
            f"cohort.split asks for {split['test']} test and {split['validation']} validation participants per "
            f"{'third of the value' if label in THIRDS else 'class'}, which leaves none of the {len(ordered)} "
            f"{f'participants of the {label} third' if label in THIRDS else plural(label or 'participant')} for "
            "training; lower the counts"
        )
    return dict(zip(ordered, parts + ["train"] * min(rest, counts.get("train", rest)), strict=False))


def draw_brains(people: pd.DataFrame, split: dict, classes: list[str]) -> dict[str, str]:
    """Draw whole brains, of which as many patients as controls were made, until there are enough of each class.

    Where a value is learned (no column of classes), brains are drawn for three thirds of the participants at once.
    """
    brains = people["anatomy"].unique()
    each = people.groupby(["anatomy", *classes]).size().max()
    counts = {part: split[part] * (1 if classes else 3) / each for part in counted(split)}
    if any(count % 1 for count in counts.values()):
        least = each if classes else each // math.gcd(3, each)
        raise StudyError(
            f"cohort.split must ask for multiples of {least} participants per {'class' if classes else 'third'}, since "
            f"{each} {'of each class ' if classes else ''}are made from one brain, and all of these lie in one split"
        )
    return draw(brains, {part: int(count) for part, count in counts.items()}, split, "brain")


def hash_order(seed: int, name: str) -> bytes:
    """Return a key that puts names in an order that is random, but fixed by the seed and each name alone."""
    return hashlib.sha256(f"{seed}/{name}".encode()).digest()


def read_split(people: pd.DataFrame, path: str) -> dict[str, str]:
    """Read a split from a table and check that it covers every participant, once."""
    table = read_text_table(path, "cohort.split.table must name a table of participants and splits")
    if not {"participant_id", "split"} <= set(table.columns):
        raise StudyError(f"{path} needs the columns participant_id and split; it has {', '.join(table.columns)}")
    wrong = sorted(set(table["split"]) - set(SPLITS))
    if wrong:
        raise StudyError(f"{path} has the split {wrong[0]!r}; write train, validation or test")
    check_different(table["participant_id"], "leave one row for each participant", path)
    absent = sorted(set(people["participant_id"]) - set(table["participant_id"]))
    if absent:
        raise StudyError(f"{path} has no row for {', '.join(absent)}; add it, or name them in cohort.exclude")
    assigned = dict(zip(table["participant_id"], table["split"], strict=True))
    check_brains(people, assigned, path)
    return assigned


def read_learned(path: str) -> set[str]:
    """Read from a table whom models were trained with."""
    table = read_text_table(path, "cohort.split.learned must name a table of participants")
    if "participant_id" not in table:
        raise StudyError(f"{path} needs the column participant_id; it has {', '.join(table.columns)}")
    return set(table["participant_id"])


def check_brains(people: pd.DataFrame, assigned: dict[str, str], path: str) -> None:
    """Refuse a split that puts participants who were made from one brain into different parts."""
    if "anatomy" in people:
        parts = people.assign(split=people["participant_id"].map(assigned)).groupby("anatomy")
        for brain, group in parts:
            if group["split"].nunique() > 1:
                first, second = group.drop_duplicates("split")["participant_id"].iloc[:2]
                raise StudyError(
                    f"{path} puts {first} and {second} into two splits, though both are made from the brain of {brain}"
                    "; put them into one"
                )
