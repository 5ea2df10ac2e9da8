"""Jobs take turns on GPUs, each on one of its own or on its share of one, and run side by side where there is none."""

import logging
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from heatproof import gpus
from heatproof.gpus import gpu_was_given, gpus_here, gpus_of_job, take_gpu

CARDS = ["GPU-a", "GPU-b"]


@pytest.fixture
def devices(tmp_path, monkeypatch):
    """Return a folder that stands for /dev."""
    monkeypatch.setattr(gpus, "DEVICES", tmp_path)
    return tmp_path


@pytest.mark.parametrize(("device", "expected"), [("auto", 1), ("cuda", 1), ("cuda:1", 1), ("cpu", 0)])
def test_a_job_takes_the_gpu_unless_it_is_told_to_use_the_cpu(devices, device, expected):
    (devices / "kfd").touch()
    assert gpus_of_job(device) == expected
    assert gpus_here(device, {}) == expected


def test_without_a_gpu_there_is_nothing_to_take_turns_on(devices):
    assert gpus_of_job("auto") == gpus_here("auto", {"CUDA_VISIBLE_DEVICES": "0,1"}) == 0


@pytest.mark.parametrize(
    ("device", "environment", "expected"),
    [
        ("auto", {}, 3),
        ("cuda", {}, 3),
        ("cuda:1", {}, 1),
        ("cpu", {}, 0),
        ("auto", {"CUDA_VISIBLE_DEVICES": "2,0"}, 2),
        ("auto", {"CUDA_VISIBLE_DEVICES": "GPU-8932f937"}, 1),
        ("auto", {"ROCR_VISIBLE_DEVICES": "0,1"}, 2),
    ],
)
def test_jobs_have_all_gpus_that_they_may_see(devices, device, environment, expected):
    for name in ("nvidia0", "nvidia1", "nvidia2", "nvidiactl", "nvidia-uvm"):
        (devices / name).touch()
    assert gpus_here(device, environment) == expected


def taken(tmp_path, *shares):
    """Take GPUs for several jobs, and return which each has."""
    return [take_gpu(CARDS, share, tmp_path) for share in shares]


def is_busy(tmp_path, share=None):
    """Tell whether a job would wait, by one in another thread that is let go after it."""
    found = []
    thread = threading.Thread(target=lambda: found.append(take_gpu(CARDS, share, tmp_path, pause=0.01)), daemon=True)
    thread.start()
    thread.join(0.3)
    return thread, found


def test_each_job_has_a_gpu_of_its_own_and_one_more_waits(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    first, second = taken(tmp_path, None, None)
    assert {first.number, second.number} == {0, 1}
    thread, found = is_busy(tmp_path)
    assert not found
    assert caplog.messages == ["waits for a GPU: other jobs have taken all 2"]
    second.held.close()
    thread.join(10)
    assert found[0].number == second.number


def test_jobs_that_share_fill_one_gpu_and_leave_the_other_to_one_that_needs_a_whole(tmp_path):
    jobs = taken(tmp_path, 3, 3, None, 3)
    assert [job.number for job in jobs] == [0, 0, 1, 0]
    thread, found = is_busy(tmp_path, 3)
    assert not found
    jobs[1].held.close()
    thread.join(10)
    assert found[0].number == 0


def test_a_whole_gpu_is_not_had_while_others_share_it(tmp_path):
    jobs = taken(tmp_path, 2, 2, 2)
    assert [job.number for job in jobs] == [0, 0, 1]
    thread, found = is_busy(tmp_path)
    assert not found
    jobs[2].held.close()
    thread.join(10)
    assert found[0].number == 1


def test_a_job_that_is_killed_gives_its_gpu_back(tmp_path):
    take = f"mine = take_gpu(['GPU-a'], None, Path({str(tmp_path)!r}))"
    code = f"from heatproof.gpus import *; {take}; print(1, flush=True); input()"
    source = Path(gpus.__file__).parents[1]
    job = subprocess.Popen([sys.executable, "-c", code], cwd=source, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert job.stdout.readline() == b"1\n"
    thread, found = is_busy(tmp_path)
    assert [each.number for each in found] == [1]
    thread, others = is_busy(tmp_path)
    assert not others
    job.kill()
    job.communicate()
    thread.join(10)
    assert others[0].number == 0


@pytest.mark.parametrize(
    ("environment", "given"),
    [
        ({}, False),
        ({"HEATPROOF_GPUS": "0"}, False),
        ({"HEATPROOF_GPUS": "1"}, True),
        ({"HEATPROOF_GPUS": "1", "HEATPROOF_FOUND_GPUS": "0"}, True),
        ({"HEATPROOF_GPUS": "1", "HEATPROOF_FOUND_GPUS": "1"}, False),
        ({"HEATPROOF_GPUS": "1", "HEATPROOF_FOUND_GPUS": "3"}, False),
        ({"HEATPROOF_GPUS": "1", "HEATPROOF_FOUND_GPUS": "1", "SLURM_JOB_GPUS": "0"}, True),
        ({"CUDA_VISIBLE_DEVICES": ""}, False),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, False),
        ({"CUDA_VISIBLE_DEVICES": "NoDevFiles", "HEATPROOF_GPUS": "0"}, False),
        ({"CUDA_VISIBLE_DEVICES": "0"}, True),
        ({"SLURM_JOB_GPUS": "3"}, True),
    ],
)
def test_a_gpu_is_given_by_the_rule_by_slurm_or_by_name(environment, given):
    assert gpu_was_given(environment) == given
