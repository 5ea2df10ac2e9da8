"""Which files a command is made of, read from its imports."""

from heatproof.sources import dictionary_keys, module_files


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


def test_keys_of_a_dictionary_are_read_without_running_it(tmp_path):
    path = tmp_path / "module.py"
    path.write_text("THINGS: dict = {'a': 1 / 0, 'b': undefined}\n")
    assert dictionary_keys(str(path), "THINGS") == ["a", "b"]
    assert dictionary_keys(str(path), "OTHERS") == []
