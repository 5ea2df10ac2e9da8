"""attribute: every model explains every test scan by every method."""

HEATMAPS = f"{STUDY}/attribute/{{method}}/seed-{{seed}}"
FEW_HEATMAPS = f"{STUDY}/attribute/{{method}}/seed-{{seed}}_few"  # beside means, where no others are written
HEALTHY = {"twins": f"{STORE}/twins.npy"} if TWINS else {"mean-control": f"{STORE}/mean_control.npy"}


rule check_network:
    """Try the network and every method on random scans: registration and training wait for it.

    What the network cannot do ends the study if the user named it. What the default config brings is planned all the
    same, and its jobs write results without a map: so a plan depends on nothing that a job finds out.
    """
    input:
        template=REGION_FILES,
        imported=expand(MODEL, seed=SEEDS) if IMPORTED else [],
    output:
        table=POSSIBLE,
        # Once there they are files that no rule makes, so that a later check has nothing registered or trained again.
        checked=[touch(file) for file in (CHECKED, *TRAINABLE.values()) if not Path(file).exists()],
    log:
        f"{STUDY}/logs/check_network.log",
    benchmark:
        f"{STUDY}/benchmarks/attribute/check_network.tsv"
    priority: 3
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=megabytes(2000, 600),
        runtime=minutes(60),
    params:
        source=code_of(
            "heatproof.attribute.check_network",
            *dict.fromkeys(map(network_module, NETWORKS)),
            apart=["heatproof.attribute"],
        ),
        methods=list(
            dict.fromkeys(
                explaining_code(method, network) for network in NETWORKS for method in METHODS if method not in TAKEN
            )
        ),
        train=options("train", "network" if "" in NETWORKS else "networks", "batch_size", "loss", *MICRO_BATCH),
        attribute=as_json(
            {
                "methods": {
                    name: entry for name, entry in config["attribute"]["methods"].items() if name not in TAKEN
                },
                "convergence_scans": config["attribute"]["convergence_scans"],
            }
        ),
        compare=options("compare", "checks", "cascade_parts"),
        named=NAMED,
        task=OF_TASK,
    shell:
        "python -m heatproof.attribute.check_network --template $(dirname {input.template[0]}) --train {params.train:q} "
        "--attribute {params.attribute:q} --compare {params.compare:q} --task {params.task:q} --named {params.named} --out {output.table} > {log} 2>&1"


rule explain_scans:
    """Explain what one model, or a control of it, sees in all test scans, by one method."""
    input:
        unpack(references_of),
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
    wildcard_constraints:
        method=one_of(name for name in EXPLAINED if name not in TAKEN),
    conda:
        "../../envs/torch.yaml"
    threads: 4 if GPUS else 1  # all but one write heatmaps while the GPU goes on
    resources:
        mem_mb=megabytes(2000, 300 * config["attribute"]["batch_size"]),
        runtime=minutes(720),
        gpu=GPUS,
    params:
        source=lambda wildcards: explaining_code(wildcards.method, network_of(wildcards.seed)),
        network=lambda wildcards: network_of(wildcards.seed),
        options=lambda wildcards: as_json(options_of(wildcards.method)),
        possible=POSSIBLE,
        batch_size=config["attribute"]["batch_size"],
        device=config["train"]["device"],
        task=OF_TASK,
    shell:
        "HEATPROOF_GPUS={resources.gpu} "
        "python -m heatproof.attribute.explain --model {input.model} --scans {input.images} "
        "--template $(dirname {input.template[0]}) "
        "--name {wildcards.method} --options {params.options:q} --possible {params.possible} "
        "--network={params.network} --task {params.task:q} --batch-size {params.batch_size} --device {params.device} --out-dir {output} > {log} 2>&1"


rule take_maps:
    """Take maps that were made elsewhere as one model's heatmaps of all test scans, on the working grid."""
    input:
        maps=lambda wildcards: list(files_of(taken_pattern(wildcards), rows_of("test")["scan"]).values()),
        scans=f"{RESULTS}/cohort/test.tsv",
        mask=f"{TEMPLATE}/brain_mask.nii.gz",
    output:
        directory(HEATMAPS) if config["attribute"]["keep"] == "all" else temp(directory(HEATMAPS)),
    log:
        f"{STUDY}/logs/take_maps/{{method}}_seed-{{seed}}.log",
    benchmark:
        f"{STUDY}/benchmarks/attribute/take_maps.{{method}}_seed-{{seed}}.tsv"
    wildcard_constraints:
        method=one_of(TAKEN),
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=megabytes(2000, 100),
        runtime=minutes(60),
    params:
        source=code_of("heatproof.attribute.take_maps", apart=["heatproof.attribute", "heatproof.attribute.explain"]),
        path=taken_pattern,
    shell:
        "python -m heatproof.attribute.take_maps --scans {input.scans} --path {params.path:q} --mask {input.mask} "
        "--out-dir {output} > {log} 2>&1"


rule delete_regions:
    """Hide and show regions of recognised scans in the order of their heatmaps, and follow the model's output."""
    input:
        model=MODEL,
        predictions=f"{RESULTS}/train/seed-{{seed}}/predictions.tsv",
        images=f"{RESULTS}/train/store/test.npy",
        scans=f"{RESULTS}/train/store/test.tsv",
        heatmaps=followed_maps,
        template=REGION_FILES,
    output:
        f"{STUDY}/attribute/{{method}}/deletion_seed-{{seed}}.tsv",
    log:
        f"{STUDY}/logs/delete_regions/{{method}}_seed-{{seed}}.log",
    benchmark:
        f"{STUDY}/benchmarks/attribute/delete_regions.{{method}}_seed-{{seed}}.tsv"
    priority: 1  # before further heatmaps are made, for where these are not kept
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=megabytes(2000, 150 * config["attribute"]["batch_size"]),
        runtime=minutes(720),
        gpu=GPUS,
    params:
        source=code_for_model("heatproof.attribute.delete_regions", apart=["heatproof.attribute"]),
        regions=config["compare"]["regions"],
        most=config["attribute"]["deletion_scans"],
        batch_size=config["attribute"]["batch_size"],
        device=config["train"]["device"],
        task=OF_TASK,
    shell:
        "HEATPROOF_GPUS={resources.gpu} "
        "python -m heatproof.attribute.delete_regions --model {input.model} --predictions {input.predictions} "
        "--scans {input.images} --heatmaps {input.heatmaps} --template $(dirname {input.template[0]}) "
        "--regions {params.regions} --most-scans {params.most} --task {params.task:q} --batch-size {params.batch_size} "
        "--device {params.device} --out {output} > {log} 2>&1"


if EFFECTS:

    rule measure_effects:
        """Measure by how much one model's margin falls when a region or a cube of a scan of the target is a healthy one's."""
        input:
            model=MODEL,
            images=f"{STORE}/test.npy",
            scans=f"{STORE}/test.tsv",
            train=[f"{STORE}/train.npy", f"{STORE}/train.tsv"] if EFFECTS["controls"] else [],
            twins=[f"{STORE}/twins.npy", f"{STORE}/twins.tsv"] if TWINS else [],
            template=REGION_FILES,
        output:
            effects=f"{STUDY}/attribute/effects/seed-{{seed}}.tsv",
            margins=f"{STUDY}/attribute/effects/seed-{{seed}}_margins.tsv",
            of_channels=[f"{STUDY}/attribute/effects/seed-{{seed}}_channels.tsv"] * bool(FURTHER),
        log:
            f"{STUDY}/logs/measure_effects/seed-{{seed}}.log",
        benchmark:
            f"{STUDY}/benchmarks/attribute/measure_effects.seed-{{seed}}.tsv"
        conda:
            "../../envs/torch.yaml"
        resources:
            mem_mb=megabytes(2000, 150 * config["attribute"]["batch_size"]),
            runtime=minutes(720),
            gpu=GPUS,
        params:
            source=code_for_model("heatproof.attribute.measure_effects", apart=["heatproof.attribute"]),
            options=as_json(EFFECTS | {"regions": config["compare"]["regions"]}),
            twins=["--twins", f"{STORE}/twins.npy"] if TWINS else [],
            train=["--train", f"{STORE}/train.npy"] if EFFECTS["controls"] else [],
            channels=lambda wildcards, output: (
                ["--channels", *CHANNELS, "--of-channels", *output.of_channels] if FURTHER else []
            ),
            batch_size=config["attribute"]["batch_size"],
            device=config["train"]["device"],
            task=OF_TASK,
        shell:
            "HEATPROOF_GPUS={resources.gpu} "
            "python -m heatproof.attribute.measure_effects --model {input.model} --scans {input.images} {params.twins} "
            "{params.train} --template $(dirname {input.template[0]}) --options {params.options:q} "
            "--task {params.task:q} --batch-size {params.batch_size} --device {params.device} --out {output.effects} "
            "--margins {output.margins} {params.channels} > {log} 2>&1"


if RECOVERED:
    RECOVERY = {
        "source": code_for_model("heatproof.attribute.recover_health", apart=["heatproof.attribute"]),
        "cubes": EFFECTS["cubes"],
        "most": config["attribute"]["recovery_scans"],
        "healthy": [word for name, path in HEALTHY.items() for word in (f"--{name}", path)],
        "batch_size": config["attribute"]["batch_size"],
        "device": config["train"]["device"],
    }

    rule recover_by_effects:
        """Give cubes back their health in the order of their effects on one model, and in random orders."""
        input:
            model=MODEL,
            predictions=f"{RESULTS}/train/seed-{{seed}}/predictions.tsv",
            images=f"{STORE}/test.npy",
            scans=f"{STORE}/test.tsv",
            healthy=list(HEALTHY.values()),
            effects=f"{STUDY}/attribute/effects/seed-{{seed}}.tsv",
            template=REGION_FILES,
        output:
            f"{STUDY}/attribute/effects/recovery_seed-{{seed}}.tsv",
        log:
            f"{STUDY}/logs/recover_by_effects/seed-{{seed}}.log",
        benchmark:
            f"{STUDY}/benchmarks/attribute/recover_by_effects.seed-{{seed}}.tsv"
        conda:
            "../../envs/torch.yaml"
        resources:
            mem_mb=megabytes(2000, 150 * config["attribute"]["batch_size"]),
            runtime=minutes(720),
            gpu=GPUS,
        params:
            **RECOVERY,
            order=lambda wildcards, input: ["--effects", input.effects],
            task=OF_TASK,
        shell:
            "HEATPROOF_GPUS={resources.gpu} "
            "python -m heatproof.attribute.recover_health --model {input.model} --predictions {input.predictions} "
            "--scans {input.images} {params.healthy} --template $(dirname {input.template[0]}) --cubes {params.cubes} "
            "{params.order} --task {params.task:q} --most-scans {params.most} --batch-size {params.batch_size} --device {params.device} "
            "--out {output} > {log} 2>&1"

    use rule recover_by_effects as recover_by_map with:
        input:
            model=MODEL,
            predictions=f"{RESULTS}/train/seed-{{seed}}/predictions.tsv",
            images=f"{STORE}/test.npy",
            scans=f"{STORE}/test.tsv",
            healthy=list(HEALTHY.values()),
            heatmaps=followed_maps,
            shared=f"{STUDY}/attribute/effects/recovery_seed-{{seed}}.tsv",
            template=REGION_FILES,
        output:
            f"{STUDY}/attribute/{{method}}/recovery_seed-{{seed}}.tsv",
        log:
            f"{STUDY}/logs/recover_by_map/{{method}}_seed-{{seed}}.log",
        benchmark:
            f"{STUDY}/benchmarks/attribute/recover_by_map.{{method}}_seed-{{seed}}.tsv"
        priority: 1  # before further heatmaps are made, for where these are not kept
        params:
            **RECOVERY,
            order=lambda wildcards, input: ["--heatmaps", input.heatmaps, "--shared", input.shared],
            task=OF_TASK,


rule trace_convergence:
    """Trace how fast a method forgets, on its way back through each model, where it began."""
    input:
        models=expand(MODEL, seed=SEEDS),
        images=f"{RESULTS}/train/store/test.npy",
        scans=f"{RESULTS}/train/store/test.tsv",
    output:
        f"{STUDY}/attribute/{{method}}/convergence.tsv",
    log:
        f"{STUDY}/logs/trace_convergence/{{method}}.log",
    benchmark:
        f"{STUDY}/benchmarks/attribute/trace_convergence.{{method}}.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=megabytes(2000, 600),
        runtime=minutes(240),
        gpu=GPUS,
    params:
        source=code_of(
            "heatproof.attribute.trace_convergence",
            *dict.fromkeys(map(network_module, NETWORKS)),
            apart=["heatproof.attribute"],
        ),
        seeds=SEEDS,
        options=lambda wildcards: as_json(options_of(wildcards.method)),
        possible=POSSIBLE,
        most=config["attribute"]["convergence_scans"],
        device=config["train"]["device"],
    shell:
        "HEATPROOF_GPUS={resources.gpu} "
        "python -m heatproof.attribute.trace_convergence --models {input.models} --seeds {params.seeds} "
        "--scans {input.images} --name {wildcards.method} --options {params.options:q} --possible {params.possible} "
        "--most-scans {params.most} --device {params.device} --out {output} > {log} 2>&1"
