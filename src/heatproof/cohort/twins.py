"""The healthy twins of the simulated test patients: the same person, session, scanner and noise without atrophy.

A patient and the twin differ by the atrophy alone, so that what a network makes of their difference is what it makes
of the atrophy. Twins are no part of the cohort: they are listed in a table and lie in a dataset of their own.
"""

import pandas as pd


def has_twins(options: dict) -> bool:
    """Tell whether test patients have twins: the cohort is simulated, and it is the atrophy that makes a patient.

    ``options`` is the config's ``cohort`` section.
    """
    return is_simulated(options) and not isinstance(options["label"], dict) and options["simulate"]["twins"]


def is_simulated(options: dict) -> bool:
    """Tell whether the config's ``cohort`` names neither a dataset nor a table, so that scans are simulated."""
    return options["bids"] is None and not options.get("scans")


def list_twins(scans: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """List the twins of a simulated cohort.

    Parameters
    ----------
    scans : DataFrame
        As `heatproof.cohort.scans.list_scans` returns it.
    dataset : str
        The folder of the twins' dataset.

    Returns
    -------
    DataFrame
        One row for each test scan of a patient, in their order: scan, participant_id and session_id of the patient;
        label (control); split (twins); image and twin, file and name of the twin's scan.
    """
    patients = scans[(scans["split"] == "test") & (scans["label"] == "patient")].reset_index(drop=True)
    names = patients["participant_id"] + "twin"
    twins = names + "_" + patients["session_id"]
    images = f"{dataset}/" + names + "/" + patients["session_id"] + "/anat/" + twins + "_T1w.nii.gz"
    return patients.assign(label="control", split="twins", image=images, twin=twins)
