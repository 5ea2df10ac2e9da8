"""A study of two channels, of which the second shows no atrophy, runs from scans to page."""

import nibabel as nib
import numpy as np
import pytest
import torch

from conftest import run_over_smaller
from heatproof.images import load_array, load_heatmap
from heatproof.store import open_store
from heatproof.tables import read_table
from heatproof.train.network import load_model, read_model

pytestmark = pytest.mark.long

CHANNELS = ["T1w", "FLAIR"]


@pytest.fixture(scope="module")
def two_study(tmp_path_factory):
    return run_over_smaller(tmp_path_factory.mktemp("two"), "two")


def test_each_image_is_simulated_registered_and_packed(two_study):
    scans, store = read_table(two_study / "cohort/scans.tsv"), open_store(two_study / "train/store/train.npy")
    raw = [nib.load(two_study.parents[1] / scans.loc[0, column]) for column in ("image", "image_FLAIR")]
    assert raw[0].shape != raw[1].shape
    assert store.images.shape[1] == 2 and store.images.min() >= 0 and store.images.max() == 1
    brain = load_array(two_study / "register/template/brain_mask.nii.gz") > 0
    for one, other in store.images[..., brain].astype(np.float64):
        bright = one > np.quantile(one, 0.6)  # white matter, which is the darker one the brighter T1w is
        assert np.corrcoef(one[bright], other[bright])[0, 1] < -0.3


def test_the_twin_differs_in_the_channel_that_shows_the_atrophy(two_study):
    test, twins = (open_store(two_study / f"train/store/{name}.npy") for name in ("test", "twins"))
    scan = twins.scans["scan"].iloc[0]
    one, other = np.abs(test.image_of(scan) - twins.image_of(scan)).mean(axis=(1, 2, 3))
    assert one > 2 * other


def test_the_model_takes_both(two_study):
    description, _ = read_model(two_study / "train/seed-0/model.safetensors")
    assert description["network"]["inputs"] == 2
    model, store = (
        load_model(two_study / "train/seed-0/model.safetensors"),
        open_store(two_study / "train/store/test.npy"),
    )
    with torch.no_grad():
        probability = model(torch.from_numpy(store.images.astype(np.float32))).softmax(1)[:, 1]
    told = read_table(two_study / "train/seed-0/predictions.tsv").set_index("scan")["probability"]
    np.testing.assert_allclose(probability, told[store.scans["scan"]], rtol=1e-4)


def test_maps_of_the_channels_sum_to_the_mean_map(two_study):
    test = read_table(two_study / "train/seed-0/predictions.tsv").query("split == 'test'")
    for method in ("integrated_gradients_mean_control", "occlusion_each", "grad_cam"):
        folder = two_study / f"compare/{method}/seed-0"
        shares = read_table(folder / "channels.tsv").set_index(["outcome", "channel"])
        for row in test.itertuples():
            group = {True: "T", False: "F"}[row.predicted == row.label] + {"patient": "P", "control": "N"}[
                row.predicted
            ]
            heatmap = two_study / f"attribute/{method}/seed-0/{row.scan}_heatmap.nii.gz"
            whole = load_array(folder / f"mean_{group}.nii.gz")
            parts = np.stack([load_array(folder / f"mean_{group}_{name}.nii.gz") for name in CHANNELS], -1)
            np.testing.assert_allclose(parts, load_array(heatmap), rtol=1e-6)
            np.testing.assert_allclose(parts.sum(-1), load_heatmap(heatmap), rtol=1e-5, atol=1e-9)
            np.testing.assert_allclose(whole, load_heatmap(heatmap), rtol=1e-5, atol=1e-9)
            brain = load_array(two_study / "register/template/brain_mask.nii.gz") > 0
            relevance = np.abs(parts[brain]).sum(0, dtype=float)
            own = shares.loc[group].loc[CHANNELS, "share"]
            np.testing.assert_allclose(own, relevance / relevance.sum(), rtol=1e-4)


def test_the_table_has_shares_and_effects_of_each_channel(two_study):
    table = read_table(two_study / "compare/channels.tsv")
    assert set(table["channel"]) == set(CHANNELS)
    shares = table[table["measure"] == "share"].dropna().groupby(["method", "outcome"])["value"].sum()
    np.testing.assert_allclose(shares, 1, rtol=1e-5)
    own = read_table(two_study / "attribute/effects/seed-0_channels.tsv").query("reference == 'twin'")
    effects = own.set_index("channel")["effect"].abs()
    assert effects["FLAIR"] < effects["T1w"]


def test_the_page_has_a_table_of_channels_where_someone_is_recognised(two_study):
    page, found = (two_study / "report/report.html").read_text(), read_table(two_study / "compare/accuracy.tsv")
    assert (
        ('id="channels"' in page)
        == ("Mean maps over all models of each channel" in page)
        == bool(found["n_TP"].iloc[0])
    )
    assert (two_study / "report/channels.png").is_file()
