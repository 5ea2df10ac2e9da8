"""Environments: conda's versions are the pinned ones, and hold what the rules' modules import."""

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml

from heatproof.sources import module_files

CONDA_NAMES = {"pytorch": "torch"}
IMPORT_NAMES = {"yaml": "pyyaml", "sklearn": "scikit-learn", "skimage": "scikit-image", "ants": "antspyx"} | {
    "PIL": "matplotlib"
}
PINNED = dict(re.findall(r"^([\w.-]+)==(\S+)$", Path("requirements.txt").read_text().lower(), re.MULTILINE))


def packages(environment: Path) -> dict[str, str]:
    found = {}
    for entry in yaml.safe_load(environment.read_text())["dependencies"]:
        for item in entry["pip"] if isinstance(entry, dict) else [entry]:
            name, _, version = re.split(r"\s*(=+)", item, maxsplit=1) if "=" in item else (item, "", "")
            found[CONDA_NAMES.get(name, name)] = version
    return found


ENVIRONMENTS = sorted(Path("envs").glob("*.yaml"))


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda path: path.stem)
def test_versions_are_those_that_make_installs(environment):
    ours = {name: version for name, version in packages(environment).items() if name not in ("python", "pip")}
    assert ours == {name: PINNED[name] for name in ours}


def rules_of(environment: str) -> set[str]:
    """List the modules that rules run in an environment."""
    text = "".join(path.read_text() for path in Path("workflow/rules").glob("*.smk"))
    rules = re.split(r"^ *rule ", text, flags=re.MULTILINE)[1:]
    return {module for rule in rules if f"envs/{environment}" in rule for module in re.findall(r"-m ([\w.]+)", rule)}


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda path: path.stem)
def test_every_import_of_a_rule_s_modules_is_in_its_environment(environment):
    modules = rules_of(environment.name)
    assert modules
    imported = set()
    for path in module_files(*modules):
        for node in ast.parse(Path(path).read_text()).body:
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.split(".")[0])
    others = {IMPORT_NAMES.get(name, name) for name in imported - set(sys.stdlib_module_names) - {"heatproof"}}
    assert others <= set(packages(environment))
