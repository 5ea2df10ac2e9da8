"""Batches: every scan once in an epoch, mirrored and shifted as asked."""

import numpy as np
import pandas as pd
import pytest
import torch

from heatproof.store import Store
from heatproof.train.batches import Change, changed, draw_change, training_batches

PLAIN = {"flip": {"axis": "x", "probability": 0.0}, "shift": {"axis": "y", "voxels": 0}}


@pytest.fixture
def store() -> Store:
    images = np.arange(7 * 2 * 3 * 4 * 5, dtype=np.float16).reshape(7, 2, 3, 4, 5)
    labels = ["patient", "control", "control", "patient", "control", "patient", "control"]
    return Store(images, pd.DataFrame({"scan": [f"sub-{i}" for i in range(7)], "label": labels}))


def epoch(store, seed=0, augmentation=PLAIN, batch_size=3):
    scans, random = torch.from_numpy(store.images), np.random.default_rng(seed)
    return list(training_batches(scans, store.targets, batch_size, augmentation, random, torch.device("cpu")))


def test_an_epoch_has_every_scan_once_with_its_class(store):
    batches = epoch(store)
    assert [len(classes) for _, classes in batches] == [3, 4]
    images, classes = (torch.cat(part) for part in zip(*batches, strict=True))
    order = [int(image[0, 0, 0, 0]) // 120 for image in images]
    assert sorted(order) == list(range(7)) and order != list(range(7))
    assert images.shape == (7, 2, 3, 4, 5) and images.dtype == torch.float32
    assert classes.tolist() == store.targets[order].tolist()


@pytest.mark.parametrize(
    ("batch_size", "sizes"), [(1, [1] * 7), (2, [2, 2, 3]), (4, [4, 3]), (5, [5, 2]), (6, [7]), (7, [7]), (8, [7])]
)
def test_no_scan_is_left_alone_in_a_batch(store, batch_size, sizes):
    assert [len(classes) for _, classes in epoch(store, batch_size=batch_size)] == sizes


def test_the_order_follows_the_seed(store):
    def order(seed):
        return torch.cat([images for images, _ in epoch(store, seed)])

    assert torch.equal(order(1), order(1)) and not torch.equal(order(1), order(2))


def test_training_leaves_the_store_as_it_is(store):
    before = store.images.copy()
    for images, _ in epoch(store, augmentation={**PLAIN, "shift": {"axis": "y", "voxels": 2}}):
        images -= 1
    np.testing.assert_array_equal(store.images, before)


@pytest.mark.parametrize("flip", ["x", "y", "z"])
@pytest.mark.parametrize("mirrored", [True, False])
@pytest.mark.parametrize("by", [-9, -2, -1, 0, 1, 2, 9])
def test_a_scan_is_mirrored_and_then_moved_zeros_coming_in(flip, mirrored, by):
    scan = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    turned = np.flip(scan, 1 + "xyz".index(flip)) if mirrored else scan
    expected = np.pad(turned, [(0, 0), (0, 0), (max(by, 0), max(-by, 0)), (0, 0)])[:, :, max(-by, 0) :][:, :, :4]
    augmentation = {"flip": {"axis": flip, "probability": 0.5}, "shift": {"axis": "y", "voxels": 9}}
    found = changed(torch.from_numpy(scan)[None], [Change(mirrored, by)], augmentation)
    np.testing.assert_array_equal(found[0].numpy(), expected)


def test_flips_and_shifts_come_as_often_as_asked():
    options = {"flip": {"axis": "x", "probability": 0.5}, "shift": {"axis": "y", "voxels": 2}}
    random = np.random.default_rng(0)
    changes = [draw_change(options, random) for _ in range(2000)]
    assert np.mean([change.mirrored for change in changes]) == pytest.approx(0.5, abs=0.04)
    assert np.bincount([change.by + 2 for change in changes]) / 2000 == pytest.approx([0.2] * 5, abs=0.04)
