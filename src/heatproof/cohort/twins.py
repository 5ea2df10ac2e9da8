"""The healthy twins of the simulated test patients: the same person, session, scanner and noise without atrophy.

A patient and the twin differ by the atrophy alone, so that what a network makes of their difference is what it makes
of the atrophy. Where the severity is learned, every test scan has a twin. Twins are no part of the cohort: they are
listed in a table and lie in a dataset of their own.
"""

import pandas as pd

from heatproof.task import PATIENTS, classes_of


def has_twins(options: dict) -> bool:
    """Tell whether test scans have twins: the cohort is simulated, and it is the atrophy that makes the labels.

    ``options`` is the config's ``cohort`` section.
    """
    return is_simulated(options) and not isinstance(options["label"], dict) and options["simulate"]["twins"]


def is_simulated(options: dict) -> bool:
    """Tell whether the config's ``cohort`` names neither a dataset nor a table, so that scans are simulated."""
    return options["bids"] is None and not options.get("scans")


def healthy_label(options: dict) -> str | float:
    """Return the label that is without atrophy: the first class, or where the severity is learned, 0."""
    return 0.0 if options.get("value") else next(iter(classes_of(options)))


def list_twins(scans: pd.DataFrame, dataset: str, healthy: str | float = PATIENTS.classes[0]) -> pd.DataFrame:
    """List the twins of a simulated cohort.

    Parameters
    ----------
    scans : DataFrame
        As `heatproof.cohort.scans.list_scans` returns it.
    dataset : str
        The folder of the twins' dataset.
    healthy : str or float
        The class that is without atrophy, or the severity 0: no scan of it has a twin, and every twin is of it.

    Returns
    -------
    DataFrame
        One row for each test scan of another label, in their order: its scan, participant_id and session_id; label
        (healthy); split (twins); image and twin, file and name of the twin's scan.
    """
    patients = scans[(scans["split"] == "test") & (scans["label"] != healthy)].reset_index(drop=True)
    names = patients["participant_id"] + "twin"
    twins = names + "_" + patients["session_id"]
    stems = f"{dataset}/" + names + "/" + patients["session_id"] + "/anat/" + twins
    suffixes = {
        column: patients[column].str.rsplit("_", n=1).str[-1] for column in patients if column.startswith("image")
    }
    images = {column: stems + "_" + suffix for column, suffix in suffixes.items()}
    return patients.assign(label=healthy, split="twins", **images, twin=twins)
