"""Environments: conda's versions are the pinned ones, and hold what the rules' modules import."""

import ast
import re
import sys
from importlib import metadata
from pathlib import Path

import pytest
import rattler
import yaml
from make_venv import canonical, requirements, surplus
from packaging.requirements import Requirement

from heatproof.sources import module_files

IMPORT_NAMES = {"yaml": "pyyaml", "sklearn": "scikit-learn", "skimage": "scikit-image", "ants": "antspyx"} | {
    "PIL": "matplotlib"
}
PINNED = dict(re.findall(r"^([\w.-]+)==(\S+)$", Path("requirements.txt").read_text().lower(), re.MULTILINE))
ENVIRONMENTS = sorted(Path("envs").glob("*.yaml"))
HEAD_ONLY = {"snakemake-executor-plugin-slurm"}

every_environment = pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda path: path.stem)


def packages(environment: Path) -> dict[str, str]:
    conda, added = requirements(environment)
    return dict(item.split("==") for item in [*conda, *added])


@every_environment
def test_versions_are_those_that_make_installs(environment):
    ours = {name: version for name, version in packages(environment).items() if name not in HEAD_ONLY}
    assert ours == {name: PINNED[name] for name in ours}


def modules_of(environment: str) -> set[str]:
    """List the modules that rules run in an environment; of the head's, those that the rules import themselves."""
    text = "".join(path.read_text() for path in Path("workflow/rules").glob("*.smk"))
    if environment == "head":
        return set(re.findall(r"^from (heatproof[\w.]+) import", text, re.MULTILINE))
    rules = re.split(r"^ *rule\b", text, flags=re.MULTILINE)[1:]
    named = {name for rule in rules if f"envs/{environment}.yaml" in rule for name in re.findall(r"-m ([\w.]+)", rule)}
    drawing = {f"heatproof.report.{path.stem}" for path in Path("src/heatproof/report").glob("draw_*.py")}
    return named - {"heatproof.report."} | (drawing if "heatproof.report." in named else set())


@every_environment
def test_every_import_of_a_rule_s_modules_is_in_its_environment(environment):
    modules = modules_of(environment.stem)
    assert modules
    imported = set()
    for path in module_files(*modules):
        for node in ast.parse(Path(path).read_text()).body:
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.split(".")[0])
    brought = {"numpy"} if environment.stem == "head" else set()
    others = {IMPORT_NAMES.get(name, name) for name in imported - set(sys.stdlib_module_names) - {"heatproof"}}
    assert others - brought <= set(packages(environment))


@every_environment
def test_conda_reads_a_package_and_a_version_in_every_line(environment):
    content = yaml.safe_load(environment.read_text())
    assert set(content) == {"channels", "dependencies"}
    assert [rattler.Channel(name).name for name in content["channels"]] == content["channels"]
    *conda, pip = [line for line in content["dependencies"] if line != "pip"]
    assert set(pip) == {"pip"}
    for line in conda:
        spec = rattler.MatchSpec(line, strict=True)
        name, version = re.fullmatch(r"([a-z0-9-]+) =([\d.]+)", line).groups()
        assert spec.name.as_package_name().normalized == name
        assert rattler.VersionSpec(str(spec.version)).matches(rattler.Version(version)), line
        assert not rattler.VersionSpec(str(spec.version)).matches(rattler.Version("0.0.1")), line


def required(names: set[str]) -> list[Requirement]:
    """List what packages require, as far as they are installed here; the others are the head's own."""
    found = [metadata.requires(name) or [] for name in names - HEAD_ONLY]
    parsed = [Requirement(text) for texts in found for text in texts]
    return [need for need in parsed if not need.marker or need.marker.evaluate({"extra": ""})]


def with_all_they_require(names: set[str]) -> set[str]:
    """List packages and all that they bring along."""
    found, waiting = set(), {canonical(name).partition("==")[0] for name in names}
    while waiting:
        found |= waiting
        waiting = {canonical(need.name).partition("==")[0] for need in required(waiting)} - found
    return found


@every_environment
def test_what_pip_adds_requires_nothing_that_is_not_there_or_listed(environment):
    """Else pip would bring it, and with it perhaps another torch: zennit takes the newest torchvision that there is."""
    conda, added = (dict(item.split("==") for item in items) for items in requirements(environment))
    there = with_all_they_require(set(conda)) | {canonical(name).partition("==")[0] for name in added}
    listed = {canonical(name).partition("==")[0]: version for name, version in (conda | added).items()}
    needs = required(set(added))
    assert needs
    for need in needs:
        name = canonical(need.name).partition("==")[0]
        assert name in there, f"{environment}: {name}"
        assert need.specifier.contains(listed.get(name) or metadata.version(name)), f"{environment}: {need}"


def test_whatever_pip_changes_or_brings_along_is_seen():
    before, added = ["torch==2.13.0", "typing_extensions==4.16.0"], ["fill_voids==2.1.2"]
    after = [*before, "fill-voids==2.1.2"]
    assert surplus(before, after, added) == set()
    assert surplus(before, [*after, "torchvision==0.29.1"], added) == {"torchvision==0.29.1"}
    assert surplus(before, ["torch==2.14.1", *after[1:]], added) == {"torch==2.14.1"}


def test_registration_can_extract_brains():
    """deepbet is imported only for a scan that shows a head; conda's torch comes first, or pip would bring another."""
    assert {"deepbet", "torch"} <= set(packages(Path("envs/ants.yaml")))
