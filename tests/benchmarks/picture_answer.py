"""Picture the answer of the demo, as Chromium shows it: docs/images/demo-answer.png.

    python tests/benchmarks/picture_answer.py

It needs Chromium, and the demo's page.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
from chromium import chromium

WIDTH, HEIGHT, MARGIN = 1000, 1600, 16
EDGES = """(() => {
  const edge = (name) => document.querySelector(`#answer ${name}`).getBoundingClientRect();
  return [edge(".lead").top + scrollY, edge("#answer-table tbody").bottom + scrollY];
})()"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path, default=Path("results/demo/report/report.html"))
    parser.add_argument("--out", type=Path, default=Path("docs/images/demo-answer.png"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, chromium(folder) as tab:
        tab.open(arguments.page.resolve(), WIDTH, HEIGHT)
        top, bottom = tab.run(EDGES)
        tab.picture(arguments.out, x=0, y=top - MARGIN, width=WIDTH, height=bottom - top + MARGIN)


if __name__ == "__main__":
    main()
