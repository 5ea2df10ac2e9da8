"""compare: mean maps of every model and method, how far models agree on them, and what could not be compared."""

COMPARE = f"{STUDY}/compare"
MAP_OPTIONS = (
    "--regions {regions} --relevance {relevance} --gain-controls {gain_controls} "
    "--participant-groups {participant_groups}".format(**config["compare"])
)
COMPARISON_OPTIONS = "--within {within} --top-k {top_k} --top-percent {top_percent} --rbo-p {rbo_p}".format(
    **config["compare"]
)
GROUPS = range(1, config["compare"]["participant_groups"] + 1)
LEFT_OUT = [f"left_out/group-{group}_mean_{outcome}.nii.gz" for group in GROUPS for outcome in ["TP", "TN"]]
MAP_FILES = [
    *["mean_TP.nii.gz", "mean_TN.nii.gz", "mean_FP.nii.gz", "mean_FN.nii.gz", "mean_maps.tsv", "regions.tsv"],
    *["left_out/mean_maps.tsv", "left_out/regions.tsv", *LEFT_OUT],
]
MEASURES = ["agreement", *(["rightness"] if TRUTH else [])]
FAITHFULNESS = expand(f"{COMPARE}/{{method}}/faithfulness.tsv", method=FOLLOWED)


rule average_maps:
    """Average the heatmaps of one method and model over the scans of each outcome, and measure the regions."""
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
        method="|".join(map(re.escape, EXPLAINED)),
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
        "--heatmaps {input.heatmaps} --template $(dirname {input.template[0]}) {params.options} "
        "--out $(dirname {output.maps[0]}) > {log} 2>&1"


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
        "--template $(dirname {input.template[0]}) {params.options} --out $(dirname {output.maps[0]}) > {log} 2>&1"


rule make_t_map:
    """Make the t-map of patients against controls among the training or the test scans, with no network."""
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
        "{params.options} --out $(dirname {output.maps[0]}) > {log} 2>&1"


rule halve_t_map:
    """Measure how far the t-maps of two halves of the participants agree."""
    input:
        unpack(store_of_t_map),
        template=REGION_FILES,
    output:
        f"{COMPARE}/{{method}}/agreement.tsv",
    log:
        f"{STUDY}/logs/halve_t_map/{{method}}.log",
    benchmark:
        f"{STUDY}/benchmarks/compare/halve_t_map.{{method}}.tsv"
    wildcard_constraints:
        method="t_map(_test)?",
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000, 200),
        runtime=minutes(240),
    params:
        source=code_of("heatproof.compare.halve_t_map"),
        seeds=SEEDS,
        options=[MAP_OPTIONS, COMPARISON_OPTIONS],
    shell:
        "python -m heatproof.compare.halve_t_map --scans {input.images} --seeds {params.seeds} "
        "--template $(dirname {input.template[0]}) {params.options} --out {output} > {log} 2>&1"


rule compare_controls:
    """Compare each model's mean maps with those of its controls."""
    input:
        maps=expand(f"{COMPARE}/{{method}}/seed-{{seed}}/mean_TP.nii.gz", method=EXPLAINED, seed=SEEDS),
        brain=f"{TEMPLATE}/brain_mask.nii.gz",
    output:
        f"{COMPARE}/controls.tsv",
    log:
        f"{STUDY}/logs/compare_controls.log",
    benchmark:
        f"{STUDY}/benchmarks/compare/compare_controls.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000, 150),
        runtime=minutes(60),
    params:
        source=code_of("heatproof.compare.compare_controls"),
        methods=JUDGED,
        controls=CONTROLS,
        seeds=SEEDS,
    shell:
        "python -m heatproof.compare.compare_controls --folder $(dirname {output}) --methods {params.methods} "
        "--controls {params.controls} --seeds {params.seeds} --mask {input.brain} --out {output} > {log} 2>&1"


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
    shell:
        "python -m heatproof.compare.measure_accuracy --predictions {input.predictions} --seeds {params.seeds} "
        "--out {output} > {log} 2>&1"


rule compare_maps:
    """Compare the mean maps of all models, voxel by voxel (Table 1)."""
    input:
        maps=expand(
            f"{COMPARE}/{{method}}/seed-{{seed}}/mean_{{outcome}}.nii.gz",
            method=MODELLED,
            seed=SEEDS,
            outcome=["TP", "TN"],
        ),
        scans=expand(f"{COMPARE}/{{method}}/seed-{{seed}}/mean_maps.tsv", method=MODELLED, seed=SEEDS),
        brain=f"{TEMPLATE}/brain_mask.nii.gz",
    output:
        pairs=f"{COMPARE}/l2_pairs.tsv",
        summary=report(f"{COMPARE}/l2.tsv", category="compare", caption="../report/l2.rst"),
    log:
        f"{STUDY}/logs/compare_maps.log",
    benchmark:
        f"{STUDY}/benchmarks/compare/compare_maps.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000, 20),
        runtime=minutes(60),
    params:
        source=code_of("heatproof.compare.compare_maps"),
        methods=MODELLED,
        seeds=SEEDS,
        within=config["compare"]["within"],
    shell:
        "python -m heatproof.compare.compare_maps --folder $(dirname {output.summary}) --methods {params.methods} "
        "--seeds {params.seeds} --template $(dirname {input.brain}) --within {params.within} "
        "--pairs {output.pairs} --summary {output.summary} > {log} 2>&1"


rule compare_regions:
    """Compare which regions of all models come first (Table 2 and Figure 3)."""
    input:
        regions=expand(f"{COMPARE}/{{method}}/seed-{{seed}}/regions.tsv", method=MODELLED, seed=SEEDS),
    output:
        pairs=f"{COMPARE}/top_regions_pairs.tsv",
        summary=report(f"{COMPARE}/top_regions.tsv", category="compare", caption="../report/top_regions.rst"),
    log:
        f"{STUDY}/logs/compare_regions.log",
    benchmark:
        f"{STUDY}/benchmarks/compare/compare_regions.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000),
        runtime=minutes(10),
    params:
        source=code_of("heatproof.compare.compare_regions"),
        methods=MODELLED,
        seeds=SEEDS,
        top_k=config["compare"]["top_k"],
    shell:
        "python -m heatproof.compare.compare_regions --folder $(dirname {output.summary}) --methods {params.methods} "
        "--seeds {params.seeds} --top-k {params.top_k} --pairs {output.pairs} --summary {output.summary} > {log} 2>&1"


rule trace_overlap:
    """Trace how many of the first k regions two models share, for every k."""
    input:
        regions=expand(f"{COMPARE}/{{method}}/seed-{{seed}}/regions.tsv", method=METHODS, seed=SEEDS),
    output:
        report(f"{COMPARE}/overlap_curve.tsv", category="compare", caption="../report/overlap_curve.rst"),
    log:
        f"{STUDY}/logs/trace_overlap.log",
    benchmark:
        f"{STUDY}/benchmarks/compare/trace_overlap.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000),
        runtime=minutes(10),
    params:
        source=code_of("heatproof.compare.trace_overlap"),
        methods=METHODS,
        seeds=SEEDS,
    shell:
        "python -m heatproof.compare.trace_overlap --folder $(dirname {output}) --methods {params.methods} "
        "--seeds {params.seeds} --out {output} > {log} 2>&1"


rule measure_agreement:
    """Measure how far every two models agree by one method, with all participants and without each group of them."""
    input:
        models=expand(
            f"{COMPARE}/{{method}}/seed-{{seed}}/{{file}}",
            seed=SEEDS,
            file=MAP_FILES,
            allow_missing=True,
        ),
        brain=f"{TEMPLATE}/brain_mask.nii.gz",
    output:
        f"{COMPARE}/{{method}}/agreement.tsv",
    log:
        f"{STUDY}/logs/measure_agreement/{{method}}.log",
    benchmark:
        f"{STUDY}/benchmarks/compare/measure_agreement.{{method}}.tsv"
    wildcard_constraints:
        method="|".join(map(re.escape, MODELLED)),
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000, 100 + 6 * len(SEEDS)),
        runtime=minutes(240),
    params:
        source=code_of("heatproof.compare.measure_agreement"),
        seeds=SEEDS,
        options=COMPARISON_OPTIONS,
    shell:
        "python -m heatproof.compare.measure_agreement --folder $(dirname $(dirname {output})) "
        "--method {wildcards.method} --seeds {params.seeds} --template $(dirname {input.brain}) {params.options} "
        "--out {output} > {log} 2>&1"


if TRUTH:

    rule measure_rightness:
        """Measure how right every model's mean map is by one method, since the truth is known."""
        input:
            models=expand(
                f"{COMPARE}/{{method}}/seed-{{seed}}/{{file}}",
                seed=SEEDS,
                file=MAP_FILES,
                allow_missing=True,
            ),
            template=REGION_FILES,
            truth=TRUTH,
        output:
            f"{COMPARE}/{{method}}/rightness.tsv",
        log:
            f"{STUDY}/logs/measure_rightness/{{method}}.log",
        benchmark:
            f"{STUDY}/benchmarks/compare/measure_rightness.{{method}}.tsv"
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=megabytes(1000, 100),
            runtime=minutes(60),
        params:
            source=code_of("heatproof.compare.measure_rightness"),
            seeds=SEEDS,
            regions=config["compare"]["regions"],
        shell:
            "python -m heatproof.compare.measure_rightness --folder $(dirname $(dirname {output})) "
            "--method {wildcards.method} --seeds {params.seeds} --template $(dirname {input.template[0]}) "
            "--truth {input.truth} --regions {params.regions} --out {output} > {log} 2>&1"


rule measure_faithfulness:
    """Measure how fast every model's output falls, and rises, in the order of its heatmaps' regions by one method."""
    input:
        curves=expand(f"{STUDY}/attribute/{{method}}/deletion_seed-{{seed}}.tsv", seed=SEEDS, allow_missing=True),
        predictions=expand(f"{RESULTS}/train/seed-{{seed}}/predictions.tsv", seed=SEEDS),
    output:
        f"{COMPARE}/{{method}}/faithfulness.tsv",
    log:
        f"{STUDY}/logs/measure_faithfulness/{{method}}.log",
    benchmark:
        f"{STUDY}/benchmarks/compare/measure_faithfulness.{{method}}.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000),
        runtime=minutes(10),
    params:
        source=code_of("heatproof.compare.measure_faithfulness"),
        seeds=SEEDS,
        groups=len(GROUPS),
    shell:
        "python -m heatproof.compare.measure_faithfulness --curves {input.curves} --predictions {input.predictions} "
        "--seeds {params.seeds} --participant-groups {params.groups} --out {output} > {log} 2>&1"


rule measure_ensembles:
    """Measure how robust and how right the mean map of several models is by one method."""
    input:
        models=expand(
            f"{COMPARE}/{{method}}/seed-{{seed}}/{{file}}",
            seed=SEEDS,
            file=["mean_TP.nii.gz", "mean_maps.tsv"],
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
        options="--regions {regions} --relevance {relevance} --top-k {top_k}".format(**config["compare"]),
        truth=f"--truth {TRUTH}" if TRUTH else "",
    shell:
        "python -m heatproof.compare.measure_ensembles --folder $(dirname $(dirname {output})) "
        "--method {wildcards.method} --seeds {params.seeds} --template $(dirname {input.template[0]}) "
        "{params.options} {params.truth} --out {output} > {log} 2>&1"


rule score_methods:
    """Put every measure into one table with its interval, test methods against each other, ask for enough seeds."""
    input:
        tables=expand(f"{COMPARE}/{{table}}.tsv", table=["l2", "top_regions"]),
        measures=expand(f"{COMPARE}/{{method}}/{{table}}.tsv", method=COMPARED, table=MEASURES),
        faithfulness=FAITHFULNESS,
    output:
        scores=report(f"{COMPARE}/scores.tsv", category="compare", caption="../report/scores.rst"),
        differences=report(f"{COMPARE}/differences.tsv", category="compare", caption="../report/differences.rst"),
        seeds=report(f"{COMPARE}/seeds.tsv", category="compare", caption="../report/seeds.rst"),
        variance=report(f"{COMPARE}/variance.tsv", category="compare", caption="../report/variance.rst"),
    log:
        f"{STUDY}/logs/score_methods.log",
    benchmark:
        f"{STUDY}/benchmarks/compare/score_methods.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000),
        runtime=minutes(10),
    params:
        source=code_of("heatproof.compare.score_methods"),
        methods=JUDGED,
    shell:
        "python -m heatproof.compare.score_methods --folder $(dirname {output.scores}) --methods {params.methods} "
        "--tables {input.measures} {input.faithfulness} --scores {output.scores} "
        "--differences {output.differences} --seeds {output.seeds} --variance {output.variance} > {log} 2>&1"


rule note_gaps:
    """Say in words why cells of this stage's tables are empty."""
    input:
        tables=expand(f"{COMPARE}/{{table}}.tsv", table=["accuracy", "scores"]),
        models=expand(
            f"{COMPARE}/{{method}}/seed-{{seed}}/{{table}}.tsv",
            method=METHODS,
            seed=SEEDS,
            table=["mean_maps", "regions"],
        ),
    output:
        report(f"{COMPARE}/notes.tsv", category="compare", caption="../report/notes.rst"),
    log:
        f"{STUDY}/logs/note_gaps.log",
    benchmark:
        f"{STUDY}/benchmarks/compare/note_gaps.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000),
        runtime=minutes(10),
    params:
        source=code_of("heatproof.compare.note_gaps"),
        methods=METHODS,
        seeds=SEEDS,
        within=config["compare"]["within"],
        top_k=config["compare"]["top_k"],
    shell:
        "python -m heatproof.compare.note_gaps --folder $(dirname {output}) --methods {params.methods} "
        "--seeds {params.seeds} --within {params.within} --top-k {params.top_k} --out {output} > {log} 2>&1"
