"""What a run shows: stages, jobs done of all, what runs now, and the time left, in place of Snakemake's own log."""

import logging
import re
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from statistics import mean
from typing import NamedTuple, TextIO

from heatproof.costs import kind_of, seconds_of

PAUSE = 30  # seconds between two lines where there is no terminal
SILENCE = 60  # seconds without any line, after which what runs is told; twice as long each time, up to
LONGEST_SILENCE = 960
TICK = 5  # seconds after which it is looked whether to tell or draw something
NAMED = 4  # jobs in a line on what runs
REDRAW = 0.1  # seconds between two pictures on a terminal
UP_AND_CLEAR = "\x1b[{lines}F\x1b[J"
NOISE = re.compile(  # Snakemake's lines of a sound run, and of a failed one what is told in other words
    r"Building DAG|Using shell|Conda environments: ignored|Provided |Assuming unrestricted|Rules claiming|Select jobs|"
    r"Execute \d+ jobs|host:|Complete log|Job stats|Removing temporary|Touching output|Job \d+ has been submitted|"
    r"RuleException:\s+CalledProcessError|Exiting because a job|WorkflowError:\s+At least one job|$"
)
LOCKED = "Error: Directory cannot be locked"  # how Snakemake's messages on this begin
UNLOCK = (
    "This folder is locked: another snakemake runs here and is to be waited for, or one was killed: then run the same "
    "command once with --unlock, and again without."
)
TOLD = {None, "error", "group_error"}  # events that are passed on; the others are progress, or long


class Job(NamedTuple):
    """A job: its number, rule and wildcards by name."""

    number: int
    rule: str
    wildcards: dict[str, str]

    def __str__(self) -> str:
        """Write the rule and what it is for: fit_model seed 3, register_scan sub-P001_ses-M00."""
        return " ".join([self.rule, *(f"seed {v}" if k == "seed" else v for k, v in self.wildcards.items())])


class Progress:
    """What is known of a run.

    Parameters
    ----------
    stage_of : callable
        Takes a rule's name, returns its stage.
    planned : callable
        Takes nothing, returns the `heatproof.costs.Kind` of every job that will run.
    expected : callable
        Takes nothing, returns the seconds that a job of each kind took in earlier studies, brought to this one's size.
    """

    def __init__(self, stage_of: Callable, planned: Callable, expected: Callable):
        self.stage_of, self.planned, self.expected = stage_of, planned, expected
        self.total, self.done, self.left = Counter(), Counter(), Counter()
        self.jobs, self.started, self.spent, self.earlier = {}, {}, {}, {}
        self.widest = 1

    def plan(self) -> None:
        """Learn which jobs will run."""
        kinds = list(self.planned())
        self.total = Counter(self.stage_of(kind.rule) for kind in kinds)
        self.left = Counter(kinds)
        self.earlier = self.expected()

    def start(self, job: Job, now: float) -> None:
        """Learn that a job has begun."""
        self.jobs[job.number], self.started[job.number] = job, now
        self.widest = max(self.widest, len(self.jobs))

    def finish(self, number: int, now: float) -> Job | None:
        """Learn that a job has finished, and return it."""
        job, begun = self.jobs.pop(number, None), self.started.pop(number, now)
        if job:
            kind = kind_of(job.rule, job.wildcards.get("method", ""), job.wildcards.get("seed", ""))
            self.done[self.stage_of(job.rule)] += 1
            self.left[kind] -= 1
            self.spent.setdefault(kind, []).append(now - begun)
        return job

    def running(self, now: float, stage: str = "") -> list[str]:
        """List the jobs that run now, of one stage or of all; in brackets for how long, where that is a while."""
        jobs = [job for job in self.jobs.values() if stage in ("", self.stage_of(job.rule))]
        spent = [now - self.started[job.number] for job in jobs]
        return [
            f"{job} ({rounded(time)})" if time >= SILENCE else str(job) for job, time in zip(jobs, spent, strict=True)
        ]

    def time_left(self) -> str:
        """Write the time left, with jobs as long as those of their kind before them; empty where nothing is known.

        Of a kind that has not run yet, jobs are taken to be as long as those for other networks, or as all that ran.
        """
        left, spent = +self.left, [time for times in self.spent.values() for time in times]
        usual = mean(spent) if spent else 0.0
        known = self.earlier | {kind: mean(times) for kind, times in self.spent.items()}
        each = {kind: seconds_of(kind, known) for kind in left}
        seconds = sum(count * (usual if each[kind] is None else each[kind]) for kind, count in left.items())
        if not seconds:
            return ""
        word = "about" if known.keys() >= left.keys() else "roughly" if spent else "at least"
        return f", {word} {rounded(seconds / self.widest)} left"


class ProgressHandler(logging.StreamHandler):
    """Shows progress in a few lines that are written over on a terminal, and one line now and then elsewhere.

    Parameters
    ----------
    progress : Progress
    stream : file
        The terminal, or a file.
    clock : callable
        Returns seconds.
    """

    def __init__(self, progress: Progress, stream: TextIO, clock: Callable = time.monotonic):
        super().__init__(stream)
        self.progress, self.clock = progress, clock
        self.terminal, self.settled = stream.isatty(), threading.Event()
        self.shown, self.drawn, self.said, self.silence = 0, clock(), clock(), SILENCE

    def emit(self, record: logging.LogRecord) -> None:
        """Follow one message of Snakemake; pass on what is neither progress nor noise."""
        try:
            event = getattr(record, "event", None)
            follow = {
                "run_info": self.planned,
                "job_info": self.started,
                "job_finished": self.finished,
                "job_error": self.failed,
            }.get(event)
            if follow:
                follow(record)
            elif event in TOLD and not NOISE.match(record.getMessage()):
                self.say(self.format(record))
        except Exception:
            self.handleError(record)

    def planned(self, record: logging.LogRecord) -> None:
        self.progress.plan()
        stages = ", ".join(f"{stage} {count}" for stage, count in self.progress.total.items())
        self.say(f"{self.progress.total.total()} jobs: {stages}{self.progress.time_left()}")

    def started(self, record: logging.LogRecord) -> None:
        if record.output:  # a target has none
            job = Job(record.jobid, record.rule_name, dict(record.wildcards or {}))
            self.progress.start(job, self.clock())
            self.draw(always=True)

    def finished(self, record: logging.LogRecord) -> None:
        now = self.clock()
        job = self.progress.finish(record.job_id, now)
        if job is None:
            return
        stage = self.progress.stage_of(job.rule)
        if self.progress.done[stage] == self.progress.total[stage]:
            self.say(f"{self.count(stage)}  done")
        elif not self.terminal and now - self.said >= PAUSE:
            self.say(f"{self.count(stage)}  {job}; {self.all_jobs()}")
        self.draw()

    def tick(self) -> None:
        """Draw anew on a terminal, so that times go on; elsewhere say what runs where nothing was said for a while."""
        with self.lock:
            now, started = self.clock(), self.progress.started.values()
            if self.terminal:
                self.draw()
            elif started and now - max(self.said, min(started)) >= self.silence:
                jobs, longer = self.progress.running(now), min(2 * self.silence, LONGEST_SILENCE)
                more = f" and {len(jobs) - NAMED} more" if len(jobs) > NAMED else ""
                self.say(f"running: {', '.join(jobs[:NAMED])}{more}; {self.all_jobs()}")
                self.silence = longer

    def failed(self, record: logging.LogRecord) -> None:
        self.progress.started.pop(record.jobid, None)
        job = self.progress.jobs.pop(record.jobid, record.rule_name)
        self.say(f"failed: {job}; its log is {', '.join(record.log) or 'not kept'}")

    def count(self, stage: str) -> str:
        """Write a stage and how many of its jobs are done."""
        return f"{stage:<9} {self.progress.done[stage]:>4} of {self.progress.total[stage]:<4}"

    def all_jobs(self) -> str:
        """Write how many of all jobs are done, and the time left."""
        return f"{self.progress.done.total()} of {self.progress.total.total()} jobs{self.progress.time_left()}"

    def say(self, line: str) -> None:
        """Write a line that stays."""
        self.stream.write(f"{self.wiped()}{line}\n")
        self.said, self.silence = self.clock(), SILENCE
        self.draw(always=True)
        self.flush()

    def draw(self, always: bool = False) -> None:
        """Write what runs now over what was there."""
        if not self.terminal or not (always or self.clock() - self.drawn >= REDRAW):
            return
        width = shutil.get_terminal_size().columns - 1
        running = {stage: self.progress.running(self.clock(), stage) for stage in self.progress.total}
        lines = [f"{self.count(stage)}  {', '.join(jobs)}" for stage, jobs in running.items() if jobs]
        lines += [self.all_jobs()] if lines else []
        self.stream.write(self.wiped() + "".join(f"{line:.{width}}\n" for line in lines))
        self.shown, self.drawn = len(lines), self.clock()
        self.flush()

    def wiped(self) -> str:
        """Return what wipes the lines that are written over."""
        lines, self.shown = self.shown, 0
        return UP_AND_CLEAR.format(lines=lines) if lines else ""

    def settle(self) -> None:
        """Wipe what is written over, and be silent from then on: others write to the terminal next."""
        self.settled.set()
        with self.lock:
            self.stream.write(self.wiped())
            self.flush()


def rounded(seconds: float) -> str:
    """Write a time as one would say it: 40 s, 12 min, 3.5 h, 2 days."""
    for size, unit, digits in ((86400 * 2, "days", 0), (3600 * 2, "h", 1), (120, "min", 0)):
        if seconds >= size:
            return f"{seconds / {'days': 86400, 'h': 3600, 'min': 60}[unit]:.{digits}f} {unit}"
    return f"{max(1, round(seconds))} s"


def replace_log(logger: logging.Logger, progress: Progress) -> ProgressHandler | None:
    """Put a handler that shows progress in the place of Snakemake's own, with its filters; the log file stays."""
    for own in logger.handlers:
        if own.name == "DefaultStreamHandler":
            handler = ProgressHandler(progress, own.stream)
            handler.filters, handler.formatter = own.filters, own.formatter
            logger.removeHandler(own)
            logger.addHandler(handler)
            threading.Thread(target=keep_ticking, args=[handler], daemon=True).start()
            return handler
    return None


def keep_ticking(handler: ProgressHandler, pause: float = TICK) -> None:
    """Tick until the handler has settled."""
    while not handler.settled.wait(pause):
        handler.tick()


class LockFilter(logging.Filter):
    """Says in one sentence what to do where the folder is locked."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Pass every message on."""
        if LOCKED in str(record.msg):
            record.msg = UNLOCK
        return True


class PlanFilter(logging.Filter):
    """Adds the cost to the last line of a plan; and leaves out the second table of its jobs.

    Parameters
    ----------
    describe : callable
        Takes nothing, returns the cost.
    tables : int
        How many tables are printed: Snakemake writes one before its list of jobs and one after it.
    """

    def __init__(self, describe: Callable[[], str], tables: int = 2):
        super().__init__()
        self.describe, self.tables = describe, tables

    def filter(self, record: logging.LogRecord) -> bool:
        """Pass every message on but a table too many."""
        if getattr(record, "event", None) == "run_info":
            self.tables -= 1
            return self.tables >= 0
        if str(record.msg).startswith("This was a dry-run"):
            record.msg = f"{record.msg}\n\n{self.describe()}"
        return True
