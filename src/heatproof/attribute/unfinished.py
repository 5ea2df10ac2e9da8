"""Where a job's results wait for the last of them, so that a job that was killed goes on where it was."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

import heatproof


@contextmanager
def unfinished(out_dir: Path, files: list[Path], settings: dict) -> Iterator[Path]:
    """Give a folder for results, which go to ``out_dir`` once all are there.

    Workflow managers delete the results of a job that did not end. In this folder, beside ``out_dir``, they stay, and
    the same job finds them again when it starts anew; a job with other inputs, settings or code begins with an empty
    folder.

    Parameters
    ----------
    out_dir : Path
        Where results belong.
    files, settings
        All that results follow from, beside this package and torch.

    Yields
    ------
    Path
        The folder, named by a fingerprint of all this.
    """
    waiting = out_dir.with_name(out_dir.name + ".unfinished")
    folder = waiting / fingerprint(files, settings)
    for stale in set(waiting.glob("*")) - {folder}:
        shutil.rmtree(stale)
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
    out_dir.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.replace(out_dir / path.name)
    shutil.rmtree(waiting)


def fingerprint(files: list[Path], settings: dict) -> str:
    """Return 16 hexadecimal digits that follow from files, settings, this package's code and torch's version."""
    code = sorted(Path(heatproof.__file__).parent.rglob("*.py"))
    digest = hashlib.sha256(json.dumps([torch.__version__, settings], sort_keys=True).encode())
    for path in [*files, *code]:
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]
