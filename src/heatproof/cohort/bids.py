"""Reading a BIDS dataset: who is in it, with which label, and where each T1w scan is. No image is opened."""

import re
from pathlib import Path

import pandas as pd

from heatproof.errors import StudyError

MISSING = ["", "n/a", "N/A"]
ENTITIES = re.compile(r"^(sub-[A-Za-z0-9]+)(?:_(ses-[A-Za-z0-9]+))?(?:_[A-Za-z0-9]+-[A-Za-z0-9]+)*_T1w\.nii(?:\.gz)?$")


def read_dataset(options: dict) -> pd.DataFrame:
    """List every T1w scan of a BIDS dataset whose label is the patients' or the controls'.

    Parameters
    ----------
    options : dict
        The config's ``cohort`` section.

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
    folder = Path(options["bids"])
    participants = read_participants(folder)
    scans = find_scans(folder, set(options["exclude"]))
    scans = scans.merge(read_labels(folder, participants, scans, options["label"]), how="left")
    scans = name_classes(scans, options, set(participants["participant_id"]))
    check_participants(scans, participants, options)
    return scans[["scan", "participant_id", "session_id", "label", "image"]].sort_values("scan", ignore_index=True)


def read_text_table(path: Path) -> pd.DataFrame:
    """Read a table as text, as BIDS writes it; missing values are empty."""
    try:
        table = pd.read_csv(path, sep="\t", dtype=str, encoding="utf-8-sig", keep_default_na=False)
    except FileNotFoundError as error:
        raise StudyError(f"{path} does not exist; cohort.bids must name a BIDS dataset with this table") from error
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise StudyError(f"{path} is not a tab-separated table in UTF-8 ({error}); correct it") from error
    return table.apply(lambda column: column.str.strip()).replace(MISSING, "")


def read_participants(folder: Path) -> pd.DataFrame:
    """Read ``participants.tsv``; each participant has one row."""
    path = folder / "participants.tsv"
    table = read_text_table(path)
    if "participant_id" not in table:
        raise StudyError(f"{path} has no column participant_id; its columns are {', '.join(table.columns)}")
    odd = [name for name in table["participant_id"] if not re.fullmatch(r"sub-[A-Za-z0-9]+", name)]
    if odd:
        raise StudyError(f"{path} has the participant_id {odd[0]!r}; write sub- and then letters and digits")
    twice = table["participant_id"][table["participant_id"].duplicated()]
    if len(twice):
        raise StudyError(f"{path} lists {twice.iloc[0]} more than once; leave one row for each participant")
    return table


def find_scans(folder: Path, exclude: set[str]) -> pd.DataFrame:
    """Find all T1w files, less those excluded by participant, scan or file name."""
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
        raise StudyError(f"{folder} holds no file sub-*/[ses-*/]anat/*_T1w.nii.gz; correct cohort.bids")
    twice = scans[scans["scan"].duplicated(keep=False)]
    if len(twice):
        first, second = twice["image"].iloc[:2]
        raise StudyError(f"{first} and {second} are two files for one scan; name one of them in cohort.exclude")
    return scans


def read_labels(folder: Path, participants: pd.DataFrame, scans: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the label's value for each participant, or for each session where ``sessions.tsv`` files have it."""
    if column in participants:
        return participants[["participant_id", column]].rename(columns={column: "value"})
    tables = []
    for participant in scans["participant_id"].unique():
        path = folder / participant / f"{participant}_sessions.tsv"
        if path.is_file():
            table = read_text_table(path)
            if {"session_id", column} <= set(table.columns):
                tables.append(table[["session_id", column]].assign(participant_id=participant))
    if not tables:
        raise StudyError(
            f"cohort.label names the column {column!r}, which neither {folder / 'participants.tsv'} "
            f"({', '.join(participants.columns)}) nor any sub-*_sessions.tsv has; name one that they have"
        )
    return pd.concat(tables, ignore_index=True).rename(columns={column: "value"})


def listed(value: str | list) -> list[str]:
    """Return a value or a list of values of the config as a list of text."""
    return [str(item) for item in (value if isinstance(value, list) else [value])]


def name_classes(scans: pd.DataFrame, options: dict, participants: set[str]) -> pd.DataFrame:
    """Name each scan's class from the label's value, and leave out scans of neither class."""
    table = Path(options["bids"]) / "participants.tsv"
    unknown = sorted(set(scans["participant_id"]) - participants)
    if unknown:
        raise StudyError(f"{table} has no row for {some(unknown)}, of whom there are scans; add it or exclude them")
    missing = scans.loc[scans["value"].fillna("") == "", "scan"]
    if len(missing):
        raise StudyError(
            f"no value of {options['label']!r} is given for {some(missing)}; "
            "give one in participants.tsv or sessions.tsv, or name the scan in cohort.exclude"
        )
    classes = dict.fromkeys(listed(options["control"]), "control") | dict.fromkeys(
        listed(options["patient"]), "patient"
    )
    named = scans.assign(label=scans["value"].map(classes))
    for label in ("patient", "control"):
        if label not in set(named["label"]):
            values = ", ".join(sorted(scans["value"].unique()))
            raise StudyError(
                f"no scan in {options['bids']} has a value of {options['label']!r} that cohort.{label} names "
                f"({', '.join(listed(options[label]))}); the values are {values}"
            )
    return named.dropna(subset=["label"])


def check_participants(scans: pd.DataFrame, participants: pd.DataFrame, options: dict) -> None:
    """Refuse participants of both classes, unless they count as patients, and participants without any scan."""
    both = scans.groupby("participant_id")["label"].nunique()
    both = both.index[both > 1]
    if len(both) and options["both_classes"] == "refuse":
        raise StudyError(
            f"{some(both)} has scans of patients and of controls; correct the labels, name the participant in "
            "cohort.exclude, or set cohort.both_classes to patient"
        )
    scans.loc[scans["participant_id"].isin(both), "label"] = "patient"
    if options["label"] in participants:
        ours = participants[options["label"]].isin(listed(options["patient"]) + listed(options["control"]))
        absent = set(participants.loc[ours, "participant_id"]) - set(scans["participant_id"]) - set(options["exclude"])
        if absent:
            raise StudyError(
                f"{Path(options['bids']) / 'participants.tsv'} lists {some(sorted(absent))} but there is no T1w scan; "
                "add the file or name the participant in cohort.exclude"
            )


def some(names: list[str] | pd.Series | pd.Index) -> str:
    """Name the first of some participants or scans, and count the others."""
    names = list(names)
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
