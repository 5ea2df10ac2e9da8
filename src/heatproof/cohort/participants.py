"""The people of the simulated cohort. What each one is follows from the seed and the own name alone."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from heatproof.channels import channels_of, image_column
from heatproof.cohort.bids_files import (
    check_excluded,
    check_named,
    check_single,
    find_files,
    select_files,
    unreadable_files,
)
from heatproof.cohort.split import hash_order
from heatproof.errors import StudyError
from heatproof.generators import generator
from heatproof.task import classes_of, plural

SESSIONS = ("ses-M00", "ses-M12", "ses-M24")
PREFIXES = {"patient": "P", "control": "C"}
SEVERITY = "severity"  # the one value of a simulated participant that can be learned


def counts_of(simulate: dict) -> dict[str, int]:
    """Return how many participants each class has; where there are no classes, under an empty name."""
    counts = simulate.get("participants") or {label: simulate[f"{label}s"] for label in PREFIXES}
    return counts if isinstance(counts, Mapping) else {"": counts}


def named(label: str, number: int) -> str:
    """Name a participant."""
    return f"sub-{PREFIXES.get(label, label)}{number:03d}"


def simulated_names(options: dict) -> set[str]:
    """List every participant of the cohort, and every scan that there may be of one."""
    counts = counts_of(options["simulate"])
    people = {named(label, number) for label, count in counts.items() for number in range(1, count + 1)}
    return people | {f"{name}_{session}" for name in people for session in SESSIONS}


def brain_scans(options: dict) -> pd.DataFrame:
    """List the scans whose brains the cohort is made from, each person's first; none where it is the template's."""
    if options["simulate"]["anatomy_from"] is None:
        return pd.DataFrame(columns=["scan", "participant_id", "image"])
    folder, excluded = Path(options["simulate"]["anatomy_from"]), options["exclude"]
    files = find_files(folder, excluded, simulated_names(options), "cohort.simulate.anatomy_from")
    scans = select_files(files, options["select"])
    check_named(scans)
    check_single(scans)
    return scans.drop_duplicates("participant_id")


def real_brains(options: dict) -> pd.Series:
    """List the brains that the cohort is made from, less those that cannot be read: image by participant_id."""
    scans = brain_scans(options)
    unreadable = unreadable_files(scans, options["unreadable"])
    return scans[~scans["scan"].isin(unreadable["scan"])].set_index("participant_id")["image"]


def assign_brains(people: pd.DataFrame, options: dict) -> pd.Series:
    """Give every participant a brain: as many of every class from each, in an order that the seed draws."""
    simulate = options["simulate"]
    brains = sorted(real_brains(options).index, key=lambda name: hash_order(simulate["seed"], name))
    counts = counts_of(simulate)
    for label, count in counts.items():
        if count != next(iter(counts.values())) or count % len(brains):
            key = f"participants.{label}".rstrip(".") if simulate.get("participants") else f"{label}s"
            who = f"{', '.join(map(plural, list(counts)[:-1]))} and {plural(list(counts)[-1])}" if label else "these"
            raise StudyError(
                f"config: cohort.simulate.{key} is {count}; {who} must be equally many, a "
                f"multiple of the {len(brains)} brains in {simulate['anatomy_from']}, so that no brain tells the class"
            )
    return pd.Series(np.array(brains)[people.groupby("label").cumcount() % len(brains)], people.index)


def simulated_participants(options: dict) -> pd.DataFrame:
    """List the participants: participant_id, label (a class), sex, age, severity at the first session, sessions.

    Where the cohort is made from real brains, the column anatomy says from whose.
    """
    simulate, rows = options["simulate"], []
    shares = np.array(simulate["sessions"]) / np.sum(simulate["sessions"])
    for label, count in counts_of(simulate).items():
        for number in range(1, count + 1):
            participant = named(label, number)
            random = generator(simulate["seed"], participant)
            rows.append(
                {
                    "participant_id": participant,
                    "label": label,
                    "sex": random.choice(["F", "M"]),
                    "age": int(random.integers(60, 86)),
                    "severity": random.uniform(*(simulate["severity"][label] if label else simulate["severity"])),
                    "sessions": 1 + int(random.choice(len(shares), p=shares)),
                }
            )
    people = pd.DataFrame(rows)
    if simulate["anatomy_from"]:
        people["anatomy"] = assign_brains(people, options)
    else:
        check_excluded(options["exclude"], simulated_names(options), "the simulated cohort")
    return people[~people["participant_id"].isin(options["exclude"])].reset_index(drop=True)


def simulated_sessions(options: dict) -> pd.DataFrame:
    """List the sessions of all participants, with the severity of atrophy at each.

    Severity grows by ``progression`` from session to session, but for the first class, whose stays.
    """
    people = simulated_participants(options)
    sessions = people.loc[people.index.repeat(people["sessions"])].reset_index(drop=True)
    number = sessions.groupby("participant_id").cumcount()
    sessions["session_id"] = np.array(SESSIONS)[number]
    sessions["scan"] = sessions["participant_id"] + "_" + sessions["session_id"]
    sessions["severity"] += (
        number * options["simulate"]["progression"] * (sessions["label"] != next(iter(classes_of(options)), None))
    )
    return sessions[~sessions["scan"].isin(options["exclude"])].reset_index(drop=True)


def simulated_scans(options: dict, dataset: str) -> pd.DataFrame:
    """List the scans that the simulation will write: scan, participant_id, session_id, label, image.

    Where a value is learned, it is the severity of the atrophy, and the label.
    """
    sessions = simulated_sessions(options)
    if options.get("value"):
        sessions = sessions.assign(label=sessions["severity"])
    scans = sessions[sessions.columns.intersection(["scan", "participant_id", "session_id", "label", "anatomy"])]
    if isinstance(options["label"], dict):
        scans = scans.assign(label="")
    folders = f"{dataset}/" + scans["participant_id"] + "/" + scans["session_id"] + "/anat/"
    stems = folders + scans["scan"]
    return scans.assign(**{image_column(name): stems + f"_{name}.nii.gz" for name in channels_of(options)})
