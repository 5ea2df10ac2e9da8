"""What a release is made of: one version, and all parts of the workflow wherever it is copied to."""

import re
import tomllib
from pathlib import Path

import yaml

from heatproof import __version__
from heatproof.cli import PARTS

ROOT = Path(__file__).parents[2]


def test_the_version_is_the_same_in_the_package_the_citation_and_the_changes():
    newest = re.search(r"^## (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1]
    assert __version__ == newest == yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]


def test_the_wheel_has_every_file_of_the_workflow():
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["data-files"]
    packed = {path for globs in patterns.values() for pattern in globs for path in ROOT.glob(pattern)}
    parts = [path for part in PARTS for path in (ROOT / part, *(ROOT / part).rglob("*")) if path.is_file()]
    assert {path for path in parts if path.suffix not in (".py", ".pyc")} == packed


def test_containers_copy_what_the_wheel_is_built_from():
    for name in ("Dockerfile", "Dockerfile.dockerignore", "heatproof.def"):
        text = (ROOT / "containers" / name).read_text()
        assert all(part in text for part in (*PARTS, "src", "pyproject.toml", "requirements.txt")), name
