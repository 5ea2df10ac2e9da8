"""Make a virtual environment of an environment file's packages and versions, taken from PyPI: for who has no conda."""

import re
import subprocess
import sys
import venv
from pathlib import Path

import yaml

PYPI_NAMES = {"pytorch": "torch", "snakemake-minimal": "snakemake"}


def requirements(environment: Path) -> tuple[list[str], list[str]]:
    """List an environment file's packages as pip names them: conda's, less Python and pip, and those that pip adds.

    Parameters
    ----------
    environment : Path
        A conda environment file whose versions are exact.
    """
    *lines, added = yaml.safe_load(environment.read_text())["dependencies"]
    versions = dict(line.split(" =") for line in lines if " =" in line)
    conda = [f"{PYPI_NAMES.get(name, name)}=={version}" for name, version in versions.items() if name != "python"]
    return conda, added["pip"]


def canonical(requirement: str) -> str:
    """Write ``name==version`` with the name as the index compares it."""
    name, _, version = requirement.partition("==")
    return f"{re.sub('[-_.]+', '-', name).lower()}=={version}"


def surplus(before: list[str], after: list[str], added: list[str]) -> set[str]:
    """Return what pip changed or installed beside what it was to add: name and version of each."""
    return set(map(canonical, after)) - set(map(canonical, [*before, *added]))


def main(environment: Path, folder: Path) -> None:
    """Install conda's packages, then pip's as conda does it, which must change nothing."""
    conda, added = requirements(environment)
    venv.create(folder, clear=True, with_pip=True)

    def pip(*arguments: str) -> list[str]:
        command = [f"{folder}/bin/python", "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()

    pip("install", *conda)
    before = pip("list", "--format", "freeze")
    pip("install", "--upgrade", *added)
    if further := surplus(before, pip("list", "--format", "freeze"), added):
        sys.exit(f"{environment}: pip also installs {', '.join(sorted(further))}; list them there or among conda's")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
