"""A study's results as checksums, less the two places that say when and how fast they were made."""

import hashlib
import re
from pathlib import Path

MEASURED = {
    "report.html": re.compile(rb'<table id="runtimes".*?</table>', re.DOTALL),
    "ro-crate-metadata.json": re.compile(rb'"datePublished": "\d{4}-\d\d-\d\d"'),
}
APART = ("logs", "benchmarks")


def study_bytes(results: Path) -> dict[str, str]:
    """Return the checksum of every file below ``results/{study}`` but logs and benchmarks, by its path there.

    Of the page the table of run times is left out, and of the RO-Crate the day.
    """
    found = {}
    for path in sorted(path for path in results.rglob("*") if path.is_file()):
        name = path.relative_to(results)
        if name.parts[0] not in APART and path.name != ".snakemake_timestamp":
            content = path.read_bytes()
            if path.name in MEASURED:
                content, places = MEASURED[path.name].subn(b"", content)
                assert places == 1, f"{name} has {places} such places"
            found[str(name)] = hashlib.sha256(content).hexdigest()
    return found
