"""`import heatproof`: what the stages do, on arrays and single files."""

import os
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import nn

import heatproof
from heatproof.attribute.explain import explain

SHAPE = (6, 7, 8)


@pytest.fixture
def model():
    torch.manual_seed(0)
    layers = [nn.Conv3d(1, 2, 3, padding=1), nn.BatchNorm3d(2), nn.ReLU(), nn.AdaptiveAvgPool3d(2), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(16, 3)).eval()


@pytest.fixture
def scans():
    return torch.rand(2, 1, *SHAPE, generator=torch.Generator().manual_seed(1))


def test_the_import_alone_takes_in_neither_torch_nor_anything_heavy():
    code = "import heatproof, sys; sys.exit(bool({'torch', 'numpy', 'nibabel'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": "src"}).returncode == 0


def test_every_name_is_there_and_an_unknown_one_is_told_with_the_choices():
    assert all(getattr(heatproof, name) is not None for name in heatproof.NAMES)
    assert set(heatproof.NAMES) <= set(dir(heatproof))
    with pytest.raises(AttributeError, match=r"no 'explian'; it has load_model, explain, measure"):
        _ = heatproof.explian


def test_a_tensor_or_an_array_is_explained_as_the_stage_explains_it(model, scans):
    expected = explain(model, scans, method="gradient_input", output="logit")
    assert torch.equal(heatproof.explain(model, scans, method="gradient_input", output="logit"), expected)
    assert torch.equal(heatproof.explain(model, scans.numpy(), method="gradient_input", output="logit"), expected)


def test_a_target_is_a_name_or_an_index(model, scans):
    settings = {"method": "gradient_input", "output": "logit"}
    maps = [heatproof.explain(model, scans, target=target, **settings) for target in (0, 1, 2)]
    assert torch.equal(maps[1], heatproof.explain(model, scans, target="patient", **settings))
    with torch.no_grad():
        predicted = model(scans).argmax(1)
    own = torch.stack([maps[target][row] for row, target in enumerate(predicted)])
    assert torch.allclose(own, heatproof.explain(model, scans, target="predicted", **settings))
    inputs = scans.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(inputs)[:, 2].sum(), inputs)
    torch.testing.assert_close(maps[2], scans * gradient)


def test_a_file_gives_an_image_on_its_grid(model, tmp_path):
    affine = np.diag([-2.0, 2, 2, 1])  # x runs to the left: the model is given it from left to right
    array = np.random.default_rng(2).random(SHAPE).astype(np.float32)
    nib.save(nib.Nifti1Image(array, affine), tmp_path / "scan.nii.gz")
    heatmap = heatproof.explain(model, tmp_path / "scan.nii.gz", method="gradient_input")
    turned = torch.from_numpy(array[::-1].copy())[None, None]
    expected = explain(model, turned, method="gradient_input")[0, 0].numpy()[::-1]
    np.testing.assert_array_equal(heatmap.get_fdata(), expected)
    np.testing.assert_array_equal(heatmap.affine, affine)


REFUSED = {
    "method": (
        {"method": "saliency"},
        "explain.method is 'saliency', .* choose one of gradient_input, integrated_grad",
    ),
    "option": ({"method": "lrp", "gama": 1}, "explain has no option 'gama'; lrp has"),
    "target": ({"method": "lrp", "target": "AD"}, "explain.target is 'AD'; choose one of patient, predicted"),
    "class": ({"method": "lrp", "target": 3}, "class 3 is to be explained, and the network has 3 output"),
    "negative class": ({"method": "lrp", "target": -1}, "target is -1; give a class index from 0 on"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_mistakes_are_told_with_the_choices(model, scans, name):
    options, message = REFUSED[name]
    with pytest.raises(heatproof.StudyError, match=message):
        heatproof.explain(model, scans, **options)


def test_a_model_in_training_mode_and_scans_of_another_shape_are_refused(model, scans):
    with pytest.raises(heatproof.StudyError, match=r"training mode; call model.eval\(\) first"):
        heatproof.explain(model.train(), scans, method="lrp")
    with pytest.raises(heatproof.StudyError, match=r"shape \(6, 7, 8\); give \(scans, channels, x, y, z\)"):
        heatproof.explain(model.eval(), scans[0, 0], method="lrp")
    with pytest.raises(heatproof.StudyError, match=r"NaN or infinite"):
        heatproof.explain(model, scans * torch.nan, method="lrp")


def test_weights_need_their_network_and_a_shape(tmp_path, model):
    network = {"filters": [2], "pools": [2], "hidden": 3}
    torch.manual_seed(0)
    built = heatproof.train.network.create_network((8, 8, 8), network).eval()
    torch.save(built.state_dict(), tmp_path / "own.pt")
    read = heatproof.load_model(tmp_path / "own.pt", network, (8, 8, 8))
    image = torch.rand(1, 1, 8, 8, 8)
    assert not read.training and torch.equal(read(image), built(image))
    with pytest.raises(
        heatproof.StudyError, match=r"own.pt is no model of a study, .*; give network and shape with it"
    ):
        heatproof.load_model(tmp_path / "own.pt")
    heatproof.train.network.save_model(built, (8, 8, 8), network, tmp_path / "model.safetensors")
    assert torch.equal(heatproof.load_model(tmp_path / "model.safetensors")(image), built(image))
    with pytest.raises(heatproof.StudyError, match=r"needs the shape of a scan"):
        heatproof.load_model(tmp_path / "own.pt", network)


def test_maps_are_measured_by_name():
    random, brain = np.random.default_rng(0), np.ones(SHAPE, bool)
    brain[0] = False
    one, other = random.normal(size=(2, *SHAPE))
    assert heatproof.measure("pearson", one, other, brain=brain) == pytest.approx(
        np.corrcoef(one[brain], other[brain])[0, 1], abs=1e-6
    )
    top = [np.abs(values[brain]) >= np.quantile(np.abs(values[brain]), 0.9) for values in (one, other)]
    share = 2 * (top[0] & top[1]).sum() / (top[0].sum() + top[1].sum())
    assert heatproof.measure("dice", one, other, brain=brain, top_percent=10) == pytest.approx(share, abs=0.03)
    true = other > 1
    mass = np.abs(one[brain & true]).sum() / np.abs(one[brain]).sum()
    assert heatproof.measure("true_mass", one, true, brain=brain) == pytest.approx(mass, rel=1e-5)
    for name in ("spearman", "ssim", "l2_rms"):
        assert np.isfinite(heatproof.measure(name, one, other, brain=brain))
    with pytest.raises(heatproof.StudyError, match=r"no measure 'cosine' of maps; choose one of l2_rms, pearson"):
        heatproof.measure("cosine", one, other, brain=brain)
    with pytest.raises(heatproof.StudyError, match=r"bring all to one grid"):
        heatproof.measure("pearson", one, other[1:], brain=brain)
