"""The table of scans: what the whole workflow expands over. It is known before any job runs."""

import pandas as pd

from heatproof.cohort.bids import read_dataset
from heatproof.cohort.participants import simulated_scans
from heatproof.cohort.split import split_participants

COLUMNS = ["scan", "participant_id", "session_id", "label", "split", "image"]


def list_scans(options: dict, folder: str) -> pd.DataFrame:
    """List the scans of a study.

    Parameters
    ----------
    options : dict
        The config's ``cohort`` section.
    folder : str
        The cohort's results folder, in which simulated scans have their place.

    Returns
    -------
    DataFrame
        scan, participant_id, session_id, label (patient, control), split (train, validation, test), image;
        one row per scan, sorted by scan.

    Raises
    ------
    StudyError
        If the dataset, its labels or the split are not as the config says.
    """
    scans = read_dataset(options) if options["bids"] else simulated_scans(options, f"{folder}/bids")
    scans = scans.assign(split=split_participants(scans, options["split"]))
    return scans[COLUMNS].sort_values("scan", ignore_index=True)
