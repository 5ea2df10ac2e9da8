"""Reading a BIDS dataset: who is in it, with which label, and where the images of each scan are. None is opened."""

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from heatproof.channels import channels_of, image_column
from heatproof.cohort.bids_files import check_named, check_single, find_files, select_files
from heatproof.cohort.bids_tables import Tables, column_of, gather_tables, participants_file, read_people
from heatproof.cohort.conditions import listed, missing, satisfies
from heatproof.errors import StudyError
from heatproof.task import classes_of, one, plural

COLUMNS = ["scan", "participant_id", "session_id", "label", "image"]
SHOWN = 20


def read_dataset(options: dict) -> pd.DataFrame:
    """List every T1w scan of a BIDS dataset whose label is that of a class.

    Parameters
    ----------
    options : dict
        The config's ``cohort`` section. Where its label is the volume of a region, every scan is listed, and its
        label is empty: it is known after registration. Where a value is learned, the label is that number.

    Returns
    -------
    DataFrame
        scan, participant_id, session_id, label (a class, or a number), image, and image_{channel} of further channels,
        empty where a scan lacks it; sorted by scan.

    Raises
    ------
    StudyError
        If the dataset or its tables are not as described, a label is missing, a participant is in several classes,
        has no scan, or has several files for one scan. Of scans that are left out only the names are looked at.
    """
    folder, table = Path(options["bids"]), participants_file(options)
    people = read_people(table)
    (_, first), *further = channels_of(options).items()
    others = {
        name: find_files(folder, [], key=f"cohort.channels.{name}", suffix=entities["suffix"])
        for name, entities in further
    }
    known = [*people["participant_id"], *(Path(path).name for files in others.values() for path in files["image"])]
    files = find_files(folder, options["exclude"], known)
    columns = [options["label"], *options["only"]]
    tables = gather_tables(people, table.parent, files["participant_id"].unique(), columns)
    check_rows(files, tables, table)
    scans = select_files(files, first | options["select"])
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
        values = column_of(files, options["label"], tables, f"cohort.{'value' if options.get('value') else 'label'}")
        if options.get("value"):
            scans = number_scans(scans, values[scans.index], options)
        else:
            scans = name_classes(scans, values, tables, options)
    check_named(scans)
    check_single(scans)
    scans = scans[COLUMNS]
    for name, entities in further:
        scans = with_channel(scans, name, entities, others[name], options["exclude"])
    return scans.sort_values("scan", ignore_index=True)


def with_channel(
    scans: pd.DataFrame, name: str, entities: dict, files: pd.DataFrame, exclude: Iterable[str]
) -> pd.DataFrame:
    """Add the column of a further channel: the one file of each scan that has the channel's entities; empty for none.

    Raises
    ------
    StudyError
        If several files fit.
    """
    key = f"cohort.channels.{name}"
    fitting = select_files(files, entities, key)
    left_out = fitting["image"].map(lambda path: Path(path).name in exclude)
    fitting = fitting[fitting["scan"].isin(scans["scan"]) & ~left_out]
    check_single(fitting, key)
    return scans.assign(**{image_column(name): scans["scan"].map(fitting.set_index("scan")["image"]).fillna("")})


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
    ours = [satisfies(values, wanted, f"cohort.classes.{name}") for name, wanted in classes_of(options).items()]
    ours = ours or [~missing(values)]
    excluded = {item.split("_")[0] for item in options["exclude"]}
    absent = sorted({*values.index[np.logical_or.reduce(ours)]} - {*scans["participant_id"]} - excluded)
    if absent:
        selected = " that cohort.select takes" if options["select"] else ""
        raise StudyError(
            f"{participants_file(options)} lists {', '.join(absent)} but there is no T1w scan"
            f"{selected}; add the file or name the participant in cohort.exclude"
        )


def name_classes(scans: pd.DataFrame, everyone: pd.Series, tables: Tables, options: dict) -> pd.DataFrame:
    """Name each scan's class from the label's value, given of all scans, and leave out scans of no class."""
    column, values, classes = options["label"], everyone[scans.index], classes_of(options)
    named = [satisfies(values, wanted, f"cohort.classes.{name}") for name, wanted in classes.items()]
    check_labelled(scans, missing(values) & ~np.logical_or.reduce(named), options)
    met = pd.DataFrame(
        {
            name: meets(everyone, scans.index, column, wanted, f"cohort.classes.{name}")
            for name, wanted in reversed(classes.items())
        }
    )
    for name in met:
        if not met[name].any():
            raise StudyError(
                f"no scan that is left by cohort.only and cohort.select is {one(name)}; loosen their conditions"
            )
    count = met.sum(axis=1)
    if (count > 1).any():
        value, row = values[count > 1].iloc[0], met[count > 1].iloc[0]
        both = " and ".join(f"cohort.classes.{name}" for name in met.columns[row])
        raise StudyError(f"config: {both} both name {value!r}; take it out of one")
    others = values[count == 0].replace("", "n/a").value_counts()
    if len(others):
        told = ", ".join(f"{value} ({number})" for value, number in others.items())
        logging.info("scans of no class are left out, by their %s: %s", column, told)
    labelled = scans.assign(label=met.idxmax(axis=1))[count == 1]
    return settle(labelled, tables, options)


def number_scans(scans: pd.DataFrame, values: pd.Series, options: dict) -> pd.DataFrame:
    """Label each scan by the number that is learned, and leave out scans without one.

    Raises
    ------
    StudyError
        If a value is no number, or all are the same.
    """
    untold = missing(values)
    check_labelled(scans, untold, options)
    numbers = pd.to_numeric(values[~untold], errors="coerce").replace([np.inf, -np.inf], np.nan)
    if len(strange := numbers.index[numbers.isna()]):
        scan, value = scans.at[strange[0], "scan"], values[strange[0]]
        raise StudyError(
            f"{options['value']!r} of {scan} is {value!r}, and cohort.value takes numbers; correct it, name the "
            "scan in cohort.exclude, or learn classes (cohort.classes)"
        )
    if numbers.nunique() < 2:
        raise StudyError(
            f"all scans have the same {options['value']!r}, {values[~untold].iloc[0]}; name another cohort.value"
        )
    return scans[~untold].assign(label=numbers.astype(float))


def check_labelled(scans: pd.DataFrame, unlabelled: pd.Series, options: dict) -> None:
    """Refuse scans without a value of the label, unless these are left out."""
    if options["unlabelled"] == "refuse" and unlabelled.any():
        raise StudyError(
            f"no value of {options['label']!r} is given for {', '.join(scans.loc[unlabelled, 'scan'])}; give one in "
            "participants.tsv or sessions.tsv, name the scan in cohort.exclude, or set cohort.unlabelled to leave_out"
        )


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
    """Refuse participants with scans of several classes, or count as of one class who is so at any visit.

    ``cohort.both_classes`` names that class; a visit without a scan counts as well.
    """
    name, classes = options["both_classes"], classes_of(options)
    if name != "refuse":
        people = set(scans.loc[scans["label"] == name, "participant_id"])
        if options["label"] in tables.visits:
            values = tables.visits[options["label"]].fillna("")
            found = satisfies(values, classes[name], f"cohort.classes.{name}")
            people |= set(values.index[found].get_level_values(0))
        scans = scans.assign(label=scans["label"].where(~scans["participant_id"].isin(people), name))
    labels = scans.groupby("participant_id")["label"].agg(set)
    if len(both := labels[labels.map(len) > 1]):
        several = " and of ".join(plural(name) for name in reversed(classes) if any(name in own for own in both))
        raise StudyError(
            f"{', '.join(both.index)}: scans of {several}; correct the labels, name the participants in "
            f"cohort.exclude, or set cohort.both_classes to {list(classes)[-1]}"
        )
    return scans


def shown(values: Iterable[str]) -> str:
    """List the different values that a column has; of many, the first."""
    different = sorted({value or "n/a" for value in values})
    more = f" and {len(different) - SHOWN} more" if len(different) > SHOWN else ""
    return ", ".join(different[:SHOWN]) + more
