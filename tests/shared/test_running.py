"""Batches come in their order and once, and what is done in the background is done, or is said to have failed."""

import threading

import numpy as np
import pytest
import torch
from torch import nn

from heatproof.running import as_input, batches, in_background, in_order, outputs, resident

CPU = torch.device("cpu")


@pytest.fixture
def images():
    return np.arange(7 * 3 * 4 * 5, dtype=np.float16).reshape(7, 3, 4, 5)


def test_batches_in_order_are_all_scans(images):
    found = list(batches(resident(images, CPU), in_order(7, 3), CPU))
    assert [len(batch) for batch in found] == [3, 3, 1]
    np.testing.assert_array_equal(torch.cat(found).numpy(), images)


def test_an_input_is_a_copy_in_float32(images):
    scans = resident(images.astype(np.float32), CPU)
    inputs = as_input(scans)
    assert inputs.shape == (7, 3, 4, 5) and inputs.dtype == torch.float32
    inputs.zero_()
    np.testing.assert_array_equal(scans.numpy(), images)


def test_outputs_do_not_depend_on_the_batch(images):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(60), nn.Dropout(), nn.Linear(60, 2))
    found = [outputs(model, resident(images, CPU), size, CPU) for size in (1, 3, 7)]
    torch.testing.assert_close(found[0], found[2])
    torch.testing.assert_close(found[1], model(as_input(torch.from_numpy(images))))


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_all_calls_have_been_made_at_the_end(workers):
    done, caller = [], threading.get_ident()
    with in_background(workers) as later:
        for number in range(20):
            later(lambda number: done.append((number, threading.get_ident())), number)
    assert sorted(number for number, _ in done) == list(range(20))
    assert {thread == caller for _, thread in done} == {workers == 0}


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_what_fails_in_the_background_is_raised(workers):
    with pytest.raises(ZeroDivisionError), in_background(workers) as later:
        later(lambda: 1 / 0)
