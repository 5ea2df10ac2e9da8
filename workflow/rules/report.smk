"""report: tables and mean maps become figures and one HTML page that needs no network."""

REPORT = f"{STUDY}/report"
MEAN_MAPS = f"{STUDY}/compare/{{method}}/seed-{{seed}}/mean_TP.nii.gz"
PATCHES = cubic_patches(config["attribute"]["methods"])
FIGURES = [
    *(f"figure-1-{method}" for method in METHODS),
    *["figure-2-methods", "figure-3-overlap", "overlap-curve", "training"],
    *(["bounds"] if TRUTH or "random_head" in CHECKS else []),
    *(["ensembles"] if len(SEEDS) > 1 else []),
    *(["convergence"] if WALKED else []),
    *(["patch-size"] if len(set(PATCHES.values())) > 2 else []),
]


rule draw_seeds:
    """Draw the mean map of one method for every model (Figure 1)."""
    input:
        files=register_files(),
        maps=expand(MEAN_MAPS, seed=SEEDS, allow_missing=True),
        accuracy=f"{STUDY}/compare/accuracy.tsv",
        mask=f"{TEMPLATE}/brain_mask.nii.gz",
    output:
        report(
            f"{REPORT}/figure-1-{{method}}.png",
            category="report",
            caption="../report/figure-1.rst",
            labels={"figure": "1", "method": "{method}"},
        ),
        f"{REPORT}/figure-1-{{method}}.svg",
    log:
        f"{STUDY}/logs/draw_seeds/{{method}}.log",
    benchmark:
        f"{STUDY}/benchmarks/report/draw_seeds.{{method}}.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000, 120),
        runtime=minutes(20),
    params:
        source=code_of("heatproof.report.draw_seeds"),
        seeds=SEEDS,
        template=as_json(config["register"]["template"]),
        options=options("report", "colormap", "threshold", "points", "dpi"),
    shell:
        "python -m heatproof.report.draw_seeds --method {wildcards.method} --seeds {params.seeds} --maps {input.maps} "
        "--accuracy {input.accuracy} --mask {input.mask} --template {params.template:q} --options {params.options:q} "
        "--output {output} > {log} 2>&1"


rule draw_methods:
    """Draw the mean over models of the mean maps of every method (Figure 2)."""
    input:
        files=register_files(),
        maps=expand(MEAN_MAPS, method=METHODS, seed=SEEDS),
        mask=f"{TEMPLATE}/brain_mask.nii.gz",
    output:
        report(
            f"{REPORT}/figure-2-methods.png",
            category="report",
            caption="../report/figure-2.rst",
            labels={"figure": "2", "method": "all"},
        ),
        f"{REPORT}/figure-2-methods.svg",
    log:
        f"{STUDY}/logs/draw_methods.log",
    benchmark:
        f"{STUDY}/benchmarks/report/draw_methods.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000, 120),
        runtime=minutes(20),
    params:
        source=code_of("heatproof.report.draw_methods"),
        methods=METHODS,
        seeds=SEEDS,
        maps=lambda wildcards: f"{STUDY}/compare",
        template=as_json(config["register"]["template"]),
        options=options("report", "colormap", "threshold", "points", "dpi"),
    shell:
        "python -m heatproof.report.draw_methods --maps {params.maps} --methods {params.methods} --seeds {params.seeds} "
        "--mask {input.mask} --template {params.template:q} --options {params.options:q} --output {output} > {log} 2>&1"


rule draw_overlaps:
    """Draw the share of top regions that every two models have in common (Figure 3)."""
    input:
        pairs=f"{STUDY}/compare/top_regions_pairs.tsv",
        summary=f"{STUDY}/compare/top_regions.tsv",
    output:
        report(
            f"{REPORT}/figure-3-overlap.png",
            category="report",
            caption="../report/figure-3.rst",
            labels={"figure": "3", "method": "all"},
        ),
        f"{REPORT}/figure-3-overlap.svg",
    log:
        f"{STUDY}/logs/draw_overlaps.log",
    benchmark:
        f"{STUDY}/benchmarks/report/draw_overlaps.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000),
        runtime=minutes(10),
    params:
        source=code_of("heatproof.report.draw_overlaps"),
        methods=METHODS,
        seeds=SEEDS,
        options=options("report", "dpi"),
    shell:
        "python -m heatproof.report.draw_overlaps --pairs {input.pairs} --summary {input.summary} "
        "--methods {params.methods} --seeds {params.seeds} --options {params.options:q} --output {output} > {log} 2>&1"


rule draw_overlap_curve:
    """Draw the share of the first k regions that two models have in common, for every k."""
    input:
        curve=f"{STUDY}/compare/overlap_curve.tsv",
    output:
        report(
            f"{REPORT}/overlap-curve.png",
            category="report",
            caption="../report/overlap_curve.rst",
            labels={"figure": "overlap curve", "method": "all"},
        ),
        f"{REPORT}/overlap-curve.svg",
    log:
        f"{STUDY}/logs/draw_overlap_curve.log",
    benchmark:
        f"{STUDY}/benchmarks/report/draw_overlap_curve.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000),
        runtime=minutes(10),
    params:
        source=code_of("heatproof.report.draw_overlap_curve"),
        methods=METHODS,
        top_k=config["compare"]["top_k"],
        options=options("report", "dpi"),
    shell:
        "python -m heatproof.report.draw_overlap_curve --curve {input.curve} --methods {params.methods} "
        "--top-k {params.top_k} --options {params.options:q} --output {output} > {log} 2>&1"


rule draw_bounds:
    """Draw robustness and rightness of every method side by side, with what bounds them."""
    input:
        scores=f"{STUDY}/compare/scores.tsv",
        checks=[f"{STUDY}/compare/checks.tsv"] if CHECKS else [],
    output:
        report(
            f"{REPORT}/bounds.png",
            category="report",
            caption="../report/bounds.rst",
            labels={"figure": "bounds", "method": "all"},
        ),
        f"{REPORT}/bounds.svg",
    log:
        f"{STUDY}/logs/draw_bounds.log",
    benchmark:
        f"{STUDY}/benchmarks/report/draw_bounds.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000),
        runtime=minutes(10),
    params:
        source=code_of("heatproof.report.draw_bounds"),
        checks=lambda wildcards, input: ["--checks", input.checks] if CHECKS else [],
        methods=JUDGED,
        options=options("report", "dpi"),
    shell:
        "python -m heatproof.report.draw_bounds --scores {input.scores} {params.checks} --methods {params.methods} "
        "--options {params.options:q} --output {output} > {log} 2>&1"


rule draw_ensembles:
    """Draw how robust and how right the mean map of several models is."""
    input:
        tables=expand(f"{STUDY}/compare/{{method}}/ensembles.tsv", method=JUDGED),
    output:
        report(
            f"{REPORT}/ensembles.png",
            category="report",
            caption="../report/ensembles.rst",
            labels={"figure": "averaging over models", "method": "all"},
        ),
        f"{REPORT}/ensembles.svg",
    log:
        f"{STUDY}/logs/draw_ensembles.log",
    benchmark:
        f"{STUDY}/benchmarks/report/draw_ensembles.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000),
        runtime=minutes(10),
    params:
        source=code_of("heatproof.report.draw_ensembles"),
        methods=METHODS,
        options=options("report", "dpi"),
    shell:
        "python -m heatproof.report.draw_ensembles --tables {input.tables} --methods {params.methods} "
        "--options {params.options:q} --output {output} > {log} 2>&1"


rule draw_convergence:
    """Draw how fast methods forget, layer by layer, what the top of the network handed to them."""
    input:
        tables=expand(f"{STUDY}/attribute/{{method}}/convergence.tsv", method=WALKED),
    output:
        report(
            f"{REPORT}/convergence.png",
            category="report",
            caption="../report/convergence.rst",
            labels={"figure": "convergence", "method": "all"},
        ),
        f"{REPORT}/convergence.svg",
    log:
        f"{STUDY}/logs/draw_convergence.log",
    benchmark:
        f"{STUDY}/benchmarks/report/draw_convergence.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000),
        runtime=minutes(10),
    params:
        source=code_of("heatproof.report.draw_convergence"),
        methods=METHODS,
        options=options("report", "dpi"),
    shell:
        "python -m heatproof.report.draw_convergence --tables {input.tables} --methods {params.methods} "
        "--options {params.options:q} --output {output} > {log} 2>&1"


rule draw_patches:
    """Draw how far models agree by occlusion against the size of its patch."""
    input:
        scores=f"{STUDY}/compare/scores.tsv",
    output:
        report(
            f"{REPORT}/patch-size.png",
            category="report",
            caption="../report/patch-size.rst",
            labels={"figure": "patch size", "method": "occlusion"},
        ),
        f"{REPORT}/patch-size.svg",
    log:
        f"{STUDY}/logs/draw_patches.log",
    benchmark:
        f"{STUDY}/benchmarks/report/draw_patches.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000),
        runtime=minutes(10),
    params:
        source=code_of("heatproof.report.draw_patches"),
        patches=as_json(PATCHES),
        voxel_size=config["register"]["voxel_size"],
        options=options("report", "dpi"),
    shell:
        "python -m heatproof.report.draw_patches --scores {input.scores} --patches {params.patches:q} "
        "--voxel-size {params.voxel_size} --options {params.options:q} --output {output} > {log} 2>&1"


rule draw_training:
    """Draw how every model learned."""
    input:
        histories=expand(f"{RESULTS}/train/seed-{{seed}}/history.tsv", seed=SEEDS),
    output:
        report(
            f"{REPORT}/training.png",
            category="train",
            caption="../report/training.rst",
            labels={"figure": "training", "method": "all"},
        ),
        f"{REPORT}/training.svg",
    log:
        f"{STUDY}/logs/draw_training.log",
    benchmark:
        f"{STUDY}/benchmarks/report/draw_training.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000),
        runtime=minutes(10),
    params:
        source=code_of("heatproof.report.draw_training"),
        seeds=SEEDS,
        options=options("report", "dpi"),
    shell:
        "python -m heatproof.report.draw_training --seeds {params.seeds} --histories {input.histories} "
        "--options {params.options:q} --output {output} > {log} 2>&1"


rule write_page:
    """Write the report of the study as one HTML page."""
    input:
        page="src/heatproof/report/page.html.jinja",
        provenance=f"{STUDY}/provenance.json",
        files=register_files(),
        cohort=expand(
            f"{RESULTS}/cohort/{{table}}.tsv", table=["scans", "demographics", "group_differences", "unreadable"]
        ),
        quality=[f"{RESULTS}/register/qc.tsv", f"{RESULTS}/register/contact_sheet.png"],
        mask=f"{TEMPLATE}/brain_mask.nii.gz",
        maps=expand(MEAN_MAPS, method=METHODS, seed=SEEDS),
        tables=expand(
            f"{STUDY}/compare/{{table}}.tsv",
            table=["accuracy", "l2", "top_regions", "scores", "seeds", "variance", "notes"],
        ),
        checks=[f"{STUDY}/compare/checks.tsv"] if CHECKS else [],
        figures=expand(f"{REPORT}/{{figure}}.png", figure=FIGURES),
    output:
        report(
            f"{REPORT}/report.html",
            category="report",
            caption="../report/page.rst",
            labels={"figure": "page", "method": "all"},
        ),
    log:
        f"{STUDY}/logs/write_page.log",
    benchmark:
        f"{STUDY}/benchmarks/report/write_page.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000, 120),
        runtime=minutes(30),
    params:
        source=code_of("heatproof.report.write_page"),
        checks=lambda wildcards, input: ["--checks", input.checks] if CHECKS else [],
        results=lambda wildcards: STUDY,
        models=lambda wildcards: RESULTS,
        config=as_json(config, sort_keys=False),
    shell:
        "python -m heatproof.report.write_page --results {params.results} --models {params.models} {params.checks} "
        "--figures {input.figures} --config {params.config:q} --output {output} > {log} 2>&1"
