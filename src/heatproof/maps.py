"""Maps that were made elsewhere, as the method ``files`` names them: what can be said before any job, without torch."""

import re
from collections.abc import Iterator, Mapping, Sequence
from glob import escape, glob
from pathlib import Path

from heatproof.errors import StudyError

METHOD = "files"


def is_taken(options: Mapping | None) -> bool:
    """Tell whether an entry of ``attribute.methods`` names maps that are there, which no model is explained for."""
    return bool(options) and options["method"] == METHOD


def check_paths(key: str, options: Mapping, checks: Sequence[str], seeds: Sequence[int]) -> None:
    """Check that the paths of an entry tell scans and models apart, and are of sanity checks that the study has.

    Parameters
    ----------
    key : str
        Of the entry: ``attribute.methods.mine``.
    options : mapping
        method, path and perhaps checks.
    checks : sequence of str
        The study's sanity checks that explain another model.
    seeds : sequence of int

    Raises
    ------
    StudyError
        For the first that is not so.
    """
    given = options.get("checks") or {}
    if unknown := next((check for check in given if check not in checks), None):
        known = f"they are {', '.join(checks)}" if checks else "there is none"
        raise StudyError(
            f"config: {key}.checks names {unknown}, which is no sanity check of another model in compare.checks "
            f"({known}); name it there, or leave it out here"
        )
    for where, path in {"path": options["path"], **{f"checks.{check}": path for check, path in given.items()}}.items():
        words = re.findall(r"\{(.*?)\}", path)
        needed = ["scan"] if len(seeds) < 2 else ["scan", "seed"]
        if missing := next((word for word in needed if word not in words), None):
            each = "scan" if missing == "scan" else f"of the {len(seeds)} models"
            raise StudyError(
                f"config: {key}.{where} is {path!r}; write {{{missing}}} into it, for a map of each {each}"
            )
        if other := next((word for word in words if word not in ("scan", "seed")), None):
            raise StudyError(f"config: {key}.{where} has {{{other}}}; the words in braces are {{seed}} and {{scan}}")


def pattern_of(options: Mapping, check: str, seed: int | str) -> str:
    """Return the path of the maps of one model, or of a sanity check of it, in which ``{scan}`` stands for the scan."""
    path = options["checks"][check] if check else options["path"]
    return str(Path(path.replace("{seed}", str(seed))).expanduser())


def files_of(pattern: str, scans: Sequence[str]) -> dict[str, str]:
    """Return the file of each scan."""
    return {scan: pattern.replace("{scan}", scan) for scan in scans}


def patterns_of(methods: Mapping[str, Mapping | None], seeds: Sequence[int]) -> Iterator[tuple[str, str]]:
    """List the patterns that a config names, each with its key."""
    for name, options in methods.items():
        if is_taken(options):
            for check in ["", *(options.get("checks") or {})]:
                key = f"attribute.methods.{name}." + (f"checks.{check}" if check else "path")
                for seed in seeds:
                    yield key, pattern_of(options, check, seed)


def check_maps(methods: Mapping[str, Mapping | None], seeds: Sequence[int], scans: Sequence[str]) -> None:
    """Check that there is a map of each test scan.

    Raises
    ------
    StudyError
        With the first that is not there, how many more are not, and a file that may be meant for it.
    """
    for key, pattern in patterns_of(methods, seeds):
        if absent := [path for path in files_of(pattern, scans).values() if not Path(path).is_file()]:
            more = f" and {len(absent) - 1} more" if absent[1:] else ""
            others = unclaimed(pattern, scans)
            there = f"; {others[0]} is of no test scan" if others else ""
            raise StudyError(
                f"config: {key}: {absent[0]}{more}, which a test scan needs, does not exist{there}; make or rename it"
            )


def unclaimed(pattern: str, scans: Sequence[str]) -> list[str]:
    """List the files that a pattern fits and that are of none of these scans."""
    first, *others = pattern.split("{scan}")
    name = re.compile(re.escape(first) + "([A-Za-z0-9_-]+)" + r"\1".join(map(re.escape, others)))
    fitting = sorted(glob("*".join(map(escape, [first, *others]))))  # noqa: PTH207
    found = {path: name.fullmatch(path) for path in fitting}
    return [path for path, match in found.items() if match and match[1] not in set(scans)]


def strange_maps(methods: Mapping[str, Mapping | None], seeds: Sequence[int], scans: Sequence[str]) -> Iterator[str]:
    """Say which maps are of no scan of the cohort: they change nothing, but a name may be misspelt."""
    for key, pattern in patterns_of(methods, seeds):
        if others := unclaimed(pattern, scans):
            more = f" and {len(others) - 1} more" if others[1:] else ""
            yield f"{key}: {others[0]}{more} is the map of no scan of the cohort, and is left aside"
