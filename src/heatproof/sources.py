"""Which code a command runs: so that a rule is run again when its code changes, and only then."""

import ast
import hashlib
import re
import tokenize
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path

# The folder of the packages whose code is followed: the working directory's own, or the one that this package lies in.
ROOT = "src" if Path("src/heatproof").is_dir() else str(Path(__file__).parents[1])


def code_digest(*modules: str, apart: Collection[str] = (), root: str = ROOT) -> str:
    """Return a fingerprint of the code that modules are made of, with all that they import from below ``root``.

    Comments, docstrings and blank lines do not count, nor does where ``root`` lies or when a file was written.

    Parameters
    ----------
    *modules, apart, root
        As for `module_files`. The names count as well.
    """
    digest = hashlib.sha256("\n".join(modules).encode())
    for path in module_files(*modules, apart=apart, root=root):
        digest.update("\n".join([f"\n{Path(path).relative_to(root)}", *code_lines(path)]).encode())
    return digest.hexdigest()[:16]


def module_files(*modules: str, apart: Collection[str] = (), root: str = ROOT) -> list[str]:
    """List the files below a folder that modules are made of, with all that they import from there.

    Parameters
    ----------
    *modules : str
        Dotted names of modules, or of what is in them: ``heatproof.train.fit_model``.
    apart : collection of str
        Modules that are left out, with what they import, though others import them.
    root : str
        Folder that the packages lie in.

    Returns
    -------
    list of str
        Sorted paths, beginning with ``root``.
    """
    found, waiting = set(), with_packages(modules)
    left_out = {module_file(module, root) for module in apart}
    while waiting:
        path = module_file(waiting.pop(), root)
        if path and path not in found | left_out:
            found.add(path)
            waiting += imported_modules(path)
    return sorted(found)


@cache
def module_file(module: str, root: str) -> str | None:
    """Return the file of a module or package of ours; None for other people's, and for names within a module."""
    stem = Path(root, *module.split("."))
    for path in (stem.with_suffix(".py"), stem / "__init__.py"):
        if path.is_file():
            return str(path)
    return None


@cache
def imported_modules(path: str) -> list[str]:
    """Return every module that a file may import: what it names, and the packages that hold these."""
    return with_packages(full for _, full in imported_names(parsed(path)))


def parsed(path: str) -> ast.Module:
    """Return the syntax tree of a file, by whose name a mistake in it is told."""
    return ast.parse(Path(path).read_text(), path)


def imported_names(tree: ast.Module) -> list[tuple[str, str]]:
    """List what a module imports: the name that it goes by there, and the full name."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [(alias.asname or alias.name, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [(alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names]
    return names


def with_packages(names: Iterable[str]) -> list[str]:
    """List dotted names, each with the packages that hold it."""
    return [".".join(parts[:n]) for parts in (name.split(".") for name in names) for n in range(1, len(parts) + 1)]


@cache
def code_lines(path: str) -> list[str]:
    """Return the lines of a file without comments, docstrings and blank lines.

    The text is cut and not written anew from its syntax tree, whose form changes with the version of Python.
    """
    text = Path(path).read_text()
    lines: list[str | None] = text.splitlines()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            docstring = node.body[0]
            lines[docstring.lineno - 1 : docstring.end_lineno] = [None] * (docstring.end_lineno - docstring.lineno + 1)
    with open(path, "rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type in (tokenize.COMMENT, tokenize.NL):
                line, column = token.start
                lines[line - 1] = (lines[line - 1] or "")[:column].rstrip() or None
    return [line for line in lines if line is not None]


def dictionary_entries(path: str, name: str) -> dict[str, list[str]]:
    """Read a dictionary that a module defines, without importing the module.

    Returns
    -------
    dict of list of str
        Per key the dotted names in its value, in full where the module imports them.
    """
    tree = parsed(path)
    imported = dict(imported_names(tree))

    def names_in(value: ast.expr) -> list[str]:
        dotted = [word.partition(".") for word in re.findall(r"[A-Za-z_][\w.]*", ast.unparse(value))]
        return [imported.get(first, first) + point + rest for first, point, rest in dotted]

    for node in tree.body:
        target = getattr(node, "target", None) or getattr(node, "targets", [None])[0]
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(target, ast.Name) and target.id == name:
            entries = zip(node.value.keys, node.value.values, strict=True)
            return {ast.literal_eval(key): names_in(value) for key, value in entries}
    return {}


def find_function(name: str, root: str = ROOT) -> ast.FunctionDef | None:
    """Find a function by its dotted name in the files below a folder, through imports; None where there is none."""
    module, _, own = name.rpartition(".")
    path = module_file(module, root) if module else None
    if path is None:
        return None
    tree = parsed(path)
    defined = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    elsewhere = dict(imported_names(tree)).get(own)
    return defined.get(own) or (find_function(elsewhere, root) if elsewhere else None)


def lacks(module: str, name: str, root: str = ROOT) -> bool:
    """Tell whether a package below a folder surely has no such module, or the module no such name."""
    package, path = module.partition(".")[0], module_file(module, root)
    if not (Path(root, package).is_dir() or module_file(package, root)):
        return False
    return path is None or not re.search(rf"\b{name}\b|import \*|def __getattr__", Path(path).read_text())
