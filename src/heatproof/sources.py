"""Which source files a command runs: so that a rule is run again when its code changes, and only then."""

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path

PACKAGE = "heatproof"


def module_files(*modules: str, root: str = "src") -> list[str]:
    """List the files of this package that modules are made of, with all that they import from it.

    Parameters
    ----------
    *modules : str
        Dotted names, ``heatproof.train.fit_model``.
    root : str
        Folder that the package lies in.

    Returns
    -------
    list of str
        Sorted paths, beginning with ``root``.
    """
    found, waiting = set(), with_packages(modules)
    while waiting:
        path = module_file(waiting.pop(), root)
        if path and path not in found:
            found.add(path)
            waiting += imported_modules(path)
    return sorted(found)


def module_file(module: str, root: str) -> str | None:
    """Return the file of a module or package of ours; None for other people's, and for names within a module."""
    if module.split(".")[0] != PACKAGE:
        return None
    stem = Path(root, *module.split("."))
    for path in (stem.with_suffix(".py"), stem / "__init__.py"):
        if path.is_file():
            return str(path)
    return None


@cache
def imported_modules(path: str) -> list[str]:
    """Return every module that a file may import: what it names, and the packages that hold these."""
    names = []
    for node in ast.walk(ast.parse(Path(path).read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return with_packages(names)


def with_packages(names: Iterable[str]) -> list[str]:
    """List dotted names, each with the packages that hold it."""
    return [".".join(parts[:n]) for parts in (name.split(".") for name in names) for n in range(1, len(parts) + 1)]


def dictionary_keys(path: str, name: str) -> list[str]:
    """Read the keys of a dictionary that a module defines, without importing the module."""
    for node in ast.walk(ast.parse(Path(path).read_text())):
        target = getattr(node, "target", None) or getattr(node, "targets", [None])[0]
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(target, ast.Name) and target.id == name:
            return [ast.literal_eval(key) for key in node.value.keys]
    return []
