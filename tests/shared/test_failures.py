"""The end of a run that failed: which job, why, what to do, and where its log is."""

import pytest

from heatproof.failures import Failure, describe_failures, reason
from heatproof.versions import version_line

TRACEBACK = """\
12:00:00 heatproof 1.0
Traceback (most recent call last):
  File "src/heatproof/train/fit_model.py", line 10, in main
    fit(store)
KeyError: 'label'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "src/heatproof/command.py", line 20, in run
    main()
{exception}
"""


def test_a_sentence_for_a_person_is_the_reason_and_says_itself_what_to_do():
    sentence = "error: a.nii.gz ends too early or is damaged (EOF); replace the file"
    assert reason(f"12:00:00 reading\n{sentence}\n") == (sentence, None)


def test_a_full_disk_is_told_by_its_file_and_has_a_remedy():
    why, remedy = reason("error: results/demo/x.npy: No space left on device\n")
    assert why.startswith("error: results/demo/x.npy") and "make room" in remedy


def test_the_last_error_counts_whatever_came_before():
    log = "error: the first; do this\n" + TRACEBACK.format(exception="ValueError: the last")
    assert reason(log)[0] == "ValueError: the last"
    assert reason(log + "error: the very last; do that\n") == ("error: the very last; do that", None)


@pytest.mark.parametrize(
    ("exception", "remedy"),
    [
        ("RuntimeError: shape '[2, 3]' is invalid", "network or a method of your own"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "set train.micro_batch"),
        ("numpy._core._exceptions._ArrayMemoryError: Unable to allocate 9 GiB", "set train.micro_batch"),
        ("RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory: 12 bytes", "set train.micro_batch"),
        ("KeyboardInterrupt", "the same command goes on"),
        ("ModuleNotFoundError: No module named 'zennit'", "--use-conda"),
    ],
)
def test_of_a_traceback_the_exception_is_the_reason_and_has_a_remedy(exception, remedy):
    why, what_to_do = reason(TRACEBACK.format(exception=exception))
    assert why == exception and remedy in what_to_do


def test_an_option_that_a_command_does_not_take_is_the_reason():
    log = "usage: explain.py [-h]\nexplain.py: error: unrecognized arguments: --x\n"
    assert reason(log)[0] == "explain.py: error: unrecognized arguments: --x"


@pytest.mark.parametrize("log", ["", "12:00:00 epoch 3\n", "10%|#   | 1/10\r20%|##  | 2/10"])
def test_a_job_that_was_killed_has_no_error_in_its_log(log):
    why, remedy = reason(log)
    assert "killed for want of memory or time" in why and "mem_mb" in remedy
    assert not log or log.splitlines()[-1] in why


def test_what_every_log_begins_with_and_what_would_fill_the_screen_is_not_told_of_a_killed_job():
    started = f"12:00:00 {version_line('heatproof.train.fit_model')}\n"
    assert reason(started) == reason("")
    assert "runs with" not in reason(started)[0] and len(reason(started + 9 * "a long line ")[0]) < 300
    assert len(reason("x" * 5000)[0]) < 300


def test_each_reason_is_told_once_with_every_job_that_it_ended_and_their_logs(tmp_path):
    failures = []
    for name, text in {"a": "error: no room; free some\n", "b": "error: no room; free some\n", "c": ""}.items():
        log = tmp_path / f"{name}.log"
        log.write_text(text)
        failures.append(Failure("explain_scans", {"method": "lrp", "seed": name}, str(log)))
    failures.append(Failure("list_scans", {}, str(tmp_path / "not there.log")))
    text = describe_failures(failures)
    assert text.startswith(
        "error: no room; free some\n"
        f"  in explain_scans, method lrp, seed a: {tmp_path}/a.log\n"
        f"  in explain_scans, method lrp, seed b: {tmp_path}/b.log\n"
    )
    assert text.count("killed") == 1 and f"  in list_scans: {tmp_path}/not there.log" in text
