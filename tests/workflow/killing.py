"""Kill a whole study at some moment, resume it, and see whether any finished job ran twice."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

SMALLER = ["--configfile", "tests/workflow/tiny.yaml", "tests/workflow/smaller.yaml"]
DRAW = random.Random(2024)
SHARES = [DRAW.random() for _ in range(20)]  # of the jobs of a study that nobody interrupts
JOB = re.compile(r"^    output: (.*)\n(?:    .*\n)*?    jobid: (\d+)$", re.MULTILINE)
FINISHED = re.compile(r"^Finished jobid: (\d+) ", re.MULTILINE)


class Resumed(NamedTuple):
    """What a kill at some moment did.

    Attributes
    ----------
    seconds : float
        From the start to the kill.
    finished : int
        Jobs that Snakemake had called finished by then.
    running : int
        Jobs that it had begun and not finished.
    twice : list of str
        Outputs of finished jobs that were written again after resuming.
    """

    seconds: float
    finished: int
    running: int
    twice: list[str]


def kill_and_resume(folder: Path, share: float, jobs: int, options: list[str]) -> Resumed:
    """Run a study in a checkout, kill every process of it in the midst of its jobs, unlock, and run it to its end.

    Parameters
    ----------
    folder : Path
        A checkout.
    share : float
        The kill comes when this share of the jobs has finished, and this part of a second later.
    jobs : int
        Jobs of the whole study.
    options : list of str
        Of Snakemake.
    """
    log = folder / "killed.txt"
    command = [sys.executable, "-m", "snakemake", "--nocolor", "--cores", "2", *options]
    with open(log, "w") as output:
        start = time.monotonic()
        study = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, start_new_session=True)
        while study.poll() is None and len(FINISHED.findall(log.read_text())) < share * jobs:
            time.sleep(0.05)
        time.sleep(share)
        seconds = time.monotonic() - start
        kill_session(study.pid)
        study.wait()
    begun = {number: outputs.split(", ") for outputs, number in JOB.findall(log.read_text())}
    finished = FINISHED.findall(log.read_text())
    before = {name: last_written(folder / name) for number in finished for name in begun.get(number, [])}
    subprocess.run([*command, "--unlock"], cwd=folder, check=True, capture_output=True)
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    twice = [name for name, written in before.items() if last_written(folder / name) != written]
    return Resumed(seconds, len(finished), len(begun) - len(finished), twice)


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
