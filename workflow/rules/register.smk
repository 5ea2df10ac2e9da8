"""register: raw scans go to the template's space, with figures of how well that went."""


rule prepare_template:
    """Put the template, its brain mask and the atlas on the working grid."""
    input:
        source=modules("heatproof.register.prepare_template"),
        files=register_files(),
    output:
        images=expand(f"{TEMPLATE}/{{image}}.nii.gz", image=["T1w", "brain_mask", "regions"]),
        names=f"{TEMPLATE}/regions.tsv",
    log:
        f"{RESULTS}/logs/prepare_template.log",
    benchmark:
        f"{RESULTS}/benchmarks/register/prepare_template.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000, 100),
        runtime=10,
    params:
        template=json.dumps(config["register"]["template"], sort_keys=True),
        atlas=json.dumps(config["register"]["atlas"], sort_keys=True),
        voxel_size=config["register"]["voxel_size"],
    shell:
        "python -m heatproof.register.prepare_template --template {params.template:q} --atlas {params.atlas:q} "
        "--voxel-size {params.voxel_size} --out-dir $(dirname {output.names}) > {log} 2>&1"


rule register_scan:
    """Register one raw scan to the template with ANTs."""
    input:
        source=modules("heatproof.register.register_scan"),
        image=lambda wildcards: SCANS.at[wildcards.scan, "image"],
        template=f"{TEMPLATE}/T1w.nii.gz",
        brain=f"{TEMPLATE}/brain_mask.nii.gz",
    output:
        scan=REGISTERED,
        transforms=directory(f"{RESULTS}/register/{{scan}}/transforms"),
        quality=f"{RESULTS}/register/{{scan}}/qc.json",
    log:
        f"{RESULTS}/logs/register_scan/{{scan}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/register/register_scan.{{scan}}.tsv"
    conda:
        "../../envs/ants.yaml"
    resources:
        mem_mb=megabytes(2000, 200),
        runtime=60,
    params:
        options=options("register", "transform", "n4", "seed"),
    shell:
        "python -m heatproof.register.register_scan --image {input.image:q} --template $(dirname {input.template}) "
        "--options {params.options:q} --out {output.scan} --transforms {output.transforms} "
        "--quality {output.quality} > {log} 2>&1"


rule summarise_quality:
    """Gather the quality of all registrations in a table and a contact sheet."""
    input:
        source=modules("heatproof.register.summarise_quality"),
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
        runtime=30,
    params:
        space=config["register"]["space"],
    shell:
        "python -m heatproof.register.summarise_quality --scans {input.scans} --folder $(dirname {output.table}) "
        "--space {params.space} > {log} 2>&1"
