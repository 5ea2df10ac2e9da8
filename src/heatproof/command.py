"""What every ``python -m heatproof.<stage>.<verb>`` shares: log lines, and errors that a person can read."""

import json
import logging
import os
import sys
from collections.abc import Callable
from inspect import getmodule

from heatproof.errors import StudyError
from heatproof.versions import version_line

# GLIBC_TUNABLES of jobs: on single pages networks wait half of their time for them.
HUGE_PAGES = "glibc.malloc.hugetlb=1"


def run(main: Callable[[], None]) -> None:
    """Run a command: log to standard error; a `StudyError` is one sentence there and exit status 1."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    logging.info(version_line(getmodule(main).__spec__.name))
    try:
        main()
    except StudyError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {error.filename or 'input or output'}: {error.strerror or error}")


def json_option(text: str) -> dict:
    """Parse a command line option that carries a section of the config as JSON."""
    return json.loads(text)


def threads() -> int:
    """Return the number of threads that this job may use: what Snakemake exports, else one."""
    return int(os.environ.get("OMP_NUM_THREADS", "1"))
