"""The device that networks run on, and how torch works on it."""

import logging
import os
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from heatproof.device import in_float32, prepare_device
from heatproof.errors import StudyError
from heatproof.gpus import NAMED, take_gpu


def tf32():
    """Tell whether convolutions and products may be rounded to TF32."""
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


@pytest.fixture(autouse=True)
def torch_as_it_was(monkeypatch):
    """Give other tests back the torch that they had, and begin where no GPU is named."""
    for name in ("HEATPROOF_GPUS", "HEATPROOF_FOUND_GPUS", *NAMED, "CUBLAS_WORKSPACE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    threads, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    fill, allowed = torch.utils.deterministic.fill_uninitialized_memory, tf32()
    yield
    os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode(mode)
    torch.utils.deterministic.fill_uninitialized_memory = fill


def test_a_job_has_its_threads_and_repeats_to_the_byte(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    prepare_device("cpu")
    assert torch.get_num_threads() == 3
    assert torch.are_deterministic_algorithms_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_a_cublas_workspace_that_is_chosen_stays(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    prepare_device("cpu")
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


def test_floats_have_their_precision_unless_tf32_is_asked_for():
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    prepare_device("cpu")
    assert tf32() == (False, False)
    prepare_device("cpu", precision="tf32")
    assert tf32() == (True, True)
    with pytest.raises(StudyError, match=r"train\.precision is 'half'; choose one of float32, tf32"):
        prepare_device("cpu", precision="half")


def test_tf32_is_forbidden_for_a_while():
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = True, False
    with pytest.raises(ZeroDivisionError), in_float32():
        assert tf32() == (False, False)
        raise ZeroDivisionError
    assert tf32() == (True, False)


@pytest.mark.parametrize(("available", "expected"), [(True, "cuda"), (False, "cpu")])
def test_auto_is_a_gpu_where_there_is_one(monkeypatch, available, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "card")
    assert prepare_device("auto").type == expected


@pytest.mark.parametrize(("asked", "shared"), [("1", True), ("2", False)])
def test_a_job_of_the_workflow_takes_a_gpu_of_several_that_no_other_has(monkeypatch, tmp_path, asked, shared):
    monkeypatch.setenv("HEATPROOF_GPUS", asked)
    monkeypatch.setenv("HEATPROOF_FOUND_GPUS", "2")
    used = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "card")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: SimpleNamespace(uuid=f"GPU-{number}"))
    monkeypatch.setattr(torch.cuda, "set_device", used.append)
    monkeypatch.setattr("heatproof.device.TAKEN", [])
    monkeypatch.setattr("heatproof.device.take_gpu", partial(take_gpu, folder=tmp_path))
    devices = [prepare_device("auto") for _ in range(2)]
    assert [device.index for device in devices] == ([0, 0] if shared else [1, 0])
    assert used == [device.index for device in devices]


def test_a_device_is_what_it_is_named():
    assert prepare_device("cpu") == torch.device("cpu")


def test_every_job_logs_its_device(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    prepare_device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100")
    prepare_device("auto", precision="tf32")
    assert caplog.messages == ["on the CPU, 1 thread(s)", "on cuda (NVIDIA H100), in tf32"]


@pytest.mark.parametrize(
    ("name", "value"), [("HEATPROOF_GPUS", "1"), ("CUDA_VISIBLE_DEVICES", "0"), ("SLURM_JOB_GPUS", "0")]
)
def test_a_job_that_was_given_a_gpu_and_finds_none_ends_unless_it_is_told_to_use_the_cpu(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(StudyError, match=r"this job was given a GPU.* or set train\.device to cpu"):
        prepare_device("auto")
    assert prepare_device("cpu").type == "cpu"


def test_a_gpu_that_nobody_asked_for_and_torch_cannot_use_is_told(monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("heatproof.device.has_gpu", lambda: True)
    assert prepare_device("auto").type == "cpu"
    assert "this machine has a GPU that torch" in caplog.text


@pytest.mark.parametrize("name", ["mps", "meta"])
def test_a_device_without_float64_or_numbers_is_refused(monkeypatch, name):
    monkeypatch.setattr(torch, "empty", lambda size, device: type("Empty", (), {"device": torch.device(device)}))
    with pytest.raises(StudyError, match=f"train.device '{name}' is not tried.*; choose auto, cpu or cuda"):
        prepare_device(name)


@pytest.mark.parametrize("name", ["cuda:99", "gpu"])
def test_a_device_that_is_not_there_is_refused(name):
    with pytest.raises(StudyError, match=f"train.device '{name}' is not available here .*; choose auto or cpu"):
        prepare_device(name)
