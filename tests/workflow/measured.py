"""Run a command to its end, and measure what that takes."""

import os
import re
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


class Usage(NamedTuple):
    """What a command took: seconds on the clock and of a processor, and the most bytes of memory that it held."""

    seconds: float
    processor_seconds: float
    memory: int


def run_measured(command: list[str], **options) -> Usage:
    """Run a command with options of Popen.

    Its own peak of memory is read while it runs: the one in its usage, once it has ended, is at least that of the
    process that started it.

    Raises
    ------
    CalledProcessError
        If the command fails.
    """
    start, ended, memory = time.perf_counter(), 0, 0
    process = subprocess.Popen(command, **options)
    while not ended:
        with suppress(TypeError):  # a process that has just ended has no memory
            memory = 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())[1])
        time.sleep(0.05)
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Usage(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, memory)
