"""The store: masked, scaled by percentiles of the brain, one scan at a time."""

import numpy as np
import pandas as pd
import pytest

from heatproof.errors import StudyError
from heatproof.images import save_image
from heatproof.store import open_store
from heatproof.tables import write_table
from heatproof.train.pack_scans import main, pack_scans, scale_intensity


def test_minimum_and_maximum_of_the_brain_become_0_and_1():
    scan = np.random.default_rng(0).normal(10, 3, (6, 6, 6))
    brain = np.zeros(scan.shape, bool)
    brain[1:5, 1:5, 1:5] = True
    scaled = scale_intensity(scan, brain, [0, 100])
    low, high = scan[brain].min(), scan[brain].max()
    np.testing.assert_allclose(scaled[brain], (scan[brain] - low) / (high - low))
    assert (scaled[~brain] == 0).all()


def test_percentiles_clip_what_lies_beyond():
    scan = np.arange(1000.0).reshape(10, 10, 10)
    scaled = scale_intensity(scan, scan >= 0, [10, 90])
    assert scaled.min() == 0 and scaled.max() == 1
    assert np.mean(scaled == 1) == pytest.approx(0.1, abs=0.002)


def test_a_store_holds_the_scans_in_order(tmp_path):
    rng = np.random.default_rng(0)
    mask = np.ones((4, 5, 6), bool)
    save_image(mask, np.eye(4), tmp_path / "mask.nii.gz")
    scans = [rng.random(mask.shape).astype(np.float32) for _ in range(3)]
    paths = [tmp_path / f"{i}.nii.gz" for i in range(3)]
    for scan, path in zip(scans, paths, strict=True):
        save_image(scan, np.eye(4), path)
    pack_scans(["a", "b", "c"], [[path] for path in paths], tmp_path / "mask.nii.gz", [0, 100], tmp_path / "train.npy")
    table = pd.DataFrame({"scan": ["a", "b", "c"], "label": ["patient", "control", "patient"]})
    table.to_csv(tmp_path / "train.tsv", sep="\t", index=False)
    store = open_store(tmp_path / "train.npy")
    assert store.images.dtype == np.float16 and isinstance(store.images, np.memmap)
    assert store.targets.tolist() == [1, 0, 1]
    for scan, stored in zip(scans, store.images, strict=True):
        np.testing.assert_allclose(stored[0], scale_intensity(scan, mask, [0, 100]), atol=5e-4)


def test_scans_of_another_grid_or_without_contrast_are_refused_by_name(tmp_path):
    save_image(np.ones((4, 4, 4), bool), np.eye(4), tmp_path / "mask.nii.gz")
    save_image(np.ones((4, 4, 5)), np.eye(4), tmp_path / "other.nii.gz")
    save_image(np.ones((4, 4, 4)), np.eye(4), tmp_path / "flat.nii.gz")
    for name, message in (("other", "has shape"), ("flat", "flat has no contrast")):
        with pytest.raises(StudyError, match=message):
            image = tmp_path / f"{name}.nii.gz"
            pack_scans([name], [[image]], tmp_path / "mask.nii.gz", [0, 100], tmp_path / "store.npy")
    flat = [[tmp_path / "flat.nii.gz"]] * 2
    with pytest.raises(StudyError, match=r"^one has no contrast .*; two has no contrast"):
        pack_scans(["one", "two"], flat, tmp_path / "mask.nii.gz", [0, 100], tmp_path / "store.npy")


def test_a_twin_is_packed_under_the_name_of_its_patient(tmp_path, monkeypatch):
    mask = np.ones((4, 5, 6), bool)
    save_image(mask, np.eye(4), tmp_path / "mask.nii.gz")
    twin = np.random.default_rng(0).random(mask.shape)
    save_image(twin, np.eye(4), tmp_path / "sub-1twin.nii.gz")
    row = {"scan": "sub-1", "participant_id": "sub-1", "label": "control", "split": "twins", "twin": "sub-1twin"}
    write_table(pd.DataFrame([row]), tmp_path / "table.tsv")
    options = {"scans": "table.tsv", "registered": "{scan}.nii.gz", "mask": "mask.nii.gz", "out": "twins.npy"}
    arguments = [word for name, file in options.items() for word in (f"--{name}", f"{tmp_path}/{file}")]
    monkeypatch.setattr("sys.argv", ["pack_scans", *arguments, "--split", "twins", "--intensity", "[0, 100]"])
    main()
    store = open_store(tmp_path / "twins.npy")
    assert store.scans.to_dict("records") == [{"scan": "sub-1", "participant_id": "sub-1", "label": "control"}]
    np.testing.assert_allclose(store.images[0, 0], scale_intensity(twin, mask, [0, 100]), atol=5e-4)


def test_within_the_grid_all_voxels_are_scaled_and_kept(tmp_path):
    scan = np.random.default_rng(0).normal(100, 20, (5, 5, 5)).astype(np.float32)
    for name, image in {"scan": scan, "mask": np.pad(np.ones((3, 3, 3)), 1)}.items():
        save_image(image, np.eye(4), tmp_path / f"{name}.nii.gz")
    pack_scans(["a"], [[tmp_path / "scan.nii.gz"]], tmp_path / "mask.nii.gz", "zscore", tmp_path / "test.npy", "grid")
    expected = (scan - scan.mean()) / scan.std()
    np.testing.assert_allclose(np.load(tmp_path / "test.npy")[0], expected, atol=2e-3)


def test_zscore_gives_mean_0_and_deviation_1_in_the_brain_and_0_outside():
    scan = np.random.default_rng(0).normal(500, 80, (8, 8, 8)).astype(np.float32)
    brain = np.zeros(scan.shape, bool)
    brain[1:7, 1:7, 1:7] = True
    scaled = scale_intensity(scan, brain, "zscore")
    np.testing.assert_allclose(
        scaled[brain], (scan[brain] - scan[brain].mean()) / scan[brain].std(), rtol=1e-4, atol=1e-5
    )
    assert (scaled[~brain] == 0).all()


@pytest.mark.parametrize("intensity", ["none", "zscore"])
def test_what_is_stored_is_what_it_was_but_for_half_precision(tmp_path, intensity):
    mask = np.arange(120).reshape(4, 5, 6) < 100
    scan = np.random.default_rng(0).normal(300, 90, mask.shape).astype(np.float32)
    for name, image in (("mask", mask), ("scan", scan)):
        save_image(image, np.eye(4), tmp_path / f"{name}.nii.gz")
    pack_scans(["a"], [[tmp_path / "scan.nii.gz"]], tmp_path / "mask.nii.gz", intensity, tmp_path / "a.npy")
    expected = scan if intensity == "none" else (scan - scan[mask].mean()) / scan[mask].std()
    np.testing.assert_allclose(np.load(tmp_path / "a.npy")[0], np.where(mask, expected, 0), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("mean", "deviation"), [(1e5, 1e4), (2000.0, 1.0), (1e-7, 1e-8)])
def test_intensities_that_half_precision_cannot_hold_are_refused(mean, deviation):
    scan = np.random.default_rng(0).normal(mean, deviation, (6, 6, 6))
    with pytest.raises(StudyError, match=r"in the brain, which half precision .* cannot hold; set train.intensity to"):
        scale_intensity(scan, np.ones(scan.shape, bool), "none")
    assert scale_intensity(scan, np.ones(scan.shape, bool), "zscore").std() == pytest.approx(1)
