"""The table of scans: what the whole workflow expands over. It is known before any job runs."""

from typing import NamedTuple

import pandas as pd

from heatproof.cohort.bids import read_dataset
from heatproof.cohort.bids_files import unreadable_files
from heatproof.cohort.participants import brain_scans, simulated_scans
from heatproof.cohort.split import split_participants
from heatproof.errors import StudyError

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
        Its scans: scan, participant_id, session_id, label (patient, control), split (train, validation, test), image;
        one row per scan, sorted by scan.

    Raises
    ------
    StudyError
        If the dataset, its labels or the split are not as the config says, or too few scans can be read.
    """
    if options["bids"]:
        found = read_dataset(options)
        unreadable = unreadable_files(found, options["unreadable"])
        scans = found[~found["scan"].isin(unreadable["scan"])]
    else:
        found = scans = simulated_scans(options, f"{folder}/bids")
        unreadable = unreadable_files(brain_scans(options), options["unreadable"])
    if gone := sorted(set(found["label"]) - set(scans["label"])):
        first = unreadable.iloc[0]
        raise StudyError(f"no scan of a {gone[0]} can be read; {first['image']}: {first['reason']}")
    scans = scans.assign(split=split_participants(scans, options["split"]))
    return Cohort(scans[COLUMNS].sort_values("scan", ignore_index=True), unreadable)
