"""Commands: errors for people are one sentence and status 1; other errors keep their traceback."""

import pytest

from heatproof.command import json_option, run, threads
from heatproof.errors import StudyError


def fail_with(error: Exception):
    def main():
        raise error

    return main


def test_a_study_error_is_one_sentence():
    with pytest.raises(SystemExit) as stop:
        run(fail_with(StudyError("a.nii is broken; replace it")))
    assert stop.value.code == "error: a.nii is broken; replace it"


def test_a_full_disk_is_told_with_the_file():
    with pytest.raises(SystemExit) as stop:
        run(fail_with(OSError(28, "No space left on device", "out.nii.gz")))
    assert stop.value.code == "error: out.nii.gz: No space left on device"


def test_a_mistake_in_the_code_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        run(fail_with(ZeroDivisionError()))


def test_options_come_as_json_and_threads_from_snakemake(monkeypatch):
    assert json_option('{"a": [1, null]}') == {"a": [1, None]}
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads() == 3
