"""Write the report of a study as one HTML page that loads nothing from anywhere."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from heatproof.command import json_option, run
from heatproof.report.pages import render
from heatproof.report.runtimes import duration
from heatproof.report.sections import answered, compared, described, pictured, read_study, reproduced

TEMPLATE = "page.html.jinja"


def gather(
    results: Path,
    models: Path,
    figures: Sequence[Path],
    config: dict,
    checks: Path | None = None,
    check_accuracy: Path | None = None,
    pages: Sequence[Path] = (),
) -> dict:
    """Gather everything that the page shows from the files of a study, and of the one that its models come from."""
    study = read_study(results, models, config)
    return {
        **answered(study, checks, check_accuracy),
        **described(study),
        **compared(study),
        **pictured(study, figures, pages),
        **reproduced(study),
    }


def along(value: float, ends: tuple[float, float]) -> str:
    """Return where a value lies on a scale that ends at two numbers, in per cent of its length."""
    low, high = ends
    return f"{100 * min(max((value - low) / (high - low), 0), 1):.1f}%"


def fill(content: dict) -> str:
    """Fill the page's template."""
    return render(TEMPLATE, content, duration=duration, along=along)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", required=True, type=Path, help="results/{study}")
    parser.add_argument("--models", required=True, type=Path, help="results/{study} that scans and models come from")
    parser.add_argument("--figures", required=True, nargs="+", type=Path, help="png files; the page knows their names")
    parser.add_argument("--checks", type=Path, help="compare/checks.tsv, where there is one")
    parser.add_argument("--check-accuracy", type=Path, help="compare/checks_accuracy.tsv, where there is one")
    parser.add_argument("--pages", nargs="*", default=[], type=Path, help="pages beside this one; it links to them")
    parser.add_argument("--config", required=True, type=json_option, help="the whole config as JSON")
    parser.add_argument("--output", required=True, type=Path, help="report.html")
    args = parser.parse_args()

    args.output.parent.mkdir(parents=True, exist_ok=True)
    of_checks = args.checks, args.check_accuracy
    content = gather(args.results, args.models, args.figures, args.config, *of_checks, args.pages)
    args.output.write_text(fill(content), encoding="utf-8")


if __name__ == "__main__":
    run(main)
