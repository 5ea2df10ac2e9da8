"""Kill a whole study at some moments, resume it each time, and see whether any finished job ran twice."""

import itertools
import os
import random
import re
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from conftest import Checkout

SMALLER = ["--printshellcmds", "--configfile", "tests/workflow/tiny.yaml", "tests/workflow/smaller.yaml"]
DRAW = random.Random(2024)
SHARES = [DRAW.uniform(0, 0.95) for _ in range(20)]  # of the jobs of a study that nobody interrupts
JOB = re.compile(r"^    output: (.*)\n(?:    .*\n)*?    jobid: (\d+)$", re.MULTILINE)
FINISHED = re.compile(r"^Finished jobid: (\d+) ", re.MULTILINE)


class Kill(NamedTuple):
    """What one kill met.

    Attributes
    ----------
    seconds : float
        From the start, or from the last resuming, to the kill.
    finished : int
        Jobs of the study that Snakemake had called finished by then.
    running : int
        Jobs that it had begun and not finished.
    written : dict of str to list
        Outputs of the jobs that had finished since the kill before, and when they were written.
    """

    seconds: float
    finished: int
    running: int
    written: dict[str, list[tuple[str, int]]]

    def twice(self, folder: Path) -> list[str]:
        """Return the outputs of finished jobs that have been written again since."""
        return [name for name, written in self.written.items() if last_written(folder / name) != written]


def kill_and_resume(checkout: "Checkout", shares: list[float], jobs: int, options: list[str]) -> list[Kill]:
    """Run a study to its end, on one core and two in turns; between turns kill all its processes and unlock it.

    Parameters
    ----------
    checkout : Checkout
        Where nothing has run yet.
    shares : list of float
        A kill comes when this share of the jobs has finished, and this part of a second later.
    jobs : int
        Jobs of the whole study.
    options : list of str
        Of Snakemake.

    Raises
    ------
    CalledProcessError
        If the study cannot be unlocked or does not end well.
    """
    cores, kills = itertools.cycle("12"), []
    for share in sorted(shares):
        finished = kills[-1].finished if kills else 0
        kills.append(kill_at(checkout, ["--cores", next(cores), *options], share * jobs, finished, delay=share))
        checkout.snakemake(*options, "--unlock").check_returncode()
    checkout.snakemake("--cores", next(cores), *options).check_returncode()
    return kills


def kill_at(checkout: "Checkout", arguments: list[str], enough: float, already: int, delay: float) -> Kill:
    """Start a study of which some jobs have finished already; kill it when enough have, and some seconds later."""
    log = checkout.folder / "killed.txt"
    with open(log, "w") as output:
        start = time.monotonic()
        study = checkout.start(*arguments, stdout=output, start_new_session=True)
        while study.poll() is None and already + len(FINISHED.findall(log.read_text())) < enough:
            time.sleep(0.05)
        time.sleep(delay)
        seconds = time.monotonic() - start
        kill_session(study.pid)
        study.wait()
    begun = {number: outputs.split(", ") for outputs, number in JOB.findall(log.read_text())}
    finished = FINISHED.findall(log.read_text())
    written = {name: last_written(checkout.folder / name) for number in finished for name in begun.get(number, [])}
    return Kill(seconds, already + len(finished), len(begun.keys() - finished), written)


def kill_session(leader: int) -> None:
    """Kill all processes of a session, until none is left."""
    while members := [process for process in Path("/proc").glob("[0-9]*") if session_of(process) == leader]:
        for process in members:
            with suppress(ProcessLookupError):
                os.kill(int(process.name), signal.SIGKILL)
        time.sleep(0.05)


def session_of(process: Path) -> int | None:
    """Return the session of a process, named by its folder in /proc, that is still alive."""
    try:
        state, _, _, session = (process / "stat").read_text().rpartition(")")[2].split()[:4]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state == "Z" else int(session)


def last_written(path: Path) -> list[tuple[str, int]]:
    """Return when a file, or every file of a folder, was last written."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [(str(file), file.stat().st_mtime_ns) for file in files]
