"""compare: mean maps of every model and method, how far models agree on them, and what could not be compared."""

COMPARE = f"{STUDY}/compare"
OPTIONS = config["compare"] | {"cubes": EFFECTS["cubes"] if EFFECTS else None, "task": TASK._asdict()}
MAP_OPTIONS = subset(OPTIONS, "regions", "relevance", "gain_controls", "participant_groups", "cubes", "task")
MEASURED = ["within", "top_k", "top_percent", "rbo_p", "regions", "participant_groups", "cubes", "task"]
MEASURE_OPTIONS = subset(OPTIONS, *MEASURED)
GROUPS = range(1, config["compare"]["participant_groups"] + 1)
LEFT_OUT = [f"left_out/group-{group}_mean_{outcome}.nii.gz" for group in GROUPS for outcome in TASK.compared]
MAP_FILES = [
    *[f"mean_{group}.nii.gz" for group in TASK.groups],
    *["mean_maps.tsv", "regions.tsv", "left_out/mean_maps.tsv", "left_out/regions.tsv", *LEFT_OUT],
    *(["units.tsv", "left_out/units.tsv"] if EFFECTS else []),
]
OF_CHANNELS = ["channels"] if FURTHER else []
OF_NETWORKS = [] if "" in NETWORKS else ["networks"]
TRUTH_OPTION = f"--truth {TRUTH}" if TRUTH else ""
CHANGE = [f"{COMPARE}/change.nii.gz"] if TRUTH and TWINS else []
SCALE_OPTIONS = subset(OPTIONS, "regions", "smoothing", "participant_groups", "cubes", "task")
SCALED = [name for name in MODELLED if split_name(name)[1] in ["", *FLOORS]]


rule average_maps:
    """Average the heatmaps of one method and model over the scans of each group, and measure the regions."""
    input:
        predictions=f"{RESULTS}/train/seed-{{seed}}/predictions.tsv",
        heatmaps=HEATMAPS,
        template=REGION_FILES,
    output:
        maps=expand(f"{COMPARE}/{{method}}/seed-{{seed}}/{{file}}", file=MAP_FILES, allow_missing=True),
    log:
        f"{STUDY}/logs/average_maps/{{method}}_seed-{{seed}}.log",
    benchmark:
        f"{STUDY}/benchmarks/compare/average_maps.{{method}}_seed-{{seed}}.tsv"
    wildcard_constraints:
        method=one_of(name for name in EXPLAINED if name not in SUMMED),
    priority: 1  # before further heatmaps are made, for where these are not kept
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000, 80 + 24 * len(GROUPS)),
        runtime=minutes(60),
    params:
        source=code_of("heatproof.compare.average_maps"),
        options=MAP_OPTIONS,
    shell:
        "python -m heatproof.compare.average_maps --predictions {input.predictions} "
        "--heatmaps {input.heatmaps} --template $(dirname {input.template[0]}) --options {params.options:q} "
        "--out $(dirname {output.maps[0]}) > {log} 2>&1"


rule average_explained:
    """Explain what one model sees in all test scans, and average it at once: the heatmaps of all scans are not written."""
    input:
        unpack(references_of),
        model=explained_model,
        predictions=f"{RESULTS}/train/seed-{{seed}}/predictions.tsv",
        images=f"{STORE}/test.npy",
        scans=f"{STORE}/test.tsv",
        template=REGION_FILES,
    output:
        maps=expand(f"{COMPARE}/{{method}}/seed-{{seed}}/{{file}}", file=MAP_FILES, allow_missing=True),
        few=temp(directory(FEW_HEATMAPS)),
    log:
        f"{STUDY}/logs/average_explained/{{method}}_seed-{{seed}}.log",
    benchmark:
        f"{STUDY}/benchmarks/compare/average_explained.{{method}}_seed-{{seed}}.tsv"
    wildcard_constraints:
        method=one_of(SUMMED),
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=megabytes(2500, 300 * config["attribute"]["batch_size"] + 80 + 60 * len(GROUPS)),
        runtime=minutes(720),
        gpu=GPUS,
    params:
        source=lambda wildcards: [
            explaining_code(wildcards.method, network_of(wildcards.seed)),
            code_of(
                "heatproof.compare.average_explained", apart=["heatproof.attribute", "heatproof.attribute.explain"]
            ),
        ],
        network=lambda wildcards: network_of(wildcards.seed),
        options=lambda wildcards: as_json(options_of(wildcards.method)),
        possible=POSSIBLE,
        compare=MAP_OPTIONS,
        single=[config["attribute"]["deletion_scans"], config["attribute"]["recovery_scans"] if RECOVERED else 0],
        batch_size=config["attribute"]["batch_size"],
        device=config["train"]["device"],
        task=OF_TASK,
    shell:
        "HEATPROOF_GPUS={resources.gpu} "
        "python -m heatproof.compare.average_explained --model {input.model} --scans {input.images} "
        "--predictions {input.predictions} --template $(dirname {input.template[0]}) "
        "--name {wildcards.method} --options {params.options:q} --possible {params.possible} "
        "--network={params.network} --task {params.task:q} --batch-size {params.batch_size} --device {params.device} "
        "--compare {params.compare:q} --single {params.single} --single-dir {output.few} "
        "--out $(dirname {output.maps[0]}) > {log} 2>&1"


if FURTHER:
    OWN_METHODS = [method for method in METHODS if method not in TAKEN]  # maps of others have no channels

    rule average_channels:
        """Average the heatmaps of one method and model over the scans of each group, channel by channel."""
        input:
            predictions=f"{RESULTS}/train/seed-{{seed}}/predictions.tsv",
            heatmaps=HEATMAPS,
            brain=f"{TEMPLATE}/brain_mask.nii.gz",
        output:
            table=f"{COMPARE}/{{method}}/seed-{{seed}}/channels.tsv",
            maps=expand(
                f"{COMPARE}/{{method}}/seed-{{seed}}/mean_{{group}}_{{channel}}.nii.gz",
                group=TASK.groups,
                channel=CHANNELS,
                allow_missing=True,
            ),
        log:
            f"{STUDY}/logs/average_channels/{{method}}_seed-{{seed}}.log",
        benchmark:
            f"{STUDY}/benchmarks/compare/average_channels.{{method}}_seed-{{seed}}.tsv"
        wildcard_constraints:
            method=one_of(OWN_METHODS),
        priority: 1  # before further heatmaps are made, for where these are not kept
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=megabytes(1000, 30 * len(CHANNELS)),
            runtime=minutes(60),
        params:
            source=code_of("heatproof.compare.average_channels"),
            channels=CHANNELS,
            task=OF_TASK,
        shell:
            "python -m heatproof.compare.average_channels --predictions {input.predictions} "
            "--heatmaps {input.heatmaps} --mask {input.brain} --channels {params.channels} --task {params.task:q} "
            "--out {output.table} > {log} 2>&1"

    rule compare_channels:
        """Join the share of each channel in the maps of every method and model, and its effect on every model."""
        input:
            shares=expand(f"{COMPARE}/{{method}}/seed-{{seed}}/channels.tsv", method=OWN_METHODS, seed=SEEDS),
            effects=expand(f"{STUDY}/attribute/effects/seed-{{seed}}_channels.tsv", seed=SEEDS if EFFECTS else []),
            predictions=expand(f"{RESULTS}/train/seed-{{seed}}/predictions.tsv", seed=SEEDS if EFFECTS else []),
        output:
            f"{COMPARE}/channels.tsv",
        log:
            f"{STUDY}/logs/compare_channels.log",
        benchmark:
            f"{STUDY}/benchmarks/compare/compare_channels.tsv"
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=megabytes(1000),
            runtime=minutes(10),
        params:
            source=code_of("heatproof.compare.compare_channels"),
            methods=OWN_METHODS,
            seeds=SEEDS,
            effects=lambda wildcards, input: named_options(input, ["effects", "predictions"] if EFFECTS else []),
            task=OF_TASK,
        shell:
            "python -m heatproof.compare.compare_channels --folder $(dirname {output}) --methods {params.methods} "
            "--seeds {params.seeds} {params.effects} --task {params.task:q} --out {output} > {log} 2>&1"


rule make_noise:
    """Make noise autocorrelated as a method's mean maps, and of the same values."""
    input:
        maps=expand(f"{COMPARE}/{{method}}/seed-{{seed}}/{{file}}", file=MAP_FILES, allow_missing=True),
        template=REGION_FILES,
    output:
        maps=expand(f"{COMPARE}/{{method}}.noise/seed-{{seed}}/{{file}}", file=MAP_FILES, allow_missing=True),
    log:
        f"{STUDY}/logs/make_noise/{{method}}_seed-{{seed}}.log",
    benchmark:
        f"{STUDY}/benchmarks/compare/make_noise.{{method}}_seed-{{seed}}.tsv"
    wildcard_constraints:
        method="|".join(METHODS),
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000, 250),
        runtime=minutes(30),
    params:
        source=code_of("heatproof.compare.make_noise"),
        options=MAP_OPTIONS,
    shell:
        "python -m heatproof.compare.make_noise --maps $(dirname {input.maps[0]}) --name {wildcards.method}/{wildcards.seed} "
        "--template $(dirname {input.template[0]}) --options {params.options:q} --out $(dirname {output.maps[0]}) > {log} 2>&1"


rule make_t_map:
    """Make the t-map of the target against the class it is held against, among the training or the test scans, with no network."""
    input:
        unpack(store_of_t_map),
        template=REGION_FILES,
    output:
        maps=expand(f"{COMPARE}/{{method}}/seed-{{seed}}/{{file}}", file=MAP_FILES, allow_missing=True),
    log:
        f"{STUDY}/logs/make_t_map/{{method}}_seed-{{seed}}.log",
    benchmark:
        f"{STUDY}/benchmarks/compare/make_t_map.{{method}}_seed-{{seed}}.tsv"
    wildcard_constraints:
        method="t_map(_test)?",
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000, 150),
        runtime=minutes(30),
    params:
        source=code_of("heatproof.compare.make_t_map"),
        options=MAP_OPTIONS,
    shell:
        "python -m heatproof.compare.make_t_map --scans {input.images} --template $(dirname {input.template[0]}) "
        "--options {params.options:q} --out $(dirname {output.maps[0]}) > {log} 2>&1"


rule make_change:
    """Average where test patients differ from their healthy twins."""
    input:
        images=f"{STORE}/test.npy",
        scans=f"{STORE}/test.tsv",
        twins=[f"{STORE}/twins.npy", f"{STORE}/twins.tsv"],
        brain=f"{TEMPLATE}/brain_mask.nii.gz",
    output:
        f"{COMPARE}/change.nii.gz",
    log:
        f"{STUDY}/logs/make_change.log",
    benchmark:
        f"{STUDY}/benchmarks/compare/make_change.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000, 20),
        runtime=minutes(30),
    params:
        source=code_of("heatproof.compare.make_change"),
        task=OF_TASK,
    shell:
        "python -m heatproof.compare.make_change --scans {input.images} --twins {input.twins[0]} --mask {input.brain} "
        "--task {params.task:q} --out {output} > {log} 2>&1"


rule compare_checks:
    """Compare each model's mean maps with those under its sanity checks."""
    input:
        maps=expand(f"{COMPARE}/{{method}}/seed-{{seed}}/mean_{TASK.explained}.nii.gz", method=EXPLAINED, seed=SEEDS),
        brain=f"{TEMPLATE}/brain_mask.nii.gz",
        possible=KNOWN_POSSIBLE,
    output:
        f"{COMPARE}/checks.tsv",
    log:
        f"{STUDY}/logs/compare_checks.log",
    benchmark:
        f"{STUDY}/benchmarks/compare/compare_checks.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000, 150),
        runtime=minutes(60),
    params:
        source=code_of("heatproof.compare.compare_checks"),
        names=CHECK_MAPS,
        seeds=SEEDS,
        task=OF_TASK,
    shell:
        "python -m heatproof.compare.compare_checks --folder $(dirname {output}) --names {params.names} "
        "--seeds {params.seeds} --mask {input.brain} --possible {input.possible} --task {params.task:q} --out {output} > {log} 2>&1"


rule measure_accuracy:
    """Measure how well each model classifies the test scans."""
    input:
        predictions=expand(f"{RESULTS}/train/seed-{{seed}}/predictions.tsv", seed=SEEDS),
    output:
        report(f"{COMPARE}/accuracy.tsv", category="compare", caption="../report/accuracy.rst"),
    log:
        f"{STUDY}/logs/measure_accuracy.log",
    benchmark:
        f"{STUDY}/benchmarks/compare/measure_accuracy.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000),
        runtime=minutes(10),
    params:
        source=code_of("heatproof.compare.measure_accuracy"),
        seeds=SEEDS,
        checks="",
        task=OF_TASK,
    shell:
        "python -m heatproof.compare.measure_accuracy --predictions {input.predictions} --seeds {params.seeds} "
        "{params.checks} --task {params.task:q} --out {output} > {log} 2>&1"


use rule measure_accuracy as measure_check_accuracy with:
    input:
        predictions=expand(f"{RESULTS}/train/seed-{{seed}}/checks/{{check}}_predictions.tsv", check=CHECKS, seed=SEEDS),
    output:
        f"{COMPARE}/checks_accuracy.tsv",
    log:
        f"{STUDY}/logs/measure_check_accuracy.log",
    benchmark:
        f"{STUDY}/benchmarks/compare/measure_check_accuracy.tsv"
    params:
        source=code_of("heatproof.compare.measure_accuracy"),
        seeds=SEEDS * len(CHECKS),
        checks=words("--checks", [check for check in CHECKS for _ in SEEDS]),
        task=OF_TASK,


rule measure_method:
    """Measure the maps of all models by one method, with all participants and without each group of them."""
    input:
        unpack(outputs_of_models),
        models=expand(
            f"{COMPARE}/{{method}}/seed-{{seed}}/{{file}}",
            seed=SEEDS,
            file=MAP_FILES,
            allow_missing=True,
        ),
        template=REGION_FILES,
        truth=TRUTH or [],
        change=CHANGE,
    output:
        f"{COMPARE}/{{method}}/measures.tsv",
    log:
        f"{STUDY}/logs/measure_method/{{method}}.log",
    benchmark:
        f"{STUDY}/benchmarks/compare/measure_method.{{method}}.tsv"
    wildcard_constraints:
        method="|".join(map(re.escape, MODELLED)),
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000, 150 + 10 * len(SEEDS)),
        runtime=minutes(240),
    params:
        source=code_of("heatproof.compare.measure_method"),
        seeds=SEEDS,
        options=MEASURE_OPTIONS,
        truth=words(TRUTH_OPTION, *(["--change", CHANGE] if CHANGE else [])),
        outputs=output_options,
    shell:
        "python -m heatproof.compare.measure_method --folder $(dirname $(dirname {output})) --method {wildcards.method} "
        "--seeds {params.seeds} --template $(dirname {input.template[0]}) {params.truth} {params.outputs} "
        "--options {params.options:q} --out {output} > {log} 2>&1"


rule measure_t_map:
    """Measure how far the t-maps of two halves of the participants agree, and how well that of all localises."""
    input:
        unpack(store_of_t_map),
        unpack(outputs_of_models),
        models=expand(
            f"{COMPARE}/{{method}}/seed-{{seed}}/{{file}}",
            seed=SEEDS,
            file=MAP_FILES,
            allow_missing=True,
        ),
        template=REGION_FILES,
        truth=TRUTH or [],
        change=CHANGE,
    output:
        f"{COMPARE}/{{method}}/measures.tsv",
    log:
        f"{STUDY}/logs/measure_t_map/{{method}}.log",
    benchmark:
        f"{STUDY}/benchmarks/compare/measure_t_map.{{method}}.tsv"
    wildcard_constraints:
        method="t_map(_test)?",
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000, 200),
        runtime=minutes(240),
    params:
        source=code_of("heatproof.compare.measure_t_map"),
        seeds=SEEDS,
        options=subset(OPTIONS, *MEASURED, "relevance", "gain_controls"),
        truth=words(TRUTH_OPTION, *(["--change", CHANGE] if CHANGE else [])),
        outputs=output_options,
    shell:
        "python -m heatproof.compare.measure_t_map --scans {input.images} --folder $(dirname $(dirname {output})) "
        "--method {wildcards.method} --seeds {params.seeds} --template $(dirname {input.template[0]}) {params.truth} "
        "{params.outputs} --options {params.options:q} --out {output} > {log} 2>&1"


rule compare_effects:
    """Compare the models by the effects of units on them, and tell how sure these effects are."""
    input:
        unpack(outputs_of_models),
        template=REGION_FILES,
    output:
        measures=f"{COMPARE}/effects/measures.tsv",
        table=report(f"{COMPARE}/effects.tsv", category="compare", caption="../report/effects.rst"),
    log:
        f"{STUDY}/logs/compare_effects.log",
    benchmark:
        f"{STUDY}/benchmarks/compare/compare_effects.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000, 20),
        runtime=minutes(30),
    params:
        source=code_of("heatproof.compare.compare_effects"),
        seeds=SEEDS,
        options=subset(OPTIONS, "regions", "participant_groups", "cubes", "task"),
        outputs=output_options,
    shell:
        "python -m heatproof.compare.compare_effects --seeds {params.seeds} --template $(dirname {input.template[0]}) "
        "{params.outputs} --options {params.options:q} --measures {output.measures} --out {output.table} > {log} 2>&1"


rule measure_ensembles:
    """Measure how robust and how well localised the mean map of several models is by one method."""
    input:
        models=expand(
            f"{COMPARE}/{{method}}/seed-{{seed}}/{{file}}",
            seed=SEEDS,
            file=[f"mean_{TASK.explained}.nii.gz", "mean_maps.tsv"],
            allow_missing=True,
        ),
        template=REGION_FILES,
        truth=TRUTH or [],
    output:
        f"{COMPARE}/{{method}}/ensembles.tsv",
    log:
        f"{STUDY}/logs/measure_ensembles/{{method}}.log",
    benchmark:
        f"{STUDY}/benchmarks/compare/measure_ensembles.{{method}}.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000, 150 + 6 * len(SEEDS)),
        runtime=minutes(120),
    params:
        source=code_of("heatproof.compare.measure_ensembles"),
        seeds=SEEDS,
        options=subset(OPTIONS, "regions", "relevance", "top_k", "task"),
        truth=TRUTH_OPTION,
    shell:
        "python -m heatproof.compare.measure_ensembles --folder $(dirname $(dirname {output})) "
        "--method {wildcards.method} --seeds {params.seeds} --template $(dirname {input.template[0]}) "
        "{params.truth} --options {params.options:q} --out {output} > {log} 2>&1"


rule measure_scale:
    """Measure the maps of all models by one method, smoothed by several widths."""
    input:
        unpack(effects_of_models),
        models=expand(
            f"{COMPARE}/{{method}}/seed-{{seed}}/mean_{TASK.explained}.nii.gz", seed=SEEDS, allow_missing=True
        ),
        template=REGION_FILES,
        truth=TRUTH or [],
    output:
        f"{COMPARE}/{{method}}/scale.tsv",
    log:
        f"{STUDY}/logs/measure_scale/{{method}}.log",
    benchmark:
        f"{STUDY}/benchmarks/compare/measure_scale.{{method}}.tsv"
    wildcard_constraints:
        method="|".join(map(re.escape, SCALED)),
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000, 100 + 3 * len(SEEDS)),
        runtime=minutes(60),
    params:
        source=code_of("heatproof.compare.measure_scale"),
        seeds=SEEDS,
        options=SCALE_OPTIONS,
        truth=TRUTH_OPTION,
        effects=lambda wildcards, input: named_options(input, effects_of_models(wildcards)),
    shell:
        "python -m heatproof.compare.measure_scale --folder $(dirname $(dirname {output})) --method {wildcards.method} "
        "--seeds {params.seeds} --template $(dirname {input.template[0]}) {params.truth} {params.effects} "
        "--options {params.options:q} --out {output} > {log} 2>&1"


rule write_tables:
    """Make Tables 1 and 2, the curve, the scores with their intervals, and the notes from what was measured."""
    input:
        measures=expand(f"{COMPARE}/{{method}}/measures.tsv", method=[*COMPARED, *(["effects"] if EFFECTS else [])]),
        effects=[f"{COMPARE}/effects.tsv"] if EFFECTS else [],
        models=expand(f"{COMPARE}/{{method}}/seed-{{seed}}/mean_maps.tsv", method=MODELLED, seed=SEEDS),
        regions=expand(f"{COMPARE}/{{method}}/seed-{{seed}}/regions.tsv", method=METHODS, seed=SEEDS),
        accuracy=f"{COMPARE}/accuracy.tsv",
        brain=f"{TEMPLATE}/brain_mask.nii.gz",
        possible=KNOWN_POSSIBLE,
    output:
        [
            report(f"{COMPARE}/{table}.tsv", category="compare", caption=f"../report/{table}.rst")
            for table in ["l2", "top_regions", "overlap_curve", "scores", "differences", "seeds", "variance", "notes"]
        ],
        [f"{COMPARE}/{table}.tsv" for table in ("l2_pairs", "top_regions_pairs", *OF_NETWORKS)],
    log:
        f"{STUDY}/logs/write_tables.log",
    benchmark:
        f"{STUDY}/benchmarks/compare/write_tables.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000),
        runtime=minutes(20),
    params:
        source=code_of("heatproof.compare.write_tables"),
        methods=METHODS,
        judged=JUDGED,
        modelled=MODELLED,
        checks=["--checks", *CHECKS] if CHECKS else [],
        seeds=SEEDS,
        options=subset(OPTIONS, "within", "top_k", "task"),
        effects=lambda wildcards, input: ["--effects", input.effects] if EFFECTS else [],
    shell:
        "python -m heatproof.compare.write_tables --folder $(dirname {input.accuracy}) --measures {input.measures} "
        "--methods {params.methods} --judged {params.judged} --modelled {params.modelled} {params.checks} "
        "--seeds {params.seeds} --mask {input.brain} --possible {input.possible} {params.effects} "
        "--options {params.options:q} > {log} 2>&1"
