"""Kill a smaller tiny study at 20 random moments, resume it each time, and write docs/determinism.md.

    PYTHONPATH=src:tests/workflow python tests/benchmarks/kill_study.py

Run by ``make bench``. It fails at the first study that does not end with the bytes of one that ran through, or that
runs a finished job again.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from killing import FINISHED, SHARES, SMALLER, kill_and_resume
from same_bytes import study_bytes
from threads import TOLERANCE, differences

from conftest import Checkout

PAGE = Path(__file__).with_name("determinism.md")
KILLS = ["killed after (s)", "jobs finished", "jobs running", "files written twice", "same bytes"]
THREADS = ["", "largest difference, share of the largest value", "tolerance of the test"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moments", type=int, default=len(SHARES))
    parser.add_argument("--out", type=Path, default=Path("docs/determinism.md"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        whole = Checkout(Path(name, "whole"))
        start = time.monotonic()
        done = whole.snakemake("--cores", "2", *SMALLER)
        seconds = time.monotonic() - start
        if done.returncode:
            sys.exit(done.stdout)
        expected, jobs, rows = study_bytes(whole.results), len(FINISHED.findall(done.stdout)), []
        for number, share in enumerate(SHARES[: arguments.moments], start=1):
            study = Checkout(Path(name, str(number)))
            resumed = kill_and_resume(study.folder, share, jobs, SMALLER)
            same = study_bytes(study.results) == expected
            rows.append(
                (resumed.seconds, resumed.finished, resumed.running, len(resumed.twice), "yes" if same else "no")
            )
            print(f"{number}: {resumed}, same bytes: {same}", flush=True)
            if resumed.twice or not same:
                sys.exit(f"the study that was killed after {resumed.seconds:.1f} s did not end the same")
    table = pd.DataFrame(rows, columns=KILLS).sort_values(KILLS[0])
    measured = differences()
    agreement = [(name, f"{measured[name]:.0e}", f"{TOLERANCE[name]:.0e}") for name in TOLERANCE]
    text = PAGE.read_text().format(
        moments=len(rows),
        jobs=jobs,
        seconds=seconds,
        files=len(expected),
        kills=table.to_markdown(index=False, floatfmt=".1f"),
        threads=pd.DataFrame(agreement, columns=THREADS).to_markdown(index=False, disable_numparse=True),
    )
    arguments.out.write_text(text)


if __name__ == "__main__":
    main()
