"""Reading a BIDS dataset: who is in it, with which label, and where each T1w scan is. No image is opened."""

import csv
import re
from collections import Counter
from pathlib import Path

import pandas as pd

from heatproof.cohort.conditions import listed, satisfies
from heatproof.errors import StudyError

IN_DATASET = "cohort.bids must name a BIDS dataset with this table"
PREFIXES = {"participant_id": "sub", "session_id": "ses"}
MISSING = ["", "n/a", "N/A", "nan", "NaN"]
ENTITIES = re.compile(r"^(sub-[A-Za-z0-9]+)(?:_(ses-[A-Za-z0-9]+))?(?:_[A-Za-z0-9]+-[A-Za-z0-9]+)*_T1w\.nii(?:\.gz)?$")
COLUMNS = ["scan", "participant_id", "session_id", "label", "image"]


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
        has no scan, or has two files for one scan.
    """
    folder, measured = Path(options["bids"]), isinstance(options["label"], dict)
    participants = read_participants(folder)
    scans = find_scans(folder, set(options["exclude"]))
    check_rows(scans, participants, folder)
    columns = {*options["only"], *([] if measured else [options["label"]])}
    all_known = columns <= set(participants.columns)
    sessions = read_sessions(folder, [] if all_known else scans["participant_id"].unique())
    for column, wanted in options["only"].items():
        values = column_of(scans, column, participants, sessions, "cohort.only")
        scans = scans[satisfies(values, wanted, f"cohort.only.{column}")]
    if scans.empty:
        raise StudyError(f"no scan in {folder} is left by cohort.only; loosen its conditions")
    if measured:
        return scans.assign(label="")[COLUMNS].sort_values("scan", ignore_index=True)
    check_scanned(scans, participants, options)
    return name_classes(scans, participants, sessions, options)[COLUMNS].sort_values("scan", ignore_index=True)


def read_text_table(path: Path, needed: str = IN_DATASET) -> pd.DataFrame:
    """Read a table as text, as BIDS writes it; missing values are empty. ``needed`` says what to do if it is absent."""
    header, rows = read_rows(path, needed)
    return pd.DataFrame(rows, columns=header)


def read_rows(path: Path, needed: str = IN_DATASET) -> tuple[list[str], list[list[str]]]:
    """Read the header and the rows of a table as text; all rows are as long as the header."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = [[value_of(cell) for cell in line] for line in csv.reader(file, "excel-tab", strict=True) if line]
    except FileNotFoundError as error:
        raise StudyError(f"{path} does not exist; {needed}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise StudyError(f"{path} is not a tab-separated table in UTF-8 ({error}); correct it") from error
    if not lines:
        raise StudyError(f"{path} is empty; write a header and one row for each participant")
    header, *rows = lines
    check_columns(header, rows, path)
    return header, [(row + [""] * len(header))[: len(header)] for row in rows]


def value_of(cell: str) -> str:
    """Return the value of a cell, without blanks around it; a missing one is empty."""
    value = cell.strip()
    return "" if value in MISSING else value


def check_columns(header: list[str], rows: list[list[str]], path: Path) -> None:
    """Refuse a table whose columns are not separated by tabs, or not all named and different."""
    if len(header) == 1 and re.search("[,;]", header[0]):
        raise StudyError(f"{path} has no tabs, but commas or semicolons; BIDS separates columns by tabs: save it so")
    if twice := next((name for name, count in Counter(header).items() if name and count > 1), None):
        raise StudyError(f"{path} names the column {twice!r} more than once; leave one of them")
    if long := next((row for row in rows if any(row[len(header) :])), None):
        raise StudyError(f"{path} has {len(header)} columns, but {len(long)} values for {long[0]}; correct that row")


def read_participants(folder: Path) -> pd.DataFrame:
    """Read ``participants.tsv``; each participant has one row."""
    path = folder / "participants.tsv"
    table = read_text_table(path)
    if "participant_id" not in table:
        raise StudyError(f"{path} has no column participant_id; its columns are {', '.join(table.columns)}")
    if table.empty:
        raise StudyError(f"{path} has a header but no row; write one for each participant")
    check_names(table["participant_id"].tolist(), "participant_id", path)
    return table


def check_names(names: list[str], column: str, path: Path) -> None:
    """Refuse names of participants or sessions in a column that are not BIDS's, or are not different."""
    prefix = PREFIXES[column]
    for name, count in Counter(names).items():
        if not re.fullmatch(f"{prefix}-[A-Za-z0-9]+", name):
            hint = f"write {prefix}-{name}" if name.isalnum() else f"write {prefix}- and then letters and digits"
            raise StudyError(f"{path} has the {column} {name!r}; {hint}, as the files are named")
        if count > 1:
            raise StudyError(f"{path} lists {name} more than once; leave one row for each")


def find_scans(folder: Path, exclude: set[str], key: str = "cohort.bids") -> pd.DataFrame:
    """Find all T1w files, less those excluded by participant, scan or file name: one row for each.

    ``key`` is the place in the config that names the folder, for the message.
    """
    rows = []
    files = [*folder.glob("sub-*/anat/*_T1w.nii*"), *folder.glob("sub-*/ses-*/anat/*_T1w.nii*")]
    for path in sorted(files):
        match = ENTITIES.match(path.name)
        if not match:
            raise StudyError(f"{path} is not named as BIDS names a T1w scan; rename it or move it away")
        participant, session = match[1], match[2] or ""
        scan = f"{participant}_{session}" if session else participant
        if not exclude & {participant, scan, path.name}:
            rows.append({"scan": scan, "participant_id": participant, "session_id": session, "image": str(path)})
    scans = pd.DataFrame(rows, columns=["scan", "participant_id", "session_id", "image"])
    if scans.empty:
        raise StudyError(f"{folder} holds no file sub-*/[ses-*/]anat/*_T1w.nii.gz; correct {key}")
    twice = scans[scans["scan"].duplicated(keep=False)]
    if len(twice):
        first, second = twice["image"].iloc[:2]
        raise StudyError(f"{first} and {second} are two files for one scan; name one of them in cohort.exclude")
    for image in scans["image"]:
        if not Path(image).is_file():
            raise StudyError(
                f"{image} is a link to a file that is not there; fetch it (datalad get) or exclude the scan"
            )
    return scans


def check_rows(scans: pd.DataFrame, participants: pd.DataFrame, folder: Path) -> None:
    """Refuse scans of people whom ``participants.tsv`` does not list."""
    unknown = sorted(set(scans["participant_id"]) - set(participants["participant_id"]))
    if unknown:
        raise StudyError(
            f"{folder / 'participants.tsv'} has no row for {some(unknown)}, of whom there are scans; "
            "add it or exclude them"
        )


def check_scanned(scans: pd.DataFrame, participants: pd.DataFrame, options: dict) -> None:
    """Refuse participants whom ``participants.tsv`` puts into one of the classes, but of whom there is no scan."""
    if options["only"] or options["label"] not in participants:
        return
    values = participants[options["label"]]
    ours = satisfies(values, options["patient"], "cohort.patient") | satisfies(
        values, options["control"], "cohort.control"
    )
    excluded = {item.split("_")[0] for item in options["exclude"]}
    absent = set(participants.loc[ours, "participant_id"]) - set(scans["participant_id"]) - excluded
    if absent:
        raise StudyError(
            f"{Path(options['bids']) / 'participants.tsv'} lists {some(sorted(absent))} but there is no T1w scan; "
            "add the file or name the participant in cohort.exclude"
        )


def read_sessions(folder: Path, names: list[str]) -> pd.DataFrame:
    """Read the ``sessions.tsv`` of participants, where there are any, into one table."""
    sessions = []
    for name in names:
        path = folder / name / f"{name}_sessions.tsv"
        if path.is_file():
            header, rows = read_rows(path)
            if "session_id" not in header:
                raise StudyError(f"{path} has no column session_id; its columns are {', '.join(header)}")
            check_names([row[header.index("session_id")] for row in rows], "session_id", path)
            sessions += [{**dict(zip(header, row, strict=True)), "participant_id": name} for row in rows]
    columns = dict.fromkeys(["participant_id", "session_id", *(column for row in sessions for column in row)])
    return pd.DataFrame(sessions, columns=list(columns)).fillna("")


def column_of(
    scans: pd.DataFrame, column: str, participants: pd.DataFrame, sessions: pd.DataFrame, key: str
) -> pd.Series:
    """Return a column's value for each scan, of its participant or else of its session; empty where it is missing."""
    if column in participants:
        table = participants[["participant_id", column]]
    elif column in sessions:
        table = sessions[["participant_id", "session_id", column]]
    else:
        raise StudyError(
            f"{key} names the column {column!r}, which neither participants.tsv ({', '.join(participants.columns)}) "
            "nor any sub-*_sessions.tsv has; name one that they have"
        )
    return scans.merge(table, how="left")[column].fillna("").set_axis(scans.index)


def name_classes(
    scans: pd.DataFrame, participants: pd.DataFrame, sessions: pd.DataFrame, options: dict
) -> pd.DataFrame:
    """Name each scan's class from the label's value, and leave out scans of neither class."""
    values = column_of(scans, options["label"], participants, sessions, "cohort.label")
    if options["unlabelled"] == "leave_out":
        scans, values = scans[values != ""], values[values != ""]
    elif (values == "").any():
        raise StudyError(
            f"no value of {options['label']!r} is given for {some(scans.loc[values == '', 'scan'])}; give one in "
            "participants.tsv or sessions.tsv, name the scan in cohort.exclude, or set cohort.unlabelled to leave_out"
        )
    patient, control = (classes(values, options, label) for label in ("patient", "control"))
    if (patient & control).any():
        value = values[patient & control].iloc[0]
        raise StudyError(f"config: cohort.patient and cohort.control both name {value!r}; take it out of one")
    return settle(
        scans.assign(label=patient.map({True: "patient", False: "control"}))[patient | control], sessions, options
    )


def classes(values: pd.Series, options: dict, label: str) -> pd.Series:
    """Tell which values make a patient, or a control; at least one must, and none may differ by its case alone."""
    met = satisfies(values, options[label], f"cohort.{label}")
    if not met.any():
        raise StudyError(
            f"no scan in {options['bids']} has a value of {options['label']!r} that cohort.{label} names "
            f"({', '.join(listed(options[label]))}); the values are {', '.join(sorted(values.unique()))}"
        )
    folded = {item.casefold() for item in listed(options[label])}
    near = values[~met & values.str.casefold().isin(folded)]
    if len(near):
        raise StudyError(
            f"{options['bids']} has the value {near.iloc[0]!r} of {options['label']!r}, written otherwise in "
            f"cohort.{label} ({', '.join(listed(options[label]))}); correct the table, or list both"
        )
    return met


def settle(scans: pd.DataFrame, sessions: pd.DataFrame, options: dict) -> pd.DataFrame:
    """Refuse participants with scans of both classes, or count as a patient who is one at any visit, scanned or not."""
    patients = set(scans.loc[scans["label"] == "patient", "participant_id"])
    if options["both_classes"] == "patient":
        if options["label"] in sessions:
            ever = satisfies(sessions[options["label"]], options["patient"], "cohort.patient")
            patients |= set(sessions.loc[ever, "participant_id"])
        return scans.assign(label=scans["label"].where(~scans["participant_id"].isin(patients), "patient"))
    both = sorted(patients & set(scans.loc[scans["label"] == "control", "participant_id"]))
    if both:
        raise StudyError(
            f"{some(both)} has scans of patients and of controls; correct the labels, name the participant in "
            "cohort.exclude, or set cohort.both_classes to patient"
        )
    return scans


def some(names: list[str] | pd.Series | pd.Index) -> str:
    """Name the first of some participants or scans, and count the others."""
    names = list(names)
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
