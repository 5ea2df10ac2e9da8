"""describe: every stage's results say what made them."""


rule describe_derivatives:
    """Say what made a stage's results, as BIDS asks of derivatives."""
    input:
        source=modules("heatproof.describe_derivatives"),
    output:
        f"{STUDY}/{{stage}}/dataset_description.json",
    log:
        f"{STUDY}/logs/describe_derivatives/{{stage}}.log",
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000),
        runtime=5,
    params:
        config=json.dumps(config, sort_keys=True),
    shell:
        "python -m heatproof.describe_derivatives --stage {wildcards.stage} --config {params.config:q} "
        "--out {output} > {log} 2>&1"
