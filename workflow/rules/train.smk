"""train: one network per seed, trained and tested on the registered scans."""

STORE = f"{RESULTS}/train/store"
MODEL = f"{RESULTS}/train/seed-{{seed}}/model.safetensors"
FIXED = config["train"]["fix"]


rule pack_scans:
    """Pack the registered scans of one split into one memory-mapped array."""
    input:
        source=modules("heatproof.train.pack_scans"),
        scans=f"{RESULTS}/cohort/scans.tsv",
        mask=f"{TEMPLATE}/brain_mask.nii.gz",
        registered=lambda wildcards: expand(REGISTERED, scan=SCANS.loc[SCANS["split"] == wildcards.split, "scan"]),
    output:
        images=f"{STORE}/{{split}}.npy",
        scans=f"{STORE}/{{split}}.tsv",
    log:
        f"{RESULTS}/logs/pack_scans/{{split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/pack_scans.{{split}}.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000, 100),
        runtime=60,
    params:
        intensity=json.dumps(config["train"]["intensity"]),
        registered=lambda wildcards: REGISTERED,
    shell:
        "python -m heatproof.train.pack_scans --scans {input.scans} --split {wildcards.split} "
        "--registered '{params.registered}' --mask {input.mask} --intensity '{params.intensity}' "
        "--out {output.images} > {log} 2>&1"


rule fit_model:
    """Train the network from one seed."""
    input:
        source=modules("heatproof.train.fit_model", network_module()),
        train=f"{STORE}/train.npy",
        train_scans=f"{STORE}/train.tsv",
        validation=f"{STORE}/validation.npy",
        validation_scans=f"{STORE}/validation.tsv",
    output:
        model=MODEL,
        history=f"{RESULTS}/train/seed-{{seed}}/history.tsv",
    log:
        f"{RESULTS}/logs/fit_model/seed-{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/fit_model.seed-{{seed}}.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=megabytes(1500, 200 * config["train"]["batch_size"]),
        runtime=720,
        gpu=GPUS,
    params:
        options=options(
            "train",
            *["network", "learning_rate", "weight_decay", "batch_size", "epochs"],
            *["patience", "keep", "augmentation", "device"],
        ),
        initialisation=lambda wildcards: own_or(FIXED["initialisation"], wildcards.seed),
        order=lambda wildcards: own_or(FIXED["order"], wildcards.seed),
    shell:
        "python -m heatproof.train.fit_model --train {input.train} --validation {input.validation} "
        "--options {params.options:q} --initialisation-seed {params.initialisation} --order-seed {params.order} "
        "--model {output.model} --history {output.history} > {log} 2>&1"


rule predict_scans:
    """Predict the class of the validation and test scans with one model."""
    input:
        source=modules("heatproof.train.predict_scans", network_module()),
        model=MODEL,
        stores=expand(f"{STORE}/{{split}}.npy", split=["validation", "test"]),
        scans=expand(f"{STORE}/{{split}}.tsv", split=["validation", "test"]),
    output:
        f"{RESULTS}/train/seed-{{seed}}/predictions.tsv",
    log:
        f"{RESULTS}/logs/predict_scans/seed-{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/predict_scans.seed-{{seed}}.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=megabytes(1500, 150 * config["train"]["batch_size"]),
        runtime=60,
        gpu=GPUS,
    params:
        batch_size=config["train"]["batch_size"],
        device=config["train"]["device"],
    shell:
        "python -m heatproof.train.predict_scans --model {input.model} --stores {input.stores} "
        "--batch-size {params.batch_size} --device {params.device} --out {output} > {log} 2>&1"
