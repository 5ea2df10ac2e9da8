"""The image files of a BIDS dataset: which there are, which of them is a scan's own, and whether they can be read."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from heatproof.channels import FIRST
from heatproof.cohort.bids_tables import PARTICIPANT, SESSION, VALUE
from heatproof.cohort.conditions import satisfies
from heatproof.errors import StudyError
from heatproof.images import check_whole

ENTITIES = re.compile(rf"({PARTICIPANT})(?:_({SESSION}))?(?:_[A-Za-z0-9]+-{VALUE})*_[A-Za-z0-9]+\.nii(?:\.gz)?")
PLACE = re.compile(
    rf"(?:.*/)?({PARTICIPANT})(?:(?:/({SESSION}))?/(?:anat|t1_linear)|(?:_({SESSION}))?)"  # or registered
)
PLACES = ("sub-*/anat", "sub-*/ses-*/anat", "subjects/sub-*/ses-*/t1_linear")  # the last of Clinica's CAPS
REGISTERED = "sub-*"  # where no other place has a scan: folders of a study's register, each called as its scan
LONG_NAMES = {  # of entities in BIDS filters, as pybids has them
    **{"subject": "sub", "session": "ses", "acquisition": "acq", "ceagent": "ce", "reconstruction": "rec"},
    **{"direction": "dir", "resolution": "res", "hemisphere": "hemi", "description": "desc"},
}
ENDS = {"first": 0, "last": -1}
ENDED = {"ses": "participant_id", "run": "scan"}  # entities of which the first or last is chosen, for each of these
NOT_MAGNITUDES = {"part": ("phase", "real", "imag")}
FEWEST_BYTES = 352  # of a NIfTI file's header


def find_files(
    folder: Path,
    exclude: Iterable[str],
    known: Iterable[str] = (),
    key: str = "cohort.bids",
    suffix: str = FIRST,
) -> pd.DataFrame:
    """Find the files of a suffix in a dataset, less those excluded by participant, scan or file name.

    Hidden files, what is no NIfTI by its name and phase images are passed over, as they lie beside scans.

    Parameters
    ----------
    folder : Path
    exclude : iterable of str
        Every entry must name something that there is.
    known : iterable of str
        Further names that may be excluded.
    key : str
        The place in the config that names the folder, for the message.
    suffix : str
        Of the files' names.

    Returns
    -------
    DataFrame
        scan, participant_id, session_id, image: a row for each file, so that a scan may have several.

    Raises
    ------
    StudyError
        If there is no file, an entry of ``exclude`` names nothing, or a file lies where its scan is not known.
    """
    paths = sorted(path for place in PLACES for path in folder.glob(f"{place}/*_{suffix}.nii*"))
    paths = paths or sorted(folder.glob(f"{REGISTERED}/*_{suffix}.nii*"))
    rows, excluded = [row_of(path) for path in paths if is_image(path)], set(exclude)
    names = {*(path.name for path in paths), *(name for row in rows for name in row[:2] if name)}
    check_excluded(excluded, names.union(known), folder)
    rows = [row for row in rows if not excluded & {*row[:2], Path(row[3]).name}]
    if not rows:
        raise StudyError(
            f"{folder} holds no file sub-*/[ses-*/]anat/*_{suffix}.nii.gz, nor "
            f"subjects/sub-*/ses-*/t1_linear/*_{suffix}.nii.gz of a CAPS, nor is it the folder register of a study; "
            f"correct {key}"
        )
    files = pd.DataFrame(rows, columns=["scan", "participant_id", "session_id", "image"])
    check_named(files[files["scan"] == ""])
    return files


def is_image(path: Path) -> bool:
    """Tell whether a file may show a scan by its name: no hidden one, no half copy, no phase."""
    values = entities(path)
    odd = any(values.get(entity) in parts for entity, parts in NOT_MAGNITUDES.items())
    return path.name.endswith((".nii", ".nii.gz")) and not path.name.startswith(".") and not odd


def entities(path: str | Path) -> dict[str, str]:
    """Return the entities in a file's name: ``{"sub": "01", "run": "1"}``."""
    return dict(pair.split("-", 1) for pair in Path(path).name.split("_") if "-" in pair)


def row_of(path: Path) -> tuple[str, str, str, str]:
    """Return scan, participant_id, session_id and image of a file; no scan where folder and name do not agree."""
    place = PLACE.fullmatch(path.parent.as_posix())
    session = (place[2] or place[3] or "") if place else ""
    scan = "_".join(filter(None, (place[1], session))) if place else ""
    if not place or not path.name.startswith(f"{scan}_"):
        return "", "", "", str(path)
    return scan, place[1], session, str(path)


def check_named(files: pd.DataFrame) -> None:
    """Refuse files that lie with no scan, or whose names are not as BIDS has them for a T1w image of that scan."""
    matches = files["image"].map(lambda image: ENTITIES.fullmatch(Path(image).name))
    named = ["_".join(filter(None, match.groups())) if match else "" for match in matches]
    odd = files.loc[(files["scan"] != named) | (files["scan"] == ""), "image"]
    if len(odd):
        raise StudyError(
            f"{', '.join(odd)}: not named, or not in the folder, as BIDS has it for a T1w scan; rename, move away or "
            "name the file in cohort.exclude"
        )


def check_excluded(exclude: Iterable[str], known: set[str], dataset: Path | str) -> None:
    """Refuse entries of ``cohort.exclude`` that name nothing: what they were to leave out would stay."""
    unknown = sorted(set(exclude) - known)
    if unknown:
        raise StudyError(
            f"config: cohort.exclude names {', '.join(unknown)}, which is no participant, scan or file of {dataset}; "
            "correct it, or take it out"
        )


def entity_of(path: str, entity: str) -> str:
    """Return the value of an entity of a file, or its suffix, or its folder, the datatype; empty where it has none."""
    if entity == "suffix":
        return Path(path).name.split(".")[0].rpartition("_")[2]
    return Path(path).parent.name if entity == "datatype" else entities(path).get(entity, "")


def select_files(files: pd.DataFrame, select: Mapping[str, object], key: str = "cohort.select") -> pd.DataFrame:
    """Keep the files whose entities have the values wanted; null is wanted of files without the entity.

    Of those, the first or last session of each participant, then run of each scan, where that is wanted.
    """
    chosen, ends = pd.Series(True, files.index), {}
    for name, wanted in select.items():
        entity = LONG_NAMES.get(name, name)
        values = files["image"].map(lambda path, entity=entity: entity_of(path, entity))
        if not (values != "").any():
            there = sorted({found for image in files["image"] for found in entities(image)})
            raise StudyError(
                f"config: {key} names the entity {name!r}, which no file has; they have {', '.join(there)}"
            )
        if isinstance(wanted, str) and wanted in ENDS:
            ends[entity] = wanted
        else:
            chosen &= wanted_values(values, wanted, f"{key}.{name}")
    kept = files[chosen]
    for entity, of_each in ENDED.items():
        kept = at_end(kept, entity, of_each, ends.pop(entity)) if entity in ends else kept
    if ends:
        entity, wanted = ends.popitem()
        raise StudyError(
            f"config: {key}.{entity} is {wanted}, which is told of sessions and runs alone; name its value"
        )
    return kept


def wanted_values(values: pd.Series, wanted: object, key: str) -> pd.Series:
    """Tell which values of an entity are wanted; each that is must be there."""
    met = pd.Series(False, values.index)
    for item in wanted if isinstance(wanted, list) else [wanted]:
        one = values == "" if item is None else satisfies(values, item, key)
        if not one.any():
            told, there = "null" if item is None else item, sorted({value or "null" for value in values})
            raise StudyError(f"config: {key} names {told}, which no file has; they have {', '.join(there)}")
        met |= one
    return met


def at_end(files: pd.DataFrame, entity: str, of_each: str, end: str) -> pd.DataFrame:
    """Keep of each participant or scan the files of its first or last session or run; none comes before any."""
    values = files["image"].map(lambda path: entity_of(path, entity))
    ends = {
        name: sorted(values[rows.index], key=in_order)[ENDS[end]] for name, rows in files.groupby(of_each, sort=False)
    }
    return files[values == files[of_each].map(ends)]


def in_order(value: str) -> list[tuple[int, int | str]]:
    """Return what sorts values of an entity as a person would: M6 before M12."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", value) if part]


def check_spaces(images: Iterable[str], register: Mapping) -> None:
    """Refuse files that are to be taken as they are, but whose names tell of another space than the template's.

    ``register`` is the config's section.
    """
    if register["transform"] != "none":
        return
    spaces = {image: entity_of(image, "space") for image in images}
    odd = {image: space for image, space in spaces.items() if space not in ("", register["space"])}
    if odd:
        image, space = next(iter(odd.items()))
        more = f" and {len(odd) - 1} more" if len(odd) > 1 else ""
        raise StudyError(
            f"{image}{more}: not in the template's space, {register['space']}, but in {space} by its name, and "
            "register.transform is none; choose by cohort.select (space), or name that template under register"
        )


def check_single(scans: pd.DataFrame, key: str = "cohort.select") -> None:
    """Refuse scans of which there are several files."""
    twins = scans[scans["scan"].duplicated(keep=False)].groupby("scan")["image"]
    if not len(twins):
        return
    named = "; ".join(", ".join(Path(image).name for image in images) for _, images in twins)
    differing = sorted({entity for _, images in twins for entity in differing_entities(images)})
    choice = f"choose by {key} ({', '.join(differing)}), or " if differing else ""
    raise StudyError(f"several files for one scan: {named}; {choice}name in cohort.exclude those to leave out")


def differing_entities(paths: Iterable[str]) -> set[str]:
    """Return the entities in which files differ."""
    found = [set(entities(path).items()) for path in paths]
    return {entity for entity, _ in set.union(*found) - set.intersection(*found)}


def why_unreadable(image: str, thorough: bool) -> str:
    """Say why a file can be no scan, as far as that is known without reading voxels; empty where nothing is wrong.

    With ``thorough``, the header is read, and whether the file is as long as it says.
    """
    path = Path(image)
    try:
        if not path.exists():
            return "a link to a file that is not there; fetch the file (datalad get)"
        if not path.is_file():
            return "a folder, no file; move it away"
        if (size := path.stat().st_size) < FEWEST_BYTES:
            return f"a file of {size} bytes, which is no scan; fetch (datalad get, git lfs pull) or replace it"
        if thorough:
            check_whole(path)
    except StudyError as error:
        return str(error).removeprefix(f"{path} ")
    except OSError as error:
        return f"cannot be opened ({error.strerror}); see to its permissions"
    return ""


def lacking(column: str) -> str:
    """Say that a scan has no image of a further channel, by the channel's column in the table of scans."""
    return f"there is no file of cohort.channels.{column.removeprefix('image_')}; add it, or correct its entities"


def unreadable_files(scans: pd.DataFrame, action: str) -> pd.DataFrame:
    """List scans whose files cannot be read: scan, image, reason.

    Parameters
    ----------
    scans : DataFrame
    action : "refuse" or "leave_out"
        With ``leave_out``, headers and lengths are read as well.

    Raises
    ------
    StudyError
        If there are any, and they are refused; or if no scan is left.
    """
    columns = [column for column in scans if column.startswith("image")]
    told = pd.concat([scans[["scan"]].assign(image=scans[column], column=column) for column in columns])
    reasons = [
        why_unreadable(row.image, action == "leave_out") if row.image else lacking(row.column)
        for row in told.itertuples()
    ]
    bad = told.assign(reason=reasons)[["scan", "image", "reason"]]
    bad = bad[bad["reason"] != ""].drop_duplicates("scan").sort_index().reset_index(drop=True)
    if len(bad) and len(bad) == len(scans):
        first = bad.iloc[0]
        raise StudyError(f"none of the {len(bad)} scans can be read; {first['image']}: {first['reason']}")
    if len(bad) and action == "refuse":
        told = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in bad.groupby("reason")["scan"])
        raise StudyError(f"{told}; or exclude the scans, or set cohort.unreadable to leave_out")
    return bad
