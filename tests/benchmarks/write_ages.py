"""Write docs/ages.md from the results of the two studies of age on the scans of ds002748."""

import argparse
from pathlib import Path

import pandas as pd
import yaml
from write_findings import MEASURES, measured_row, stays

from heatproof.report.accuracy import accuracy_rows, quantities_of
from heatproof.report.figures import percent, title_of
from heatproof.tables import own, read_table

STUDIES = {"value": ("age", "all"), "thirds": ("age-thirds", "recognised-old")}  # and the group that is explained


def accuracy_table(accuracy: pd.DataFrame) -> str:
    """Tabulate what is told of every model, then mean and range."""
    heads = [quantity.title for quantity in quantities_of(accuracy).values()]
    rows = [[row["name"], *row["shares"]] for row in accuracy_rows(accuracy)]
    return pd.DataFrame(rows, columns=["model", *heads]).to_markdown(index=False, disable_numparse=True)


def methods_table(study: Path, group: str) -> str:
    """Tabulate robustness, faithfulness and the dependence on the last layers of every method, and the t-map."""
    scores = read_table(study / "compare/scores.tsv")
    scores, heads = own(scores[scores["outcome"] == group]), stays(study / "compare")
    rows = []
    for method in scores.loc[scores["kind"] == "method", "method"].unique():
        row = measured_row(title_of(method), scores[scores["method"] == method])
        rows.append(row | {"changes with the head": f"{1 - heads[method]:.2f}" if method in heads else ""})
    rows.append(measured_row("*t-map of training scans (no model)*", scores[scores["method"] == "t_map"]))
    known = ["method", *(head for head in MEASURES.values() if any(row.get(head) for row in rows))]
    columns = [*known, "changes with the head"]
    return pd.DataFrame(rows).reindex(columns=columns).fillna("").to_markdown(index=False, disable_numparse=True)


def learned(accuracy: pd.DataFrame) -> str:
    """Say whether models are better than saying the same of everybody."""
    if "mae" in accuracy:
        better = int((accuracy["mae"] < accuracy["mae_constant"]).sum())
        return f"{better} of {len(accuracy)} models have a smaller error than that."
    better = int((accuracy["balanced_accuracy"] > 1 / 3).sum())
    return f"{better} of {len(accuracy)} models are above it."


def describe(study: Path, group: str) -> dict[str, str]:
    """Gather what the page quotes of a study."""
    accuracy, scans = read_table(study / "compare/accuracy.tsv"), read_table(study / "cohort/scans.tsv")
    people = scans.groupby("split")["participant_id"].nunique()
    effects = yaml.safe_load(Path("config/config.yaml").read_text())["attribute"]["effects"]
    return {
        "models": str(len(accuracy)),
        "people": ", ".join(f"{people[split]} {split}" for split in ("train", "validation", "test")),
        "training": str(people["train"]),
        "controls": str(effects["controls"]),
        "accuracy": accuracy_table(accuracy),
        "chance": percent(1 / 3),
        "learned": learned(accuracy),
        "methods": methods_table(study, group),
    }


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--out", type=Path, default=Path("docs/ages.md"))
    args = parser.parse_args()
    told = {name: describe(args.results / study, group) for name, (study, group) in STUDIES.items()}
    args.out.write_text(Path(__file__).with_name("ages.md").read_text().format(**told))


if __name__ == "__main__":
    main()
