"""What a configuration must be: checked against its schema and key against key, each mistake told in one sentence."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from pathlib import Path

import jsonschema
import yaml

from heatproof.channels import check_channels
from heatproof.checks import T_MAP_SPLITS
from heatproof.cohort.participants import SEVERITY, counts_of
from heatproof.cohort.twins import has_twins, is_simulated
from heatproof.config import model_checks, with_own_classes
from heatproof.errors import StudyError
from heatproof.functions import check_methods, check_network_function, quoted
from heatproof.maps import check_paths, is_taken
from heatproof.models import models_of, networks_of, of_network
from heatproof.references import check_references
from heatproof.task import PREDICTED, classes_of, task_of

BEFORE = {"within": "brain", "loss": "squared_error", "alignment": "headers"}  # of keys that a study's version lacked
BY_YAML = {
    bool: "YAML reads yes, no, on, off, true and false as truth values; write the word in quotes",
    date: "YAML reads it as a date; write it in quotes",
    int: "YAML reads a number, and one that begins with 0 as octal; write it in quotes",
    float: "YAML reads a number; write it in quotes",
    type(None): "YAML reads nothing, null or ~ as no value; write the word in quotes",
}
TYPES = {
    "array": "no list, as [a, b]",
    "object": "no keys with values, as {key: value}",
    "integer": "no whole number, as 4",
    "number": "no number",
    "boolean": "neither true nor false",
}
VALIDATOR = jsonschema.validators.extend(  # to JSON 4.0 is an integer; to what counts with it, it is none
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int),
)


def check_config(config: Mapping, schema: str | Path = "workflow/schemas/config.schema.yaml") -> None:
    """Check a configuration against the schema, and that every method, its options, references and the network exist.

    Raises
    ------
    StudyError
        For the first mistake, with the key it is in and what to write instead.
    """
    validator = VALIDATOR(yaml.safe_load(Path(schema).read_text()))
    mistakes = sorted(validator.iter_errors(config), key=lambda error: (len(error.path), str(error.path)))
    if mistakes:
        raise StudyError(explain(mistakes[0]))
    check_methods(config["attribute"]["methods"], reserved=[*T_MAP_SPLITS, "effects"])
    check_value(config) if config["cohort"]["value"] else check_classes(config)
    check_groups(config)
    check_channels(config)
    check_taken(config)
    check_alone(config)
    check_references(config)
    check_effects(config)
    check_placed(config)
    check_bounds(config)
    for name, network in networks_of(config["train"]).items():
        with of_network(name):
            check_network_function(network)
    given = next((key for key in ("models", "predictions") if config["train"][key]), None)
    if given and config["train"]["networks"]:
        raise StudyError(
            f"config: train.{given} is about models of one network, and train.networks names several; leave out one"
        )


def check_classes(config: Mapping) -> None:
    """Check what names a class: that there is one, and that all methods explain the same.

    Raises
    ------
    StudyError
        For the first key that does not.
    """
    cohort, methods = config["cohort"], config["attribute"]["methods"]
    classes, targets = list(classes_of(cohort)), {}
    if not classes:
        raise StudyError("config: cohort.classes is null; name classes, or the column of a number in cohort.value")
    if cohort["both_classes"] not in ("refuse", *classes):
        raise StudyError(
            f"config: cohort.both_classes is {cohort['both_classes']!r}; write refuse, or one of the classes, "
            f"{', '.join(classes)}"
        )
    if isinstance(cohort["label"], dict) and len(classes) != 2:
        raise StudyError(
            f"config: cohort.label is the volume of a region, which makes two classes, and cohort.classes names "
            f"{', '.join(classes)}; name two"
        )
    if is_simulated(cohort) and (strange := strange_classes(cohort["simulate"], classes)):
        raise StudyError(
            f"config: cohort.simulate.{strange} must name each of cohort.classes, {', '.join(classes)}; correct one"
        )
    if has_twins(cohort) and task_of(config).target == classes[0]:
        raise StudyError(
            f"config: attribute.methods explain {classes[0]}, the class without atrophy, whose scans have no twins; "
            "explain another, or set cohort.simulate.twins to false"
        )
    for name, options in methods.items():
        target = (options or {}).get("target", PREDICTED)
        if target not in (PREDICTED, *classes):
            raise StudyError(
                f"config: attribute.methods.{name}.target is {target!r}; choose one of the classes, "
                f"{', '.join(classes)}, or {PREDICTED}"
            )
        targets.setdefault(target, name)
    targets.pop(PREDICTED, None)
    if len(targets) > 1:
        (first, one), (second, other) = list(targets.items())[:2]
        raise StudyError(
            f"config: attribute.methods.{one}.target is {first} and that of {other} is {second}; explain one class in "
            "a study, and the other in a study of its own that takes its models by the key models"
        )


def check_value(config: Mapping) -> None:
    """Check what is asked of a study that learns a value: nothing that takes classes.

    Raises
    ------
    StudyError
        For the first key that does.
    """
    cohort, attribute, value = config["cohort"], config["attribute"], config["cohort"]["value"]
    if is_simulated(cohort) and value != SEVERITY:
        raise StudyError(
            f"config: cohort.value is {value!r}, and of a simulated cohort the {SEVERITY} of the atrophy alone is in "
            f"the scans; write {SEVERITY}, or name a dataset in cohort.bids"
        )
    simulate = cohort["simulate"]
    for key, kind, remedy in (("participants", int, "a number, as 60"), ("severity", list, "a range, as [0.0, 1.25]")):
        if is_simulated(cohort) and not isinstance(simulate.get(key), kind):
            raise StudyError(f"config: cohort.simulate.{key} tells of classes, and {value} is learned; write {remedy}")
    if cohort["both_classes"] != "refuse":
        raise StudyError("config: cohort.both_classes is about classes, and cohort.value is a number; write refuse")
    if attribute["deletion_scans"]:
        raise StudyError(
            "config: attribute.deletion_scans follows the probability of a class, and cohort.value has none; set it to "
            "0 (attribute.recovery_scans follows the value)"
        )
    for name, options in attribute["methods"].items():
        if (options or {}).get("target", value) != value or (options or {}).get("output", "logit") != "logit":
            raise StudyError(
                f"config: attribute.methods.{name} explains a class or its probability, and {value} is learned; write "
                f"target: {value}, output: logit"
            )


def check_groups(config: Mapping) -> None:
    """Check that the groups whose maps viewer.html shows are those of the task."""
    if wrong := sorted(set(config["report"]["viewer_outcomes"]) - task_of(config).groups.keys()):
        raise StudyError(
            f"config: report.viewer_outcomes names {wrong[0]!r}; choose from {', '.join(task_of(config).groups)}"
        )


def strange_classes(simulate: Mapping, classes: Sequence[str]) -> str:
    """Name the key of ``cohort.simulate`` that does not tell of each class: how many people, or how severe."""
    if set(counts_of(simulate)) != set(classes):
        return "participants"
    return "" if set(classes) <= set(simulate["severity"]) else "severity"


def check_taken(config: Mapping) -> None:
    """Check the entries of ``attribute.methods`` that name maps which are there; raises as `check_paths` does."""
    checks, seeds = model_checks(config), models_of(config["train"])
    for name, options in config["attribute"]["methods"].items():
        if is_taken(options):
            check_paths(f"attribute.methods.{name}", options, checks, seeds)


def check_alone(config: Mapping) -> None:
    """Check that a study of maps alone, whose cohort is a table of scans, asks for nothing that takes scans or a model.

    Raises
    ------
    StudyError
        For the first key that does, or where ``cohort.scans`` or ``train.predictions`` is named without the other.
    """
    cohort, train, attribute = config["cohort"], config["train"], config["attribute"]
    if bool(cohort["scans"]) != bool(train["predictions"]):
        named, other = ("cohort.scans", "train.predictions")[:: 1 if cohort["scans"] else -1]
        raise StudyError(
            f"config: {named} is of a study of maps alone, which needs {other} as well; name both, or none"
        )
    if not cohort["scans"]:
        return
    methods = {f"attribute.methods.{name}": options for name, options in attribute["methods"].items()}
    asked = {
        "models": config["models"],
        "train.models": train["models"],
        "cohort.bids": cohort["bids"],
        "cohort.label": isinstance(cohort["label"], dict),
        "attribute.effects": attribute["effects"],
        "attribute.deletion_scans": attribute["deletion_scans"],
        "attribute.recovery_scans": attribute["recovery_scans"],
        "compare.checks: t_map": "t_map" in config["compare"]["checks"],
        **{key: options and not is_taken(options) for key, options in methods.items()},
    }
    if key := next((key for key, value in asked.items() if value), None):
        raise StudyError(
            f"config: {key} takes scans or a model, and cohort.scans names scans of which maps alone are there; "
            "leave it out, as config/maps-only.yaml does"
        )


def check_effects(config: Mapping) -> None:
    """Check that effects have a reference, and that there are some where units are ordered by them.

    Raises
    ------
    StudyError
        If there are neither twins nor controls, or recovery is asked for without effects.
    """
    effects = config["attribute"]["effects"]
    if effects and not effects["controls"] and not has_twins(config["cohort"]):
        raise StudyError(
            "config: attribute.effects.controls is 0 and this cohort has no twins, so that units can be taken from "
            "nowhere; give a number of controls, or set attribute.effects to null"
        )
    if config["attribute"]["recovery_scans"] and not effects:
        raise StudyError(
            "config: attribute.recovery_scans needs the order of the effects, and attribute.effects is null; set "
            "attribute.recovery_scans to 0, or measure effects"
        )


def check_placed(config: Mapping) -> None:
    """Check that scans may lie in the template's space and need no registration, where ``register.transform`` is none.

    Raises
    ------
    StudyError
        If the cohort is simulated, or labels are volumes, which only a deformation measures.
    """
    cohort = config["cohort"]
    if config["register"].get("grid") and is_simulated(cohort):
        raise StudyError(
            "config: register.grid is that of scans that others have preprocessed, and this cohort is simulated on the "
            "template's; set it to null, or name a dataset in cohort.bids"
        )
    if config["register"]["transform"] != "none":
        return
    if is_simulated(cohort):
        raise StudyError(
            "config: register.transform is none, but simulated scans lie in the space of their scanner; name a dataset "
            "in cohort.bids, or another transform"
        )
    if isinstance(cohort["label"], dict):
        raise StudyError(
            "config: cohort.label is the volume of a region, which is measured by the registration, and "
            "register.transform is none; name a transform, or a column in cohort.label"
        )


def check_bounds(config: Mapping) -> None:
    """Refuse rules of LRP that need scans in 0..1 where ``train.intensity`` scales them otherwise."""
    methods = config["attribute"]["methods"].items()
    boxed = [name for name, options in methods if options and options.get("rule") == "epsilon_gamma_box"]
    if boxed and not isinstance(config["train"]["intensity"], list):
        raise StudyError(
            f"config: the rule epsilon_gamma_box of {quoted(boxed)} holds for scans in 0..1, and train.intensity is "
            f"{config['train']['intensity']}; choose percentiles there, or another rule"
        )


def check_models(config: Mapping, results: str | Path = "results") -> None:
    """Check that the study whose models are explained was made as this config says, if it was made already.

    Raises
    ------
    StudyError
        If its scans, registration or training were another; its seeds may differ. If weights are imported, which would
        be written where its own models are.
    """
    if config["models"] not in (None, config["study"]) and config["train"]["models"]:
        raise StudyError(
            f"config: models names the study {config['models']!r}, whose own models are explained, and train.models "
            "names others; set one of them to null: to explain those of train.models on that study's registered scans, "
            f"name results/{config['models']}/register in cohort.bids and set register.transform to none"
        )
    description = Path(results, config["models"] or config["study"], "train/dataset_description.json")
    if config["models"] in (None, config["study"]) or not description.is_file():
        return
    made = with_own_classes(json.loads(description.read_text())["Configuration"], {})
    others = [
        f"{stage}.{key}"
        for stage in ("cohort", "register", "train")
        for key in sorted((config[stage].keys() | made[stage].keys()) - {"seeds"})
        if config[stage].get(key) != made[stage].get(key, BEFORE.get(key))
    ]
    if list(classes_of(config["cohort"])) != list(classes_of(made["cohort"])):
        others = [*{"cohort.classes": None, **dict.fromkeys(others)}]
    if others:
        raise StudyError(
            f"config: models names the study {config['models']!r}, which was made with another {', '.join(others)}; "
            "lay its config beneath this one, make it anew, or set models to null"
        )


def explain(mistake: jsonschema.ValidationError) -> str:
    """Turn a mistake that the schema found into one sentence."""
    deepest = mistake
    while deepest.context and deepest.validator in ("anyOf", "oneOf"):
        deepest = max(deepest.context, key=lambda error: (len(error.path), error.validator != "type"))
        if len(deepest.absolute_path) <= len(mistake.absolute_path):
            deepest = mistake
            break
    mistake = deepest
    key = ".".join(str(part) for part in mistake.absolute_path) or "the top level"
    if mistake.validator == "additionalProperties":
        allowed = list(mistake.schema.get("properties", {}))
        unknown = [name for name in mistake.instance if name not in allowed]
        near = [match for name in unknown for match in get_close_matches(str(name), allowed, n=1)]
        hint = f"did you mean {quoted(near)}?" if near else f"the keys are {', '.join(allowed)}"
        return f"config: unknown key {quoted(unknown)} in {key}; {hint}"
    if mistake.validator == "required":
        missing = [name for name in mistake.validator_value if name not in mistake.instance]
        return f"config: {key} lacks the key {quoted(missing)}; add it as in config/config.yaml"
    described = mistake.schema.get("description", "")
    hint = f"; it is: {described}" if described else ""
    message = mistake.message
    if mistake.validator == "type" and isinstance(mistake.instance, str) and looks_like_number(mistake.instance):
        message = f"{mistake.instance!r} is text to YAML; write a number with a point, as in 1.0e-4"
    elif takes_text(mistake) and type(mistake.instance) in BY_YAML:
        message = f"{mistake.instance} is no text: {BY_YAML[type(mistake.instance)]}"
    elif mistake.validator == "type" and (wanted := [TYPES[kind] for kind in kinds(mistake) if kind in TYPES]):
        message = f"{mistake.instance!r} is {wanted[0]}"
    return f"config: {key}: {message}{hint}"


def takes_text(mistake: jsonschema.ValidationError) -> bool:
    """Tell whether a text could stand where another type was found."""
    return any("string" in kinds(error) for error in [mistake, *mistake.context] if error.validator == "type")


def kinds(mistake: jsonschema.ValidationError) -> list[str]:
    """List the types that the schema takes where another one was found."""
    return [mistake.validator_value] if isinstance(mistake.validator_value, str) else mistake.validator_value


def looks_like_number(text: str) -> bool:
    """Tell whether a text would be a number if YAML were as lenient as Python."""
    try:
        float(text)
    except ValueError:
        return False
    return True
