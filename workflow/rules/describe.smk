"""describe: what made the results, in one file for machines, one for BIDS in every stage, and one that makes a crate."""

PROVENANCE = f"{STUDY}/provenance.json"


rule write_provenance:
    """Write version, commit, config, checksums of inputs, and the software that each command ran with."""
    input:
        scans=expand(f"{RESULTS}/cohort/{{table}}.tsv", table=["scans", *["twins"] * TWINS]),
        dataset=dataset_files(),
        quality=[] if ALONE else f"{RESULTS}/register/qc.tsv",
        files=register_files(),
        models=[] if ALONE else expand(MODEL, seed=SEEDS),
        histories=HISTORIES,
        imported=list((IMPORTED or {}).values()),
        tables=expand(
            f"{STUDY}/compare/{{table}}.tsv",
            table=[
                *["accuracy", "l2", "l2_pairs", "top_regions", "top_regions_pairs", "overlap_curve"],
                *[
                    "scores",
                    "differences",
                    "seeds",
                    "variance",
                    "notes",
                    *(["effects"] if EFFECTS else []),
                    *OF_NETWORKS,
                ],
            ],
        ),
        ran=[  # the last commands of the stages whose logs are read
            f"{RESULTS}/cohort/demographics.tsv",
            *([] if ALONE else [POSSIBLE]),
            *expand(f"{STUDY}/compare/{{method}}/ensembles.tsv", method=JUDGED),
            *expand(f"{STUDY}/attribute/{{method}}/convergence.tsv", method=WALKED),
            *expand(f"{STUDY}/compare/{{table}}.tsv", table=CHECK_TABLES),
        ],
    output:
        PROVENANCE,
    log:
        f"{STUDY}/logs/write_provenance.log",
    benchmark:
        f"{STUDY}/benchmarks/describe/write_provenance.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000),
        runtime=minutes(20),
    params:
        source=code_of("heatproof.describe.write_provenance"),
        models=lambda wildcards: RESULTS,
        config=as_json(config),
    shell:
        "python -m heatproof.describe.write_provenance --results $(dirname {output}) --models {params.models} --config {params.config:q} "
        "--out {output} > {log} 2>&1"


rule describe_derivatives:
    """Say what made a stage's results, as BIDS asks of derivatives."""
    input:
        PROVENANCE,
    output:
        f"{STUDY}/{{stage}}/dataset_description.json",
    log:
        f"{STUDY}/logs/describe_derivatives/{{stage}}.log",
    benchmark:
        f"{STUDY}/benchmarks/describe/describe_derivatives.{{stage}}.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000),
        runtime=minutes(5),
    params:
        source=code_of("heatproof.describe.describe_derivatives"),
    shell:
        "python -m heatproof.describe.describe_derivatives --stage {wildcards.stage} --provenance {input} "
        "--out {output} > {log} 2>&1"


rule write_crate:
    """Make the study's folder an RO-Crate."""
    input:
        provenance=PROVENANCE,
        page=f"{STUDY}/report/report.html",
    output:
        f"{STUDY}/ro-crate-metadata.json",
    log:
        f"{STUDY}/logs/write_crate.log",
    benchmark:
        f"{STUDY}/benchmarks/describe/write_crate.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000),
        runtime=minutes(5),
    params:
        source=code_of("heatproof.describe.write_crate"),
    shell:
        "python -m heatproof.describe.write_crate --provenance {input.provenance} --out {output} > {log} 2>&1"
