"""The table of scans: what the whole workflow expands over. It is known before any job runs."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from heatproof.channels import channels_of, image_column
from heatproof.cohort.bids import read_dataset
from heatproof.cohort.bids_files import unreadable_files
from heatproof.cohort.bids_tables import check_different, read_text_table
from heatproof.cohort.conditions import satisfies
from heatproof.cohort.participants import brain_scans, simulated_scans
from heatproof.cohort.split import split_participants
from heatproof.errors import StudyError
from heatproof.task import classes_of, one

COLUMNS = ["scan", "participant_id", "session_id", "label", "split", "image"]


class Cohort(NamedTuple):
    """The scans of a study, and those left out of it since their files cannot be read: scan, image, reason."""

    scans: pd.DataFrame
    unreadable: pd.DataFrame


def list_scans(options: dict, folder: str) -> pd.DataFrame:
    """List the scans of a study, as `read_cohort` does."""
    return read_cohort(options, folder).scans


def read_cohort(options: dict, folder: str) -> Cohort:
    """List the scans of a study, and those that had to be left out.

    Parameters
    ----------
    options : dict
        The config's ``cohort`` section.
    folder : str
        The cohort's results folder, in which simulated scans have their place.

    Returns
    -------
    Cohort
        Its scans: scan, participant_id, session_id, label (a class, or a number), split (train, validation, test),
        image; one row per scan, sorted by scan.

    Raises
    ------
    StudyError
        If the dataset, its labels or the split are not as the config says, or too few scans can be read.
    """
    if options.get("scans"):
        return Cohort(listed_scans(options), pd.DataFrame(columns=["scan", "image", "reason"]))
    if options["bids"]:
        found = read_dataset(options)
        unreadable = unreadable_files(found, options["unreadable"])
        scans = found[~found["scan"].isin(unreadable["scan"])]
    else:
        found = scans = simulated_scans(options, f"{folder}/bids")
        unreadable = unreadable_files(brain_scans(options), options["unreadable"])
    if not options.get("value") and (gone := sorted(set(found["label"]) - set(scans["label"]))):
        first = unreadable.iloc[0]
        raise StudyError(f"no scan of {one(gone[0])} can be read; {first['image']}: {first['reason']}")
    scans = scans.assign(split=split_participants(scans, options["split"], list(classes_of(options))))
    scans = scans[scans["split"].notna()]
    further = [image_column(name) for name in list(channels_of(options))[1:]]
    return Cohort(scans[[*COLUMNS, *further]].sort_values("scan", ignore_index=True), unreadable)


def listed_scans(options: dict) -> pd.DataFrame:
    """List test scans of which no image is there, from the table that ``cohort.scans`` names.

    Its columns are scan and label, and perhaps participant_id and session_id; a scan without a participant is one
    of its own, or that of its first word where this begins with ``sub-``.

    Returns
    -------
    DataFrame
        As `read_cohort` has it; image is empty.

    Raises
    ------
    StudyError
        If a column is lacking, a scan is there twice or has a name that no file could have, or a label is of no class.
    """
    table = read_columns(options["scans"], ["scan", "label"], "correct cohort.scans")
    path, scans = Path(options["scans"]), table["scan"]
    if strange := next((scan for scan in scans if not re.fullmatch(r"[A-Za-z0-9_-]+", scan)), None):
        raise StudyError(f"{path} has the scan {strange!r}; use letters, digits, _ and - alone")
    check_different(scans.tolist(), "leave one row for each", path)
    own = scans.map(lambda scan: scan.partition("_")[0] if scan.startswith("sub-") else scan)
    listed = pd.DataFrame({"scan": scans, "participant_id": table.get("participant_id", own)})
    listed["session_id"] = table.get("session_id", pd.Series(np.nan, table.index))
    label = read_labels(table["label"], options, f"{path}: the label")
    return listed.assign(label=label, split="test", image="")[COLUMNS].sort_values("scan", ignore_index=True)


def read_columns(path: str | Path, needed: list[str], remedy: str) -> pd.DataFrame:
    """Read a table as text that has these columns."""
    table = read_text_table(Path(path), remedy)
    if missing := [column for column in needed if column not in table]:
        raise StudyError(f"{path} has no column {missing[0]}; its columns are {', '.join(table)}")
    return table


def read_labels(values: pd.Series, options: dict, what: str) -> pd.Series:
    """Name the class of each value, as `name_classes` does, or where a value is learned read each as a number.

    Raises
    ------
    StudyError
        For the first value that is of no class, or no number; ``what`` says whose it is.
    """
    if not options.get("value"):
        return name_classes(values, options, what)
    numbers = pd.to_numeric(values, errors="coerce")
    if len(strange := values[~np.isfinite(numbers)]):
        raise StudyError(f"{what} {strange.iloc[0]!r} is no number, and cohort.value takes numbers; correct it")
    return numbers.astype(float)


def name_classes(values: pd.Series, options: dict, what: str) -> pd.Series:
    """Name the class of each value, by its name or as the config's ``cohort`` names its values.

    Raises
    ------
    StudyError
        For the first value of none or several; ``what`` says whose it is.
    """
    named = pd.DataFrame(
        {
            name: (values == name) | satisfies(values, wanted, f"cohort.classes.{name}")
            for name, wanted in classes_of(options).items()
        }
    )
    unclear = values[named.sum(axis=1) != 1]
    if len(unclear):
        raise StudyError(f"{what} {unclear.iloc[0]!r} is not of one of cohort.classes, {', '.join(named)}; correct one")
    return named.idxmax(axis=1)
