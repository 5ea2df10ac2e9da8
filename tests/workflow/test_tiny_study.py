"""The whole study, tiny: every file that is promised is there, and fits the others."""

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from captum.attr import FeatureAblation

from heatproof.cohort.simulate_scan import simulate_scan
from heatproof.store import open_store
from heatproof.tables import own, read_table
from heatproof.train.network import load_model

ROOT = Path(__file__).parents[2]
METHODS = ["gradient_input", "guided_backprop", "integrated_gradients_mean_control", "lrp", "occlusion"]


@pytest.fixture(scope="module")
def results(tiny_study):
    return tiny_study.results


def test_every_table_has_its_columns(results):
    columns = {
        "cohort/scans.tsv": "scan participant_id session_id label split image",
        "register/template/regions.tsv": "index name volume_mm3",
        "compare/accuracy.tsv": "seed balanced_accuracy sensitivity specificity",
        "compare/l2.tsv": "method check outcome n_models l2_mean l2_sum rms",
        "compare/l2_pairs.tsv": "method check outcome seed_a seed_b l2 rms",
        "compare/top_regions.tsv": "method check metric k overlap_mean overlap_with_diagonal chance",
        "compare/top_regions_pairs.tsv": "method check metric seed_a seed_b overlap",
        "compare/overlap_curve.tsv": "method metric k overlap_mean chance",
        "compare/lrp/measures.tsv": "method check measure outcome left_out seed_a seed_b value chance",
        "compare/lrp/seed-0/units.tsv": "scan unit_kind unit sum voxels",
        "compare/effects/measures.tsv": "method check measure outcome left_out seed_a seed_b value chance",
        "compare/effects.tsv": "seed reference unit_kind n_scans margin margin_reference gap explained sum_first",
        "compare/checks.tsv": "method check seed pearson spearman",
        "attribute/effects/seed-1.tsv": "scan reference unit_kind unit effect_first effect_last effect",
        "attribute/effects/seed-1_margins.tsv": "scan reference margin margin_reference",
        "compare/checks_accuracy.tsv": "check seed balanced_accuracy sensitivity specificity",
        "compare/scores.tsv": "method check measure outcome value low high chance kind",
        "compare/differences.tsv": "measure outcome method_a method_b difference low high p p_corrected",
    }
    for name, expected in columns.items():
        table = read_table(results / name)
        assert list(table.columns)[: len(expected.split())] == expected.split(), name
        assert len(table), name


def test_every_test_scan_has_a_heatmap_of_every_method_and_model_on_the_working_grid(results):
    scans = read_table(results / "cohort/scans.tsv")
    mask = nib.load(results / "register/template/brain_mask.nii.gz")
    for scan in scans.loc[scans["split"] == "test", "scan"]:
        for method in METHODS:
            for seed in (0, 1):
                heatmap = nib.load(results / f"attribute/{method}/seed-{seed}/{scan}_heatmap.nii.gz")
                assert heatmap.get_data_dtype() == np.float32 and heatmap.shape == mask.shape
                np.testing.assert_allclose(heatmap.affine, mask.affine)
                assert np.isfinite(heatmap.get_fdata()).all()


def test_the_occlusion_maps_are_captum_s_in_float64(results):
    store = open_store(results / "train/store/test.npy")
    model = load_model(results / "train/seed-1/model.safetensors").double()
    images = torch.from_numpy(store.images.astype(np.float64))
    x, y, z = np.indices(images.shape[2:]) // 4
    blocks = torch.from_numpy(np.ravel_multi_index((x, y, z), (x.max() + 1, y.max() + 1, z.max() + 1)))
    brain = nib.load(results / "register/template/brain_mask.nii.gz").get_fdata() > 0
    touching = np.isin(blocks, blocks[brain])

    def margin(scans):
        return model(scans).diff(dim=1)[:, 0]

    exact = FeatureAblation(margin).attribute(images, feature_mask=blocks[None, None])
    model.float()
    in_float32 = FeatureAblation(margin).attribute(images.float(), feature_mask=blocks[None, None])
    error = (in_float32.double() - exact).abs().max().item()
    for scan, expected in zip(store.scans["scan"], exact[:, 0].numpy(), strict=True):
        heatmap = nib.load(results / f"attribute/occlusion/seed-1/{scan}_heatmap.nii.gz").get_fdata()
        assert np.abs(heatmap - expected * touching).max() <= max(error, 1e-7 * np.abs(expected).max()) > 0
        assert heatmap.any()


def test_a_voxel_that_is_not_finite_is_refused_by_the_name_of_its_scan(copied_study):
    path = copied_study.results / "train/store/test.npy"
    images = np.load(path)
    images[1, 3, 2, 4] = np.nan
    np.save(path, images)
    maps = copied_study.results.relative_to(copied_study.folder) / "attribute/occlusion/seed-0"
    done = copied_study.tiny("--cores", "1", "--force", str(maps))
    scan = open_store(path).scans["scan"][1]
    assert done.returncode == 1 and f"error: the scan {scan} has NaN or infinite voxels" in done.stdout


def test_the_other_results_are_there(results):
    scans = read_table(results / "cohort/scans.tsv")["scan"]
    for scan in scans:
        assert (results / f"register/{scan}/{scan}_space-MNI152NLin2009cAsym_T1w.nii.gz").is_file()
        assert (results / f"register/{scan}/qc.json").is_file()
        assert any((results / f"register/{scan}/transforms").iterdir())
    for name in ("dataset_description.json", "participants.tsv", "README", "sub-P001/sub-P001_sessions.tsv"):
        assert (results / "cohort/bids" / name).is_file()
    for name in ("regions.tsv", "scans.tsv", "log_jacobian.nii.gz"):
        assert (results / "cohort/ground_truth" / name).is_file()
    for seed in (0, 1):
        for name in ("model.safetensors", "history.tsv", "predictions.tsv"):
            assert (results / f"train/seed-{seed}/{name}").is_file()
        for method in METHODS:
            for outcome in ("TP", "TN", "FP", "FN"):
                assert (results / f"compare/{method}/seed-{seed}/mean_{outcome}.nii.gz").is_file()
    assert (results / "report/report.html").stat().st_size > 10_000
    assert {path.name[:8] for path in (results / "report").glob("figure-*.png")} == {"figure-1", "figure-2", "figure-3"}
    for stage in ("register", "train", "attribute", "compare"):
        description = json.loads((results / stage / "dataset_description.json").read_text())
        assert description["DatasetType"] == "derivative" and description["Configuration"]["study"] == "tiny"


def test_every_test_patient_has_a_twin_that_differs_by_severity_alone(results):
    cohort, twins, store = (read_table(results / f"cohort/{name}.tsv") for name in ("scans", "twins", "test"))
    packed, test = open_store(results / "train/store/twins.npy"), open_store(results / "train/store/test.npy")
    patients = store.loc[store["label"] == "patient", "scan"].tolist()
    assert packed.scans["scan"].tolist() == patients and set(packed.scans["label"]) == {"control"}
    assert not set(twins["twin"]) & set(cohort["scan"])
    quality = read_table(results / "register/qc.tsv")
    assert quality["scan"].tolist() == [*cohort["scan"], *twins["twin"]]
    assert quality["twin_of"].dropna().tolist() == patients
    simulate = yaml.safe_load((ROOT / "config/config.yaml").read_text())["cohort"]["simulate"] | {"voxel_size": 4.0}
    anatomy = dict(np.load(results / "cohort/anatomy.npz"))
    for row in twins.itertuples():
        twin = nib.load(results.parents[1] / row.image)
        healthy = simulate_scan(anatomy, simulate, row.participant_id, row.session_id, severity=0.0)
        assert np.array_equal(twin.dataobj, healthy.dataobj) and np.allclose(twin.affine, healthy.affine, atol=1e-4)
        pair = [store.images[store.scans["scan"].tolist().index(row.scan)] for store in (packed, test)]
        assert not np.array_equal(*pair) and np.corrcoef(*(image.ravel() for image in pair))[0, 1] > 0.9


def test_no_participant_is_in_two_splits(results):
    scans = read_table(results / "cohort/scans.tsv")
    assert (scans.groupby("participant_id")["split"].nunique() == 1).all()


def test_a_second_run_has_nothing_to_do(tiny_study):
    again = tiny_study.tiny("--cores", "2")
    assert again.returncode == 0 and "Nothing to be done" in again.stdout


def test_one_changed_parameter_runs_only_what_depends_on_it(tiny_study):
    def jobs(override: str) -> set[str]:
        return set(tiny_study.jobs("--configfile", "tests/workflow/tiny.yaml", "--config", override))

    changed = jobs("compare={top_k: 4}")
    assert "measure_method" in changed and not changed & {"average_maps", "explain_scans", "fit_model"}
    changed = jobs("attribute={methods: {occlusion: {patch: 5}}}")
    assert "explain_scans" in changed and not changed & {"fit_model", "predict_scans", "register_scan"}
    changed = jobs("train={learning_rate: 0.002}")
    assert {"fit_model", "explain_scans"} <= changed and not changed & {"pack_scans", "register_scan"}
    changed = jobs("report={dpi: 70}")
    assert "draw_seeds" in changed and not changed & {"average_maps", "measure_method", "write_tables", "fit_model"}


def test_a_further_model_is_trained_alone(tiny_study):
    jobs = tiny_study.jobs("--configfile", "tests/workflow/tiny.yaml", "--config", "train={seeds: [0, 1, 2]}")
    assert jobs["fit_model"] == 1 and jobs["explain_scans"] == 10 and "register_scan" not in jobs


def test_further_participants_leave_the_others_as_they_are(tiny_study):
    more = "cohort={simulate: {patients: 6, controls: 6}}"
    jobs = tiny_study.jobs("--configfile", "tests/workflow/tiny.yaml", "--config", more)
    assert jobs["simulate_scan"] == jobs["register_scan"] < 7


def test_an_excluded_scan_is_gone_everywhere_and_the_others_are_not_registered_again(tiny_study):
    scans = read_table(tiny_study.results / "cohort/scans.tsv")
    trained = scans.loc[scans["split"] == "train", "participant_id"].iloc[0]
    without = (
        "--configfile",
        "tests/workflow/tiny.yaml",
        "--config",
        f"cohort={{exclude: [sub-P005_ses-M12, {trained}]}}",
    )
    jobs = tiny_study.jobs(*without)
    assert {"list_scans", "pack_scans", "fit_model", "summarise_quality", "write_page"} <= set(jobs)
    assert not set(jobs) & {"simulate_scan", "register_scan", "prepare_template", "prepare_anatomy"}
    planned = tiny_study.snakemake("--dry-run", "--forceall", *without).stdout
    assert "register_scan" in planned and f"{trained}_" not in planned and f"{trained}/" not in planned


def test_snakemake_makes_its_own_report(tiny_study):
    done = tiny_study.tiny("--report", "snakemake-report.html")
    assert done.returncode == 0, done.stdout
    assert "figure-2-methods" in (tiny_study.folder / "snakemake-report.html").read_text()


def test_faithfulness_agrees_with_plain_pandas_on_the_run_s_own_tables(results):
    measured = own(read_table(results / "compare/lrp/measures.tsv"))
    found = measured.query("measure == 'faithfulness_pearson_cubes' and left_out == 0").set_index("seed_a")["value"]
    explained = read_table(results / "compare/effects.tsv").query("reference == 'twin'").set_index("seed")["explained"]
    for seed in (0, 1):
        predictions = read_table(results / f"train/seed-{seed}/predictions.tsv").query("split == 'test'")
        recognised = predictions.query("label == 'patient' and predicted == 'patient'")["scan"]
        effects = read_table(results / f"attribute/effects/seed-{seed}.tsv").query("unit_kind == 'cubes'")
        effects = effects[(effects["reference"] == "twin") & effects["scan"].isin(recognised)]
        units = read_table(results / f"compare/lrp/seed-{seed}/units.tsv").query("unit_kind == 'cubes'")
        sums = units[units["scan"].isin(recognised)].groupby("unit")["sum"].mean()
        if explained[seed].all():
            assert found[seed] == pytest.approx(
                sums.corr(effects.groupby("unit")["effect"].mean()), abs=1e-5, nan_ok=True
            )
        else:
            assert np.isnan(found[seed])


def test_top_regions_agree_with_plain_pandas_on_the_run_s_own_tables(results):
    pairs = read_table(results / "compare/top_regions_pairs.tsv")
    tables = {}
    for seed in (0, 1):
        regions = read_table(results / f"compare/lrp/seed-{seed}/regions.tsv")
        ranked = regions.dropna(subset=["sum"]).sort_values("sum", ascending=False, kind="stable")
        tables[seed] = set(ranked["region"].head(5))
    row = own(pairs[(pairs["method"] == "lrp") & (pairs["metric"] == "sum")])["overlap"].iloc[0]
    if pd.notna(row):
        assert row == pytest.approx(len(tables[0] & tables[1]) / 5)


def test_its_weights_imported_give_its_models_predictions_maps_and_tables_byte_for_byte(tiny_study, tmp_path):
    """Scans and their registration are copied, so that the models alone come another way."""
    study = type(tiny_study)(tmp_path / "checkout")
    shutil.copytree(tiny_study.results, study.results)
    imported = study.results.with_name("imported")
    for part in ("cohort", "register", "train/store"):
        shutil.copytree(study.results / part, imported / part)
    folder, tables = (
        "attribute/lrp/seed-1",
        ["train/seed-0/predictions.tsv", "compare/gradient_input/seed-0/regions.tsv"],
    )
    targets = [f"results/imported/{path}" for path in (folder, *tables)]
    own = ("study=imported", "train={models: 'results/tiny/train/seed-{seed}/model.safetensors'}")
    done = study.tiny("--cores", "2", *targets, "--config", *own)
    assert done.returncode == 0, done.stdout[-5000:]
    maps = [f"{folder}/{file.name}" for file in (study.results / folder).glob("*.nii.gz")]
    assert maps and not list(imported.glob("train/seed-*/history.tsv"))
    for path in ("train/seed-0/model.safetensors", *tables, *maps):
        assert (imported / path).read_bytes() == (study.results / path).read_bytes(), path
