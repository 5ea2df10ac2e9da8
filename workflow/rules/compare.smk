"""compare: mean maps of every model and method, how far models agree on them, and what could not be compared."""

COMPARE = f"{STUDY}/compare"
GROUPS = range(1, config["compare"]["participant_groups"] + 1)
MEASURES = ["agreement", *(["rightness"] if TRUTH else [])]


rule average_maps:
    """Average the heatmaps of one method and model over the scans of each outcome, and measure the regions."""
    input:
        source=modules("heatproof.compare.average_maps"),
        predictions=f"{RESULTS}/train/seed-{{seed}}/predictions.tsv",
        heatmaps=expand(
            f"{STUDY}/attribute/{{method}}/seed-{{seed}}/{{scan}}_heatmap.nii.gz",
            scan=TEST_SCANS,
            allow_missing=True,
        ),
        template=expand(f"{TEMPLATE}/{{file}}", file=["brain_mask.nii.gz", "regions.nii.gz", "regions.tsv"]),
    output:
        maps=expand(
            f"{COMPARE}/{{method}}/seed-{{seed}}/mean_{{outcome}}.nii.gz",
            outcome=["TP", "TN", "FP", "FN"],
            allow_missing=True,
        ),
        scans=f"{COMPARE}/{{method}}/seed-{{seed}}/mean_maps.tsv",
        regions=f"{COMPARE}/{{method}}/seed-{{seed}}/regions.tsv",
        left_out=expand(
            f"{COMPARE}/{{method}}/seed-{{seed}}/left_out/{{file}}",
            file=[
                *["mean_maps.tsv", "regions.tsv"],
                *(f"group-{group}_mean_{outcome}.nii.gz" for group in GROUPS for outcome in ["TP", "TN"]),
            ],
            allow_missing=True,
        ),
    log:
        f"{STUDY}/logs/average_maps/{{method}}_seed-{{seed}}.log",
    benchmark:
        f"{STUDY}/benchmarks/compare/average_maps.{{method}}_seed-{{seed}}.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(500, 80 + 24 * len(GROUPS)),
        runtime=60,
    params:
        options="--regions {regions} --relevance {relevance} --gain-controls {gain_controls} "
        "--participant-groups {participant_groups}".format(**config["compare"]),
    shell:
        "python -m heatproof.compare.average_maps --predictions {input.predictions} "
        "--heatmaps $(dirname {input.heatmaps[0]}) --template $(dirname {input.template[0]}) {params.options} "
        "--out $(dirname {output.regions}) > {log} 2>&1"


rule measure_accuracy:
    """Measure how well each model classifies the test scans."""
    input:
        source=modules("heatproof.compare.measure_accuracy"),
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
        mem_mb=500,
        runtime=10,
    params:
        seeds=SEEDS,
    shell:
        "python -m heatproof.compare.measure_accuracy --predictions {input.predictions} --seeds {params.seeds} "
        "--out {output} > {log} 2>&1"


rule compare_maps:
    """Compare the mean maps of all models, voxel by voxel (Table 1)."""
    input:
        source=modules("heatproof.compare.compare_maps"),
        maps=expand(
            f"{COMPARE}/{{method}}/seed-{{seed}}/mean_{{outcome}}.nii.gz",
            method=METHODS,
            seed=SEEDS,
            outcome=["TP", "TN"],
        ),
        scans=expand(f"{COMPARE}/{{method}}/seed-{{seed}}/mean_maps.tsv", method=METHODS, seed=SEEDS),
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
        mem_mb=megabytes(500, 20),
        runtime=60,
    params:
        methods=METHODS,
        seeds=SEEDS,
        within=config["compare"]["within"],
    shell:
        "python -m heatproof.compare.compare_maps --folder $(dirname {output.summary}) --methods {params.methods} "
        "--seeds {params.seeds} --template $(dirname {input.brain}) --within {params.within} "
        "--pairs {output.pairs} --summary {output.summary} > {log} 2>&1"


rule compare_regions:
    """Compare which regions of all models come first (Table 2 and Figure 3)."""
    input:
        source=modules("heatproof.compare.compare_regions"),
        regions=expand(f"{COMPARE}/{{method}}/seed-{{seed}}/regions.tsv", method=METHODS, seed=SEEDS),
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
        mem_mb=500,
        runtime=10,
    params:
        methods=METHODS,
        seeds=SEEDS,
        top_k=config["compare"]["top_k"],
    shell:
        "python -m heatproof.compare.compare_regions --folder $(dirname {output.summary}) --methods {params.methods} "
        "--seeds {params.seeds} --top-k {params.top_k} --pairs {output.pairs} --summary {output.summary} > {log} 2>&1"


rule trace_overlap:
    """Trace how many of the first k regions two models share, for every k."""
    input:
        source=modules("heatproof.compare.trace_overlap"),
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
        mem_mb=500,
        runtime=10,
    params:
        methods=METHODS,
        seeds=SEEDS,
    shell:
        "python -m heatproof.compare.trace_overlap --folder $(dirname {output}) --methods {params.methods} "
        "--seeds {params.seeds} --out {output} > {log} 2>&1"


rule measure_agreement:
    """Measure how far every two models agree by one method, with all participants and without each group of them."""
    input:
        source=modules("heatproof.compare.measure_agreement"),
        models=expand(
            f"{COMPARE}/{{method}}/seed-{{seed}}/{{file}}",
            seed=SEEDS,
            file=[
                *["mean_maps.tsv", "regions.tsv", "left_out/mean_maps.tsv", "left_out/regions.tsv"],
                *(f"mean_{outcome}.nii.gz" for outcome in ["TP", "TN"]),
                *(f"left_out/group-{group}_mean_{outcome}.nii.gz" for group in GROUPS for outcome in ["TP", "TN"]),
            ],
            allow_missing=True,
        ),
        brain=f"{TEMPLATE}/brain_mask.nii.gz",
    output:
        f"{COMPARE}/{{method}}/agreement.tsv",
    log:
        f"{STUDY}/logs/measure_agreement/{{method}}.log",
    benchmark:
        f"{STUDY}/benchmarks/compare/measure_agreement.{{method}}.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(500, 100 + 6 * len(SEEDS)),
        runtime=240,
    params:
        seeds=SEEDS,
        options="--within {within} --top-k {top_k} --top-percent {top_percent} --rbo-p {rbo_p}".format(
            **config["compare"]
        ),
    shell:
        "python -m heatproof.compare.measure_agreement --folder $(dirname $(dirname {output})) "
        "--method {wildcards.method} --seeds {params.seeds} --template $(dirname {input.brain}) {params.options} "
        "--out {output} > {log} 2>&1"


if TRUTH:

    rule measure_rightness:
        """Measure how right every model's mean map is by one method, since the truth is known."""
        input:
            source=modules("heatproof.compare.measure_rightness"),
            models=expand(
                f"{COMPARE}/{{method}}/seed-{{seed}}/{{file}}",
                seed=SEEDS,
                file=[
                    *["mean_maps.tsv", "regions.tsv", "left_out/mean_maps.tsv", "left_out/regions.tsv"],
                    *["mean_TP.nii.gz", *(f"left_out/group-{group}_mean_TP.nii.gz" for group in GROUPS)],
                ],
                allow_missing=True,
            ),
            template=expand(f"{TEMPLATE}/{{file}}", file=["brain_mask.nii.gz", "regions.nii.gz", "regions.tsv"]),
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
            mem_mb=megabytes(500, 100),
            runtime=60,
        params:
            seeds=SEEDS,
            regions=config["compare"]["regions"],
        shell:
            "python -m heatproof.compare.measure_rightness --folder $(dirname $(dirname {output})) "
            "--method {wildcards.method} --seeds {params.seeds} --template $(dirname {input.template[0]}) "
            "--truth {input.truth} --regions {params.regions} --out {output} > {log} 2>&1"


rule score_methods:
    """Put every measure into one table with its interval, test methods against each other, ask for enough seeds."""
    input:
        source=modules("heatproof.compare.score_methods"),
        tables=expand(f"{COMPARE}/{{table}}.tsv", table=["l2", "top_regions"]),
        measures=expand(f"{COMPARE}/{{method}}/{{table}}.tsv", method=METHODS, table=MEASURES),
    output:
        scores=report(f"{COMPARE}/scores.tsv", category="compare", caption="../report/scores.rst"),
        differences=report(f"{COMPARE}/differences.tsv", category="compare", caption="../report/differences.rst"),
        seeds=report(f"{COMPARE}/seeds.tsv", category="compare", caption="../report/seeds.rst"),
    log:
        f"{STUDY}/logs/score_methods.log",
    benchmark:
        f"{STUDY}/benchmarks/compare/score_methods.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=500,
        runtime=10,
    params:
        methods=METHODS,
        measures=MEASURES,
    shell:
        "python -m heatproof.compare.score_methods --folder $(dirname {output.scores}) --methods {params.methods} "
        "--tables {params.measures} --scores {output.scores} --differences {output.differences} "
        "--seeds {output.seeds} > {log} 2>&1"


rule note_gaps:
    """Say in words why cells of this stage's tables are empty."""
    input:
        source=modules("heatproof.compare.note_gaps"),
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
        mem_mb=500,
        runtime=10,
    params:
        methods=METHODS,
        seeds=SEEDS,
        within=config["compare"]["within"],
        top_k=config["compare"]["top_k"],
    shell:
        "python -m heatproof.compare.note_gaps --folder $(dirname {output}) --methods {params.methods} "
        "--seeds {params.seeds} --within {params.within} --top-k {params.top_k} --out {output} > {log} 2>&1"
