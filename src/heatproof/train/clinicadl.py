"""A folder of ClinicaDL 2, a MAPS: its models, their network, and what it says of the scans; known without torch.

``model.json`` describes the network, ``training/data/train/split-*/dataset.json`` the scans and their preprocessing,
and ``training/split-*/models`` has the weights.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from heatproof.cohort.split import read_learned
from heatproof.errors import StudyError

MODULE = "heatproof.train.clinicadl_networks"
BUILDERS = {
    **{"CNN": "cnn", "DenseNet": "densenet", "MLP": "mlp", "ResNet": "resnet", "SEResNet": "resnet", "ViT": "vit"},
}
FROM_SCANS = ("name_", "spatial_dims", "in_channels", "in_shape", "num_inputs", "num_outputs")
LINKS = {  # losses of classifiers, and the last activation that makes probabilities of logits for them
    **{"BCEWithLogitsLoss": None, "CrossEntropyLoss": None, "MultiMarginLoss": None},
    **{"BCELoss": "sigmoid", "NLLLoss": "logsoftmax"},
}
NOT_ZERO_AT_ZERO = ("sigmoid", "softmax", "logsoftmax")
REMEDY = "name a function that builds it in train.network"


def folder_of(path: str | Path) -> Path | None:
    """Return the MAPS that a file lies in; None where it lies in none."""
    return next((folder for folder in Path(path).parents if (folder / "model.json").is_file()), None)


def maps_of(train: Mapping) -> Path | None:
    """Return the MAPS that the models of a config's ``train`` lie in; None where they lie in none, or are trained."""
    return folder_of(next(iter((train.get("models") or {"": ""}).values())))


def models_in(path: str) -> dict[str, str]:
    """Return the weights of each split of a MAPS: those of the best loss, else of the only best, else the final ones.

    Raises
    ------
    StudyError
        If the folder is no MAPS of ClinicaDL 2, or has no model.
    """
    folder = Path(path).expanduser()
    if not (folder / "model.json").is_file():
        first = " but one of ClinicaDL 1" if (folder / "maps.json").is_file() else ""
        raise StudyError(
            f"config: train.models names the folder {path}, which is no MAPS of ClinicaDL 2{first} (it has no "
            "model.json); name files of weights, and their network in train.network"
        )
    found = {}
    for split in sorted(folder.glob("training/split-*"), key=lambda split: int(split.name.partition("-")[2])):
        best = sorted(split.glob("models/best_models/*/model.pt"))
        of_loss = [file for file in best if file.parent.name == "best-loss"]
        files = of_loss or (best if len(best) == 1 else []) or [split / "models/final/model.pt"]
        if files[0].is_file():
            found[split.name.partition("-")[2]] = str(files[0])
    if not found:
        raise StudyError(
            f"config: train.models names {path}, which has no training/split-*/models/final/model.pt nor a best model; "
            "train it first"
        )
    return found


def read_json(path: Path) -> dict:
    """Read one of a MAPS's files.

    Raises
    ------
    StudyError
        If it is not there, or is no JSON of keys and values.
    """
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise StudyError(f"{path} of a MAPS, which train.models names, cannot be read ({error}); restore it") from error
    if not isinstance(content, Mapping):
        raise StudyError(f"{path} of a MAPS, which train.models names, has no keys; restore it")
    return dict(content)


def network_in(folder: Path) -> dict:
    """Return the network of a MAPS as `train.network` names it.

    Raises
    ------
    StudyError
        If it is none that can be built here, or takes no scans or gives no classes.
    """
    path, model = folder / "model.json", read_json(folder / "model.json")
    network, loss = model.get("network"), name_of(model.get("loss"))
    kind = name_of(network)
    if kind not in BUILDERS:
        raise StudyError(
            f"{path} has the network {kind or 'of its own'}, and those that can be built from it are "
            f"{', '.join(BUILDERS)}; {REMEDY}"
        )
    dims, channels = network.get("spatial_dims"), network.get("in_channels")
    if "in_shape" in network:
        dims, channels = len(network["in_shape"]) - 1, network["in_shape"][0]
    if (dims or 3, channels or 1) != (3, 1):
        raise StudyError(f"{path} has a network of {dims} dimensions and {channels} channels; scans have 3 and 1")
    if network.get("num_outputs") not in (1, 2):
        raise StudyError(
            f"{path} has a network of {network.get('num_outputs')} outputs; classifiers of two classes have 1 or 2"
        )
    if loss and loss not in LINKS:
        raise StudyError(
            f"{path} has the loss {loss}, which trains no classifier; name models that tell two classes apart"
        )
    options = {key: value for key, value in network.items() if key not in FROM_SCANS}
    if kind == "CNN":
        options["mlp_args"] = with_logits(options.get("mlp_args") or {"hidden_dims": []}, network, loss, path)
    else:
        options = with_logits(options, network, loss, path)
    return {"function": f"{MODULE}:{BUILDERS[kind]}", **options}


def with_logits(options: dict, network: dict, loss: str, path: Path) -> dict:
    """Take off a last activation that makes probabilities of logits; refuse one that no logit of 0 goes with."""
    act = options.get("output_act")
    name = (act if isinstance(act, str) or not act else act[0]) or None
    if LINKS.get(loss) and name != LINKS[loss]:
        raise StudyError(
            f"{path} has the loss {loss} behind {name or 'no activation'}, so that its logits are unknown; {REMEDY}"
        )
    if name and name == LINKS.get(loss):
        return options | {"output_act": None}
    if name in NOT_ZERO_AT_ZERO and network["num_outputs"] == 1:
        raise StudyError(
            f"{path} has {name} behind its one output, which {loss or 'its loss'} takes for a logit; {REMEDY}"
        )
    return options


def name_of(described: object) -> str:
    """Return the name of one of ClinicaDL's objects; an empty text for what is not described by one."""
    return str(described.get("name_", "")) if isinstance(described, Mapping) else ""


def dataset_in(folder: Path) -> dict:
    """Return what a MAPS says of the scans of its first split."""
    found = sorted(folder.glob("training/data/train/split-*/dataset.json"))
    return read_json(found[0]) if found else {}


def preprocessing(dataset: Mapping) -> list[dict]:
    """List the transforms of a dataset, but for augmentations, which are of the training alone."""
    transforms = dataset.get("transforms") or {}
    return [*(transforms.get("image_transforms") or []), *(transforms.get("sample_transforms") or [])]


def intensity_in(dataset: Mapping) -> object:
    """Return what `train.intensity` comes nearest to the preprocessing of a dataset; None where there is none such."""
    scaling = [one for one in preprocessing(dataset) if name_of(one) in ("ZNormalization", "RescaleIntensity")]
    if len(scaling) != 1:
        return None if scaling else "none"
    if name_of(scaling[0]) == "ZNormalization":
        return "zscore"
    cut = scaling[0].get("percentiles", [0, 100])
    cut = cut if isinstance(cut, list) else [0, cut]
    return [float(percent) for percent in cut] if scaling[0].get("out_min_max") in (1, [0, 1]) else None


def is_masked(dataset: Mapping) -> bool:
    """Tell whether what lies outside a mask was left out, or scans were scaled by what lies in one."""
    return any(name_of(one) == "Mask" or one.get("masking_method") for one in preprocessing(dataset))


def scans_in(dataset: Mapping) -> dict[str, dict]:
    """Return what a dataset says of `cohort` and `register`: its folder, the files' entities and their space.

    Only entities whose patterns are plain words are taken; the folder only where it is there and has T1w scans.
    """
    files, path = dataset.get("file_type") or {}, (dataset.get("bids") or {}).get("path")
    if files.get("suffix") != "T1w" or not path or not Path(path).is_dir():
        return {}
    entities = {
        key: value for key, value in (files.get("with_entities") or {}).items() if re.fullmatch(r"\w+", str(value))
    }
    others = {key: None for key in files.get("without_entities") or {} if key not in entities}
    found = {"cohort": {"bids": path, "select": others | entities}, "register": {}}
    if "space" in entities:
        found["register"] = {"space": entities["space"], "transform": "none"}
    return found


def with_described(config: Mapping, laid_over: Mapping) -> dict:
    """Take from a MAPS what a user's own config does not say: network, intensity, scans, and whom the models know.

    Parameters
    ----------
    config : mapping
        The whole configuration, whose ``train.models`` names a file for each model.
    laid_over : mapping
        What was laid over the embedded default.

    Raises
    ------
    StudyError
        If the network cannot be built, or was trained on patches or slices.
    """
    folder = maps_of(config["train"])
    if folder is None:
        return dict(config)
    dataset = dataset_in(folder)
    extraction = name_of((dataset.get("transforms") or {}).get("extraction"))
    if extraction not in ("", "Image"):
        raise StudyError(
            f"{folder} was trained on samples of {extraction.lower()}s; Heatproof explains models of whole scans"
        )
    found = {"cohort": {}, "register": {}, **scans_in(dataset), "train": {}}
    if not (laid_over.get("train") or {}).get("network"):
        found["train"]["network"] = network_in(folder)
    if (intensity := intensity_in(dataset)) is not None:
        found["train"] |= {"intensity": intensity, "within": "brain" if is_masked(dataset) else "grid"}
    taken = {section: own_or_found(config[section], laid_over.get(section), found[section]) for section in found}
    split, learned = taken["cohort"].get("split"), folder / "training/data/data.tsv"
    if isinstance(split, Mapping) and split.get("test") == "all" and "learned" not in split and learned.is_file():
        taken["cohort"]["split"] = {**split, "learned": str(learned)}
    return {**config, **taken}


def shape_of(config: Mapping) -> tuple[int, ...] | None:
    """Return the shape of scans that a MAPS's network takes alone; None where it takes any, or is no MAPS's."""
    folder = maps_of(config["train"])
    if folder is None or not config["train"]["network"]["function"].startswith(MODULE):
        return None
    return shape_in(folder)


def shape_in(folder: Path) -> tuple[int, ...] | None:
    """Return the shape of scans that the network of a MAPS takes alone; None where it takes any."""
    return tuple((read_json(folder / "model.json")["network"].get("in_shape") or [1])[1:]) or None


def check_learned(config: Mapping, scans: pd.DataFrame) -> None:
    """Refuse test participants whom one of the models of a MAPS was trained with.

    Parameters
    ----------
    config : mapping
    scans : DataFrame
        participant_id and split.

    Raises
    ------
    StudyError
        With the first of them, the model, and how many more there are.
    """
    tested = set(scans.loc[scans["split"] == "test", "participant_id"])
    for model, file in (config["train"]["models"] or {}).items():
        folder = folder_of(file)
        split = next((part for part in Path(file).parts if part.startswith("split-")), "")
        path = (folder or Path()) / f"training/data/train/{split}/data.tsv"
        known = sorted(tested & read_learned(path)) if folder and path.is_file() else []
        if known:
            more = f" and {len(known) - 1} more" if known[1:] else ""
            raise StudyError(
                f"config: cohort.split puts {known[0]}{more} into test, and {path} says that model {model} was trained "
                "with them; leave them out by cohort.split: {test: all}, or by cohort.exclude"
            )


def own_or_found(section: object, own: object, found: Mapping) -> object:
    """Lay what was found over a section of the config, but for keys that are a user's own."""
    if not isinstance(section, Mapping):
        return section
    return {**section, **{key: value for key, value in found.items() if key not in (own or {})}}


def described(train: Mapping) -> dict:
    """Return what the MAPS of imported models says of network, loss and preprocessing, for provenance; or nothing."""
    folder = maps_of(train)
    if folder is None:
        return {}
    model, dataset = read_json(folder / "model.json"), dataset_in(folder)
    told = {"network": model.get("network"), "loss": model.get("loss"), "files": dataset.get("file_type")}
    return {"clinicadl": {"maps": str(folder), **told, "preprocessing": preprocessing(dataset)}}


def taken_on_trust(config: Mapping) -> Iterator[str]:
    """Say what a MAPS names of the scans' preprocessing that is not done here, or not so."""
    folder = maps_of(config["train"])
    if folder is None:
        return
    dataset = dataset_in(folder)
    intensity, asked = intensity_in(dataset), config["train"]["intensity"]
    if intensity is not None and intensity != asked:
        yield f"{folder} scaled scans by {intensity}, and train.intensity is {asked}"
    others = [
        name_of(one) for one in preprocessing(dataset) if name_of(one) not in ("ZNormalization", "RescaleIntensity")
    ]
    if intensity is None:
        others = [name_of(one) for one in preprocessing(dataset)]
    if others:
        yield (
            f"{folder} prepared scans by {', '.join(others)}, which is not done here: scans must have been so prepared "
            "already"
        )
