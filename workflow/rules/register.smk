"""register: raw scans go to the template's space, with figures of how well that went."""

COARSEST_SCAN = 2.0 if config["cohort"]["bids"] else config["cohort"]["simulate"]["voxel_size"]
RESOLUTION = config["register"]["resolution"] or min(max(COARSEST_SCAN, 2.0), 3.0)
GRIDS = {"template": config["register"]["voxel_size"], "fixed": RESOLUTION}
OWN_GRID = config["register"]["grid"]
REGISTER_OPTIONS = ["brain_extraction", "transform", "n4", "intensities", "seed", *["alignment"] * bool(FURTHER)]
FINER_MEGAVOXELS = 8.53 / min(GRIDS.values()) ** 3


rule prepare_template:
    """Put the template, its brain mask and the atlas on the working grid, or on the grid that scans are registered on."""
    input:
        files=register_files(),
    output:
        images=expand(f"{RESULTS}/register/{{{{grid}}}}/{{image}}.nii.gz", image=["T1w", "brain_mask", "regions"]),
        names=f"{RESULTS}/register/{{grid}}/regions.tsv",
    log:
        f"{RESULTS}/logs/prepare_template/{{grid}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/register/prepare_template.{{grid}}.tsv"
    wildcard_constraints:
        grid="|".join(GRIDS),
    priority: 3  # for check_network
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000, 150, FINER_MEGAVOXELS),
        runtime=minutes(10),
    params:
        source=code_of("heatproof.register.prepare_template"),
        template=as_json(config["register"]["template"]),
        atlas=as_json(config["register"]["atlas"]),
        voxel_size=lambda wildcards: GRIDS[wildcards.grid],
        grid=lambda wildcards: ["--grid", OWN_GRID] if OWN_GRID and wildcards.grid == "template" else [],
    shell:
        "python -m heatproof.register.prepare_template --template {params.template:q} --atlas {params.atlas:q} "
        "--voxel-size {params.voxel_size} {params.grid:q} --out-dir $(dirname {output.names}) > {log} 2>&1"


rule register_scan:
    """Find the brain in one raw scan, of the cohort or a healthy twin, and register it to the template with ANTs; or
    check a scan that lies in the template's space already, and sample it.
    """
    input:
        image=lambda wildcards: IMAGES[wildcards.scan],
        mask=lambda wildcards: MASKS.get(wildcards.scan, []),
        further=lambda wildcards: [images[wildcards.scan] for images in FURTHER_IMAGES],
        template=f"{TEMPLATE}/T1w.nii.gz",
        fixed=multiext(f"{RESULTS}/register/fixed/", "T1w.nii.gz", "brain_mask.nii.gz", "regions.nii.gz", "regions.tsv"),
        checked=CHECKED,
    output:
        scan=[REGISTERED, *FURTHER],
        transforms=directory(f"{RESULTS}/register/{{scan}}/transforms"),
        volumes=f"{RESULTS}/register/{{scan}}/volumes.tsv",
        quality=f"{RESULTS}/register/{{scan}}/qc.json",
    log:
        f"{RESULTS}/logs/register_scan/{{scan}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/register/register_scan.{{scan}}.tsv"
    conda:
        "../../envs/ants.yaml"
    resources:
        mem_mb=megabytes(2500 if config["cohort"]["bids"] else 2000, 300, FINER_MEGAVOXELS),  # deepbet takes 1200
        runtime=minutes(60),
    params:
        source=code_of("heatproof.register.take_scan" if PLACED else "heatproof.register.register_scan"),
        options=[] if PLACED else ["--options", options("register", *REGISTER_OPTIONS)],
        mask=lambda wildcards: ["--mask", MASKS[wildcards.scan]] if wildcards.scan in MASKS else [],
        further=lambda wildcards, input: ["--further", *input.further] if FURTHER else [],
    shell:
        ("python -m heatproof.register.take_scan" if PLACED else "python -m heatproof.register.register_scan")
        + " --image {input.image:q} --template $(dirname {input.template}) "
        "--fixed $(dirname {input.fixed[0]}) {params.options:q} {params.mask:q} {params.further:q} --out {output.scan} --transforms {output.transforms} "
        "--volumes {output.volumes} --quality {output.quality} > {log} 2>&1"


rule check_quality:
    """Stop before anything is trained where too many scans, or healthy twins, are registered poorly."""
    input:
        f"{RESULTS}/register/qc.tsv",
    output:
        f"{RESULTS}/register/checked.tsv",
    log:
        f"{RESULTS}/logs/check_quality.log",
    benchmark:
        f"{RESULTS}/benchmarks/register/check_quality.tsv"
    priority: 1  # before hours of training
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000),
        runtime=minutes(5),
    params:
        source=code_of("heatproof.register.check_quality"),
        most_poor=config["register"]["most_poor"],
    shell:
        "python -m heatproof.register.check_quality --quality {input} --most-poor {params.most_poor} --out {output} "
        "> {log} 2>&1"


rule summarise_quality:
    """Gather the quality of all registrations in a table and a contact sheet."""
    input:
        scans=expand(f"{RESULTS}/cohort/{{table}}.tsv", table=["scans", *["twins"] * TWINS]),
        brain=f"{TEMPLATE}/brain_mask.nii.gz",
        registered=expand(REGISTERED, scan=IMAGES),
        quality=expand(f"{RESULTS}/register/{{scan}}/qc.json", scan=IMAGES),
    output:
        table=f"{RESULTS}/register/qc.tsv",
        sheet=report(
            f"{RESULTS}/register/contact_sheet.png",
            category="register",
            caption="../report/contact_sheet.rst",
        ),
    log:
        f"{RESULTS}/logs/summarise_quality.log",
    benchmark:
        f"{RESULTS}/benchmarks/register/summarise_quality.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000, 200),
        runtime=minutes(30),
    params:
        source=code_of("heatproof.register.summarise_quality"),
        space=config["register"]["space"],
    shell:
        "python -m heatproof.register.summarise_quality --scans {input.scans} --folder $(dirname {output.table}) "
        "--space {params.space} > {log} 2>&1"
