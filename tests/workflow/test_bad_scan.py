"""A bad scan: its job says so in one sentence, and nothing computed is lost."""

import shutil

import nibabel as nib
import numpy as np
import pandas as pd

from heatproof.tables import read_table, write_table

OWN = """
study: own
cohort:
  bids: Köpfe und Hirne
  split: {test: 1, validation: 1, seed: 0}
  exclude: [sub-P004, sub-P005, sub-C004, sub-C005]
"""


SETTINGS = "study=own", "cohort={bids: my heads, unreadable: leave_out, split: {test: 1, validation: 1}}"


def test_scans_that_are_not_whole_are_left_out_when_planning_and_listed_with_the_reason(checkout):
    bids, names = checkout.folder / "my heads", [f"sub-{number}" for number in range(1, 9)]
    voxels = np.random.default_rng(0).integers(0, 99, (40, 40, 40), np.int16)
    for name in names:
        (bids / name / "anat").mkdir(parents=True)
        nib.save(nib.Nifti1Image(voxels, np.eye(4)), bids / f"{name}/anat/{name}_T1w.nii.gz")
    rows = [f"{name}\t{'AD' if number % 2 else 'CN'}\n" for number, name in enumerate(names)]
    (bids / "participants.tsv").write_text("participant_id\tgroup\n" + "".join(rows))
    truncated = bids / "sub-3/anat/sub-3_T1w.nii.gz"
    truncated.write_bytes(truncated.read_bytes()[:20_000])
    assert checkout.jobs("--config", *SETTINGS)["register_scan"] == 7
    listed, groups = (f"results/own/cohort/{table}.tsv" for table in ("unreadable", "demographics"))
    done = checkout.snakemake("--cores", "1", listed, groups, "--config", *SETTINGS)
    assert done.returncode == 0, done.stdout
    row = read_table(checkout.folder / listed).iloc[0]
    assert read_table(checkout.folder / groups)["participants"].tolist()[-2:] == [4, 3]
    assert row["scan"] == "sub-3" and row["reason"].startswith("ends too early or is damaged")


def test_a_truncated_scan_is_named_and_the_other_results_stay(copied_study):
    scan = copied_study.results / "cohort/bids/sub-P001/ses-M00/anat/sub-P001_ses-M00_T1w.nii.gz"
    scan.write_bytes(scan.read_bytes()[:20_000])
    before = {path: path.read_bytes() for path in copied_study.results.glob("train/seed-*/model.safetensors")}
    assert len(before) == 2
    done = copied_study.tiny("--cores", "1")
    assert done.returncode == 1
    assert f"error: {scan.relative_to(copied_study.folder)} ends too early or is damaged" in done.stdout
    assert "Traceback" not in done.stdout
    assert before == {path: path.read_bytes() for path in before}
    assert (copied_study.results / "report/report.html").is_file()


def test_a_failed_job_is_not_passed_over_by_the_next_run(copied_study):
    scan = copied_study.results / "cohort/bids/sub-P001/ses-M00/anat/sub-P001_ses-M00_T1w.nii.gz"
    scan.write_bytes(scan.read_bytes()[:20_000])
    copied_study.tiny("--cores", "1")
    assert "register_scan" in copied_study.jobs("--configfile", "tests/workflow/tiny.yaml")


def test_with_keep_going_the_others_are_registered_and_the_end_names_the_bad_ones(tiny_study, checkout):
    bids = checkout.folder / "Köpfe und Hirne"
    shutil.copytree(tiny_study.results / "cohort/bids", bids)
    truncated, flat = (bids / f"sub-{name}/ses-M00/anat/sub-{name}_ses-M00_T1w.nii.gz" for name in ("C001", "P002"))
    truncated.write_bytes(truncated.read_bytes()[:20_000])
    nib.save(nib.load(flat).slicer[:, :, 20:21], flat)
    (checkout.folder / "own.yaml").write_text(OWN)
    configs = ("--configfile", "tests/workflow/tiny.yaml", "own.yaml")
    done = checkout.snakemake("--cores", "1", "--keep-going", *configs, "--until", "register_scan")
    assert done.returncode == 1 and "Traceback" not in done.stdout
    end = done.stdout.split("What went wrong:\n")[1]
    assert f"error: Köpfe und Hirne/{truncated.relative_to(bids)} ends too early or is damaged" in end
    assert f"error: Köpfe und Hirne/{flat.relative_to(bids)} is a single slice" in end
    registered = {path.parent.name for path in (checkout.folder / "results/own/register").glob("sub-*/volumes.tsv")}
    scans = {path.name.removesuffix("_T1w.nii.gz") for path in bids.glob("sub-[PC]00[123]/*/anat/*")}
    assert len(scans) > 6 and registered == scans - {"sub-C001_ses-M00", "sub-P002_ses-M00"}


def end_of(done) -> str:
    """Return what the last lines of a run say went wrong."""
    assert done.returncode == 1
    return done.stdout.split("What went wrong:\n")[1]


def test_a_quiet_run_ends_with_the_job_its_reason_and_its_log(copied_study):
    scan = copied_study.results / "cohort/bids/sub-P001/ses-M00/anat/sub-P001_ses-M00_T1w.nii.gz"
    scan.write_bytes(scan.read_bytes()[:20_000])
    end = end_of(copied_study.tiny("--cores", "1", "--quiet", "rules"))
    assert f"error: {scan.relative_to(copied_study.folder)} ends too early or is damaged" in end
    assert "in register_scan, scan sub-P001_ses-M00: results/tiny/logs/register_scan/sub-P001_ses-M00.log" in end


def test_a_traceback_is_told_by_its_last_line(copied_study):
    predictions = copied_study.results / "train/seed-1/predictions.tsv"
    predictions.write_text("not\ta table of predictions\n")
    table = "results/tiny/compare/accuracy.tsv"
    end = end_of(copied_study.tiny("--cores", "1", "--force", table, "--quiet", "rules"))
    assert "KeyError: " in end and "please report this with the log" in end
    assert "in measure_accuracy: results/tiny/logs/measure_accuracy.log" in end


def test_a_finished_run_names_its_report_and_another_does_not(copied_study):
    page = "results/tiny/report/report.html"
    done = copied_study.tiny("--cores", "1", "--quiet", "rules", "--force", page)
    assert done.returncode == 0 and f"The report: {page}" in done.stdout
    done = copied_study.tiny("--cores", "1", "--force", "results/tiny/compare/accuracy.tsv")
    assert done.returncode == 0 and "The report" not in done.stdout


def test_a_run_with_a_poor_scan_opens_and_ends_with_its_share(checkout):
    """Whatever is left to do, once scans are registered."""
    checkout.results.joinpath("register").mkdir(parents=True)
    quality = pd.DataFrame(
        {"scan": [f"sub-{number}" for number in range(1, 9)], "poor": ["inside_agreement"] + [""] * 7}
    )
    write_table(quality, checkout.results / "register/qc.tsv")
    done = checkout.tiny("--cores", "1", "--until", "list_scans")
    told = "Poor registrations: 1 of 8 scans (12.5%) are registered poorly: sub-1"
    assert done.returncode == 0 and done.stdout.count(told) == 2
    assert done.stdout.index(told) < done.stdout.index("   done\n") < done.stdout.rindex(told)


def test_a_run_is_a_few_lines_and_a_plan_says_what_it_would_cost(checkout):
    target = "results/demo/cohort/demographics.tsv"
    plan = checkout.snakemake("--dry-run", target).stdout
    assert "Cost: 3 jobs. Hours and disk are not known, for no study has run here yet" in plan
    done = checkout.snakemake("--cores", "1", target)
    assert done.returncode == 0, done.stdout
    assert "3 jobs: cohort 3" in done.stdout and "cohort       3 of 3     done" in done.stdout
    assert "list_scans" not in done.stdout and len(done.stdout.splitlines()) < 8
