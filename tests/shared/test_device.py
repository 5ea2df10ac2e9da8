"""The device that networks run on."""

import pytest
import torch

from heatproof.device import choose_device
from heatproof.errors import StudyError


@pytest.mark.parametrize(("available", "expected"), [(True, "cuda"), (False, "cpu")])
def test_auto_is_a_gpu_where_there_is_one(monkeypatch, available, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert choose_device("auto").type == expected


def test_a_device_is_what_it_is_named():
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda:99", "gpu"])
def test_a_device_that_is_not_there_is_refused(name):
    with pytest.raises(StudyError, match=f"train.device '{name}' is not available here .*; choose auto or cpu"):
        choose_device(name)
