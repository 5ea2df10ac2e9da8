"""Maps of several channels: their means, shares and effects by hand."""

import numpy as np
import pandas as pd
import pytest

from heatproof.compare.average_channels import average_channels
from heatproof.compare.compare_channels import effect_rows
from heatproof.compare.make_change import mean_change
from heatproof.images import load_array, load_channels, load_heatmap, save_heatmap
from heatproof.report.comparison import channel_tables
from heatproof.store import Store, strongest, with_channels, without_channels
from heatproof.task import PATIENTS

BRAIN = np.zeros((3, 4, 5), bool)
BRAIN[1:] = True


@pytest.fixture
def heatmaps(tmp_path):
    maps = np.random.default_rng(0).normal(size=(2, 2, *BRAIN.shape)).astype(np.float32)
    paths = [tmp_path / f"{name}_heatmap.nii.gz" for name in "ab"]
    for heatmap, path in zip(maps, paths, strict=True):
        save_heatmap(heatmap, np.eye(4), path)
    return maps, paths


def test_a_heatmap_comes_back_channel_by_channel_and_summed(heatmaps, tmp_path):
    maps, paths = heatmaps
    assert load_array(paths[0]).shape == (*BRAIN.shape, 2)
    np.testing.assert_array_equal(load_channels(paths[0]), maps[0])
    np.testing.assert_array_equal(load_heatmap(paths[0]), maps[0][0] + maps[0][1])
    save_heatmap(maps[0][:1], np.eye(4), tmp_path / "one.nii.gz")
    np.testing.assert_array_equal(load_array(tmp_path / "one.nii.gz"), maps[0][0])
    np.testing.assert_array_equal(load_heatmap(tmp_path / "one.nii.gz"), maps[0][0])
    np.testing.assert_array_equal(load_channels(tmp_path / "one.nii.gz"), maps[0][:1])


def test_means_and_relevance_by_channel(heatmaps):
    maps, paths = heatmaps
    mean, relevance = average_channels(paths, BRAIN, 2)
    np.testing.assert_allclose(mean, maps.mean(0), rtol=1e-6)
    np.testing.assert_allclose(relevance, np.abs(maps[:, :, BRAIN]).sum(2).mean(0), rtol=1e-6)
    mean, relevance = average_channels([], BRAIN, 2)
    assert mean.shape == (2, *BRAIN.shape) and not mean.any() and not relevance.any()


def test_effects_are_means_over_recognised_scans_of_the_target_by_reference():
    rows = [("a", "twin", "T1w", 1.0, 3.0, 2.0), ("a", "twin", "FLAIR", 0.0, 1.0, 0.5)]
    rows += [("b", "twin", "T1w", 3.0, 5.0, 4.0), ("c", "twin", "T1w", 90.0, 90.0, 90.0)]
    columns = ["scan", "reference", "channel", "effect_first", "effect_last", "effect"]
    predictions = pd.DataFrame({"scan": list("abc"), "split": "test", "label": "patient"})
    predictions["predicted"] = ["patient", "patient", "control"]
    found = effect_rows(pd.DataFrame(rows, columns=columns), predictions, 7, PATIENTS)
    values = found.set_index(["channel", "measure"])["value"]
    assert values["T1w", "effect_first"] == 2 and values["T1w", "effect"] == 3 and values["FLAIR", "effect_last"] == 1
    assert set(found["method"]) == {"effects_twin"} and set(found["outcome"]) == {"TP"} and set(found["seed"]) == {7}
    assert found.loc[found["channel"] == "T1w", "n_scans"].tolist() == [2, 2, 2]


def test_the_page_shows_methods_that_tell_channels_apart(heatmaps):
    shares = pd.DataFrame({"channel": ["T1w", "FLAIR"] * 2, "seed": [0, 0, 1, 1], "value": [0.75, 0.25, 0.65, 0.35]})
    shares = shares.assign(measure="share", outcome="TP", n_scans=1)
    table = pd.concat([shares.assign(method=name) for name in ("lrp", "occlusion", "each")])
    methods = {name: {"method": "occlusion"} for name in ("occlusion", "each")} | {"lrp": {"method": "lrp"}}
    methods["each"] = {"method": "occlusion", "channels": "each"}
    (found,) = channel_tables(table, methods, "TP")
    assert found["heads"] == ["T1w", "FLAIR"] and len(found["rows"]) == 2
    assert found["rows"][0]["cells"] == [("0.7", "0.65 to 0.75"), ("0.3", "0.25 to 0.35")]


def test_the_change_is_that_of_the_channel_that_changed_most():
    images = np.array([[[[[1.0, -2.0]]], [[[0.5, 5.0]]]]], np.float16)
    scans = pd.DataFrame({"scan": ["a"], "label": ["patient"]})
    change = mean_change(Store(images, scans), Store(np.zeros_like(images), scans))
    np.testing.assert_array_equal(change, images[0])
    np.testing.assert_array_equal(strongest(np.array([[[[1.0, -2.0]]], [[[-3.0, 1.0]]]])), [[[-3.0, -2.0]]])


def test_the_axis_of_one_channel_is_left_out_on_disk():
    one, two = np.zeros((3, 1, 2, 2, 2)), np.zeros((3, 2, 2, 2, 2))
    assert without_channels(one).shape == (3, 2, 2, 2) and without_channels(two) is two
    assert with_channels(without_channels(one), 5).shape == one.shape and with_channels(two, 5) is two
