"""The profile for Slurm knows each rule that computes on a GPU."""

import re
from pathlib import Path

import yaml

RULES = Path("workflow/rules")


def rules_on_a_gpu() -> set[str]:
    """Return the rules that ask for a GPU, and those that are like one of them."""
    text = "\n".join(path.read_text() for path in sorted(RULES.glob("*.smk")))
    bodies = re.split(r"^ *(?=(?:use )?rule )", text, flags=re.MULTILINE)
    own = {re.match(r"rule (\w+):", body)[1] for body in bodies if "gpu=GPU" in body}
    return own | {new for old, new in re.findall(r"use rule (\w+) as (\w+) with", text) if old in own}


def test_the_rules_that_ask_for_a_gpu_are_those_of_the_gpu_partition():
    profile = yaml.safe_load(Path("profiles/slurm/config.yaml").read_text())
    assert set(profile["set-resources"]) == rules_on_a_gpu()
    assert all(asked == {"slurm_partition": "gpu", "gpu": 1} for asked in profile["set-resources"].values())
