"""The device that networks run on, and how torch works on it."""

import pytest
import torch

from heatproof.device import prepare_device
from heatproof.errors import StudyError


@pytest.fixture(autouse=True)
def torch_as_it_was():
    """Give other tests back the torch that they had."""
    threads, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    fill = torch.utils.deterministic.fill_uninitialized_memory
    yield
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode(mode)
    torch.utils.deterministic.fill_uninitialized_memory = fill


def test_a_job_has_its_threads_and_repeats_to_the_byte(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    prepare_device("cpu")
    assert torch.get_num_threads() == 3
    assert torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(("available", "expected"), [(True, "cuda"), (False, "cpu")])
def test_auto_is_a_gpu_where_there_is_one(monkeypatch, available, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert prepare_device("auto").type == expected


def test_a_device_is_what_it_is_named():
    assert prepare_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda:99", "gpu"])
def test_a_device_that_is_not_there_is_refused(name):
    with pytest.raises(StudyError, match=f"train.device '{name}' is not available here .*; choose auto or cpu"):
        prepare_device(name)
