"""Batches: every scan once in an epoch, mirrored and shifted as asked."""

import numpy as np
import pandas as pd
import pytest
import torch

from heatproof.store import Store
from heatproof.train.batches import augment, plain_batches, shifted, training_batches

PLAIN = {"flip": {"axis": "x", "probability": 0.0}, "shift": {"axis": "y", "voxels": 0}}


@pytest.fixture
def store() -> Store:
    images = np.arange(7 * 3 * 4 * 5, dtype=np.float16).reshape(7, 3, 4, 5)
    labels = ["patient", "control", "control", "patient", "control", "patient", "control"]
    return Store(images, pd.DataFrame({"scan": [f"sub-{i}" for i in range(7)], "label": labels}))


def test_an_epoch_has_every_scan_once_with_its_class(store):
    batches = list(training_batches(store, 3, PLAIN, np.random.default_rng(0)))
    assert [len(classes) for _, classes in batches] == [3, 4]
    images, classes = (torch.cat(part) for part in zip(*batches, strict=True))
    order = [int(image[0, 0, 0, 0]) // 60 for image in images]
    assert sorted(order) == list(range(7)) and order != list(range(7))
    assert images.shape == (7, 1, 3, 4, 5) and images.dtype == torch.float32
    assert classes.tolist() == store.classes[order].tolist()


@pytest.mark.parametrize(
    ("batch_size", "sizes"), [(1, [1] * 7), (2, [2, 2, 3]), (4, [4, 3]), (5, [5, 2]), (6, [7]), (7, [7]), (8, [7])]
)
def test_no_scan_is_left_alone_in_a_batch(store, batch_size, sizes):
    batches = training_batches(store, batch_size, PLAIN, np.random.default_rng(0))
    assert [len(classes) for _, classes in batches] == sizes


def test_the_order_follows_the_seed(store):
    def order(seed):
        return torch.cat([images for images, _ in training_batches(store, 3, PLAIN, np.random.default_rng(seed))])

    assert torch.equal(order(1), order(1)) and not torch.equal(order(1), order(2))


def test_plain_batches_keep_the_order(store):
    images = torch.cat([images for images, _ in plain_batches(store, 3)])
    np.testing.assert_array_equal(images[:, 0].numpy(), store.images.astype(np.float32))


def test_a_flip_mirrors_one_axis():
    image = np.random.default_rng(0).normal(size=(3, 4, 5))
    flip = {"flip": {"axis": "x", "probability": 1.0}, "shift": {"axis": "y", "voxels": 0}}
    np.testing.assert_array_equal(augment(image, flip, np.random.default_rng(0)), image[::-1])


@pytest.mark.parametrize("by", [-2, -1, 0, 1, 2])
def test_a_shift_moves_voxels_and_lets_zeros_in(by):
    image = np.random.default_rng(0).normal(size=(3, 4, 5))
    expected = np.roll(image, by, axis=1)
    if by > 0:
        expected[:, :by] = 0
    elif by < 0:
        expected[:, by:] = 0
    np.testing.assert_array_equal(shifted(image, 1, by), expected)


def test_flips_and_shifts_come_as_often_as_asked():
    image = np.zeros((5, 9, 5))
    image[0, 4, 2] = 1
    options = {"flip": {"axis": "x", "probability": 0.5}, "shift": {"axis": "y", "voxels": 2}}
    random = np.random.default_rng(0)
    places = np.array([np.argwhere(augment(image, options, random))[0] for _ in range(2000)])
    assert np.mean(places[:, 0] == 4) == pytest.approx(0.5, abs=0.04)
    assert np.bincount(places[:, 1])[2:7] / 2000 == pytest.approx([0.2] * 5, abs=0.04)
