"""How long each stage took and how much memory it needed, from the benchmark files that Snakemake writes."""

from itertools import groupby
from pathlib import Path

import pandas as pd

STAGES = ("cohort", "register", "train", "attribute", "compare", "report")


def measure_runtimes(*folders: str | Path) -> pd.DataFrame:
    """Add up the jobs of each rule.

    Parameters
    ----------
    *folders : path
        ``results/{study}/benchmarks``, with files ``{stage}/{rule}[.{wildcards}].tsv`` that have the columns s
        (seconds) and max_rss (MB; NA for jobs too short to be measured).

    Returns
    -------
    DataFrame
        stage, rule, jobs, seconds (sum over jobs), memory_mb (the largest of any job); in the order of the stages.
    """
    rows = []
    for stage in STAGES:
        found = [path for folder in folders for path in Path(folder, stage).glob("*.tsv")]
        files = sorted(found, key=lambda path: path.name)
        for rule, paths in groupby(files, lambda path: path.name.partition(".")[0]):
            jobs = pd.concat([pd.read_csv(path, sep="\t") for path in paths])
            rows.append((stage, rule, len(jobs), jobs["s"].sum(), jobs["max_rss"].max()))
    return pd.DataFrame(rows, columns=["stage", "rule", "jobs", "seconds", "memory_mb"])


def duration(seconds: float) -> str:
    """Write a duration in the two units that matter: 1.3 s, 4 min 20 s, 3 h 5 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
