"""Why jobs failed, from their own logs, in words for the end of a run."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from heatproof.versions import LINE

SENTENCE = re.compile(r"(?:[\w.-]+: )?error: ")
TRACEBACK = "Traceback (most recent call last):"
REMEDIES = {
    re.compile(r"No space left on device|Disk quota exceeded"): (
        "make room there, or let results/ be a link to a folder on a larger disk; what is half written is made anew"
    ),
    SENTENCE: None,  # says itself what to do
    re.compile(r"(?i)MemoryError|out of memory|can't allocate memory"): (
        "set train.micro_batch, lower attribute.batch_size, use a larger register.voxel_size, or run fewer jobs at once"
    ),
    re.compile(r"KeyboardInterrupt"): "it was interrupted: the same command goes on where it was",
    re.compile(r"ModuleNotFoundError|ImportError"): (
        "a package is not there: run Snakemake with --use-conda, or from the .venv that make sets up"
    ),
    re.compile(""): (
        "if a network or a method of your own is in the traceback, correct it; else please report this with the log"
    ),
}
KILLED = "its log ends without an error, as where a job is killed for want of memory or time, or crashes{last}"
SHOWN = 160  # characters of the last line
KILLED_REMEDY = (
    "run fewer jobs at once, or choose a larger register.voxel_size; on a cluster, ask for more by --set-resources "
    "with mem_mb or runtime"
)


class Failure(NamedTuple):
    """A job that failed: its rule, its wildcards by name, and its log."""

    rule: str
    wildcards: dict[str, str]
    log: str


def reason(text: str) -> tuple[str, str | None]:
    """Find in a job's log why it failed.

    Parameters
    ----------
    text : str
        The whole log.

    Returns
    -------
    reason : str
        The last line that begins with ``error:``, or the exception of the last traceback, whichever comes later.
    remedy : str or None
        What to do; None where the reason says it.
    """
    lines = [line.rstrip() for line in text.splitlines() if line.strip() and not LINE.match(line)]
    found = None
    for i, line in enumerate(lines):
        if SENTENCE.match(line):
            found = line
        elif line.strip() == TRACEBACK:
            found = next((later for later in lines[i + 1 :] if not later.startswith(" ")), line)
    if found is None:
        return KILLED.format(last=f"; its last line: {lines[-1]:.{SHOWN}}" if lines else ""), KILLED_REMEDY
    return found, next(remedy for pattern, remedy in REMEDIES.items() if pattern.search(found))


def describe_failures(failures: Iterable[Failure]) -> str:
    """Say why jobs failed: each reason once, then what to do, then the jobs that it ended and their logs."""
    jobs: dict[tuple[str, str | None], list[str]] = {}
    for failure in sorted(failures, key=lambda failure: failure.log):
        path = Path(failure.log)
        text = path.read_text(errors="replace") if path.is_file() else ""
        wildcards = "".join(f", {name} {value}" for name, value in failure.wildcards.items())
        jobs.setdefault(reason(text), []).append(f"  in {failure.rule}{wildcards}: {failure.log}")
    return "\n".join(
        "\n".join([why, *([f"  {remedy}"] if remedy else []), *places]) for (why, remedy), places in jobs.items()
    )
