"""Predictions: one row per labelled scan; a scan without a label is shown to no table."""

import numpy as np
import pandas as pd
import torch
from torch import nn

from heatproof.store import Store
from heatproof.train.predict_scans import predict


class Brightness(nn.Module):
    """Call bright scans patients: the logit of a patient is the mean intensity less a half."""

    def forward(self, images):
        mean = images.mean(dim=(1, 2, 3, 4))
        return torch.stack([torch.zeros_like(mean), mean - 0.5], dim=1)


def test_scans_are_predicted_in_order_and_those_without_a_label_have_no_row():
    images = np.stack([np.full((1, 2, 2, 2), value, np.float16) for value in (0.0, 1.0, 1.0, 0.25)])
    scans = pd.DataFrame({"scan": list("abcd"), "participant_id": list("abcd")})
    store = Store(images, scans.assign(label=["control", np.nan, "control", "patient"]))
    table = predict(Brightness().eval(), store, 3, torch.device("cpu"))
    assert table["scan"].tolist() == ["a", "c", "d"]
    assert table["predicted"].tolist() == ["control", "patient", "control"]
    np.testing.assert_allclose(table["probability"], 1 / (1 + np.exp([0.5, -0.5, 0.25])), rtol=1e-6)
