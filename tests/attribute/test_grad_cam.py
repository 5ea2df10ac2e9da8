"""Grad-CAM equals captum's, interpolated by captum, for whatever way a network applies its ReLUs."""

import copy
from functools import partial

import captum.attr
import pytest
import torch
from torch import nn
from torch.nn import functional

from heatproof.attribute.grad_cam import grad_cam
from heatproof.attribute.outputs import with_margin, with_softmax
from heatproof.errors import StudyError

assert_equal = partial(torch.testing.assert_close, rtol=1e-6, atol=1e-12)


def captum_grad_cam(model, layer, images, target):
    maps = captum.attr.LayerGradCam(model, layer).attribute(images, target=target)
    return captum.attr.LayerAttribution.interpolate(maps, images.shape[2:], "trilinear").detach()


@pytest.mark.parametrize("target", [1, torch.tensor([1, 0, 1])])
@pytest.mark.parametrize(("layer", "module"), [(-1, 14), (-2, 10), (0, 2)])
@pytest.mark.parametrize("wrap", [lambda model: model, with_softmax], ids=["logit", "probability"])
def test_each_relu_behind_a_convolution_is_explained_as_captum_does(wrap, layer, module, target, paper_network, scans):
    model = wrap(copy.deepcopy(paper_network))
    expected = captum_grad_cam(model, model[module], scans, target)
    assert_equal(grad_cam(wrap(paper_network), scans, target, layer=layer), expected)


def test_one_feature_map_is_the_map_itself_halfway_between_its_voxels():
    model = nn.Sequential(nn.Conv3d(1, 1, 1), nn.MaxPool3d((1, 1, 2)), nn.ReLU(), nn.Flatten(), nn.Linear(2, 2)).eval()
    for weight, value in zip(model.parameters(), ([1], [0], [0, 0, 1, 3], [0, 0]), strict=True):
        weight.data = torch.tensor(value, dtype=torch.float32).reshape(weight.shape)
    image = torch.tensor([0.0, 4.0, 8.0, 0.0]).reshape(1, 1, 1, 1, 4)
    # The mean slope is (1 + 3) / 2, the features 4 and 8 lie at voxels 0.5 and 2.5, and beyond them nothing changes.
    assert grad_cam(model, image, 1).flatten().tolist() == [8, 10, 14, 16]


class Residual(nn.Module):
    """A block whose second ReLU, applied in place as a function, follows a sum; a third one has no voxels."""

    def __init__(self):
        super().__init__()
        self.first, self.inner = nn.Conv3d(1, 3, 3, padding=1), nn.Conv3d(3, 3, 3, padding=1)
        self.last, self.hidden, self.head = nn.Identity(), nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, images):
        features = torch.relu(self.first(images))
        features = self.last(torch.relu_(self.inner(features) + features))
        return self.head(functional.relu(self.hidden(features.mean(dim=(2, 3, 4)))))


def test_a_network_that_is_no_chain_is_explained_by_its_last_relu_with_voxels():
    torch.manual_seed(0)
    model, images = Residual().double().eval(), torch.rand(2, 1, 4, 5, 6, dtype=torch.float64)
    assert_equal(grad_cam(model, images, 1), captum_grad_cam(model, model.last, images, 1))


def test_a_scan_is_explained_alone_as_it_is_among_others(paper_network, scans):
    alone = [grad_cam(paper_network, scan[None], 1) for scan in scans]
    torch.testing.assert_close(grad_cam(paper_network, scans, 1), torch.cat(alone))


def test_model_and_images_stay_as_they_were(paper_network, scans, untouched):
    check, before = untouched(paper_network), scans.clone()
    with torch.no_grad():
        heatmaps = grad_cam(paper_network, scans, 1)
    with pytest.raises(StudyError, match="class 7 is to be explained"):
        grad_cam(paper_network, scans, 7)
    check()
    assert torch.equal(scans, before)
    assert not heatmaps.requires_grad


@pytest.mark.parametrize("layer", [-5, 4])
def test_a_layer_that_is_not_there_is_refused(layer, paper_network, scans):
    with pytest.raises(
        StudyError, match=rf"no layer {layer}: for scans of 36 x 38 x 36 .* has 4 activations with more than one"
    ):
        grad_cam(paper_network, scans, 1, layer=layer)


class Excited(nn.Module):
    """Squeeze and excitation, whose own ReLU has one voxel, between two convolutions and before one of one voxel."""

    def __init__(self, rectify):
        super().__init__()
        self.first, self.second, self.third = nn.Conv3d(1, 3, 3), nn.Conv3d(3, 4, 2), nn.Conv3d(4, 5, (3, 3, 4))
        self.squeeze, self.excite, self.head = nn.Conv3d(3, 2, 1), nn.Conv3d(2, 3, 1), nn.Conv3d(5, 2, 1)
        self.inner, self.last, self.rectify = nn.Identity(), nn.Identity(), rectify

    def forward(self, images):
        features = self.inner(self.rectify(self.first(images)))
        squeezed = self.rectify(self.squeeze(features.mean(dim=(2, 3, 4), keepdim=True)))
        features = features * torch.sigmoid(self.excite(squeezed))
        features = self.last(self.rectify(self.second(features)))
        return self.head(self.rectify(self.third(features))).flatten(1)


@pytest.mark.parametrize("rectify", [functional.relu, lambda inputs: inputs.clamp(min=0)], ids=["relu", "clamp"])
@pytest.mark.parametrize(("layer", "name"), [(-1, "last"), (-2, "inner"), (0, "inner")])
def test_a_layer_with_one_voxel_is_no_layer_to_look_at(layer, name, rectify):
    torch.manual_seed(0)
    model, images = Excited(rectify).double().eval(), torch.rand(2, 1, 6, 6, 7, dtype=torch.float64)
    heatmaps = grad_cam(model, images, 1, layer=layer)
    assert_equal(heatmaps, captum_grad_cam(model, getattr(model, name), images, 1))
    assert (heatmaps.amax((1, 2, 3, 4)) - heatmaps.amin((1, 2, 3, 4)) > 0).all()


def test_a_network_with_no_other_layer_than_such_is_refused():
    model = nn.Sequential(nn.Conv3d(1, 3, 4), nn.ReLU(), nn.Flatten(), nn.Linear(3, 2)).eval()
    with pytest.raises(StudyError, match="no layer -1: for scans of 4 x 4 x 4 voxels the network has 0 activations"):
        grad_cam(model, torch.rand(1, 1, 4, 4, 4), 1)


ACTIVATIONS = {
    "ReLU": {},
    "LeakyReLU": {"negative_slope": 0.2},
    "PReLU": {},
    "ELU": {"alpha": 0.7},
    "SELU": {},
    "CELU": {"alpha": 0.6},
    "GELU": {"approximate": "tanh"},
    "SiLU": {},
    "Mish": {},
    "Softplus": {"beta": 2.0},
    "ReLU6": {},
    "Hardswish": {},
    "Tanh": {},
}
IN_PLACE = ("ReLU", "LeakyReLU", "ELU", "SELU", "CELU", "SiLU", "Mish", "ReLU6", "Hardswish")


@pytest.mark.parametrize(
    ("name", "inplace"), [*((name, False) for name in ACTIVATIONS), *((name, True) for name in IN_PLACE)]
)
def test_any_activation_is_explained_as_captum_does(name, inplace):
    torch.manual_seed(0)
    activation = getattr(nn, name)(**ACTIVATIONS[name], **({"inplace": True} if inplace else {}))
    layers = [nn.Conv3d(1, 3, 3), activation, nn.Identity(), nn.Conv3d(3, 4, 2), nn.Flatten(), nn.LazyLinear(2)]
    model, images = nn.Sequential(*layers).eval(), torch.rand(2, 1, 5, 6, 4)
    model(images)
    model, images = model.double(), images.double()
    assert_equal(grad_cam(model, images, 1), captum_grad_cam(model, model[2], images, 1))


@pytest.mark.parametrize("wrap", [lambda model: model, with_softmax, with_margin], ids=["logit", "chance", "margin"])
def test_a_layer_is_named_as_the_network_names_it(wrap, paper_network, untouched):
    torch.manual_seed(0)
    model, images = Residual().double().eval(), torch.rand(2, 1, 4, 5, 6, dtype=torch.float64)
    check = untouched(model)
    for name in ("inner", "first"):
        expected = captum_grad_cam(wrap(model), getattr(model, name), images, 1)
        assert_equal(grad_cam(wrap(model), images, 1, layer=name), expected)
    nested = nn.Sequential(nn.Sequential(nn.Conv3d(1, 2, 3), nn.ReLU()), nn.Flatten(), nn.LazyLinear(2)).eval()
    nested(images.float())
    nested = nested.double()
    assert_equal(grad_cam(wrap(nested), images, 1, layer="0.1"), grad_cam(wrap(nested), images, 1))
    check()


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("neck", "no module of that name"),
        ("head", "gives no feature maps of more than one"),
        ("unused", "is not used by"),
    ],
)
def test_a_name_that_will_not_do_is_refused(layer, message, untouched):
    model = Residual().eval()
    model.unused = nn.Identity()
    check = untouched(model)
    with pytest.raises(StudyError, match=f"grad_cam('s| has no) layer '{layer}'.*{message}"):
        grad_cam(model, torch.rand(1, 1, 4, 5, 6), 1, layer=layer)
    check()
