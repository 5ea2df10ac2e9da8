"""A MAPS of ClinicaDL 2: `train.models` is its folder, and it says what the config does not."""

import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from clinicadl_outputs import SHAPE, drawn, scans
from maps_folder import OUTPUTS, SCALED, make_maps, people

from heatproof import cli
from heatproof.cohort.split import split_participants
from heatproof.config import over_default
from heatproof.config_checks import check_config
from heatproof.describe.write_provenance import imported
from heatproof.errors import StudyError
from heatproof.feasibility import check_feasibility
from heatproof.interface import explain, load_model
from heatproof.train.clinicadl import check_learned, network_in, taken_on_trust
from heatproof.train.import_model import import_model
from heatproof.train.imported import with_imported_models
from heatproof.train.network import create_network

OF_RELU = ("densenet", "resnet", "seresnet", "seresnet_of_bottlenecks")


def read(folder, **own):
    """Read a config that names a MAPS and little else."""
    laid_over = {**own, "train": {"models": str(folder), **own.get("train", {})}}
    return with_imported_models(over_default(laid_over, "config/config.yaml"), laid_over)


@pytest.mark.parametrize("kind", OUTPUTS)
def test_a_network_has_clinicadl_s_weights_by_name_and_gives_its_outputs(tmp_path, kind):
    network = network_in(make_maps(tmp_path / "maps", kind))
    model = create_network(SHAPE, network | {"classes": 1}).eval()
    own = model.state_dict()
    shapes = {f"network.{name}": list(tensor.shape) for name, tensor in own.items()}
    assert shapes == OUTPUTS[kind]["weights"]
    model.load_state_dict(drawn_for(own))
    with torch.no_grad():
        outputs = model(scans()).flatten()
    assert torch.allclose(outputs, torch.tensor(OUTPUTS[kind]["outputs"]), rtol=1e-5, atol=1e-5)


def drawn_for(weights):
    of_model = drawn({f"network.{name}": tensor for name, tensor in weights.items()})
    return {name.removeprefix("network."): tensor for name, tensor in of_model.items()}


@pytest.mark.parametrize("kind", OUTPUTS)
def test_its_one_output_is_the_margin_of_patients_and_is_explained(tmp_path, kind):
    config = read(make_maps(tmp_path / "maps", kind))
    model = import_model(tmp_path / "maps/training/split-0/models/final/model.pt", SHAPE, config["train"]["network"])
    with torch.no_grad():
        logits = model(scans())
    assert torch.allclose(logits[:, 1], torch.tensor(OUTPUTS[kind]["outputs"]), rtol=1e-5, atol=1e-5)
    assert torch.equal(logits[:, 0], torch.zeros(2))
    methods = {
        "gradient_input": {},
        **({"lrp": {"rule": "alpha1_beta0"}, "guided_backprop": {}} if kind in OF_RELU else {}),
    }
    for method, options in methods.items():
        maps = explain(model, scans(), method=method, **options)
        assert maps.isfinite().all() and maps.any()


def test_the_folder_alone_names_models_network_intensity_scans_and_space(tmp_path):
    (tmp_path / "caps").mkdir()
    config = read(make_maps(tmp_path / "maps", caps=tmp_path / "caps"))
    models = {
        str(split): f"{tmp_path}/maps/training/split-{split}/models/best_models/best-loss/model.pt" for split in (0, 1)
    }
    assert config["train"]["models"] == models and config["train"]["seeds"] == [0, 1]
    assert config["train"]["network"]["function"] == "heatproof.train.clinicadl_networks:cnn"
    assert (config["train"]["intensity"], config["train"]["within"]) == ("zscore", "grid")
    assert config["cohort"]["bids"] == str(tmp_path / "caps")
    assert config["cohort"]["select"] == {"space": "MNI152NLin2009cSym", "desc": "Crop", "res": "1x1x1"}
    assert config["register"]["transform"] == "none" and config["register"]["space"] == "MNI152NLin2009cSym"
    check_config(config)


def test_a_user_s_own_word_goes_before(tmp_path):
    (tmp_path / "caps").mkdir()
    network = {"function": "networks:sfcn"}
    config = read(
        make_maps(tmp_path / "maps", caps=tmp_path / "caps"),
        train={"network": network, "intensity": [0, 100]},
        cohort={"bids": "other"},
    )
    assert config["train"]["intensity"] == [0, 100] and config["cohort"]["bids"] == "other"
    assert list(taken_on_trust(config)) == [f"{tmp_path}/maps scaled scans by zscore, and train.intensity is [0, 100]"]


def test_final_weights_are_named_by_a_pattern_and_find_their_network(tmp_path):
    folder = make_maps(tmp_path / "maps", "resnet")
    laid_over = {"train": {"models": f"{folder}/training/split-{{seed}}/models/final/model.pt", "seeds": [1]}}
    config = with_imported_models(over_default(laid_over, "config/config.yaml"), laid_over)
    assert config["train"]["models"] == {"1": f"{folder}/training/split-1/models/final/model.pt"}
    assert config["train"]["network"]["n_features"] == [8, 16]


def test_a_model_is_loaded_by_its_path_alone(tmp_path):
    path = make_maps(tmp_path / "maps") / "training/split-0/models/final/model.pt"
    scan = scans()[:1]
    assert explain(load_model(path), scan, method="gradient_input").shape == scan.shape
    with pytest.raises(StudyError, match="load_model needs the shape of a scan beside its network"):
        load_model(make_maps(tmp_path / "other", "resnet") / "training/split-0/models/final/model.pt")


def test_a_scan_is_explained_from_a_shell(tmp_path):
    path = make_maps(tmp_path / "maps", "resnet") / "training/split-0/models/final/model.pt"
    nib.save(nib.Nifti1Image(scans()[0, 0].numpy(), np.eye(4)), tmp_path / "scan.nii.gz")
    cli.explain([str(path), f"{tmp_path}/scan.nii.gz", "--method", "gradient_input", "--out", f"{tmp_path}/map.nii.gz"])
    assert nib.load(tmp_path / "map.nii.gz").shape == SHAPE


SCALINGS = {
    "zscore": [SCALED],
    "none": [],
    "percentiles": [
        {"name_": "RescaleIntensity", "out_min_max": [0, 1], "percentiles": [1, 99], "masking_method": None}
    ],
}


@pytest.mark.parametrize("name", SCALINGS)
def test_scaling_is_taken_and_what_else_was_done_to_scans_is_told(tmp_path, name):
    transforms = [*SCALINGS[name], {"name_": "CropOrPad"}]
    config = read(make_maps(tmp_path / "maps", transforms=transforms))
    assert config["train"]["intensity"] == ([1, 99] if name == "percentiles" else name)
    assert next(taken_on_trust(config)).endswith(
        "prepared scans by CropOrPad, which is not done here: scans must have been so prepared already"
    )


def test_all_but_those_whom_the_models_know_are_tested(tmp_path):
    config = read(make_maps(tmp_path / "maps"), cohort={"split": {"test": "all"}})
    cohort = people([0, 1, 2, 3]).assign(label=["patient", "control"] * 2)
    split = split_participants(cohort, config["cohort"]["split"])
    assert split.tolist() == ["train", "train", "test", "test"]
    check_learned(config, cohort.assign(split=split))
    with pytest.raises(StudyError, match=r"puts sub-01 into test, and .*train/split-1/data.tsv says that model 1 was"):
        check_learned(config, cohort.assign(split=["validation", "test", "test", "test"]))


def test_provenance_has_what_the_folder_says(tmp_path):
    told = imported(read(make_maps(tmp_path / "maps"))["train"])["imported"]
    assert told["clinicadl"]["network"]["name_"] == "CNN" and told["clinicadl"]["preprocessing"] == [SCALED]
    assert told["clinicadl"]["files"]["data_type"] == "t1_linear" and len(told["weights"]["0"]["sha256"]) == 64


def test_a_working_grid_of_another_shape_is_refused_unless_it_is_that_of_the_scans(tmp_path):
    config = read(make_maps(tmp_path / "maps"), cohort={"bids": "caps"}, register={"voxel_size": 8.0})
    with pytest.raises(
        StudyError, match=r"takes scans of 24 x 32 x 24 voxels, and the working grid has 24 x 29 x 24; name"
    ):
        check_feasibility(config)
    scan = nib.Nifti1Image(np.zeros(SHAPE, np.float32), nib.affines.from_matvec(np.diag([8, 8, 8]), [-92, -140, -74]))
    nib.save(scan, tmp_path / "scan.nii.gz")
    config["register"]["grid"] = str(tmp_path / "scan.nii.gz")
    check_feasibility(config)
    with pytest.raises(
        StudyError, match=r"voxels of 8 x 8 x 8 mm, and register.voxel_size is 4; set register.voxel_size to 8"
    ):
        check_feasibility(config | {"register": config["register"] | {"voxel_size": 4.0}})
    flipped = nib.Nifti1Image(scan.dataobj, np.diag([-8, 8, 8, 1]))
    nib.save(flipped, tmp_path / "scan.nii.gz")
    with pytest.raises(StudyError, match=r"scan.nii.gz, which register.grid names, has axes .* stored as LAS"):
        check_feasibility(config)


CHANGES = {
    "another network": (
        ["network", "name_"],
        "UNet",
        r"has the network UNet, and those that can be built from it are CNN, De",
    ),
    "a network of two dimensions": (
        ["network", "in_shape"],
        [1, 24, 24],
        r"has a network of 2 dimensions and 1 channels",
    ),
    "three classes": (
        ["network", "num_outputs"],
        3,
        r"has a network of 3 outputs; classifiers of two classes have 1 or 2",
    ),
    "a regression": (["loss", "name_"], "MSELoss", r"has the loss MSELoss, which trains no classifier"),
    "a probability as logit": (
        ["network", "mlp_args", "output_act"],
        "sigmoid",
        r"has sigmoid behind its one output, which BCE",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_no_classifier_of_scans_is_refused(tmp_path, name):
    (*way, last), value, message = CHANGES[name]
    path = make_maps(tmp_path / "maps") / "model.json"
    model = place = json.loads(path.read_text())
    for key in way:
        place = place[key]
    place[last] = value
    path.write_text(json.dumps(model))
    with pytest.raises(StudyError, match=message):
        read(tmp_path / "maps")


def test_probabilities_are_taken_off_where_the_loss_is_of_probabilities(tmp_path):
    path = make_maps(tmp_path / "maps", "resnet") / "model.json"
    model = json.loads(path.read_text())
    model["loss"]["name_"], model["network"]["output_act"] = "BCELoss", "sigmoid"
    path.write_text(json.dumps(model))
    assert network_in(tmp_path / "maps")["output_act"] is None


def test_a_folder_that_is_no_maps_models_of_patches_and_a_file_that_is_cut_off_are_refused(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "old/maps.json").touch()
    with pytest.raises(
        StudyError, match=r"old, which is no MAPS of ClinicaDL 2 but one of ClinicaDL 1 .*name files of"
    ):
        read(tmp_path / "old")
    folder = make_maps(tmp_path / "maps")
    path = folder / "training/data/train/split-0/dataset.json"
    dataset = json.loads(path.read_text())
    dataset["transforms"]["extraction"]["name_"] = "Patch"
    path.write_text(json.dumps(dataset))
    with pytest.raises(StudyError, match=r"was trained on samples of patchs?(es)?; Heatproof explains models of whole"):
        read(folder)
    path.write_text("{")
    with pytest.raises(StudyError, match=r"dataset.json of a MAPS, which train.models names, cannot be read"):
        read(folder)


def test_a_table_of_whom_models_know_needs_their_names(tmp_path):
    pd.DataFrame({"person": ["sub-01"]}).to_csv(tmp_path / "learned.tsv", sep="\t", index=False)
    with pytest.raises(StudyError, match=r"learned.tsv needs the column participant_id; it has person"):
        split_participants(people([1]), {"test": "all", "learned": tmp_path / "learned.tsv"})
