"""Scans of two channels: networks, effects of a channel, and methods whose rules of a channel are their own."""

import networks
import numpy as np
import pytest
import torch
from captum.attr import FeatureAblation, LayerAttribution, LayerGradCam
from torch import nn

from heatproof.attribute import METHODS
from heatproof.attribute.check_network import check_network
from heatproof.attribute.effects import channel_effects, unit_effects
from heatproof.attribute.explain import explain
from heatproof.attribute.occlusion import occlusion
from heatproof.errors import StudyError
from heatproof.train import presets
from heatproof.train.layers import PAPER_NETWORK
from heatproof.train.network import build_network, create_network, load_model, save_model

SHAPE = (12, 13, 12)
SMALL = {"filters": [3, 4], "pools": [2, 3], "padding": 1, "hidden": 5}
REGIONS = torch.zeros(SHAPE, dtype=torch.int64)
REGIONS[2:6, 3:9], REGIONS[6:9, 4:8] = 1, 2
OPTIONS = {
    "occlusion": {"patch": 6, "stride": 6},
    "region_occlusion": {"regions": REGIONS},
    "gradient_shap": {"controls": torch.rand(2, 2, *SHAPE), "samples": 2},
    "integrated_gradients": {"steps": 2},
    "smooth_grad": {"samples": 2},
}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return create_network(SHAPE, {"function": PAPER_NETWORK, "inputs": 2, **SMALL}).eval()


@pytest.fixture
def scans():
    return torch.rand((2, 2, *SHAPE), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_a_map_of_each_channel(model, scans, method):
    before = scans.clone()
    heatmaps = explain(model, scans, method=method, **OPTIONS.get(method, {}))
    assert heatmaps.shape == scans.shape and heatmaps.isfinite().all() and heatmaps.any()
    assert torch.equal(scans, before)


@pytest.mark.parametrize("channels", ["together", "each"])
def test_a_region_is_hidden_in_all_channels_or_in_one_as_by_captum(model, scans, channels):
    found = explain(model, scans, method="region_occlusion", output="logit", regions=REGIONS, channels=channels)
    numbers = torch.stack([REGIONS, REGIONS + (3 if channels == "each" else 0)])[None]
    exact = FeatureAblation(model).attribute(scans, target=1, feature_mask=numbers)
    exact = torch.where(REGIONS > 0, exact / (1 if channels == "each" else 2), 0)
    torch.testing.assert_close(found, exact, rtol=1e-4, atol=1e-6)


def test_channels_are_hidden_in_no_third_way(model, scans):
    with pytest.raises(StudyError, match="channels is 'both'; choose one of together, each"):
        occlusion(model, scans, 1, patch=6, stride=6, channels="both")


@pytest.mark.parametrize("channels", ["together", "each"])
def test_branches_are_occluded_in_windows_as_in_whole_passes(channels, monkeypatch):
    torch.manual_seed(0)

    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.way = nn.Conv3d(2, 3, 3, padding=1), nn.Conv3d(3, 3, 3, padding=1)
            self.head = nn.Linear(3, 2)

        def forward(self, images):
            features = torch.relu(self.stem(images))
            return self.head(torch.relu(self.way(features) + features).mean((2, 3, 4)))

    network, image = Branching().eval(), torch.rand(1, 2, 9, 8, 9)
    options = {"patch": 2, "stride": 2, "channels": channels}
    found = occlusion(network, image, 1, **options)
    monkeypatch.setattr("heatproof.attribute.occlusion.method.FEW", 10**9)
    torch.testing.assert_close(found, occlusion(network, image, 1, **options), rtol=1e-3, atol=1e-7)


def test_grad_cam_shares_captums_map_among_channels(model, scans):
    found = explain(model, scans, method="grad_cam", output="logit")
    exact = LayerGradCam(model, model[2 + 4]).attribute(scans, target=1)
    exact = LayerAttribution.interpolate(exact, SHAPE, "trilinear").detach()
    torch.testing.assert_close(found.sum(1, keepdim=True), exact, rtol=1e-4, atol=1e-7)
    assert torch.equal(found[:, 0], found[:, 1])


def test_the_effect_of_a_channel_is_by_hand_and_that_of_the_whole_grid_of_both(model, scans):
    images, references = scans[:1], scans[1:]

    def margin(one, other):
        with torch.no_grad():
            return float(model(torch.cat([one, other], 1)).diff(dim=1))

    (own, also), (new, fresh) = images.split(1, 1), references.split(1, 1)
    found = channel_effects(model, images, references, 1)
    whole, healthy = margin(own, also), margin(new, fresh)
    expected = [[whole - margin(new, also), whole - margin(own, fresh)]]
    np.testing.assert_allclose(found.first, expected, atol=1e-5)
    np.testing.assert_allclose(found.last, [[margin(own, fresh) - healthy, margin(new, also) - healthy]], atol=1e-5)
    both = unit_effects(model, images, references, torch.ones(SHAPE, dtype=torch.int64), 1)
    np.testing.assert_allclose(both.first[0, 0], whole - healthy, atol=1e-5)
    np.testing.assert_allclose(found.first[0, 0] + found.last[0, 1], whole - healthy, atol=1e-5)


def test_the_header_of_a_model_tells_channels_where_there_are_several(model, scans, tmp_path):
    options = {"function": PAPER_NETWORK, "inputs": 2, **SMALL}
    save_model(model, SHAPE, options, tmp_path / "two.safetensors")
    torch.testing.assert_close(load_model(tmp_path / "two.safetensors")(scans), model(scans))
    torch.manual_seed(0)
    one = create_network(SHAPE, {"function": PAPER_NETWORK, **SMALL})
    torch.manual_seed(0)
    assert all(map(torch.equal, one.state_dict().values(), build_network(SHAPE, **SMALL).state_dict().values()))


@pytest.mark.parametrize("name", ["sfcn", "resnet18", "densenet121"])
def test_presets_take_channels(name):
    if name != "sfcn":
        pytest.importorskip("monai")
    network = create_network((32, 32, 32), {"function": f"{presets.__name__}:{name}", "inputs": 3, "outputs": 4})
    with torch.no_grad():
        assert network.eval()(torch.rand(1, 3, 32, 32, 32)).shape == (1, 4)


def test_a_network_of_another_number_of_channels_is_refused(tmp_path):
    options = {"network": {"function": f"{networks.__name__}:sfcn", "inputs": 2}, "batch_size": 2}
    with pytest.raises(
        StudyError, match=r"and of 2 channels \(.*\); let its function take their number as in_channels"
    ):
        check_network(torch.ones(SHAPE, dtype=torch.bool), options, tmp_path)
