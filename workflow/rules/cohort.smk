"""cohort: a BIDS dataset, or a simulated one, becomes a table of scans with label and split."""

COHORT = f"{RESULTS}/cohort"
DATASET = config["cohort"]["bids"] or f"{COHORT}/bids"
PARTICIPANTS = [config["cohort"]["participants"] or f"{DATASET}/participants.tsv"]
if ALONE and not config["cohort"]["participants"]:
    PARTICIPANTS = []
SIMULATE = config["cohort"]["simulate"]
CONTRASTS = {name: SIMULATE["contrasts"][name] for name in CHANNELS[1:] if is_simulated(config["cohort"])}
OF_SIMULATION = {key: SIMULATE[key] for key in SIMULATE if key not in ("twins", "contrasts")}
OF_COHORT = as_json(
    {key: value for key, value in config["cohort"].items() if key != "channels" or value} | {"simulate": OF_SIMULATION}
)
LABELLED_LATER = isinstance(config["cohort"]["label"], dict)
ATROPHY = f"{COHORT}/simulated_atrophy" if LABELLED_LATER else f"{COHORT}/ground_truth"

if LABELLED_LATER:

    rule label_scans:
        """Label the scans by the volume of a region, which is known once they are registered, and write the truth."""
        input:
            volumes=expand(f"{RESULTS}/register/{{scan}}/volumes.tsv", scan=SCANS["scan"]),
            regions=f"{TEMPLATE}/regions.nii.gz",
        output:
            tables=expand(f"{COHORT}/{{table}}.tsv", table=["scans", "train", "validation", "test", "unreadable"]),
            truth=multiext(
                f"{COHORT}/ground_truth/", "regions.tsv", "scans.tsv", "log_jacobian.nii.gz", "signal_loss.nii.gz"
            ),
        log:
            f"{RESULTS}/logs/label_scans.log",
        benchmark:
            f"{RESULTS}/benchmarks/cohort/label_scans.tsv"
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=megabytes(1000, 50),
            runtime=minutes(10),
        params:
            source=code_of("heatproof.cohort.label_scans"),
            options=OF_COHORT,
            table=digest(SCANS),
            volumes=lambda wildcards: f"{RESULTS}/register/{{scan}}/volumes.tsv",
        shell:
            "python -m heatproof.cohort.label_scans --options {params.options:q} --folder $(dirname {output.tables[0]}) "
            "--volumes '{params.volumes}' --template $(dirname {input.regions}) "
            "--ground-truth $(dirname {output.truth[0]}) --out {output.tables[0]} > {log} 2>&1"

else:

    rule list_scans:
        """Write the table of all scans, of one split, so that a further test scan leaves the models as they are, of
        healthy twins, or of those that are left out.
        """
        output:
            f"{COHORT}/{{table}}.tsv",
        log:
            f"{RESULTS}/logs/list_scans/{{table}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/cohort/list_scans.{{table}}.tsv"
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=megabytes(1000),
            runtime=minutes(10),
        params:
            source=code_of("heatproof.cohort.list_scans"),
            rows=lambda wildcards: digest(rows_of(wildcards.table)),
            # A function of the output is not compared with the last run's: what came of the options is in rows.
            options=lambda wildcards, output: OF_COHORT,
        shell:
            "python -m heatproof.cohort.list_scans --options {params.options:q} --folder $(dirname {output}) "
            "--table {wildcards.table} --out {output} > {log} 2>&1"


rule compare_groups:
    """Compare the classes in age, sex and site, as far as the dataset tells them."""
    input:
        scans=f"{COHORT}/scans.tsv",
        participants=PARTICIPANTS,
    output:
        groups=report(f"{COHORT}/demographics.tsv", category="cohort", caption="../report/demographics.rst"),
        differences=report(f"{COHORT}/group_differences.tsv", category="cohort", caption="../report/demographics.rst"),
    log:
        f"{RESULTS}/logs/compare_groups.log",
    benchmark:
        f"{RESULTS}/benchmarks/cohort/compare_groups.tsv"
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=megabytes(1000),
        runtime=minutes(10),
    params:
        source=code_of("heatproof.cohort.compare_groups"),
        participants=["--participants", *PARTICIPANTS] if PARTICIPANTS else [],
        task=OF_TASK,
    shell:
        "python -m heatproof.cohort.compare_groups {params.participants:q} --scans {input.scans} "
        "--task {params.task:q} --groups {output.groups} --differences {output.differences} > {log} 2>&1"


if is_simulated(config["cohort"]):
    SESSIONS = simulated_sessions(config["cohort"]).set_index("scan")
    BRAINS = real_brains(config["cohort"]) if SIMULATE["anatomy_from"] else {}

    rule prepare_anatomy:
        """Prepare the brain and the atrophy that all simulated scans share, and write what the truth is."""
        output:
            anatomy=f"{COHORT}/anatomy.npz",
            truth=multiext(f"{ATROPHY}/", "regions.tsv", "log_jacobian.nii.gz", "signal_loss.nii.gz"),
        log:
            f"{RESULTS}/logs/prepare_anatomy.log",
        benchmark:
            f"{RESULTS}/benchmarks/cohort/prepare_anatomy.tsv"
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=megabytes(2000),
            runtime=minutes(20),
        params:
            source=code_of("heatproof.cohort.prepare_anatomy"),
            simulate=subset(SIMULATE, "voxel_size", "volume_change", "signal_loss"),
            voxel_size=config["register"]["voxel_size"],
        shell:
            "python -m heatproof.cohort.prepare_anatomy --simulate {params.simulate:q} "
            "--voxel-size {params.voxel_size} --anatomy {output.anatomy} --ground-truth $(dirname {output.truth[0]}) > {log} 2>&1"

    rule prepare_brain:
        """Prepare one real brain and the atrophy that the patients made from it have."""
        input:
            image=lambda wildcards: BRAINS[wildcards.brain],
        output:
            f"{COHORT}/anatomy/{{brain}}.npz",
        log:
            f"{RESULTS}/logs/prepare_brain/{{brain}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/cohort/prepare_brain.{{brain}}.tsv"
        conda:
            "../../envs/ants.yaml"
        resources:
            mem_mb=megabytes(2500),
            runtime=minutes(30),
        params:
            source=code_of("heatproof.cohort.prepare_brain"),
            simulate=subset(SIMULATE, "seed", "voxel_size", "volume_change", "signal_loss"),
        shell:
            "python -m heatproof.cohort.prepare_brain --image {input.image:q} --simulate {params.simulate:q} "
            "--anatomy {output} > {log} 2>&1"

    rule simulate_scan:
        """Simulate one raw scan of one session, or its healthy twin."""
        input:
            anatomy=anatomy_of,
        output:
            [
                f"{COHORT}/{{dataset}}/{{participant}}/{{session}}/anat/{{participant}}_{{session}}_{name}.nii.gz"
                for name in CHANNELS
            ],
        log:
            f"{RESULTS}/logs/simulate_scan/{{dataset}}/{{participant}}_{{session}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/cohort/simulate_scan.{{dataset}}.{{participant}}_{{session}}.tsv"
        wildcard_constraints:
            dataset="bids|twins",
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=megabytes(2000),
            runtime=minutes(10),
        params:
            source=code_of("heatproof.cohort.simulate_scan"),
            simulate=subset(
                SIMULATE | {"contrasts": CONTRASTS},
                *["seed", "voxel_size", "anatomy", "bias_field", "noise", *["contrasts"] * bool(CONTRASTS)],
            ),
            scan=patient_of,
            severity=lambda wildcards: (
                0.0 if wildcards.dataset == "twins" else SESSIONS.at[patient_of(wildcards), "severity"]
            ),
        shell:
            "python -m heatproof.cohort.simulate_scan --simulate {params.simulate:q} --anatomy {input.anatomy} "
            "--scan {params.scan} --severity {params.severity} --out {output} > {log} 2>&1"

    rule describe_dataset:
        """Write the tables that make the simulated scans a BIDS dataset."""
        output:
            files=expand(
                f"{COHORT}/bids/{{file}}",
                file=["dataset_description.json", "participants.tsv", "participants.json", "README"],
            ),
            sessions=expand(
                f"{COHORT}/bids/{{participant}}/{{participant}}_sessions.tsv",
                participant=SESSIONS["participant_id"].unique(),
            ),
            severity=f"{ATROPHY}/scans.tsv",
        log:
            f"{RESULTS}/logs/describe_dataset.log",
        benchmark:
            f"{RESULTS}/benchmarks/cohort/describe_dataset.tsv"
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=megabytes(1000),
            runtime=minutes(5),
        params:
            source=code_of("heatproof.cohort.describe_dataset"),
            options=OF_COHORT,
        shell:
            "python -m heatproof.cohort.describe_dataset --options {params.options:q} "
            "--dataset $(dirname {output.files[0]}) --truth $(dirname {output.severity}) > {log} 2>&1"

    rule describe_twins:
        """Write the tables that make the healthy twins a BIDS dataset of their own."""
        input:
            f"{COHORT}/twins.tsv",
        output:
            files=expand(
                f"{COHORT}/twins/{{file}}",
                file=["dataset_description.json", "participants.tsv", "participants.json", "README"],
            ),
        log:
            f"{RESULTS}/logs/describe_twins.log",
        benchmark:
            f"{RESULTS}/benchmarks/cohort/describe_twins.tsv"
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=megabytes(1000),
            runtime=minutes(5),
        params:
            source=code_of("heatproof.cohort.describe_twins"),
            anatomy_from=["--anatomy-from", SIMULATE["anatomy_from"]] if len(BRAINS) else [],
        shell:
            "python -m heatproof.cohort.describe_twins --twins {input} {params.anatomy_from:q} "
            "--dataset $(dirname {output.files[0]}) > {log} 2>&1"
