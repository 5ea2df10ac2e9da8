"""A bad scan: its job says so in one sentence, and nothing computed is lost."""


def test_a_truncated_scan_is_named_and_the_other_results_stay(copied_study):
    scan = copied_study.results / "cohort/bids/sub-P001/ses-M00/anat/sub-P001_ses-M00_T1w.nii.gz"
    scan.write_bytes(scan.read_bytes()[:20_000])
    before = {path: path.read_bytes() for path in copied_study.results.glob("train/seed-*/model.safetensors")}
    assert len(before) == 2
    done = copied_study.tiny("--cores", "1")
    assert done.returncode == 1
    assert f"error: {scan.relative_to(copied_study.folder)} can not be read as an image" in done.stdout
    assert "Traceback" not in done.stdout
    assert before == {path: path.read_bytes() for path in before}
    assert (copied_study.results / "report/report.html").is_file()


def test_a_failed_job_is_not_passed_over_by_the_next_run(copied_study):
    scan = copied_study.results / "cohort/bids/sub-P001/ses-M00/anat/sub-P001_ses-M00_T1w.nii.gz"
    scan.write_bytes(scan.read_bytes()[:20_000])
    copied_study.tiny("--cores", "1")
    assert "register_scan" in copied_study.jobs("--configfile", "tests/workflow/tiny.yaml")
