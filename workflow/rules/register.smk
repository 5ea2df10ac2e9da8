"""register: raw scans go to the template's space, with figures of how well that went."""


rule prepare_template:
    """Put the template, its brain mask and the atlas on the working grid."""
    input:
        files=register_files(),
    output:
        images=expand(f"{TEMPLATE}/{{image}}.nii.gz", image=["T1w", "brain_mask", "regions"]),
        names=f"{TEMPLATE}/regions.tsv",
    log:
        f"{RESULTS}/logs/prepare_template.log",
    benchmark:
        f"{RESULTS}/benchmarks/register/prepare_template.tsv"
    priority: 3  # for check_network
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000, 100),
        runtime=minutes(10),
    params:
        source=code_of("heatproof.register.prepare_template"),
        template=as_json(config["register"]["template"]),
        atlas=as_json(config["register"]["atlas"]),
        voxel_size=config["register"]["voxel_size"],
    shell:
        "python -m heatproof.register.prepare_template --template {params.template:q} --atlas {params.atlas:q} "
        "--voxel-size {params.voxel_size} --out-dir $(dirname {output.names}) > {log} 2>&1"


rule register_scan:
    """Find the brain in one raw scan and register it to the template with ANTs."""
    input:
        image=lambda wildcards: SCANS.at[wildcards.scan, "image"],
        mask=lambda wildcards: MASKS.get(wildcards.scan, []),
        template=f"{TEMPLATE}/T1w.nii.gz",
        brain=f"{TEMPLATE}/brain_mask.nii.gz",
        regions=multiext(f"{TEMPLATE}/regions", ".nii.gz", ".tsv"),
        checked=CHECKED,
    output:
        scan=REGISTERED,
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
        mem_mb=megabytes(2500 if config["cohort"]["bids"] else 2000, 200),  # deepbet takes 1200
        runtime=minutes(60),
    params:
        source=code_of("heatproof.register.register_scan"),
        options=options("register", "brain_extraction", "transform", "n4", "seed"),
        mask=lambda wildcards: ["--mask", MASKS[wildcards.scan]] if wildcards.scan in MASKS else [],
    shell:
        "python -m heatproof.register.register_scan --image {input.image:q} --template $(dirname {input.template}) "
        "--options {params.options:q} {params.mask:q} --out {output.scan} --transforms {output.transforms} "
        "--volumes {output.volumes} --quality {output.quality} > {log} 2>&1"


rule summarise_quality:
    """Gather the quality of all registrations in a table and a contact sheet."""
    input:
        scans=f"{RESULTS}/cohort/scans.tsv",
        brain=f"{TEMPLATE}/brain_mask.nii.gz",
        registered=expand(REGISTERED, scan=SCANS["scan"]),
        quality=expand(f"{RESULTS}/register/{{scan}}/qc.json", scan=SCANS["scan"]),
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
