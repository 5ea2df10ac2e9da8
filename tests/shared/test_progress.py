"""What a run shows on a terminal and in a file."""

import io
import logging
import threading

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from heatproof.costs import Kind
from heatproof.progress import (
    UNLOCK,
    LockFilter,
    PlanFilter,
    Progress,
    ProgressHandler,
    keep_ticking,
    replace_log,
    rounded,
)

STAGES = {"register_scan": "register", "fit_model": "train"}
JOBS = [Kind("register_scan"), Kind("register_scan"), Kind("fit_model")]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Run:
    """Snakemake's messages of a run, at times that the test sets."""

    def __init__(self, stream: io.StringIO, earlier: dict | None = None):
        self.now, self.logger, self.stream = 0.0, logging.Logger("run"), stream
        progress = Progress(STAGES.get, lambda: JOBS, lambda: earlier or {})
        self.handler = ProgressHandler(progress, stream, lambda: self.now)
        self.logger.addHandler(self.handler)
        self.tell(LogEvent.RUN_INFO)

    def tell(self, event, level=logging.INFO, message="", **fields):
        self.logger.log(level, message, extra={"event": event, **fields})

    def start(self, number, rule, **wildcards):
        self.tell(LogEvent.JOB_STARTED, jobs=[number])
        self.tell(LogEvent.JOB_INFO, jobid=number, rule_name=rule, wildcards=wildcards, output=["file"])

    def finish(self, number, after=0.0):
        self.now += after
        self.tell(LogEvent.JOB_FINISHED, job_id=number)

    def wait(self, seconds):
        self.now += seconds
        self.handler.tick()

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()


def test_a_file_gets_one_line_for_a_stage_and_one_now_and_then():
    run = Run(io.StringIO())
    run.start(1, "register_scan", scan="sub-1")
    run.finish(1, after=5)
    assert run.lines == ["3 jobs: register 2, train 1"]
    run.start(2, "register_scan", scan="sub-2")
    run.finish(2, after=1)
    assert run.lines[1:] == ["register     2 of 2     done"]
    run.start(3, "fit_model", seed="7")
    run.finish(3, after=60)
    assert run.lines[2:] == ["train        1 of 1     done"]


def test_a_long_stage_says_after_half_a_minute_what_was_done_last_and_the_time_left():
    run = Run(io.StringIO(), earlier={Kind("fit_model"): 600.0})
    assert run.lines == ["3 jobs: register 2, train 1, at least 10 min left"]
    run.start(1, "register_scan", scan="sub-1")
    run.finish(1, after=40)
    assert run.lines[1] == "register     1 of 2     register_scan sub-1; 1 of 3 jobs, about 11 min left"


def test_a_long_job_is_told_after_a_minute_of_silence_then_after_two_and_a_line_makes_that_a_minute_again():
    run = Run(io.StringIO(), earlier={Kind("fit_model"): 600.0})
    run.wait(100)  # nothing runs
    run.start(1, "register_scan", scan="sub-1")
    run.wait(30)
    run.start(3, "fit_model", seed="7")
    run.wait(29)
    assert len(run.lines) == 1
    run.wait(1)
    left = "0 of 3 jobs, at least 5 min left"
    assert run.lines[1:] == [f"running: register_scan sub-1 (60 s), fit_model seed 7; {left}"]
    run.wait(119)
    assert len(run.lines) == 2
    run.wait(1)
    assert run.lines[2:] == [f"running: register_scan sub-1 (3 min), fit_model seed 7 (2 min); {left}"]
    run.finish(1, after=40)
    run.wait(59)
    assert len(run.lines) == 4 and run.lines[3].startswith("register     1 of 2     register_scan sub-1; ")
    run.wait(1)
    assert run.lines[4].startswith("running: fit_model seed 7 (4 min); 1 of 3 jobs")


def test_where_jobs_finish_often_nothing_is_said_of_what_runs():
    run = Run(io.StringIO())
    run.start(3, "fit_model", seed="7")
    for number in range(10, 20):
        run.start(number, "register_scan", scan=f"sub-{number}")
        run.wait(20)
        run.finish(number)
    assert not any(line.startswith("running") for line in run.lines)


def test_of_many_jobs_the_first_are_named():
    run = Run(io.StringIO())
    for number in range(9):
        run.start(number, "register_scan", scan=f"sub-{number}")
    run.wait(60)
    assert "register_scan sub-3 (60 s) and 5 more; 0 of 3 jobs" in run.lines[-1] and "sub-4" not in run.lines[-1]


def test_times_go_on_on_a_terminal():
    run = Run(Terminal())
    run.start(3, "fit_model", seed="7")
    run.wait(240)
    assert run.stream.getvalue().endswith("\x1b[Jtrain        0 of 1     fit_model seed 7 (4 min)\n0 of 3 jobs\n")


def test_ticks_come_by_themselves_until_the_run_has_ended():
    run = Run(io.StringIO())
    run.start(3, "fit_model", seed="7")
    run.now = 60.0
    told = threading.Event()
    run.handler.say = lambda line: told.set()
    ticking = threading.Thread(target=keep_ticking, args=[run.handler, 0.01])
    ticking.start()
    assert told.wait(30)
    run.handler.settle()
    ticking.join(30)
    assert not ticking.is_alive()


@pytest.mark.parametrize(
    "said",
    [
        "LockException:\nError: Directory cannot be locked. Please make sure that no other Snakemake process is",
        "Error: Directory cannot be locked. Another Snakemake instance is running.",
    ],
)
def test_a_locked_folder_is_one_sentence_that_says_what_to_do(said):
    record = logging.LogRecord("run", logging.ERROR, "", 1, said, None, None)
    assert LockFilter().filter(record) and record.getMessage() == UNLOCK


def test_jobs_side_by_side_halve_the_time_left():
    run = Run(io.StringIO(), earlier={Kind("fit_model"): 600.0})
    run.start(1, "register_scan", scan="sub-1")
    run.start(2, "register_scan", scan="sub-2")
    assert run.handler.progress.time_left() == ", at least 5 min left"


def test_jobs_of_a_kind_that_has_not_run_are_taken_to_be_as_long_as_the_others():
    run = Run(io.StringIO())
    run.start(1, "register_scan", scan="sub-1")
    run.finish(1, after=40)
    assert run.lines[1].endswith("1 of 3 jobs, roughly 80 s left")


@pytest.mark.parametrize("tables", [1, 2])
def test_a_plan_has_its_cost_last_and_as_many_tables_as_are_asked_for(tables):
    logger, stream = logging.Logger("plan"), io.StringIO()
    logger.addHandler(logging.StreamHandler(stream))
    logger.addFilter(PlanFilter(lambda: "Cost: 3 jobs", tables))
    for message, event in (("table", LogEvent.RUN_INFO), ("job", None), ("table", LogEvent.RUN_INFO)):
        logger.info(message, extra={"event": event})
    logger.info("This was a dry-run.")
    told = ["table", "job", *["table"] * (tables - 1), "This was a dry-run.", "", "Cost: 3 jobs"]
    assert stream.getvalue().splitlines() == told


def test_a_terminal_shows_what_runs_and_writes_over_it():
    run = Run(Terminal())
    run.start(1, "register_scan", scan="sub-1")
    assert run.lines[-2:] == ["register     0 of 2     register_scan sub-1", "0 of 3 jobs"]
    run.start(3, "fit_model", seed="7")
    assert "\x1b[2F\x1b[Jregister     0 of 2     register_scan sub-1\n" in run.stream.getvalue()
    assert run.lines[-2:] == ["train        0 of 1     fit_model seed 7", "0 of 3 jobs"]
    run.handler.settle()
    assert run.stream.getvalue().endswith("\x1b[3F\x1b[J")


def test_a_failed_job_has_one_line_with_its_log():
    run = Run(io.StringIO())
    run.start(1, "register_scan", scan="sub-1")
    run.tell(LogEvent.JOB_ERROR, logging.ERROR, jobid=1, rule_name="register_scan", log=["logs/a.log"])
    assert run.lines[1:] == ["failed: register_scan sub-1; its log is logs/a.log"]


def test_warnings_pass_and_what_snakemake_says_of_a_sound_run_does_not():
    run = Run(io.StringIO())
    run.tell(None, message="Building DAG of jobs...")
    run.tell(None, logging.WARNING, "the clock is wrong")
    run.tell("error", logging.ERROR, "RuleException:\nCalledProcessError in file cohort.smk, line 1:\nCommand set -e")
    run.tell(LogEvent.SHELLCMD, message="python -m x")
    run.tell(None, message="Nothing to be done (all requested files are present and up to date).")
    assert run.lines[1:] == [
        "the clock is wrong",
        "Nothing to be done (all requested files are present and up to date).",
    ]


def test_it_takes_the_place_of_snakemakes_handler_and_keeps_its_filters():
    logger, own, file = logging.Logger("snakemake"), logging.StreamHandler(io.StringIO()), logging.NullHandler()
    own.name = "DefaultStreamHandler"
    own.addFilter(lambda record: "secret" not in record.msg)
    logger.addHandler(own), logger.addHandler(file)
    handler = replace_log(logger, Progress(STAGES.get, lambda: JOBS, dict))
    logger.warning("secret"), logger.warning("open")
    assert handler.stream.getvalue() == "open\n" and set(logger.handlers) == {file, handler}


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (59, "59 s"), (3600, "60 min"), (9000, "2.5 h"), (86400 * 3, "3 days")]
)
def test_times_are_said_as_one_would(seconds, text):
    assert rounded(seconds) == text
