"""What all rules share: the checked config, the table of scans, and the names that rules expand over."""

import hashlib
import json
import sys

sys.path.insert(0, "src")

from heatproof.cohort.participants import simulated_sessions
from heatproof.cohort.scans import list_scans
from heatproof.config import check_config, typed
from heatproof.errors import StudyError
from heatproof.feasibility import check_feasibility
from heatproof.register.find_masks import find_masks
from heatproof.sources import module_files as modules

shell.prefix(
    "set -euo pipefail; export PYTHONPATH=src MPLBACKEND=Agg "
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS=${{OMP_NUM_THREADS:-1}}; "
)

config.update(typed(config))

try:
    check_config(config)
    check_feasibility(config)
    SCANS = list_scans(config["cohort"], f"results/{config['study']}/cohort").set_index("scan", drop=False)
    MASKS = find_masks(config["register"], config["cohort"]["bids"], SCANS["scan"])
except StudyError as error:
    sys.exit(f"error: {error}")

RESULTS = f"results/{config['study']}"
TEMPLATE = f"{RESULTS}/register/template"
REGISTERED = f"{RESULTS}/register/{{scan}}/{{scan}}_space-{config['register']['space']}_T1w.nii.gz"
TEST_SCANS = list(SCANS.loc[SCANS["split"] == "test", "scan"])
SEEDS = config["train"]["seeds"]
METHODS = sorted(name for name, options in config["attribute"]["methods"].items() if options)
DERIVATIVES = ["register", "train", "attribute", "compare"]
MEGAVOXELS = 8.53 / config["register"]["voxel_size"] ** 3


wildcard_constraints:
    scan="sub-[A-Za-z0-9]+(_ses-[A-Za-z0-9]+)?",
    seed=r"\d+",
    method="|".join(METHODS),
    split="train|validation|test",
    stage="|".join(DERIVATIVES),


def subset(values, *keys):
    """Return some keys of a part of the config as one JSON string: what a rule is run again for."""
    return json.dumps({key: values[key] for key in keys}, sort_keys=True)


def options(section, *keys):
    """Return a section of the config, or some keys of it, as one JSON string."""
    return subset(config[section], *(keys or config[section]))


def digest(table):
    """Return a fingerprint of a table that is known before any job runs."""
    return hashlib.sha256(table.to_csv().encode()).hexdigest()[:16]


def own_or(fixed, seed):
    """Return the seed that is held fixed over all models, or else the model's own."""
    return seed if fixed is None else fixed


def dataset_files():
    """List the tables of the simulated dataset; none where the cohort is someone's own."""
    return [] if config["cohort"]["bids"] else [f"{RESULTS}/cohort/bids/participants.tsv"]


def network_module():
    """Name the module that builds the network."""
    return config["train"]["network"]["function"].partition(":")[0]


def register_files():
    """List the template's and the atlas's files, where the config names files."""
    named = [config["register"][key] for key in ("template", "atlas") if isinstance(config["register"][key], dict)]
    return [file for files in named for file in files.values() if file and not file.startswith("templateflow:")]


def megabytes(base, per_megavoxel):
    """Return a function of the attempt: memory of a job that grows with the working grid, doubled on each retry."""
    return lambda wildcards, attempt: int((base + per_megavoxel * MEGAVOXELS) * 2 ** (attempt - 1))


onerror:
    with open(log[0]) as lines:
        sentences = sorted({line.rstrip() for line in lines if line.startswith("error: ")})
    if sentences:
        print("\nWhat went wrong:", *sentences, sep="\n", file=sys.stderr)
