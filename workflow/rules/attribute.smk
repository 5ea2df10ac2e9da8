"""attribute: every model explains every test scan by every method."""

HEATMAP = f"{STUDY}/attribute/{{method}}/seed-{{seed}}/{{scan}}_heatmap.nii.gz"


rule explain_scans:
    """Explain what one model sees in all test scans, by one method."""
    input:
        source=modules("heatproof.attribute.explain", network_module()),
        model=f"{RESULTS}/train/seed-{{seed}}/model.safetensors",
        images=f"{RESULTS}/train/store/test.npy",
        scans=f"{RESULTS}/train/store/test.tsv",
        template=expand(f"{TEMPLATE}/{{file}}", file=["brain_mask.nii.gz", "regions.nii.gz", "regions.tsv"]),
    output:
        expand(HEATMAP, scan=TEST_SCANS, allow_missing=True),
    log:
        f"{STUDY}/logs/explain_scans/{{method}}_seed-{{seed}}.log",
    benchmark:
        f"{STUDY}/benchmarks/attribute/explain_scans.{{method}}_seed-{{seed}}.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=megabytes(3000, 1500 * config["attribute"]["batch_size"]),
        runtime=720,
    params:
        options=lambda wildcards: json.dumps(config["attribute"]["methods"][wildcards.method], sort_keys=True),
        batch_size=config["attribute"]["batch_size"],
        device=config["train"]["device"],
    shell:
        "python -m heatproof.attribute.explain --model {input.model} --scans {input.images} "
        "--template $(dirname {input.template[0]}) "
        "--name {wildcards.method} --options {params.options:q} --batch-size {params.batch_size} "
        "--device {params.device} --out-dir $(dirname {output} | head -n 1) > {log} 2>&1"
