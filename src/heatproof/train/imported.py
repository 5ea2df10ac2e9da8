"""Models that were trained elsewhere, as `train.models` names them: what can be said before any job, without torch."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from heatproof.cohort.twins import has_twins
from heatproof.config import WILDCARD
from heatproof.errors import StudyError
from heatproof.references import CONTROLS, OPTIONS, reference_files
from heatproof.task import task_of
from heatproof.train import clinicadl

SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt", ".tar")
IMPORTED = ("models", "predictions")  # keys of what is known of models that were trained elsewhere
RETRAINED = ("initial_head", "shuffled_labels", "same_initialisation", "same_order")  # checks that ask for the training
OF_CONTROLS = ("mean_control.npy", *CONTROLS)


def with_imported_models(config: Mapping, laid_over: Mapping) -> dict:
    """Read `train.models`, or `train.predictions`, as one file for each seed, which are the models' numbers.

    Null stays as it is.

    One file is model 0; of a pattern with ``{seed}`` there is one for each of `train.seeds`; a mapping names the seeds
    itself; a MAPS of ClinicaDL 2 has a model for each of its splits, and says what the config does not. The default's
    sanity checks that ask how a model was trained are left out.

    Parameters
    ----------
    config : mapping
        The whole configuration, not yet checked.
    laid_over : mapping
        What was laid over the embedded default.
    """
    train = config.get("train")
    key = next((key for key in IMPORTED if isinstance(train, Mapping) and train.get(key)), IMPORTED[0])
    models = train.get(key) if isinstance(train, Mapping) else None
    seeds, compare = train.get("seeds") if models else None, config.get("compare")
    if isinstance(models, str) and "{seed}" in models and isinstance(seeds, list):
        models = {str(seed): models.replace("{seed}", str(seed)) for seed in seeds}
    elif isinstance(models, str) and key == "models" and Path(models).expanduser().is_dir():
        models = clinicadl.models_in(models)
    elif isinstance(models, str):
        models = {"0": models}
    if not isinstance(models, Mapping) or not all(isinstance(path, str) for path in models.values()):
        return dict(config)
    files = {str(seed): str(Path(path).expanduser()) for seed, path in models.items()}
    if wrong := next((seed for seed in files if not (seed.isascii() and seed.isdigit())), None):
        raise StudyError(f"config: train.{key} calls a model {wrong!r}; give each a number, as {{0: model.pt}}")
    if isinstance(compare, Mapping) and not {"checks", "controls"} & set(laid_over.get("compare") or ()):
        compare = {**compare, "checks": [check for check in compare["checks"] if check not in RETRAINED]}
    seeds = [int(seed) for seed in files]
    named = {**config, "train": {**train, key: files, "seeds": seeds}, "compare": compare}
    return clinicadl.with_described(named, laid_over) if key == "models" else named


def is_imported(train: Mapping) -> bool:
    """Tell whether the models of the config's ``train`` were trained elsewhere."""
    return any(train[key] for key in IMPORTED)


def check_imported(config: Mapping) -> None:
    """Check that the files of imported models are there, and that no sanity check asks how they were trained.

    Raises
    ------
    StudyError
        For the first that is not so.
    """
    for path in (config["train"]["models"] or {}).values():
        if Path(path).suffix not in SUFFIXES:
            raise StudyError(f"config: train.models names {path}, which ends in none of {', '.join(SUFFIXES)}")
        if WILDCARD.search(path):
            raise StudyError(
                f"config: train.models names {path}, whose word in braces is a wildcard to Snakemake; rename or link it"
            )
        if not Path(path).is_file():
            raise StudyError(f"config: train.models names {path}, which does not exist; correct it")
    asked = [check for check in config["compare"]["checks"] if check in RETRAINED]
    if is_imported(config["train"]) and asked:
        raise StudyError(
            f"config: compare.checks names {asked[0]}, which needs to know how a model was trained, and train.models "
            "names models that were trained elsewhere; leave it out"
        )


def check_parts(config: Mapping, scans: pd.DataFrame) -> None:
    """Check that every split has the scans that the config has a use for.

    Test scans of all classes there must be; training and validation scans only where networks are trained; training
    scans of controls, or of all classes, where something is made of them.

    Parameters
    ----------
    config : mapping
        Checked.
    scans : DataFrame
        label (empty where it is measured later; a number where a value is learned) and split of each.

    Raises
    ------
    StudyError
        With who is missing, and what it is for.
    """
    named = scans["label"].map(
        lambda label: isinstance(label, str) and label != ""
    )  # neither measured later, nor a number
    there = set(zip(scans["split"], scans["label"].where(named, ""), strict=True))
    labels = task_of(config).shown if named.any() else [""]
    source = config["cohort"]["scans"] or config["cohort"]["split"].get("table") or "config: cohort.split"
    for split in ["test"] if is_imported(config["train"]) and labels[1:] else ["train", "validation", "test"]:
        for label in labels:
            if (split, label) not in there:
                raise StudyError(f"{source} leaves no {label or 'participant'} for {split}; move at least one there")
    needs = {key: labels[-1:] for key in uses_of_controls(config)}
    if "t_map" in config["compare"]["checks"]:
        needs["compare.checks: t_map"] = labels
    for key, needed in needs.items():
        for label in needed:
            if ("train", label) not in there:
                raise StudyError(
                    f"config: {key} needs training scans, and {source.removeprefix('config: ')} leaves no "
                    f"{label or 'participant'} for train; put some there by cohort.split.table, or leave it out"
                )


def uses_of_controls(config: Mapping) -> list[str]:
    """List the keys of the config that something is made of training controls for."""
    attribute, keys = config["attribute"], []
    for name, options in attribute["methods"].items():
        if options and set(OF_CONTROLS) & set(reference_files(options)):
            named = [option for option in (*OPTIONS, "controls") if option in options]
            keys.append(f"attribute.methods.{name}.{named[0]}")
    if attribute["effects"] and attribute["effects"]["controls"]:
        keys.append("attribute.effects.controls")
    if attribute["recovery_scans"] and not has_twins(config["cohort"]):
        keys.append("attribute.recovery_scans")
    return keys
