"""The configuration: checked against its schema, each mistake told in one sentence."""

import json
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

import jsonschema
import yaml

from heatproof.errors import StudyError
from heatproof.functions import check_methods, check_network_function

MAP_CONTROLS = ("noise", "t_map")
BASELINES = ("edges", "input")  # methods that do not look at the model
TEXT = ("study", "label", "patient", "control")


def typed(value: object, key: str = "") -> object:
    """Read numbers, truth values and null as YAML does where Snakemake's ``--config`` left them as text."""
    if isinstance(value, Mapping):
        return {name: typed(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [typed(item, key) for item in value]
    if not isinstance(value, str) or key in TEXT:
        return value
    scalar = yaml.safe_load(value) if re.fullmatch(r"[-+.\w]*", value) else value
    return scalar if scalar is None or isinstance(scalar, bool | int | float) else value


def check_config(config: Mapping, schema: str | Path = "workflow/schemas/config.schema.yaml") -> None:
    """Check a configuration against the schema, and that every method, its options and the network exist.

    Raises
    ------
    StudyError
        For the first mistake, with the key it is in and what to write instead.
    """
    validator = jsonschema.Draft202012Validator(yaml.safe_load(Path(schema).read_text()))
    mistakes = sorted(validator.iter_errors(config), key=lambda error: (len(error.path), str(error.path)))
    if mistakes:
        raise StudyError(explain(mistakes[0]))
    check_methods(config["attribute"]["methods"])
    check_network_function(config["train"]["network"])


def check_models(config: Mapping, results: str | Path = "results") -> None:
    """Check that the study whose models are explained was made as this config says, if it was made already.

    Raises
    ------
    StudyError
        If its scans, registration or training were another; its seeds may differ.
    """
    description = Path(results, config["models"] or config["study"], "train/dataset_description.json")
    if config["models"] in (None, config["study"]) or not description.is_file():
        return
    made = json.loads(description.read_text())["Configuration"]
    for stage in ("cohort", "register", "train"):
        for key in (config[stage].keys() | made[stage].keys()) - {"seeds"}:
            if config[stage].get(key) != made[stage].get(key):
                raise StudyError(
                    f"config: models names the study {config['models']!r}, which was made with another {stage}.{key}; "
                    "lay its config beneath this one, or set models to null"
                )


def model_controls(config: Mapping) -> list[str]:
    """List the controls that explain another model: as ``compare.controls`` names them, cascade part by part."""
    asked = [control for control in config["compare"]["controls"] if control not in MAP_CONTROLS]
    if "cascade" not in asked:
        return asked
    parts = config["compare"]["cascade_parts"]
    cascade = [f"random_top_{part}_of_{parts}" for part in range(1, parts + 1)]
    return [*(control for control in asked if control != "cascade"), *cascade]


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
        unknown = next(name for name in mistake.instance if name not in allowed)
        near = get_close_matches(unknown, allowed, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the keys are {', '.join(allowed)}"
        return f"config: unknown key {unknown!r} in {key}; {hint}"
    if mistake.validator == "required":
        missing = next(name for name in mistake.validator_value if name not in mistake.instance)
        return f"config: {key} lacks the key {missing!r}; add it as in config/config.yaml"
    described = mistake.schema.get("description", "")
    hint = f"; it is: {described}" if described else ""
    message = mistake.message
    if mistake.validator == "type" and isinstance(mistake.instance, str) and looks_like_number(mistake.instance):
        message = f"{mistake.instance!r} is text to YAML; write a number with a point, as in 1.0e-4"
    return f"config: {key}: {message}{hint}"


def looks_like_number(text: str) -> bool:
    """Tell whether a text would be a number if YAML were as lenient as Python."""
    try:
        float(text)
    except ValueError:
        return False
    return True
