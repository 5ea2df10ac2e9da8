"""attribute: every model explains every test scan by every method."""

HEATMAPS = f"{STUDY}/attribute/{{method}}/seed-{{seed}}"


rule explain_scans:
    """Explain what one model, or a control of it, sees in all test scans, by one method."""
    input:
        model=explained_model,
        images=f"{RESULTS}/train/store/test.npy",
        scans=f"{RESULTS}/train/store/test.tsv",
        template=REGION_FILES,
    output:
        directory(HEATMAPS) if config["attribute"]["keep"] == "all" else temp(directory(HEATMAPS)),
    log:
        f"{STUDY}/logs/explain_scans/{{method}}_seed-{{seed}}.log",
    benchmark:
        f"{STUDY}/benchmarks/attribute/explain_scans.{{method}}_seed-{{seed}}.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=megabytes(2000, 300 * config["attribute"]["batch_size"]),
        runtime=720,
        gpu=GPUS,
    params:
        source=lambda wildcards: explaining_code(wildcards.method),
        options=lambda wildcards: json.dumps(options_of(wildcards.method), sort_keys=True),
        batch_size=config["attribute"]["batch_size"],
        device=config["train"]["device"],
    shell:
        "python -m heatproof.attribute.explain --model {input.model} --scans {input.images} "
        "--template $(dirname {input.template[0]}) "
        "--name {wildcards.method} --options {params.options:q} --batch-size {params.batch_size} "
        "--device {params.device} --out-dir {output} > {log} 2>&1"
