"""attribute: every model explains every test scan by every method."""

HEATMAP = f"{STUDY}/attribute/{{method}}/seed-{{seed}}/{{scan}}_heatmap.nii.gz"


def explained_model(wildcards):
    """Name the model that an entry explains: the trained one, or for a method's control another."""
    method, _, control = wildcards.method.partition(".")
    return (CONTROL_MODEL if control else MODEL).format(seed=wildcards.seed, control=control)


rule explain_scans:
    """Explain what one model, or a control of it, sees in all test scans, by one method."""
    input:
        source=modules("heatproof.attribute.explain", network_module()),
        model=explained_model,
        images=f"{RESULTS}/train/store/test.npy",
        scans=f"{RESULTS}/train/store/test.tsv",
        mask=f"{TEMPLATE}/brain_mask.nii.gz",
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
        options=lambda wildcards: json.dumps(
            config["attribute"]["methods"][wildcards.method.split(".")[0]], sort_keys=True
        ),
        batch_size=config["attribute"]["batch_size"],
        device=config["train"]["device"],
    shell:
        "python -m heatproof.attribute.explain --model {input.model} --scans {input.images} --mask {input.mask} "
        "--name {wildcards.method} --options {params.options:q} --batch-size {params.batch_size} "
        "--device {params.device} --out-dir $(dirname {output} | head -n 1) > {log} 2>&1"
