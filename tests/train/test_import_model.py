"""Weights that were trained elsewhere: the same model, or one sentence that says why not."""

import importlib
import json
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from heatproof.attribute.explain import explain
from heatproof.attribute.outputs import with_margin
from heatproof.device import prepare_device
from heatproof.errors import StudyError
from heatproof.store import open_store
from heatproof.tables import write_table
from heatproof.task import PATIENTS
from heatproof.train.fit_model import fit_model
from heatproof.train.import_model import import_model
from heatproof.train.network import create_network, load_model, save_model, widened

SHAPE = (12, 12, 12)
NETWORK = {"filters": [2, 3], "pools": [2, 2], "padding": 1, "hidden": 4}
TRAINING = {
    "network": NETWORK,
    "learning_rate": 1e-3,
    "weight_decay": 1e-4,
    "batch_size": 2,
    "epochs": 2,
    "patience": {"epochs": 8, "from_epoch": 15},
    "keep": "accuracy",
    "augmentation": {"flip": {"axis": "x", "probability": 0.5}, "shift": {"axis": "y", "voxels": 1}},
    "precision": "float32",
}
MAPS = {
    "lrp": {"method": "lrp", "target": "patient", "output": "margin", "sign": "signed", "rule": "alpha1_beta0"},
    "occlusion": {"method": "occlusion", "target": "patient", "output": "margin", "sign": "signed", "patch": 6}
    | {"stride": 6, "baseline": 0.0, "mask": "brain"},
}


def make_store(folder, mask, count=4):
    """Pack random scans of patients and controls in turn, whose patients are darker."""
    images = np.random.default_rng(0).random((count, *mask.shape)) * mask
    images[::2] *= 0.7
    np.save(folder / "test.npy", images.astype(np.float16))
    labels = ["patient", "control"] * (count // 2)
    names = [f"sub-{i}" for i in range(count)]
    write_table(pd.DataFrame({"scan": names, "participant_id": names, "label": labels}), folder / "test.tsv")
    return open_store(folder / "test.npy")


def trained(store, network=NETWORK):
    seeds = {"initialisation": 3, "order": 3}
    return fit_model(store, store, TRAINING | {"network": network}, seeds, prepare_device("cpu"))[0]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The weights of a network after two epochs, on a small grid."""
    return trained(make_store(tmp_path_factory.mktemp("store"), np.ones(SHAPE))).state_dict()


def run(monkeypatch, command, *arguments):
    monkeypatch.setattr("sys.argv", [command, *map(str, arguments)])
    importlib.import_module(command).main()


def test_imported_weights_of_a_study_give_its_models_predictions_and_maps_byte_for_byte(
    tmp_path, small_brain, monkeypatch
):
    store, shape = make_store(tmp_path, small_brain.mask), small_brain.mask.shape
    model = trained(store)
    save_model(model, shape, NETWORK, tmp_path / "model.safetensors")
    torch.save(model.state_dict(), tmp_path / "own.pt")
    arguments = ["--mask", small_brain.folder / "brain_mask.nii.gz", "--network", json.dumps(NETWORK)]
    for weights, out in (("own.pt", "imported.safetensors"), ("model.safetensors", "again.safetensors")):
        out = ["--weights", tmp_path / weights, "--out", tmp_path / out]
        run(monkeypatch, "heatproof.train.import_model", *arguments, *out)
    shared = ["--batch-size", 2, "--device", "cpu", "--task", json.dumps(PATIENTS._asdict())]
    made = {}
    for name in ("model", "imported", "again"):
        folder = tmp_path / name
        model = ["--model", tmp_path / f"{name}.safetensors"]
        predicted = ["--stores", tmp_path / "test.npy", "--out", tmp_path / f"{name}.tsv"]
        run(monkeypatch, "heatproof.train.predict_scans", *model, *shared, *predicted)
        for method, options in MAPS.items():
            explained = ["--scans", tmp_path / "test.npy", "--template", small_brain.folder, "--name", method]
            explained += ["--options", json.dumps(options), "--out-dir", folder / method]
            run(monkeypatch, "heatproof.attribute.explain", *model, *shared, *explained)
        files = [tmp_path / f"{name}.safetensors", tmp_path / f"{name}.tsv", *sorted(folder.glob("*/*.nii.gz"))]
        made[name] = [file.read_bytes() for file in files]
    assert len(made["model"]) == 2 + 2 * 4
    assert made["imported"] == made["model"] and made["again"] == made["model"]


def prefixed(weights, prefix):
    return {prefix + name: tensor for name, tensor in weights.items()}


def as_of_parallel_training(weights):
    return prefixed(weights, "module.")


def as_of_lightning(weights):
    return {"epoch": 3, "state_dict": prefixed(weights, "model.net."), "hyper_parameters": {"lr": 1e-3}}


def as_of_clinicadl(weights):
    return {"model": weights, "epoch": 3, "name": "CNN"}


def with_optimiser(weights):
    parameter = torch.nn.Parameter(torch.ones(3))
    optimiser = torch.optim.Adam([parameter])
    parameter.sum().backward()
    optimiser.step()
    return {"model_state_dict": weights, "optimizer_state_dict": optimiser.state_dict(), "loss": 0.5}


def as_of_old_torch(weights):
    return {name: tensor for name, tensor in weights.items() if "num_batches" not in name}


WRITTEN = [as_of_parallel_training, as_of_lightning, as_of_clinicadl, with_optimiser, as_of_old_torch]


@pytest.mark.parametrize("written", WRITTEN)
def test_weights_are_found_as_people_write_them(tmp_path, weights, written):
    torch.save(written(weights), tmp_path / "own.pt")
    read = import_model(tmp_path / "own.pt", SHAPE, NETWORK)
    assert not read.training
    for name, tensor in read.state_dict().items():
        assert torch.equal(tensor, weights[name]) or "num_batches" in name


def test_safetensors_may_have_a_prefix_and_half_precision(tmp_path, weights):
    halved = {name: tensor.contiguous() for name, tensor in weights.items()}
    halved = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in halved.items()}
    save_file(as_of_parallel_training(halved), tmp_path / "own.safetensors")
    read = import_model(tmp_path / "own.safetensors", SHAPE, NETWORK).state_dict()
    assert torch.equal(read["0.weight"], weights["0.weight"].half().float())


def test_names_that_the_network_itself_begins_with_stay(tmp_path):
    torch.manual_seed(1)
    network = {"function": "networks:sfcn"}
    state = create_network(SHAPE, network).state_dict()
    assert all(name.startswith(("body.", "classifier.")) for name in state)
    torch.save(prefixed(state, "module."), tmp_path / "own.pt")
    read = import_model(tmp_path / "own.pt", SHAPE, network).state_dict()
    assert all(torch.equal(read[name], state[name]) for name in state)


def test_one_output_becomes_two_of_the_same_margin(tmp_path):
    torch.manual_seed(1)
    single = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12**3, 1))
    torch.save(single.state_dict(), tmp_path / "own.pt")
    model = import_model(tmp_path / "own.pt", SHAPE, {"function": "networks:linear"})
    scans = torch.rand(2, 1, *SHAPE)
    with torch.no_grad():
        assert torch.allclose(model(scans), torch.cat([torch.zeros(2, 1), single(scans)], 1), atol=1e-6)
    torch.save(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12**3, 3)).state_dict(), tmp_path / "own.pt")
    with pytest.raises(StudyError, match=r"its 1.weight is of shape 3 x 1728, that of train.network 2 x 1728"):
        import_model(tmp_path / "own.pt", SHAPE, {"function": "networks:linear"})


def test_the_first_weight_of_another_network_is_named_with_both_shapes(tmp_path, weights):
    torch.save(weights, tmp_path / "own.pt")
    wider = NETWORK | {"filters": [2, 5]}
    with pytest.raises(StudyError, match=r"own.pt is of another network: its 4.weight is of shape 3 x 2 x 3 x 3 x 3, "):
        import_model(tmp_path / "own.pt", SHAPE, wider)
    with pytest.raises(
        StudyError, match=r"its 10.weight is of shape 4 x 81, that of train.network 4 x 375; .*voxel_si"
    ):
        import_model(tmp_path / "own.pt", (20, 20, 20), NETWORK)
    deeper = {"filters": [2, 3, 4], "pools": [2, 2, 2], "padding": 1, "hidden": 4}
    with pytest.raises(StudyError, match=r"has no 8.weight \(4 x 3 x 3 x 3 x 3\), which train.network has"):
        import_model(tmp_path / "own.pt", SHAPE, deeper)


def spoilt(weights):
    return weights | {"0.bias": torch.full_like(weights["0.bias"], torch.nan)}


REFUSED = {
    "further": (
        lambda weights: weights | {"gate.weight": torch.ones(2)},
        r"has gate.weight \(2\), which train.network",
    ),
    "not finite": (spoilt, "has values in 0.bias that are not finite"),
    "no weights": (lambda weights: {"epoch": 3}, "has no weights under any of state_dict"),
    "two models": (lambda weights: {"model": weights, "net": weights}, "has weights under model, net; write the state"),
    "a whole model": (lambda weights: torch.nn.Linear(2, 2), "holds more than weights, .* write model.state_dict"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_weights_of_this_network_is_refused(tmp_path, weights, name):
    change, message = REFUSED[name]
    torch.save(change(weights), tmp_path / "own.pt")
    with pytest.raises(StudyError, match=message):
        import_model(tmp_path / "own.pt", SHAPE, NETWORK)


@pytest.mark.parametrize("name", ["own.pt", "own.safetensors"])
def test_a_file_that_is_cut_off_or_of_something_else_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(StudyError, match=f"{name} (cannot be read|holds more than weights)"):
        import_model(tmp_path / name, SHAPE, NETWORK)


class OneLogit(nn.Module):
    """A network of one output, with or without a sigmoid."""

    def __init__(self, sigmoid: bool = False):
        super().__init__()
        self.body = nn.Sequential(nn.Conv3d(1, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool3d(2), nn.Flatten())
        self.head, self.sigmoid = nn.Linear(16, 1), nn.Sigmoid() if sigmoid else nn.Identity()

    def forward(self, scans):
        return self.sigmoid(self.head(self.body(scans)))


def one_logit(sigmoid=False):
    return OneLogit(sigmoid)


@pytest.mark.parametrize("sigmoid", [False, True])
def test_a_network_of_one_logit_is_one_of_two_classes(tmp_path, monkeypatch, sigmoid):
    torch.manual_seed(1)
    trained_elsewhere, scans = OneLogit(sigmoid).eval(), torch.rand(3, 1, *SHAPE)
    save_file(trained_elsewhere.state_dict(), tmp_path / "one.safetensors")
    network = {"function": f"{__name__}:one_logit", "outputs": 1, "sigmoid": sigmoid}
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    model = import_model(tmp_path / "one.safetensors", SHAPE, network)
    with torch.no_grad():
        logit = trained_elsewhere.head(trained_elsewhere.body(scans))[:, 0]
        torch.testing.assert_close(model(scans).softmax(1)[:, 1], logit.sigmoid())
        torch.testing.assert_close(with_margin(model)(scans), torch.stack([-logit, logit], dim=1))
    save_model(model, SHAPE, network, tmp_path / "model.safetensors")
    with torch.no_grad():
        torch.testing.assert_close(load_model(tmp_path / "model.safetensors")(scans), model(scans))
    for method, options in {"lrp": {}, "occlusion": {"patch": 6, "stride": 6}, "gradient_input": {}}.items():
        assert explain(model, scans, method=method, **options).abs().max() > 0


def test_one_output_that_is_made_of_more_than_the_last_layer_is_refused():
    network = nn.Sequential(nn.Flatten(), nn.Linear(8, 1), nn.Softplus())
    with pytest.raises(
        StudyError, match=r"train.network.outputs is 1, and the network's output is not that of its last"
    ):
        widened(network, (1, 2, 2, 2))
