"""What a study will cost, from the jobs of an earlier one that lie in results/."""

import nibabel as nib
import numpy as np
import pytest

from heatproof.costs import Kind, describe_cost, expected_seconds, measured_units, seconds_of, study_sizes

HEAD = "s\th:m:s\tmax_rss\n"
SIZES = {"voxels": 1000, "warp": 8000, "scans": 6, "train": 3, "test": 2, "epochs": 5, "seeds": 2}


@pytest.fixture
def results(tmp_path):
    """A study of a grid of 10 x 10 x 10: 3 training and 2 test scans, two models of 4 and 6 epochs."""
    study = tmp_path / "results/first"
    for folder in ("register/template", "cohort", "benchmarks/train", "benchmarks/attribute", "register/sub-1"):
        (study / folder).mkdir(parents=True)
    nib.save(nib.Nifti1Image(np.ones((10, 10, 10), np.uint8), np.eye(4)), study / "register/template/brain_mask.nii.gz")
    for split, scans in (("train", 3), ("test", 2), ("scans", 6)):
        (study / f"cohort/{split}.tsv").write_text("scan\n" + "a\n" * scans)
    for seed, epochs in ((0, 4), (1, 6)):
        (study / f"train/seed-{seed}").mkdir(parents=True)
        (study / f"train/seed-{seed}/history.tsv").write_text("epoch\n" + "1\n" * epochs)
        (study / f"benchmarks/train/fit_model.seed-{seed}.tsv").write_text(f"{HEAD}{10 + 20 * seed}\t0:00:10\t1\n")
    (study / "benchmarks/attribute/explain_scans.lrp.random_head_seed-0.tsv").write_text(f"{HEAD}4.0\t0:00:04\tNA\n")
    (study / "benchmarks/cohort").mkdir()
    (study / "benchmarks/cohort/list_scans.scans.tsv").write_text(f"{HEAD}0.5\t0:00:00\t1\n")
    (study / "benchmarks/attribute/check_network.tsv").write_text(f"{HEAD}1.6\t0:00:02\t1\n")
    (study / "register/sub-1/sub-1_T1w.nii.gz").write_bytes(bytes(8000))
    warp = study / "register/sub-1/transforms/2_Warp.nii.gz"
    warp.parent.mkdir()
    nib.save(nib.Nifti1Image(np.random.default_rng(0).random((20, 20, 20, 3)), np.eye(4)), warp)
    return tmp_path / "results"


def test_sizes_are_read_from_what_a_study_left(results):
    assert study_sizes(results / "first") == SIZES
    assert study_sizes(results) is None


def test_a_study_of_the_same_sizes_takes_as_long(results):
    seconds = expected_seconds(measured_units(results), SIZES)
    assert seconds[Kind("fit_model")] == pytest.approx(20)
    assert seconds[Kind("explain_scans", "lrp")] == pytest.approx(4)
    assert seconds[Kind("list_scans")] == pytest.approx(0.5)


def test_work_grows_with_grid_scans_and_epochs_and_what_a_job_takes_to_begin_does_not(results):
    """The fastest job of torch, check_network, takes 1.6 s: what the others take to begin."""
    larger = SIZES | {"voxels": 8000, "train": 6, "epochs": 50, "test": 6}
    seconds = expected_seconds(measured_units(results), larger)
    assert seconds[Kind("fit_model")] == pytest.approx(1.6 + 18.4 * 8 * 2 * 10)
    assert seconds[Kind("explain_scans", "lrp")] == pytest.approx(1.6 + 2.4 * 8 * 3)
    assert seconds[Kind("check_network")] == pytest.approx(1.6)


def test_the_plan_names_hours_of_all_threads_from_the_earliest_stop_on_disk_and_what_was_not_measured(results):
    jobs = (
        [(Kind("fit_model"), 2)] * 1800
        + [(Kind("register_scan"), 1)] * 2
        + [(Kind("explain_scans", "occlusion"), 1)] * 7
    )
    text = describe_cost(jobs, SIZES | {"voxels": 1e9}, 2, measured_units(results), keep_maps=True)
    least, most = (3600 * (1.6 + 18.4 * 1e6 * epochs / 5) / 3600 for epochs in (2, 5))
    assert f"1,809 jobs, roughly {least:,.0f} (training stops early) to {most:,.0f} core hours" in text
    assert "and 16.0 GB in results/, from 5 jobs that ran here" in text
    assert "none ran here: explain_scans occlusion (7), register_scan (2)." in text
    jobs += [(Kind("explain_scans", "deep_lift", network), 1) for network in ("paper", "sfcn")]
    text = describe_cost(jobs, SIZES, 2, measured_units(results), keep_maps=True)
    assert "none ran here: explain_scans of 2 methods (9), register_scan (2)." in text


def test_without_a_study_the_plan_says_that_it_does_not_know(tmp_path):
    text = describe_cost([(Kind("fit_model"), 1)], SIZES, 5, measured_units(tmp_path), keep_maps=True)
    assert "1 jobs. Hours and disk are not known" in text


def test_a_half_written_benchmark_is_passed_over(results):
    (results / "first/benchmarks/train/pack_scans.train.tsv").write_text("")
    assert Kind("pack_scans") not in measured_units(results).seconds


def test_networks_have_times_of_their_own_and_one_that_did_not_run_has_the_mean_of_the_others(results):
    for network, seconds in (("paper", 10), ("large_one", 90)):
        table = results / f"first/benchmarks/attribute/explain_scans.lrp.random_head_seed-{network}-0.tsv"
        table.write_text(f"{HEAD}{seconds}\t0:00:10\t1\n")
    (results / "first/benchmarks/attribute/explain_scans.lrp.random_head_seed-0.tsv").unlink()
    known = expected_seconds(measured_units(results), SIZES)
    found = [seconds_of(Kind("explain_scans", "lrp", network), known) for network in ("paper", "large_one", "new")]
    assert found == pytest.approx([10, 90, 50])
    assert seconds_of(Kind("explain_scans", "occlusion", "paper"), known) is None
