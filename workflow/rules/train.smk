"""train: one model per network and seed, trained and tested on the registered scans."""

STORE = f"{RESULTS}/train/store"
MODEL = f"{RESULTS}/train/seed-{{seed}}/model.safetensors"
CHECK_MODEL = f"{RESULTS}/train/seed-{{seed}}/checks/{{check}}.safetensors"
TRAINABLE = {network: f"{RESULTS}/train/checked/{network_digest(network)}" for network in NETWORKS}
PREDICTED = [split for split in splits_up_to("test") if split != "train"]
LEAKAGE = [f"{STORE}/leakage_test.tsv"] if len(splits_up_to("test")) > 1 else []
FIXED = config["train"]["fix"]
FIRST = config["train"]["seeds"][0]
MICRO_BATCH = ["micro_batch"] if config["train"]["micro_batch"] else []  # as it was not there before, off is not named
FIT_OPTIONS = [
    *["network", "learning_rate", "weight_decay", "batch_size", *MICRO_BATCH, "epochs"],
    *["patience", "loss", "keep", "augmentation", "device", "precision", "fix"],
    *(["compile"] if config["train"]["compile"] else []),
]


rule pack_scans:
    """Pack the registered scans of one split, or the healthy twins, into one memory-mapped array."""
    input:
        scans=f"{RESULTS}/cohort/{{split}}.tsv",
        mask=f"{TEMPLATE}/brain_mask.nii.gz",
        registered=lambda wildcards: expand([REGISTERED, *FURTHER], scan=rows_of(wildcards.split).index),
        checked=ancient(f"{RESULTS}/register/checked.tsv") if IMPORTED else [],
    output:
        images=f"{STORE}/{{split}}.npy",
        scans=f"{STORE}/{{split}}.tsv",
    log:
        f"{RESULTS}/logs/pack_scans/{{split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/pack_scans.{{split}}.tsv"
    wildcard_constraints:
        split="train|validation|test|twins",
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000, 100),
        runtime=minutes(60),
    params:
        source=code_of("heatproof.train.pack_scans"),
        intensity=as_json(config["train"]["intensity"]),
        within=config["train"]["within"],
        registered=lambda wildcards: REGISTERED if not FURTHER else [REGISTERED, *FURTHER],
    shell:
        "python -m heatproof.train.pack_scans --scans {input.scans} --split {wildcards.split} "
        "--registered {params.registered:q} --mask {input.mask} --intensity '{params.intensity}' --within {params.within} "
        "--out {output.images} > {log} 2>&1"


rule check_leakage:
    """Stop if a validation or test scan is also, or nearly, a scan of a split before."""
    input:
        stores=lambda wildcards: expand(f"{STORE}/{{split}}.npy", split=splits_up_to(wildcards.split)),
        tables=lambda wildcards: expand(f"{STORE}/{{split}}.tsv", split=splits_up_to(wildcards.split)),
        scans=lambda wildcards: expand(f"{RESULTS}/cohort/{{split}}.tsv", split=splits_up_to(wildcards.split)),
    output:
        f"{STORE}/leakage_{{split}}.tsv",
    log:
        f"{RESULTS}/logs/check_leakage/{{split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/check_leakage.{{split}}.tsv"
    priority: 1  # before hours of training
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(2000, 50),
        runtime=minutes(30),
    params:
        source=code_of("heatproof.train.check_leakage"),
    shell:
        "python -m heatproof.train.check_leakage --stores {input.stores} --scans {input.scans} --out {output} > {log} 2>&1"


rule average_controls:
    """Average the training controls: a healthy reference for methods that compare a scan with one."""
    input:
        images=f"{STORE}/train.npy",
        scans=f"{STORE}/train.tsv",
    output:
        f"{STORE}/mean_control.npy",
    log:
        f"{RESULTS}/logs/average_controls.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/average_controls.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000, 50),
        runtime=minutes(30),
    params:
        source=code_of("heatproof.train.average_controls"),
        task=OF_TASK,
    shell:
        "python -m heatproof.train.average_controls --scans {input.images} --task {params.task:q} --out {output} > {log} 2>&1"


if IMPORTED:

    rule import_model:
        """Bring weights that were trained elsewhere into the form of a trained model; registration waits for it."""
        input:
            weights=lambda wildcards: IMPORTED[wildcards.seed],
            mask=f"{TEMPLATE}/brain_mask.nii.gz",
        output:
            MODEL,
        log:
            f"{RESULTS}/logs/import_model/seed-{{seed}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/train/import_model.seed-{{seed}}.tsv"
        priority: 3
        conda:
            "../../envs/torch.yaml"
        resources:
            mem_mb=megabytes(2000, 300),
            runtime=minutes(10),
        params:
            source=code_for_model("heatproof.train.import_model"),
            network=as_json(config["train"]["network"]),
        shell:
            "python -m heatproof.train.import_model --weights {input.weights:q} --mask {input.mask} "
            "--network={params.network:q} --out {output} > {log} 2>&1"

else:

    rule fit_model:
        """Train the network from one seed."""
        input:
            train=f"{STORE}/train.npy",
            train_scans=f"{STORE}/train.tsv",
            validation=f"{STORE}/validation.npy",
            validation_scans=f"{STORE}/validation.tsv",
            checked=lambda wildcards: [f"{STORE}/leakage_validation.tsv", TRAINABLE[network_of(wildcards.seed)]],
            registered=ancient(f"{RESULTS}/register/checked.tsv"),  # a further scan leaves the models as they are
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
            mem_mb=megabytes(1500, 200 * (config["train"]["micro_batch"] or config["train"]["batch_size"])),
            runtime=minutes(720),
            gpu=GPU_SHARE,
        params:
            source=code_for_model("heatproof.train.fit_model"),
            options=lambda wildcards: of_network_of(wildcards, *FIT_OPTIONS),
            initialisation=lambda wildcards: own_or(FIXED["initialisation"], seed_in(wildcards.seed)),
            order=lambda wildcards: own_or(FIXED["order"], seed_in(wildcards.seed)),
            labels="",
            task=OF_TASK,
        shell:
            "HEATPROOF_GPUS={resources.gpu} "
            "python -m heatproof.train.fit_model --train {input.train} --validation {input.validation} "
            "--task {params.task:q} --options {params.options:q} --initialisation-seed {params.initialisation} --order-seed {params.order} "
            "{params.labels} --model {output.model} --history {output.history} > {log} 2>&1"

    use rule fit_model as fit_shuffled with:
        output:
            model=f"{RESULTS}/train/seed-{{seed}}/checks/shuffled_labels.safetensors",
            history=f"{RESULTS}/train/seed-{{seed}}/checks/shuffled_labels.tsv",
        log:
            f"{RESULTS}/logs/fit_shuffled/seed-{{seed}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/train/fit_shuffled.seed-{{seed}}.tsv"
        params:
            source=code_for_model("heatproof.train.fit_model"),
            options=lambda wildcards: of_network_of(wildcards, *FIT_OPTIONS),
            initialisation=lambda wildcards: own_or(FIXED["initialisation"], seed_in(wildcards.seed)),
            order=lambda wildcards: own_or(FIXED["order"], seed_in(wildcards.seed)),
            labels=lambda wildcards: f"--shuffle-seed {seed_in(wildcards.seed)}",
            task=OF_TASK,

    use rule fit_model as fit_alike with:
        output:
            model=f"{RESULTS}/train/seed-{{seed}}/checks/same_{{shared}}.safetensors",
            history=f"{RESULTS}/train/seed-{{seed}}/checks/same_{{shared}}.tsv",
        log:
            f"{RESULTS}/logs/fit_alike/seed-{{seed}}_{{shared}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/train/fit_alike.seed-{{seed}}_{{shared}}.tsv"
        params:
            source=code_for_model("heatproof.train.fit_model"),
            options=lambda wildcards: of_network_of(wildcards, *FIT_OPTIONS),
            initialisation=lambda wildcards: FIRST if wildcards.shared == "initialisation" else seed_in(wildcards.seed),
            order=lambda wildcards: FIRST if wildcards.shared == "order" else seed_in(wildcards.seed),
            labels="",
            task=OF_TASK,


rule randomise_model:
    """Make a model that did not learn, or whose top is re-initialised or as it began: a sanity check of what methods show."""
    input:
        model=MODEL,
    output:
        CHECK_MODEL,
    log:
        f"{RESULTS}/logs/randomise_model/seed-{{seed}}_{{check}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/randomise_model.seed-{{seed}}_{{check}}.tsv"
    wildcard_constraints:
        check="untrained|initial_head|random_head|random_top_[0-9]+_of_[0-9]+",
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=megabytes(2000, 300),
        runtime=minutes(10),
    params:
        source=code_for_model("heatproof.train.randomise_model"),
        network=lambda wildcards: network_of(wildcards.seed),
        seed=lambda wildcards: own_or(FIXED["initialisation"], seed_in(wildcards.seed)),
        possible=POSSIBLE,
    shell:
        "python -m heatproof.train.randomise_model --model {input.model} --check {wildcards.check} "
        "--seed {params.seed} --possible {params.possible} --network={params.network} --out {output} > {log} 2>&1"


rule predict_scans:
    """Predict the class of the validation and test scans with one model."""
    input:
        model=MODEL,
        stores=expand(f"{STORE}/{{split}}.npy", split=PREDICTED),
        scans=expand(f"{STORE}/{{split}}.tsv", split=PREDICTED),
        checked=LEAKAGE,
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
        runtime=minutes(60),
        gpu=GPU_SHARE,
    params:
        source=code_for_model("heatproof.train.predict_scans"),
        batch_size=config["train"]["batch_size"],
        device=config["train"]["device"],
        task=OF_TASK,
    shell:
        "HEATPROOF_GPUS={resources.gpu} "
        "python -m heatproof.train.predict_scans --model {input.model} --stores {input.stores} "
        "--task {params.task:q} --batch-size {params.batch_size} --device {params.device} --out {output} > {log} 2>&1"


use rule predict_scans as predict_by_check with:
    input:
        model=CHECK_MODEL,
        stores=expand(f"{STORE}/{{split}}.npy", split=PREDICTED),
        scans=expand(f"{STORE}/{{split}}.tsv", split=PREDICTED),
        checked=LEAKAGE,
    output:
        f"{RESULTS}/train/seed-{{seed}}/checks/{{check}}_predictions.tsv",
    log:
        f"{RESULTS}/logs/predict_by_check/seed-{{seed}}_{{check}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/predict_by_check.seed-{{seed}}_{{check}}.tsv"


if ALONE:

    rule take_predictions:
        """Bring what a model predicted elsewhere into the form of a trained model's predictions."""
        input:
            predictions=lambda wildcards: config["train"]["predictions"][wildcards.seed],
            scans=f"{RESULTS}/cohort/test.tsv",
        output:
            f"{RESULTS}/train/seed-{{seed}}/predictions.tsv",
        log:
            f"{RESULTS}/logs/take_predictions/seed-{{seed}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/train/take_predictions.seed-{{seed}}.tsv"
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=megabytes(1000),
            runtime=minutes(10),
        params:
            source=code_of("heatproof.train.take_predictions"),
            cohort=options("cohort", "classes", "value"),
            task=OF_TASK,
        shell:
            "python -m heatproof.train.take_predictions --predictions {input.predictions:q} --scans {input.scans} "
            "--cohort {params.cohort:q} --task {params.task:q} --out {output} > {log} 2>&1"

    ruleorder: take_predictions > predict_scans
