"""Reading the configuration: what a user laid over the default, key by key, as the rest of the workflow takes it."""

import re
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

import yaml

from heatproof.checks import MAP_CHECKS
from heatproof.errors import StudyError
from heatproof.models import with_option
from heatproof.task import FORMER, classes_of, explained_class, task_of
from heatproof.train.layers import PAPER_NETWORK, VALUE

TEXT = ("study", "label", "value", "classes", "patient", "control", "only", "exclude")
OTHER_BASE = r"[-+]?(0[0-7_]+|\d+(:[0-5]?\d)+(\.\d*)?)"
PATHS = {
    "cohort.bids",
    "cohort.participants",
    "cohort.scans",
    "cohort.simulate.anatomy_from",
    "cohort.split.learned",
    "cohort.split.table",
    "register.template.T1w",
    "register.template.brain_mask",
    "register.atlas.labels",
    "register.atlas.names",
    "register.grid",
    "register.masks",
}
WILDCARD = re.compile(r"\{\s*\w+\s*(,.*)?\}")  # what Snakemake takes for one


def typed(value: object, key: str = "") -> object:
    """Read numbers, truth values and null as YAML does where Snakemake's ``--config`` left them as text."""
    if key in ("only", "classes"):
        return value
    if isinstance(value, Mapping):
        return {name: typed(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [typed(item, key) for item in value]
    if not isinstance(value, str) or key in TEXT:
        return value
    scalar = yaml.safe_load(value) if re.fullmatch(r"[-+.\w]+", value) else value
    return scalar if scalar is None or isinstance(scalar, bool | int | float) else value


def over_default(own: Mapping, path: str | Path) -> dict:
    """Lay a config over the embedded default, key by key, as Snakemake does with ``--configfile``."""

    def laid(below: object, above: object) -> object:
        if not isinstance(below, Mapping) or not isinstance(above, Mapping):
            return above
        return {**below, **{key: laid(below.get(key), value) for key, value in above.items()}}

    return laid(yaml.safe_load(Path(path).read_text()), own)


def renamed(config: Mapping) -> dict:
    """Read ``compare.controls``, the name that ``compare.checks`` once had, in its place."""
    compare = dict(config["compare"]) if isinstance(config.get("compare"), Mapping) else {}
    if "controls" not in compare:
        return dict(config)
    compare["checks"] = compare.pop("controls")
    return {**config, "compare": compare}


def with_own_classes(config: Mapping, laid_over: Mapping) -> dict:
    """Read the classes that the user names in place of the default's, and by their former keys, patient and control.

    A method of the default config explains the class ``patient``; where there is none, it explains the class that a
    method of the user's names, or else the last one. Where the user names a value to learn (``cohort.value``), there
    are no classes, and methods explain that value.

    Parameters
    ----------
    config : mapping
        The whole configuration.
    laid_over : mapping
        What was laid over the embedded default.

    Raises
    ------
    StudyError
        If a former key is given beside classes of other names, or a value beside classes.
    """
    cohort, own = config.get("cohort"), laid_over.get("cohort") or {}
    if not isinstance(cohort, Mapping) or not isinstance(own, Mapping):
        return dict(config)
    if cohort.get("value"):
        return with_value(config, own)
    classes = own.get("classes") or cohort.get("classes")
    if not isinstance(classes, Mapping):
        return dict(config)
    classes = {name: values for name, values in classes.items() if values is not None}
    former = {name: cohort[name] for name in FORMER if name in cohort}
    if strange := next((name for name in former if name not in classes), None):
        raise StudyError(f"config: cohort.{strange} and cohort.classes are both given; name it among the classes alone")
    cohort = {key: value for key, value in cohort.items() if key not in FORMER} | {"classes": {**classes, **former}}
    return with_targets({**config, "cohort": cohort})


def with_value(config: Mapping, own: Mapping) -> dict:
    """Read ``cohort.value`` as the label, explained in place of a class, and by itself in place of a margin."""
    cohort = config["cohort"]
    if given := next((key for key in ("label", "classes", *FORMER) if own.get(key)), None):
        raise StudyError(
            f"config: cohort.{given} and cohort.value are both given; name a value to learn, or classes, alone"
        )
    cohort = {key: item for key, item in cohort.items() if key not in FORMER}
    config = {**config, "cohort": cohort | {"label": cohort["value"], "classes": None}}
    config = with_method_option(config, "target", "patient", cohort["value"])
    return with_method_option(config, "output", "margin", "logit")


def with_method_option(config: Mapping, name: str, value: str, other: str) -> dict:
    """Read another value of an option in place of one, in each entry of ``attribute.methods`` that has it."""
    attribute = config.get("attribute")
    methods = attribute.get("methods") if isinstance(attribute, Mapping) else None
    if not isinstance(methods, Mapping):
        return dict(config)
    read = {
        entry: {**options, name: other} if isinstance(options, Mapping) and options.get(name) == value else options
        for entry, options in methods.items()
    }
    return {**config, "attribute": {**attribute, "methods": read}}


def with_targets(config: Mapping) -> dict:
    """Explain by each method that explains the class ``patient``, where none is called so, the target of the study."""
    attribute, classes = config.get("attribute"), config["cohort"]["classes"]
    methods = attribute.get("methods") if isinstance(attribute, Mapping) else None
    if "patient" in classes or not isinstance(methods, Mapping):
        return dict(config)
    return with_method_option(config, "target", "patient", explained_class(methods, list(classes)))


def with_outputs(config: Mapping) -> dict:
    """Tell networks the number of their outputs where there are not two: one for each class, or `VALUE`."""
    train, outputs = config["train"], len(classes_of(config["cohort"])) or VALUE
    if outputs == 2 or not isinstance(train, Mapping):
        return dict(config)
    return with_option(config, "outputs", outputs)


def with_groups(config: Mapping, laid_over: Mapping) -> dict:
    """Show the maps of all groups where the default's names of them are of another task and the user names none."""
    report, groups = config.get("report"), task_of(config).groups
    named = isinstance(report, Mapping) and "viewer_outcomes" in (laid_over.get("report") or {})
    if named or not isinstance(report, Mapping) or set(report.get("viewer_outcomes", ())) <= groups.keys():
        return dict(config)
    return {**config, "report": {**report, "viewer_outcomes": list(groups)}}


def with_own_network(config: Mapping, laid_over: Mapping) -> dict:
    """Leave out options of the default's network where another one is named: those that no config of the user gives.

    Of several networks (``train.networks``), those without a function have the options of the default's that they do
    not give, and those that are null are left out.

    Parameters
    ----------
    config : mapping
        The whole configuration.
    laid_over : mapping
        What was laid over the embedded default.

    Raises
    ------
    StudyError
        If a user names both one network and several, or leaves out all of several.
    """
    train, own = config.get("train"), (laid_over.get("train") or {}).get("network") or {}
    if not isinstance(train, Mapping) or not isinstance(own, Mapping):
        return dict(config)
    if own.get("function", PAPER_NETWORK) != PAPER_NETWORK:
        train = {**train, "network": dict(own)}
    if isinstance(train.get("networks"), Mapping):
        if own:
            raise StudyError("config: train.network and train.networks are both given; leave out one")
        given = {name: options for name, options in train["networks"].items() if options is not None}
        if not given:
            raise StudyError("config: train.networks leaves out every network; take null away from one")
        train = {**train, "networks": {name: completed(options, train["network"]) for name, options in given.items()}}
    return {**config, "train": dict(train)}


def completed(options: object, default: Mapping) -> object:
    """Add the options of the default's network that one of ``train.networks`` does not give, if it is the same."""
    if not isinstance(options, Mapping) or options.get("function", PAPER_NETWORK) != PAPER_NETWORK:
        return options
    return {**default, **options}


def check_yaml(path: str | Path) -> None:
    """Refuse what YAML would change without a word: a key that is there twice, and numbers in base 8 or 60.

    Raises
    ------
    StudyError
        For the first such place, with its line.
    """
    try:
        waiting = [yaml.compose(Path(path).read_text())]
    except yaml.YAMLError:  # Snakemake has read it, as JSON
        return
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.MappingNode):
            keys = [key.value for key, _ in node.value]
            if twice := next((key for key, _ in node.value if keys.count(key.value) > 1), None):
                raise StudyError(
                    f"{path}, line {twice.start_mark.line + 1}: the key {twice.value} is there more than once, "
                    "and only the last counts; leave one"
                )
            waiting += chain.from_iterable(node.value)
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.ScalarNode) and node.style is None and re.fullmatch(OTHER_BASE, node.value):
            raise StudyError(
                f"{path}, line {node.start_mark.line + 1}: YAML reads {node.value} as {yaml.safe_load(node.value)}; "
                "write text in quotes, a number without 0 in front"
            )


def expand_paths(value: object, key: str = "") -> object:
    """Write a config's paths as Snakemake takes them: the home folder for ``~``, and no slash too many.

    Raises
    ------
    StudyError
        If Snakemake would take a part of a path for a wildcard, or a user's home is not known.
    """
    if isinstance(value, Mapping):
        return {name: expand_paths(item, f"{key}.{name}".lstrip(".")) for name, item in value.items()}
    if key not in PATHS or not isinstance(value, str):
        return value
    if WILDCARD.search(value):
        raise StudyError(
            f"config: {key} is {value!r}, whose word in braces is a wildcard to Snakemake; rename or link it"
        )
    try:
        return str(Path(value).expanduser())
    except RuntimeError as error:
        raise StudyError(f"config: {key} is {value!r}, but there is no such user; write the path in full") from error


def named_by_user(laid_over: Mapping) -> list[str]:
    """List the methods and sanity checks that a user's own config names.

    Parameters
    ----------
    laid_over : mapping
        What was laid over the embedded default.
    """
    methods = (laid_over.get("attribute") or {}).get("methods") or {}
    return sorted(name for name, options in methods.items() if options) + list(
        (renamed(laid_over).get("compare") or {}).get("checks") or []
    )


def model_checks(config: Mapping) -> list[str]:
    """List the sanity checks that explain another model: as ``compare.checks`` names them, cascade part by part."""
    asked = [check for check in config["compare"]["checks"] if check not in MAP_CHECKS]
    if "cascade" not in asked:
        return asked
    parts = config["compare"]["cascade_parts"]
    cascade = [f"random_top_{part}_of_{parts}" for part in range(1, parts + 1)]
    return [*(check for check in asked if check != "cascade"), *cascade]
