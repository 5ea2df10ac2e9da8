"""The paper's preset, planned over a dataset of its size: nothing runs, every job is counted."""

import time


def make_adni(folder, participants: int = 344, scans: int = 969) -> None:
    """Make empty scans of 193 patients and 151 controls, two or three sessions each, labels per session."""
    sessions = ["ses-M000", "ses-M006", "ses-M012"]
    surplus = scans - 2 * participants
    folder.mkdir(parents=True)
    names = [f"sub-ADNI{i:04d}" for i in range(participants)]
    (folder / "participants.tsv").write_text("participant_id\tsex\n" + "".join(f"{name}\tF\n" for name in names))
    for i, name in enumerate(names):
        label, visits = "AD" if i < 193 else "CN", sessions[: 3 if i < surplus else 2]
        for session in visits:
            (folder / name / session / "anat").mkdir(parents=True)
            (folder / name / session / "anat" / f"{name}_{session}_T1w.nii.gz").touch()
        rows = "".join(f"{session}\t{label}\n" for session in visits)
        (folder / name / f"{name}_sessions.tsv").write_text("session_id\tdiagnosis\n" + rows)


def test_the_paper_s_study_has_the_right_number_of_jobs(checkout):
    make_adni(checkout.folder / "data/adni")
    start = time.perf_counter()
    jobs = checkout.jobs("--configfile", "config/paper.yaml")
    assert time.perf_counter() - start < 60
    expected = {
        "list_scans": 1,
        "prepare_template": 1,
        "register_scan": 969,
        "summarise_quality": 1,
        "compare_groups": 1,
        "pack_scans": 3,
        "check_leakage": 1,
        "fit_model": 10,
        "predict_scans": 10,
        "explain_scans": 4 * 10,
        "average_maps": 4 * 10,
        "measure_accuracy": 1,
        "compare_maps": 1,
        "compare_regions": 1,
        "score_methods": 1,
        "write_page": 1,
    }
    assert {rule: jobs.get(rule) for rule in expected} == expected
    assert "simulate_scan" not in jobs
