"""Jobs take turns on a GPU, and run side by side where there is none."""

import pytest

from heatproof.gpus import gpus_of_job


@pytest.mark.parametrize(("device", "expected"), [("auto", 1), ("cuda", 1), ("cuda:1", 1), ("cpu", 0)])
def test_a_job_takes_the_gpu_unless_it_is_told_to_use_the_cpu(tmp_path, device, expected):
    (tmp_path / "kfd").touch()
    assert gpus_of_job(device, [tmp_path / "nvidia0", tmp_path / "kfd"]) == expected


def test_without_a_gpu_there_is_nothing_to_take_turns_on(tmp_path):
    assert gpus_of_job("auto", [tmp_path / "nvidia0"]) == 0
