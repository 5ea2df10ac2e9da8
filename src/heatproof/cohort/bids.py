"""Reading a BIDS dataset: who is in it, with which label, and where each T1w scan is. No image is opened."""

import logging
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from heatproof.cohort.bids_files import check_named, check_single, find_files, select_files
from heatproof.cohort.bids_tables import Tables, column_of, gather_tables, participants_file, read_people
from heatproof.cohort.conditions import listed, missing, satisfies
from heatproof.errors import StudyError

COLUMNS = ["scan", "participant_id", "session_id", "label", "image"]
SHOWN = 20


def read_dataset(options: dict) -> pd.DataFrame:
    """List every T1w scan of a BIDS dataset whose label is the patients' or the controls'.

    Parameters
    ----------
    options : dict
        The config's ``cohort`` section. Where its label is the volume of a region, every scan is listed, and its
        label is empty: it is known after registration.

    Returns
    -------
    DataFrame
        scan, participant_id, session_id, label (``patient`` or ``control``), image; sorted by scan.

    Raises
    ------
    StudyError
        If the dataset or its tables are not as described, a label is missing, a participant is in both classes,
        has no scan, or has several files for one scan. Of scans that are left out only the names are looked at.
    """
    folder, table = Path(options["bids"]), participants_file(options)
    people = read_people(table)
    files = find_files(folder, options["exclude"], people["participant_id"])
    columns = [options["label"], *options["only"]]
    tables = gather_tables(people, table.parent, files["participant_id"].unique(), columns)
    check_rows(files, tables, table)
    scans = select_files(files, options["select"])
    for column, wanted in options["only"].items():
        values, key = column_of(files, column, tables, "cohort.only"), f"cohort.only.{column}"
        met = meets(values, scans.index, column, wanted, key)
        if untold := scans.loc[missing(values[scans.index]) & ~met, "scan"].tolist():
            logging.info("scans are left out, since their %s is not told: %s", column, ", ".join(untold))
        scans = scans[met]
    if scans.empty:
        raise StudyError(f"no scan in {folder} is left by cohort.only and cohort.select; loosen their conditions")
    if isinstance(options["label"], dict):
        scans = scans.assign(label="")
    else:
        check_scanned(scans, tables, options)
        values = column_of(files, options["label"], tables, "cohort.label")
        scans = name_classes(scans, values, tables, options)
    check_named(scans)
    check_single(scans)
    return scans[COLUMNS].sort_values("scan", ignore_index=True)


def check_rows(scans: pd.DataFrame, tables: Tables, table: Path) -> None:
    """Refuse scans of people whom ``participants.tsv`` does not list."""
    unknown = sorted(set(scans["participant_id"]) - set(tables.people.index))
    if unknown:
        raise StudyError(
            f"{table} has no row for {', '.join(unknown)}, of whom there are scans; add it or exclude them"
        )


def check_scanned(scans: pd.DataFrame, tables: Tables, options: dict) -> None:
    """Refuse participants whom ``participants.tsv`` puts into one of the classes, but of whom there is no scan."""
    if options["only"] or options["label"] not in tables.people:
        return
    values = tables.people[options["label"]]
    ours = [satisfies(values, options[label], f"cohort.{label}") for label in ("patient", "control")]
    excluded = {item.split("_")[0] for item in options["exclude"]}
    absent = sorted({*values.index[ours[0] | ours[1]]} - {*scans["participant_id"]} - excluded)
    if absent:
        selected = " that cohort.select takes" if options["select"] else ""
        raise StudyError(
            f"{participants_file(options)} lists {', '.join(absent)} but there is no T1w scan"
            f"{selected}; add the file or name the participant in cohort.exclude"
        )


def name_classes(scans: pd.DataFrame, everyone: pd.Series, tables: Tables, options: dict) -> pd.DataFrame:
    """Name each scan's class from the label's value, given of all scans, and leave out scans of neither class."""
    column, values, classes = options["label"], everyone[scans.index], ("patient", "control")
    named = [satisfies(values, options[label], f"cohort.{label}") for label in classes]
    unlabelled = missing(values) & ~named[0] & ~named[1]
    if options["unlabelled"] == "refuse" and unlabelled.any():
        raise StudyError(
            f"no value of {column!r} is given for {', '.join(scans.loc[unlabelled, 'scan'])}; give one in "
            "participants.tsv or sessions.tsv, name the scan in cohort.exclude, or set cohort.unlabelled to leave_out"
        )
    patient, control = (meets(everyone, scans.index, column, options[label], f"cohort.{label}") for label in classes)
    for label, met in zip(classes, (patient, control), strict=True):
        if not met.any():
            raise StudyError(
                f"no scan that is left by cohort.only and cohort.select is a {label}; loosen their conditions"
            )
    if (patient & control).any():
        value = values[patient & control].iloc[0]
        raise StudyError(f"config: cohort.patient and cohort.control both name {value!r}; take it out of one")
    others = values[~patient & ~control].replace("", "n/a").value_counts()
    if len(others):
        told = ", ".join(f"{value} ({count})" for value, count in others.items())
        logging.info("scans of neither class are left out, by their %s: %s", column, told)
    labelled = scans.assign(label=patient.map({True: "patient", False: "control"}))[patient | control]
    return settle(labelled, tables, options)


def meets(everyone: pd.Series, left: pd.Index, column: str, wanted: object, key: str) -> pd.Series:
    """Tell which of the scans that are left meet a condition.

    Each of its items must be met by a scan of the dataset, and none that is left be missed by its case alone.
    """
    values, met = everyone[left], pd.Series(False, left)
    for item in listed(wanted):
        one = satisfies(values, item, key)
        if not one.any() and not satisfies(everyone, item, key).any():
            raise StudyError(
                f"no scan has a value of {column!r} that {key} names ({item}); the values are {shown(everyone)}"
            )
        met |= one
    folded = {item.casefold() for item in listed(wanted)}
    near = values[~met & values.str.casefold().isin(folded)]
    if len(near):
        raise StudyError(
            f"the value {near.iloc[0]!r} of {column!r} is written otherwise in {key} ({', '.join(listed(wanted))}); "
            "correct the table, or list both"
        )
    return met


def settle(scans: pd.DataFrame, tables: Tables, options: dict) -> pd.DataFrame:
    """Refuse participants with scans of both classes, or count as a patient who is one at any visit, scanned or not."""
    patients = set(scans.loc[scans["label"] == "patient", "participant_id"])
    if options["both_classes"] == "patient":
        if options["label"] in tables.visits:
            values = tables.visits[options["label"]].fillna("")
            patients |= set(values.index[satisfies(values, options["patient"], "cohort.patient")].get_level_values(0))
        return scans.assign(label=scans["label"].where(~scans["participant_id"].isin(patients), "patient"))
    both = sorted(patients & set(scans.loc[scans["label"] == "control", "participant_id"]))
    if both:
        raise StudyError(
            f"{', '.join(both)}: scans of patients and of controls; correct the labels, name the participants in "
            "cohort.exclude, or set cohort.both_classes to patient"
        )
    return scans


def shown(values: Iterable[str]) -> str:
    """List the different values that a column has; of many, the first."""
    different = sorted({value or "n/a" for value in values})
    more = f" and {len(different) - SHOWN} more" if len(different) > SHOWN else ""
    return ", ".join(different[:SHOWN]) + more
