"""A study of networks of one logit runs from scans to page as one of two classes."""

import numpy as np
import pytest
import torch

from conftest import run_over_smaller
from heatproof.images import load_array
from heatproof.store import open_store
from heatproof.tables import read_table
from heatproof.train.network import load_model, read_model

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def one_logit_study(tmp_path_factory):
    return run_over_smaller(tmp_path_factory.mktemp("one_logit"), "one_logit")


def test_probabilities_are_those_of_the_logit_and_its_opposite(one_logit_study):
    path, store = (
        one_logit_study / "train/seed-0/model.safetensors",
        open_store(one_logit_study / "train/store/test.npy"),
    )
    assert read_model(path)[0]["network"]["outputs"] == 1
    with torch.no_grad():
        constant, logit = load_model(path)(torch.from_numpy(store.images.astype(np.float32))).T
    assert not constant.any() and logit.std() > 0
    told = read_table(one_logit_study / "train/seed-0/predictions.tsv").set_index("scan")["probability"]
    np.testing.assert_allclose(logit.sigmoid(), told[store.scans["scan"]], rtol=1e-4)


def test_every_method_explains_it_and_the_page_is_written(one_logit_study):
    scores = read_table(one_logit_study / "compare/scores.tsv")
    for method in scores.loc[scores["kind"] == "method", "method"].unique():
        heatmaps = list((one_logit_study / f"attribute/{method}/seed-0").glob("*_heatmap.nii.gz"))
        assert heatmaps and all(load_array(path).any() for path in heatmaps), method
    assert "true positive" in (one_logit_study / "report/report.html").read_text()
