"""The paper's preset, planned over a dataset of its size: nothing runs, every job is counted."""

import re
import time
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]


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
        "pack_scans": 3,
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


def requests(plan: str) -> pd.DataFrame:
    """Gather what the jobs of a dry run ask for: per rule the jobs, and the most that one of them asks for."""
    rows = []
    for rule, block in re.findall(r"^rule (?!all:)(\w+):\n((?:    .*\n)+)", plan, re.MULTILINE):
        asked = dict(re.findall(r"(\w+)=([^,\s]+)", re.search(r"resources: (.*)", block)[1]))
        rows.append(
            (rule, asked["slurm_partition"], int(asked.get("gpu", 0)), int(asked["mem_mb"]), int(asked["runtime"]))
        )
    jobs = pd.DataFrame(rows, columns=["rule", "partition", "gpu", "mem_mb", "minutes"])
    table = jobs.groupby("rule", as_index=False).agg(
        jobs=("rule", "size"),
        partition=("partition", "first"),
        gpu=("gpu", "max"),
        mem_mb=("mem_mb", "max"),
        runtime_minutes=("minutes", "max"),
    )
    return table.sort_values(["partition", "mem_mb", "rule"], ascending=[False, False, True])


@pytest.mark.cluster
def test_the_cluster_guide_says_what_the_paper_s_rules_ask_for(head_checkout):
    make_adni(head_checkout.folder / "data/adni")
    plan = head_checkout.snakemake(
        "--dry-run", "--workflow-profile", "profiles/slurm", "--configfile", "config/paper.yaml"
    )
    assert plan.returncode == 0, plan.stdout[-3000:]
    page = ROOT / "docs/cluster.md"
    before, old, after = re.split(r"((?:^\|.*\n)+)", page.read_text(), maxsplit=1, flags=re.MULTILINE)
    new = requests(plan.stdout).to_markdown(index=False) + "\n"
    page.write_text(before + new + after)
    assert old == new, "the table in docs/cluster.md was out of date; it has been written anew"
