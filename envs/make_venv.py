"""Make a virtual environment of an environment file's packages and versions, taken from PyPI: for who has no conda."""

import re
import subprocess
import sys
import venv
from pathlib import Path

import yaml

PYPI_NAMES = {"pytorch": "torch", "snakemake-minimal": "snakemake"}


def requirements(environment: Path) -> list[str]:
    """List an environment file's packages as pip names them; without Python and pip themselves.

    Parameters
    ----------
    environment : Path
        A conda environment file whose versions are exact.
    """
    listed = []
    for entry in yaml.safe_load(environment.read_text())["dependencies"]:
        for item in entry["pip"] if isinstance(entry, dict) else [entry]:
            name, *version = re.split(r"\s*=+\s*", item)
            if name not in ("python", "pip"):
                listed.append("==".join([PYPI_NAMES.get(name, name), *version]))
    return listed


if __name__ == "__main__":
    file, folder = sys.argv[1:]
    venv.create(folder, clear=True, with_pip=True)
    pip = [f"{folder}/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *requirements(Path(file))], check=True)
