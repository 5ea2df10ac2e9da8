# Heatproof: retrain a network, explain every model by every method, measure how far the explanations agree.
# The study is seven stages; each has its rules in workflow/rules, its code in src/heatproof, and, but for describe, its
# section in the config.

from pathlib import Path

from snakemake.utils import min_version

min_version("9.10")

# Results lie in the working directory. The code may lie elsewhere: where this is a module of another workflow, or runs there.
BASE = Path() if Path("src/heatproof").is_dir() else Path(str(workflow.current_basedir))


configfile: str(BASE / "config/config.yaml")


include: "workflow/rules/common.smk"
include: "workflow/rules/cohort.smk"
include: "workflow/rules/register.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/attribute.smk"
include: "workflow/rules/compare.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/describe.smk"


rule all:
    """The whole study, down to the report. Products are named one by one, so that a failed one is never passed over."""
    default_target: True
    input:
        f"{STUDY}/report/report.html",
        expand(f"{STUDY}/compare/{{table}}.tsv", table=["scores", "differences", "seeds", "variance", "overlap_curve"]),
        f"{STUDY}/ro-crate-metadata.json",
        [f"{STUDY}/compare/checks.tsv"] if CHECK_MAPS else [],
        [f"{STUDY}/compare/effects.tsv"] if EFFECTS else [],
        expand(f"{STUDY}/{{stage}}/dataset_description.json", stage=DERIVATIVES),
        dataset_files(),
        expand(REGISTERED, scan=IMAGES),
        [f"{STORE}/twins.npy"] if TWINS else [],
        [] if ALONE else expand(MODEL, seed=SEEDS),
        expand(f"{STUDY}/attribute/effects/seed-{{seed}}.tsv", seed=SEEDS) if EFFECTS else [],
        expand(HEATMAPS, method=EXPLAINED, seed=SEEDS) if config["attribute"]["keep"] == "all" else [],
        expand(f"{STUDY}/compare/{{method}}/seed-{{seed}}/regions.tsv", method=COMPARED, seed=SEEDS),
