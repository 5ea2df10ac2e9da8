"""A bad scan: its job says so in one sentence, the others go on, and nothing computed is lost."""

import shutil

import pytest

from conftest import as_checkout, run_snakemake  # isort: skip

TINY = ("--configfile", "tests/workflow/tiny.yaml")


@pytest.fixture
def finished(tiny_study, tmp_path):
    """A copy of the finished tiny study that may be damaged."""
    folder = as_checkout(tmp_path / "checkout")
    shutil.copytree(tiny_study / "results", folder / "results")
    shutil.copytree(tiny_study / ".snakemake", folder / ".snakemake")
    return folder


def test_a_truncated_scan_is_named_and_the_other_results_stay(finished):
    scan = finished / "results/tiny/cohort/bids/sub-P001/ses-M00/anat/sub-P001_ses-M00_T1w.nii.gz"
    scan.write_bytes(scan.read_bytes()[:20_000])
    before = {path: path.read_bytes() for path in finished.glob("results/tiny/train/seed-*/model.safetensors")}
    done = run_snakemake(finished, "--cores", "1", *TINY)
    assert done.returncode == 1
    assert f"error: {scan.relative_to(finished)} ends too early or is damaged" in done.stdout
    assert "Traceback" not in done.stdout
    assert before == {path: path.read_bytes() for path in before}
    assert (finished / "results/tiny/report/report.html").is_file()
