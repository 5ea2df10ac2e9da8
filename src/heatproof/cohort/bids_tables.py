"""The tables of a BIDS dataset as text: who was scanned, and what is told of them and of each of their visits."""

import csv
import logging
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from heatproof.cohort.conditions import canonical, missing
from heatproof.errors import StudyError

IN_DATASET = "cohort.bids must name a BIDS dataset with this table, or cohort.participants the table"
PREFIXES = {"participant_id": "sub", "session_id": "ses"}
VALUE = "[A-Za-z0-9+]+"
PARTICIPANT, SESSION = f"sub-{VALUE}", f"ses-{VALUE}"
SCAN = f"{PARTICIPANT}(?:_{SESSION})?"


class Tables(NamedTuple):
    """What is told of people, one row each, by participant_id; and of visits, by participant_id and session_id.

    A visit has NaN in a column that its table does not have.
    """

    people: pd.DataFrame
    visits: pd.DataFrame


def participants_file(options: dict) -> Path:
    """Return the table of participants of the config's ``cohort`` section: beside it lie those of sessions."""
    return Path(options["participants"] or Path(options["bids"], "participants.tsv"))


def read_people(path: Path, needed: str = IN_DATASET) -> pd.DataFrame:
    """Read ``participants.tsv``: a row for each participant, or for each visit, its session in a column session_id."""
    people = read_text_table(path, needed)
    if "participant_id" not in people:
        raise StudyError(f"{path} has no column participant_id; its columns are {', '.join(people.columns)}")
    if people.empty:
        raise StudyError(f"{path} has a header but no row; write one for each participant")
    check_names(people["participant_id"].unique(), "participant_id", path)
    if "session_id" not in people:
        remedy = "leave one row for each, or name each row's session in a column session_id"
        check_different(people["participant_id"], remedy, path)
    elif tells_of_visits(people):
        check_names(people["session_id"].unique(), "session_id", path)
        check_different(people["participant_id"] + " at " + people["session_id"], "leave one row for each", path)
    return people


def tells_of_visits(people: pd.DataFrame) -> bool:
    """Tell whether a participants.tsv lists visits: it has sessions, and someone more than once."""
    return "session_id" in people and not people["participant_id"].is_unique


def gather_tables(people: pd.DataFrame, folder: Path, names: Iterable[str], columns: Iterable[object] = ()) -> Tables:
    """Put what `read_people` read beside the ``sub-*_sessions.tsv`` of some participants, which go before it.

    Of ``columns`` that are named as ``table.column``, that table of the folder ``phenotype`` is added.
    """
    visits = read_sessions(folder, names)
    if tells_of_visits(people):
        visits = visits.combine_first(people.set_index(list(PREFIXES)))
        people = people[["participant_id"]].drop_duplicates()
    tables = Tables(people.set_index("participant_id"), visits)
    named = {column.partition(".")[0] for column in columns if isinstance(column, str) and "." in column}
    for name in sorted(named):
        if (path := folder / "phenotype" / f"{name}.tsv").is_file():
            tables = with_phenotype(tables, read_people(path), f"{name}.")
    return tables


def with_phenotype(tables: Tables, phenotype: pd.DataFrame, prefix: str) -> Tables:
    """Add a table of ``phenotype/``, of participants or of visits, its columns named with a prefix."""
    of_visits = tells_of_visits(phenotype)
    keys = list(PREFIXES) if of_visits else ["participant_id"]
    added = phenotype.set_index(keys).add_prefix(prefix)
    if of_visits:
        return tables._replace(visits=tables.visits.join(added, how="outer"))
    return tables._replace(people=tables.people.join(added))


def read_sessions(folder: Path, names: Iterable[str]) -> pd.DataFrame:
    """Read the ``sessions.tsv`` of participants, where there are any, into one table by participant and session."""
    sessions = []
    for name in names:
        path = folder / name / f"{name}_sessions.tsv"
        if path.is_file():
            header, rows = read_rows(path)
            if "session_id" not in header:
                raise StudyError(f"{path} has no column session_id; its columns are {', '.join(header)}")
            ids = [row[header.index("session_id")] for row in rows]
            check_names(ids, "session_id", path)
            check_different(ids, "leave one row for each", path)
            sessions += [{**dict(zip(header, row, strict=True)), "participant_id": name} for row in rows]
    table = pd.DataFrame(sessions, columns=list(dict.fromkeys([*PREFIXES, *(key for row in sessions for key in row)])))
    return table.set_index(list(PREFIXES))


def read_text_table(path: Path, needed: str = IN_DATASET) -> pd.DataFrame:
    """Read a table as text, as BIDS writes it. ``needed`` says what to do if it is absent."""
    header, rows = read_rows(path, needed)
    return pd.DataFrame(rows, columns=header, dtype=object)


def read_rows(path: Path, needed: str = IN_DATASET) -> tuple[list[str], list[list[str]]]:
    """Read the named columns and the rows of a table as text; all rows are as long as the header, none is empty."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = [[cell.strip() for cell in line] for line in csv.reader(file, "excel-tab", strict=True)]
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StudyError(f"{path} does not exist; {needed}") from error
    except OSError as error:
        raise StudyError(f"{path} cannot be read ({error.strerror}); {needed}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise StudyError(f"{path} is not a tab-separated table in UTF-8 ({error}); correct it") from error
    lines = [line for line in lines if any(line)]
    if not lines:
        raise StudyError(f"{path} is empty; write a header and one row for each participant")
    header, *rows = lines
    check_columns(header, rows, path)
    named = [number for number, name in enumerate(header) if name]
    padded = [row + [""] * len(header) for row in rows]
    return [header[number] for number in named], [[row[number] for number in named] for row in padded]


def check_columns(header: list[str], rows: list[list[str]], path: Path) -> None:
    """Refuse a table whose columns are not separated by tabs, or not all named and different."""
    if len(header) == 1 and re.search("[,;]", header[0]):
        raise StudyError(f"{path} has no tabs, but commas or semicolons; BIDS separates columns by tabs: save it so")
    if twice := next((name for name, count in Counter(header).items() if name and count > 1), None):
        raise StudyError(f"{path} names the column {twice!r} more than once; leave one of them")
    if long := next((row for row in rows if any(row[len(header) :])), None):
        raise StudyError(f"{path} has {len(header)} columns, but {len(long)} values for {long[0]}; correct that row")


def check_names(names: Iterable[str], column: str, path: Path) -> None:
    """Refuse names of participants or sessions in a column that are not BIDS's."""
    prefix = PREFIXES[column]
    for name in names:
        if not re.fullmatch(f"{prefix}-{VALUE}", name):
            hint = f"write {prefix}-{name}" if name.isalnum() else f"write {prefix}- and then letters and digits"
            raise StudyError(f"{path} has the {column} {name!r}; {hint}, as the files are named")


def check_different(names: Iterable[str], remedy: str, path: Path) -> None:
    """Refuse rows that are about the same participant or visit."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise StudyError(f"{path} lists {', '.join(twice)} more than once; {remedy}")


def cells(scans: pd.DataFrame, column: str, tables: Tables) -> tuple[pd.Series, pd.Series]:
    """Return a column's cell of each scan's visit, and of its participant; NaN where there is no such cell."""
    nowhere = pd.Series(np.nan, scans.index, dtype=object)
    visits = pd.MultiIndex.from_frame(scans[list(PREFIXES)])
    of_visit = tables.visits[column].reindex(visits).set_axis(scans.index) if column in tables.visits else nowhere
    of_person = scans["participant_id"].map(tables.people[column]) if column in tables.people else nowhere
    return of_visit.astype("string"), of_person.astype("string")


def column_of(scans: pd.DataFrame, column: str, tables: Tables, key: str) -> pd.Series:
    """Return a column's value for each scan: its visit's where there is such a cell, else its participant's.

    ``participant_id`` and ``session_id`` are the scan's own. A value that no table has is an empty text.
    """
    if column in PREFIXES:
        return scans[column]
    if not any(column in table for table in tables):
        raise StudyError(
            f"{key} names the column {column!r}, which neither participants.tsv "
            f"({', '.join(['participant_id', *tables.people.columns])}) nor any sub-*_sessions.tsv "
            f"({', '.join(tables.visits.columns) or 'there is none'}) has; name one that they have"
        )
    of_visit, of_person = cells(scans, column, tables)
    told = ~missing(of_visit) & ~missing(of_person)
    differ = told & (of_visit.fillna("").map(canonical) != of_person.fillna("").map(canonical))
    if differ.any():
        logging.info(
            "%s: the visit's %s is taken, not that of participants.tsv, which is another: %s",
            *(key, column, ", ".join(dict.fromkeys(scans.loc[differ, "scan"]))),
        )
    return of_visit.fillna(of_person).fillna("").astype(object)
