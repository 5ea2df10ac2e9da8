"""report: tables and mean maps become figures and one HTML page that needs no network."""

REPORT = f"{STUDY}/report"
BRAIN_KEYS = ("colormap", "threshold", "points")
VIEWER_KEYS = (*BRAIN_KEYS, "viewer_voxel_size", "viewer_outcomes")
MEAN_MAPS = f"{STUDY}/compare/{{method}}/seed-{{seed}}/mean_{TASK.explained}.nii.gz"
CHANNEL_MAPS = MEAN_MAPS.replace(".nii.gz", "_{channel}.nii.gz")
TELLING = [name for name in (OWN_METHODS if FURTHER else []) if tells_channels(config["attribute"]["methods"][name])]
PATCHES = cubic_patches(config["attribute"]["methods"])
TABLES = f"{STUDY}/compare/{{table}}.tsv"
SCALES = expand(f"{STUDY}/compare/{{method}}/scale.tsv", method=SCALED)
ENSEMBLES = expand(f"{STUDY}/compare/{{method}}/ensembles.tsv", method=JUDGED)
CONVERGENCE = expand(f"{STUDY}/attribute/{{method}}/convergence.tsv", method=WALKED)
CHECKED_TABLE = [f"{STUDY}/compare/checks.tsv"] if CHECK_MAPS else []
CHECKS_OPTION = words("--checks", CHECKED_TABLE) if CHECK_MAPS else ""
CHECK_ACCURACY = [f"{STUDY}/compare/checks_accuracy.tsv"] if "checks_accuracy" in CHECK_TABLES else []
OF_STUDY = words("--methods", METHODS, "--seeds", SEEDS)
BRAIN = [*register_files(), f"{TEMPLATE}/brain_mask.nii.gz"]
TASK_WORDS = f"--task {quoted(TASK._asdict())}"
BRAIN_OPTIONS = f"--mask {TEMPLATE}/brain_mask.nii.gz --template {quoted(config['register']['template'])}"
OVERLAP = expand(TABLES, table=["top_regions_pairs", "top_regions"])
FIGURES = {  # by the rule that draws it: its name, what it is made of, and the command's options; the command, if not the rule's
    "draw_seeds": {
        "figure": "figure-1-{method}",
        "labels": {"figure": "1", "method": "{method}"},
        "caption": "figure-1",
        "made_of": [*BRAIN, *expand(MEAN_MAPS, seed=SEEDS, allow_missing=True), f"{STUDY}/compare/accuracy.tsv"],
        "arguments": words("--method {method} --accuracy", f"{STUDY}/compare/accuracy.tsv", "--seeds", SEEDS)
        + words(" --maps", expand(MEAN_MAPS, seed=SEEDS, allow_missing=True), BRAIN_OPTIONS, TASK_WORDS),
        "of_brains": True,
    },
    "draw_methods": {
        "figure": "figure-2-methods",
        "labels": {"figure": "2", "method": "all"},
        "caption": "figure-2",
        "made_of": [
            *BRAIN,
            *expand(MEAN_MAPS, method=METHODS, seed=SEEDS),
            *KNOWN_POSSIBLE,
        ],
        "arguments": words(
            "--maps", f"{STUDY}/compare", OF_STUDY, "--possible", KNOWN_POSSIBLE, BRAIN_OPTIONS, TASK_WORDS
        ),
        "of_brains": True,
    },
    "draw_channels": {
        "command": "draw_methods",
        "figure": "channels",
        "made_of": [
            *BRAIN,
            *expand(CHANNEL_MAPS, method=TELLING, seed=SEEDS, channel=CHANNELS),
            *KNOWN_POSSIBLE,
        ],
        "arguments": words("--maps", f"{STUDY}/compare", "--methods", TELLING, "--seeds", SEEDS)
        + words(" --channels", CHANNELS, "--possible", KNOWN_POSSIBLE, BRAIN_OPTIONS, TASK_WORDS),
        "of_brains": True,
        "drawn": bool(TELLING),
    },
    "draw_overlaps": {
        "figure": "figure-3-overlap",
        "labels": {"figure": "3", "method": "all"},
        "caption": "figure-3",
        "made_of": OVERLAP,
        "arguments": words("--pairs", OVERLAP[0], "--summary", OVERLAP[1], OF_STUDY),
    },
    "draw_overlap_curve": {
        "figure": "overlap-curve",
        "caption": "overlap_curve",
        "made_of": expand(TABLES, table="overlap_curve"),
        "arguments": words("--curve", expand(TABLES, table="overlap_curve"), "--methods", METHODS)
        + words(" --top-k", config["compare"]["top_k"]),
    },
    "draw_bounds": {
        "figure": "bounds",
        "made_of": [*expand(TABLES, table="scores"), *SCALES, *CHECKED_TABLE],
        "arguments": words("--scores", expand(TABLES, table="scores"), "--scale", SCALES)
        + words("", CHECKS_OPTION, TASK_WORDS, "--methods", JUDGED),
        "drawn": bool(
            TRUTH or EFFECTS or {"random_head", "initial_head"} & {split_name(name)[1] for name in CHECK_MAPS}
        ),
    },
    "draw_scale": {
        "figure": "scale",
        "made_of": SCALES,
        "arguments": words("--tables", SCALES, "--methods", METHODS),
    },
    "draw_ensembles": {
        "figure": "ensembles",
        "labels": {"figure": "averaging over models", "method": "all"},
        "made_of": ENSEMBLES,
        "arguments": words("--tables", ENSEMBLES, "--methods", METHODS),
        "drawn": len(SEEDS) > 1,
    },
    "draw_convergence": {
        "figure": "convergence",
        "made_of": CONVERGENCE,
        "arguments": words("--tables", CONVERGENCE, "--methods", METHODS),
        "drawn": bool(WALKED),
    },
    "draw_patches": {
        "figure": "patch-size",
        "labels": {"figure": "patch size", "method": "occlusion"},
        "made_of": expand(TABLES, table="scores"),
        "arguments": words("--scores", expand(TABLES, table="scores"), "--patches", quoted(PATCHES), "--voxel-size")
        + words("", config["register"]["voxel_size"], TASK_WORDS),
        "drawn": len(set(PATCHES.values())) > 2,
    },
    "draw_training": {
        "figure": "training",
        "category": "train",
        "made_of": HISTORIES,
        "arguments": words("--seeds", SEEDS, "--histories", HISTORIES),
        "drawn": bool(HISTORIES),
    },
}
PAGE_FILES = multiext(f"{SRC}/heatproof/report/", "pages.css", "viewer.html.jinja", "viewer.js")
OF_SCANS = config["report"]["participants"] and config["attribute"]["keep"] == "all" and not ALONE
PAGES = ["viewer", *["registration"] * (not ALONE), *["participants"] * bool(OF_SCANS)]
REGISTRATIONS = [f"{RESULTS}/cohort/{table}.tsv" for table in ["scans", *["twins"] * TWINS]]
REGISTRATIONS += expand(f"{RESULTS}/register/{{file}}", file=["qc.tsv", "fixed/T1w.nii.gz", "fixed/brain_mask.nii.gz"])
REGISTRATIONS += [f"{TEMPLATE}/brain_mask.nii.gz"]
REGISTRATION_PAGE = multiext(f"{SRC}/heatproof/report/", "pages.css", "registration.html.jinja")
OF_REGISTRATION = words("--study", config["study"], "--models", RESULTS, "--space", config["register"]["space"])
DRAWN = [
    name
    for figure in FIGURES.values()
    if figure.get("drawn", True)
    for name in ([figure["figure"].format(method=method) for method in METHODS])
]


for name, figure in FIGURES.items():

    rule:
        name:
            name
        input:
            figure["made_of"],
        output:
            report(
                f"{REPORT}/{figure['figure']}.png",
                category=figure.get("category", "report"),
                caption=f"../report/{figure.get('caption', figure['figure'])}.rst",
                labels=figure.get("labels", {"figure": figure["figure"].replace("-", " "), "method": "all"}),
            ),
            f"{REPORT}/{figure['figure']}.svg",
        log:
            f"{STUDY}/logs/{name}/{figure['figure']}.log",
        benchmark:
            f"{STUDY}/benchmarks/report/{name}.{figure['figure']}.tsv"
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=megabytes(1000, 120 if "of_brains" in figure else 0),
            runtime=minutes(20),
        params:
            source=code_of(f"heatproof.report.{figure.get('command', name)}"),
            command=figure.get("command", name),
            arguments=figure["arguments"],
            options=options("report", "dpi", *(BRAIN_KEYS if "of_brains" in figure else [])),
        shell:
            "python -m heatproof.report.{params.command} {params.arguments} --options {params.options:q} "
            "--output {output} > {log} 2>&1"


rule write_viewer:
    """Write the page on which mean maps are looked at."""
    input:
        pages=PAGE_FILES,
        files=register_files(),
        regions=REGION_FILES,
        maps=expand(
            f"{STUDY}/compare/{{method}}/seed-{{seed}}/mean_{{outcome}}.nii.gz",
            method=METHODS,
            seed=SEEDS,
            outcome=config["report"]["viewer_outcomes"],
        ),
        t_maps=expand(MEAN_MAPS, method=T_MAPS, seed=SEEDS[0]),
        effects=expand(f"{STUDY}/attribute/effects/seed-{{seed}}.tsv", seed=SEEDS) if EFFECTS else [],
        predictions=expand(f"{RESULTS}/train/seed-{{seed}}/predictions.tsv", seed=SEEDS),
        truth=[TRUTH] if TRUTH else [],
    output:
        f"{REPORT}/viewer.html",
    log:
        f"{STUDY}/logs/write_viewer.log",
    benchmark:
        f"{STUDY}/benchmarks/report/write_viewer.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000, 120),
        runtime=minutes(30),
    params:
        source=code_of("heatproof.report.write_viewer"),
        folders=words("--results", STUDY, "--models", RESULTS, TRUTH_OPTION),
        config=viewer_config(*VIEWER_KEYS),
    shell:
        "python -m heatproof.report.write_viewer {params.folders} --config {params.config:q} --output {output} "
        "> {log} 2>&1"


rule write_participants:
    """Write the page on which the maps of single test participants are looked at; it needs their heatmaps."""
    input:
        pages=PAGE_FILES,
        files=register_files(),
        regions=REGION_FILES,
        scans=expand(REGISTERED, scan=SCANS.loc[SCANS["split"] == "test", "scan"]),
        maps=expand(HEATMAPS, method=METHODS, seed=SEEDS),
        predictions=expand(f"{RESULTS}/train/seed-{{seed}}/predictions.tsv", seed=SEEDS),
        truth=[TRUTH] if TRUTH else [],
    output:
        f"{REPORT}/participants.html",
    log:
        f"{STUDY}/logs/write_participants.log",
    benchmark:
        f"{STUDY}/benchmarks/report/write_participants.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000, 120),
        runtime=minutes(30),
    params:
        source=code_of("heatproof.report.write_viewer"),
        folders=words("--results", STUDY, "--models", RESULTS, TRUTH_OPTION),
        config=viewer_config(*VIEWER_KEYS, "participants"),
    shell:
        "python -m heatproof.report.write_viewer --participants {params.folders} --config {params.config:q} "
        "--output {output} > {log} 2>&1"


rule write_registration:
    """Write the page that shows the most poorly registered scans before and after."""
    input:
        pages=REGISTRATION_PAGE,
        tables=REGISTRATIONS,
        images=list(IMAGES.values()),
        registered=expand(REGISTERED, scan=IMAGES),
        transforms=expand(f"{RESULTS}/register/{{scan}}/transforms", scan=IMAGES),
    output:
        f"{REPORT}/registration.html",
    log:
        f"{STUDY}/logs/write_registration.log",
    benchmark:
        f"{STUDY}/benchmarks/report/write_registration.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000, 200),
        runtime=minutes(30),
    params:
        source=code_of("heatproof.report.write_registration"),
        options=OF_REGISTRATION,
        most=config["report"]["registrations"],
    shell:
        "python -m heatproof.report.write_registration {params.options} --most {params.most} --output {output} "
        "> {log} 2>&1"


rule write_registration_of_scan:
    """Write such a page of one scan, on demand."""
    input:
        pages=REGISTRATION_PAGE,
        tables=REGISTRATIONS,
        image=lambda wildcards: IMAGES[wildcards.scan],
        registered=REGISTERED,
        transforms=f"{RESULTS}/register/{{scan}}/transforms",
    output:
        f"{REPORT}/registration/{{scan}}.html",
    log:
        f"{STUDY}/logs/write_registration_of_scan/{{scan}}.log",
    benchmark:
        f"{STUDY}/benchmarks/report/write_registration_of_scan.{{scan}}.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000, 200),
        runtime=minutes(10),
    params:
        source=code_of("heatproof.report.write_registration"),
        options=OF_REGISTRATION,
    shell:
        "python -m heatproof.report.write_registration {params.options} --scans {wildcards.scan} --output {output} "
        "> {log} 2>&1"


rule write_page:
    """Write the report of the study as one HTML page."""
    input:
        page=f"{SRC}/heatproof/report/page.html.jinja",
        pages=expand(f"{REPORT}/{{page}}.html", page=PAGES),
        provenance=f"{STUDY}/provenance.json",
        files=register_files(),
        cohort=expand(
            f"{RESULTS}/cohort/{{table}}.tsv", table=["scans", "demographics", "group_differences", "unreadable"]
        ),
        quality=[] if ALONE else [f"{RESULTS}/register/qc.tsv", f"{RESULTS}/register/contact_sheet.png"],
        tables=expand(
            f"{STUDY}/compare/{{table}}.tsv",
            table=[
                "accuracy",
                "l2",
                "top_regions",
                "scores",
                "seeds",
                "variance",
                "notes",
                *OF_NETWORKS,
                *OF_CHANNELS,
            ],
        ),
        checks=CHECKED_TABLE,
        check_accuracy=CHECK_ACCURACY,
        scale=expand(f"{STUDY}/compare/{{method}}/scale.tsv", method=JUDGED),
        figures=expand(f"{REPORT}/{{figure}}.png", figure=dict.fromkeys(DRAWN)),
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
        checks=words(CHECKS_OPTION, ["--check-accuracy", *CHECK_ACCURACY] if CHECK_ACCURACY else []),
        results=lambda wildcards: STUDY,
        models=lambda wildcards: RESULTS,
        config=as_json(config, sort_keys=False),
    shell:
        "python -m heatproof.report.write_page --results {params.results} --models {params.models} {params.checks} "
        "--figures {input.figures} --pages {input.pages} --config {params.config:q} --output {output} > {log} 2>&1"
