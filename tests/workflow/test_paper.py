"""The paper's preset, planned over datasets of its size and of ten times that: nothing runs, every job is counted."""

import re
from pathlib import Path

import pandas as pd
import pytest
from planning import make_adni, plan

ROOT = Path(__file__).parents[2]


def test_the_paper_s_study_has_the_right_number_of_jobs_and_is_planned_in_seconds(checkout):
    make_adni(checkout.folder / "data/adni")
    planned = plan(checkout.folder)
    assert planned.processor_seconds < 20
    expected = {
        "list_scans": 5,
        "prepare_template": 2,
        "register_scan": 969,
        "summarise_quality": 1,
        "check_quality": 1,
        "compare_groups": 1,
        "pack_scans": 3,
        "check_leakage": 2,
        "fit_model": 10,
        "predict_scans": 10,
        "explain_scans": 4 * 10,
        "average_maps": 4 * 10,
        "measure_accuracy": 1,
        "measure_method": 4,
        "write_tables": 1,
        "write_page": 1,
    }
    assert {rule: planned.jobs.get(rule) for rule in expected} == expected
    assert "simulate_scan" not in planned.jobs


def test_ten_thousand_scans_and_twenty_models_are_planned_in_a_minute_or_two_and_little_memory(checkout):
    make_adni(checkout.folder / "data/adni", participants=3600, patients=2000, scans=10_000)
    planned = plan(
        checkout.folder,
        "--config",
        "cohort={split: {test: 300, validation: 200, seed: 0}}",
        f"train={{seeds: {list(range(20))}}}",
    )
    assert planned.jobs["register_scan"] == 10_000 and planned.jobs["explain_scans"] == 4 * 20
    assert planned.processor_seconds < 120 and planned.memory_gb < 2


def requests(dry_run: str) -> pd.DataFrame:
    """Gather what the jobs of a dry run ask for: per rule the jobs, and the most that one of them asks for."""
    rows = []
    for rule, block in re.findall(r"^rule (?!all:)(\w+):\n((?:    .*\n)+)", dry_run, re.MULTILINE):
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
    dry_run = head_checkout.snakemake(
        "--dry-run", "--workflow-profile", "profiles/slurm", "--configfile", "config/paper.yaml"
    )
    assert dry_run.returncode == 0, dry_run.stdout[-3000:]
    page = ROOT / "docs/cluster.md"
    before, old, after = re.split(r"((?:^\|.*\n)+)", page.read_text(), maxsplit=1, flags=re.MULTILINE)
    new = requests(dry_run.stdout).to_markdown(index=False) + "\n"
    page.write_text(before + new + after)
    assert old == new, "the table in docs/cluster.md was out of date; it has been written anew"
