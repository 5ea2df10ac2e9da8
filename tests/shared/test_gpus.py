"""Jobs take turns on a GPU, and run side by side where there is none."""

import pytest

from heatproof.gpus import gpu_was_given, gpus_of_job


@pytest.mark.parametrize(("device", "expected"), [("auto", 1), ("cuda", 1), ("cuda:1", 1), ("cpu", 0)])
def test_a_job_takes_the_gpu_unless_it_is_told_to_use_the_cpu(tmp_path, device, expected):
    (tmp_path / "kfd").touch()
    assert gpus_of_job(device, [tmp_path / "nvidia0", tmp_path / "kfd"]) == expected


def test_without_a_gpu_there_is_nothing_to_take_turns_on(tmp_path):
    assert gpus_of_job("auto", [tmp_path / "nvidia0"]) == 0


@pytest.mark.parametrize(
    ("environment", "given"),
    [
        ({}, False),
        ({"HEATPROOF_GPUS": "0"}, False),
        ({"HEATPROOF_GPUS": "1"}, True),
        ({"HEATPROOF_GPUS": "1", "HEATPROOF_FOUND_GPUS": "0"}, True),
        ({"HEATPROOF_GPUS": "1", "HEATPROOF_FOUND_GPUS": "1"}, False),
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
