"""Which code a command is made of, read from its imports, and when that has changed."""

import ast
from pathlib import Path

import pytest

import heatproof
from heatproof.sources import code_digest, code_lines, dictionary_entries, imported_names, module_files


def write(root, **files):
    for name, text in files.items():
        path = root / "heatproof" / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def names(root, *modules):
    return [path.removeprefix(f"{root}/heatproof/") for path in module_files(*modules, root=str(root))]


def test_imports_are_followed_and_other_people_s_left_alone(tmp_path):
    write(
        tmp_path,
        a="import numpy\nfrom heatproof.b import thing\n",
        b="from heatproof import c\n\ndef late():\n    import heatproof.d\n",
        c="",
        d="from pathlib import Path\n",
        e="import heatproof.a\n",
    )
    assert names(tmp_path, "heatproof.a") == ["a.py", "b.py", "c.py", "d.py"]
    assert names(tmp_path, "heatproof.c", "numpy") == ["c.py"]


def test_packages_that_hold_a_module_belong_to_it(tmp_path):
    (tmp_path / "heatproof/stage").mkdir(parents=True)
    for package in ("heatproof", "heatproof/stage"):
        (tmp_path / package / "__init__.py").write_text("")
    (tmp_path / "heatproof/stage/verb.py").write_text("")
    (tmp_path / "heatproof/stage/other.py").write_text("")
    assert names(tmp_path, "heatproof.stage.verb") == ["__init__.py", "stage/__init__.py", "stage/verb.py"]


def test_a_stage_s_commands_do_not_drag_in_a_later_stage():
    order = ["cohort", "register", "train", "attribute", "compare", "report"]
    commands = {"register": "register_scan", "train": "fit_model", "compare": "average_maps"}
    for stage, verb in commands.items():
        later = order[order.index(stage) + 1 :]
        files = module_files(f"heatproof.{stage}.{verb}")
        assert not [path for path in files if any(f"/{name}/" in path for name in later)]


def test_modules_that_lie_apart_are_left_out_with_what_they_import(tmp_path):
    write(tmp_path, a="import heatproof.b\nimport heatproof.c\n", b="import heatproof.d\n", c="", d="")
    files = module_files("heatproof.a", apart=["heatproof.b"], root=str(tmp_path))
    assert [Path(path).name for path in files] == ["a.py", "c.py"]


def test_entries_of_a_dictionary_are_read_without_running_it(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(
        "from ours import mine\nTHINGS: dict = {'a': mine.f, 'b': partial(mine.g, 1 / 0), 'c': undefined}\n"
    )
    entries = {"a": ["ours.mine.f"], "b": ["partial", "ours.mine.g"], "c": ["undefined"]}
    assert dictionary_entries(str(path), "THINGS") == entries
    assert dictionary_entries(str(path), "OTHERS") == {}


def test_a_mistake_in_code_is_told_with_its_file(tmp_path):
    write(tmp_path, a="import heatproof.b\n", b="x = 'one\n")
    with pytest.raises(SyntaxError) as error:
        code_digest("heatproof.a", root=str(tmp_path))
    assert error.value.filename == str(tmp_path / "heatproof/b.py") and error.value.lineno == 1


CODE = '''"""A module."""

import os  # the operating system


def name(path):
    """Return the name of a file.

    That is its last part.
    """
    text = """one # no comment

    two"""
    return os.path.basename(path) + text
'''

SAME = {
    "docstring": ("That is its last part.", "It is what comes last.\\n    Nothing else."),
    "no docstring of the module": ('"""A module."""\n', ""),
    "comment": ("# the operating system", "# os"),
    "comment on a line of its own": ("    return", "    # the answer\n\n    return"),
    "blank lines": ("\n\n\ndef", "\n\ndef"),
}
OTHER = {
    "name": ("name(path)", "name(file)"),
    "text that looks like a comment": ("# no comment", "# a comment"),
    "blank line in a text": ("comment\n\n", "comment\n"),
    "indentation": ("    return os", "    if path:\n        return os"),
    "text": ("two", "three"),
}


@pytest.mark.parametrize("edit", [*SAME, *OTHER])
def test_the_fingerprint_changes_with_the_code_alone(tmp_path, edit):
    def digest(folder, code):
        write(tmp_path / folder, a="import heatproof.b\n", b=code)
        return code_digest("heatproof.a", root=str(tmp_path / folder))

    edited = CODE.replace(*(SAME | OTHER)[edit])
    assert edited != CODE
    assert (digest("one", CODE) == digest("other", edited)) == (edit in SAME)


def test_what_is_left_of_our_own_files_parses_to_their_code_less_the_docstrings():
    checked = 0
    for path in Path("src").rglob("*.py"):
        tree = ast.parse(path.read_text())
        nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)]
        documented = [node for node in nodes if ast.get_docstring(node) is not None]
        if any(len(node.body) == 1 for node in documented):
            continue  # a body of nothing but a docstring leaves what cannot be parsed
        for node in documented:
            node.body.pop(0)
        assert ast.dump(ast.parse("\n".join(code_lines(str(path))))) == ast.dump(tree), path
        checked += 1
    assert checked > 50


LEFT_OUT = {  # by every digest, and all that they define
    "src/heatproof/__init__.py": ["__version__", "NAMES", "__getattr__", "__dir__"],
    "src/heatproof/attribute/__init__.py": ["METHODS"],
}


def test_the_files_that_every_digest_leaves_out_hold_nothing_else():
    """Of a package: its version, and names for Python. Of attribute: the table of methods."""
    for path, names in LEFT_OUT.items():
        body = [node for node in ast.parse(Path(path).read_text()).body if not isinstance(node, ast.Expr)]
        defined = [node for node in body if not isinstance(node, ast.Import | ast.ImportFrom)]
        assert names == [
            node.name
            if isinstance(node, ast.FunctionDef)
            else ast.unparse(getattr(node, "target", None) or node.targets[0])
            for node in defined
        ]


def test_no_command_takes_a_name_that_is_for_python_alone():
    for path in Path("src").rglob("*.py"):
        names = {full for _, full in imported_names(ast.parse(path.read_text()))}
        taken = {full.removeprefix("heatproof.") for full in names if full.startswith("heatproof.")}
        assert not taken & heatproof.NAMES.keys(), path
