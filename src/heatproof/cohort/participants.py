"""The people of the simulated cohort. What each one is follows from the seed and the own name alone."""

import hashlib

import numpy as np
import pandas as pd

SESSIONS = ("ses-M00", "ses-M12", "ses-M24")
SESSION_SHARES = (0.5, 0.25, 0.25)


def generator(seed: int, *names: str) -> np.random.Generator:
    """Return the random numbers that belong to a seed and some names, whoever else there is."""
    digest = hashlib.sha256("/".join([str(seed), *names]).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, np.uint32))


def simulated_participants(options: dict) -> pd.DataFrame:
    """List the participants: participant_id, group, sex, age, severity at the first session, number of sessions."""
    simulate, rows = options["simulate"], []
    for label, prefix in (("patient", "P"), ("control", "C")):
        for number in range(1, simulate[f"{label}s"] + 1):
            participant = f"sub-{prefix}{number:03d}"
            random = generator(simulate["seed"], participant)
            rows.append(
                {
                    "participant_id": participant,
                    "label": label,
                    "sex": random.choice(["F", "M"]),
                    "age": int(random.integers(60, 86)),
                    "severity": random.uniform(*simulate["severity"][label]),
                    "sessions": int(random.choice([1, 2, 3], p=SESSION_SHARES)),
                }
            )
    people = pd.DataFrame(rows)
    return people[~people["participant_id"].isin(options["exclude"])].reset_index(drop=True)


def simulated_sessions(options: dict) -> pd.DataFrame:
    """List the sessions of all participants, with the severity of atrophy at each.

    Patients' severity grows by ``progression`` from session to session; controls' stays.
    """
    people = simulated_participants(options)
    sessions = people.loc[people.index.repeat(people["sessions"])].reset_index(drop=True)
    number = sessions.groupby("participant_id").cumcount()
    sessions["session_id"] = np.array(SESSIONS)[number]
    sessions["scan"] = sessions["participant_id"] + "_" + sessions["session_id"]
    sessions["severity"] += number * options["simulate"]["progression"] * (sessions["label"] == "patient")
    return sessions[~sessions["scan"].isin(options["exclude"])].reset_index(drop=True)


def simulated_scans(options: dict, dataset: str) -> pd.DataFrame:
    """List the scans that the simulation will write: scan, participant_id, session_id, label, image."""
    scans = simulated_sessions(options)[["scan", "participant_id", "session_id", "label"]]
    folders = f"{dataset}/" + scans["participant_id"] + "/" + scans["session_id"] + "/anat/"
    return scans.assign(image=folders + scans["scan"] + "_T1w.nii.gz")
