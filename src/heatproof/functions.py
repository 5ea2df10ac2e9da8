"""The methods and the network that a config names: what can be known of them without importing them, and torch."""

import ast
from collections.abc import Iterable, Mapping

from heatproof.errors import StudyError
from heatproof.maps import METHOD as TAKEN
from heatproof.maps import is_taken
from heatproof.sources import ROOT, dictionary_entries, find_function, lacks
from heatproof.train.layers import OUTPUTS, PAPER_NETWORK, SHAPED

METHODS = f"{ROOT}/heatproof/attribute/__init__.py"
CONVENTIONS = f"{ROOT}/heatproof/attribute/outputs.py"


def check_methods(methods: Mapping[str, Mapping | None], reserved: Iterable[str] = ()) -> None:
    """Check that the methods which ``attribute.methods`` names exist, and have the options that they are given.

    Raises
    ------
    StudyError
        With the methods, or the options, that there are; if all are null; if one has a name that is ``reserved``.
    """
    if not any(methods.values()):
        raise StudyError("config: attribute.methods leaves out every method; take null away from one, or add one")
    if taken := [name for name in reserved if methods.get(name)]:
        raise StudyError(f"config: attribute.methods names {quoted(taken)}, as other results are; choose another name")
    for name, options in methods.items():
        if options and not is_taken(options):
            check_method(f"attribute.methods.{name}", options)


def check_method(key: str, options: Mapping) -> None:
    """Check one entry of the config's ``attribute.methods``."""
    known, method = dictionary_entries(METHODS, "METHODS"), options["method"]
    if method not in known:
        raise StudyError(f"config: {key}.method is {method!r}; the methods are {', '.join([*known, TAKEN])}")
    function = next(filter(None, map(find_function, known[method])), None)
    if function:
        own = [option.arg for option in function.args.kwonlyargs]
        known = ["method", *dictionary_entries(CONVENTIONS, "CONVENTIONS"), *own]
        if unknown := sorted(options.keys() - set(known)):
            raise StudyError(f"config: {key} has no option {quoted(unknown)}; {method} has {', '.join(known)}")


def check_network_function(network: Mapping) -> None:
    """Check that the function which ``train.network`` names exists, and takes its options, where it lies below ``src``.

    Raises
    ------
    StudyError
        If there is no such function, or if an option is neither its own nor the paper's network's, or is lacking.
    """
    if {"filters", "pools"} <= network.keys() and len(network["filters"]) != len(network["pools"]):
        raise StudyError("config: train.network.filters and train.network.pools must be equally long; correct one")
    module, _, name = network["function"].partition(":")
    if lacks(module, name):
        raise StudyError(
            f"config: train.network.function {network['function']!r} is not found below src/; name it module:function"
        )
    function, inherited = find_function(f"{module}.{name}"), find_function(PAPER_NETWORK.replace(":", "."))
    if function is None or function.args.kwarg:
        return
    taken = parameters(function)
    if unknown := sorted(
        network.keys() - {"function", "outputs", "inputs"} - taken.keys() - parameters(inherited).keys()
    ):
        raise StudyError(
            f"config: train.network: {network['function']} has no option {quoted(unknown)}; it has {', '.join(taken)}"
        )
    known = network.keys() | SHAPED.keys() | {*OUTPUTS}
    if missing := [option for option in list(taken)[1:] if taken[option] and option not in known]:
        raise StudyError(f"config: train.network lacks {quoted(missing)}, which {network['function']} needs; add it")


def quoted(names: Iterable[str]) -> str:
    """List names in quotes."""
    return ", ".join(map(repr, names))


def parameters(function: ast.FunctionDef) -> dict[str, bool]:
    """Return the parameters of a function, and whether each must be given."""
    positional, keywords = [*function.args.posonlyargs, *function.args.args], function.args.kwonlyargs
    free = len(positional) - len(function.args.defaults)
    needed = {parameter.arg: i < free for i, parameter in enumerate(positional)}
    return needed | {a.arg: default is None for a, default in zip(keywords, function.args.kw_defaults, strict=True)}
