"""Run a smaller tiny study four times, kill each at five random moments, and write docs/determinism.md.

    PYTHONPATH=src:tests/workflow python tests/benchmarks/kill_study.py

Run by ``make bench``. It fails at the first study that does not end with the bytes of one that ran through, or that
runs a finished job again.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import pandas as pd
from killing import FINISHED, SHARES, SMALLER, kill_and_resume
from same_bytes import study_bytes
from threads import TOLERANCE, differences

from conftest import Checkout

PAGE = Path(__file__).with_name("determinism.md")
KILLS = ["run", "jobs finished", "jobs running", "seconds since its last start", "files written twice"]
KILLS_PER_RUN = 5
THREADS = ["", "largest difference, share of the largest value", "tolerance of the test"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/determinism.md"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        whole = Checkout(Path(name, "whole"))
        done = whole.snakemake("--cores", "2", *SMALLER)
        if done.returncode:
            sys.exit(done.stdout)
        expected, jobs, rows = study_bytes(whole.results), len(FINISHED.findall(done.stdout)), []
        for number, first in enumerate(range(0, len(SHARES), KILLS_PER_RUN), start=1):
            study = Checkout(Path(name, str(number)))
            for kill in kill_and_resume(study, SHARES[first : first + KILLS_PER_RUN], jobs, SMALLER):
                twice = kill.twice(study.folder)
                rows.append((number, kill.finished, kill.running, round(kill.seconds), len(twice)))
                print(dict(zip(KILLS, rows[-1], strict=True)), flush=True)
                if twice:
                    sys.exit(f"written again: {', '.join(twice)}")
            if study_bytes(study.results) != expected:
                sys.exit(f"run {number} did not end with the same bytes")
    measured = differences()
    agreement = [(name, f"{measured[name]:.0e}", f"{TOLERANCE[name]:.0e}") for name in TOLERANCE]
    text = PAGE.read_text().format(
        kill_count=len(rows),
        runs=rows[-1][0],
        jobs=jobs,
        files=len(expected),
        kills=pd.DataFrame(rows, columns=KILLS).to_markdown(index=False),
        threads=pd.DataFrame(agreement, columns=THREADS).to_markdown(index=False, disable_numparse=True),
    )
    arguments.out.write_text(text)


if __name__ == "__main__":
    main()
