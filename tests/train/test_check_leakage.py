"""Leakage: a copy in two splits is found however it is packed, scaled or named; two people, and sessions, are not."""

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter, shift
from scipy.stats import zscore

from heatproof.errors import StudyError
from heatproof.store import Store
from heatproof.train.check_leakage import NEAR_COPY, check_leakage, likeness, nearest_scans

SHAPE = (24, 28, 24)


@pytest.fixture
def people(small_brain) -> np.ndarray:
    """Twelve registered people: one template brain, each with a smooth pattern of its own."""
    rng, template = np.random.default_rng(0), small_brain.t1w / small_brain.t1w.max()
    patterns = [gaussian_filter(rng.normal(size=template.shape), 1.0) for _ in range(12)]
    return np.stack([np.clip(template * (1 + 0.8 * pattern), 0, 1) for pattern in patterns])


def stores(people: np.ndarray, **replaced: np.ndarray) -> dict[str, Store]:
    """Put six people into training and three each into validation and test, and replace the first of some splits."""
    parts = {"train": people[:6], "validation": people[6:9], "test": people[9:]}
    for split, image in replaced.items():
        parts[split] = np.concatenate([image[None], parts[split][1:]])
    names = {split: pd.DataFrame({"scan": [f"{split}-{i}" for i in range(len(part))]}) for split, part in parts.items()}
    return {split: Store(part[:, None].astype(np.float16), names[split]) for split, part in parts.items()}


IMAGES = pd.Series(
    {f"{split}-{i}": f"bids/{split}-{i}.nii.gz" for split in ("train", "validation", "test") for i in range(6)}
)


def test_likeness_is_the_correlation_of_what_differs_from_the_mean():
    samples = np.random.default_rng(1).random((5, 200))
    scores = zscore(samples, axis=1)
    np.testing.assert_allclose(likeness(samples), np.corrcoef(scores - scores.mean(0)), atol=1e-9)


def test_different_people_pass(people):
    nearest = nearest_scans(stores(people))
    assert nearest[["split_a", "split_b"]].to_numpy().tolist() == [
        ["train", "validation"],
        ["train", "test"],
        ["validation", "test"],
    ]
    assert nearest["likeness"].max() < NEAR_COPY / 2
    check_leakage(nearest, IMAGES)


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image,
        lambda image: image * 0.5,
        lambda image: np.clip(image + np.random.default_rng(2).normal(0, 0.02, image.shape), 0, 1) * (image > 0),
        lambda image: shift(image, (0.15, 0, 0), order=1),
    ],
    ids=["the same", "scaled", "noisy", "moved by less than a voxel"],
)
@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_copy_in_another_split_stops_the_run_with_both_files(people, change, split):
    both = rf"bids/train-4.nii.gz \(train\) and bids/{split}-0.nii.gz \({split}\), likeness .*: these are copies"
    with pytest.raises(StudyError, match=both):
        check_leakage(nearest_scans(stores(people, **{split: change(people[4])})), IMAGES)


def test_all_copies_are_named_at_once(people):
    nearest = nearest_scans(stores(people, validation=people[4], test=people[2]))
    with pytest.raises(StudyError, match=r"train-4.* and .*validation-0.*; .*train-2.* and .*test-0.*: these are"):
        check_leakage(nearest, IMAGES)


def test_a_copy_in_the_same_split_is_no_leak(people):
    people[1] = people[0]
    check_leakage(nearest_scans(stores(people)), IMAGES)
