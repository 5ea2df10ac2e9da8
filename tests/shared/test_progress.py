"""What a run shows on a terminal and in a file."""

import io
import logging

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from heatproof.progress import Progress, ProgressHandler, replace_log, rounded

STAGES = {"register_scan": "register", "fit_model": "train"}
JOBS = [("register_scan", ""), ("register_scan", ""), ("fit_model", "")]


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
    run = Run(io.StringIO(), earlier={("fit_model", ""): 600.0})
    assert run.lines == ["3 jobs: register 2, train 1, at least 10 min left"]
    run.start(1, "register_scan", scan="sub-1")
    run.finish(1, after=40)
    assert run.lines[1] == "register     1 of 2     register_scan sub-1; 1 of 3 jobs, about 11 min left"


def test_jobs_side_by_side_halve_the_time_left():
    run = Run(io.StringIO(), earlier={("fit_model", ""): 600.0})
    run.start(1, "register_scan", scan="sub-1")
    run.start(2, "register_scan", scan="sub-2")
    assert run.handler.progress.time_left() == ", at least 5 min left"


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
