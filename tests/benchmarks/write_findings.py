"""Write docs/findings.md from the results of the studies that it is about, as far as they have run.

The text around the tables is in tests/benchmarks/findings: that of a study, or study.md where it has none of its own.
What the page says of a study that has not run here stays.
"""

import argparse
import re
import shutil
from pathlib import Path

import pandas as pd

from heatproof.report.figures import percent, percents, title_of
from heatproof.tables import read_table

STUDIES = {
    "demo": "The simulated cohort",
    "full": "Every method, on the models of the simulated cohort",
    "patch-sweep": "Is occlusion unstable, or just coarse?",
    "atrophy-on-real": "Simulated atrophy in real brains",
    "region-volume": "The volume of a region",
}
MEASURES = {
    "pearson": "robustness: Pearson",
    "top_10_sum": "top 10 regions shared",
    "pr_auc": "rightness: PR area",
    "deletion": "deletion",
    "insertion": "insertion",
}


def span(row: pd.Series) -> str:
    """Write a value with its interval, where it has one."""
    bounds = "" if pd.isna(row["low"]) else f" ({row['low']:.2f} to {row['high']:.2f})"
    return f"{row['value']:.2f}{bounds}"


def stays(compare: Path) -> pd.Series:
    """Return the rank correlation of maps before and after the head is drawn anew, by method; none without controls."""
    path = compare / "controls.tsv"
    table = read_table(path) if path.is_file() else pd.DataFrame(columns=["method", "control", "spearman"])
    return table[table["control"] == "random_head"].groupby("method")["spearman"].mean()


def forgets(study: Path) -> dict[str, float]:
    """Return the cosine similarity of maps from random beginnings, by method that goes back layer by layer."""
    tables = {path.parent.name: read_table(path) for path in study.glob("attribute/*/convergence.tsv")}
    return {name: table[table["step"] == table["step"].max()]["value"].mean() for name, table in tables.items()}


def methods_table(study: Path) -> str:
    """Tabulate robustness, rightness, and what bounds them, of every method and the t-map, the most right first."""
    scores = read_table(study / "compare/scores.tsv")
    chosen = scores[
        (scores["outcome"] == "TP") & ((scores["kind"] == "method") | scores["method"].isin(["t_map", "t_map_test"]))
    ]
    head, cosine = stays(study / "compare"), forgets(study)
    rows = []
    for method, measured in chosen.groupby("method"):
        values = measured.set_index("measure")
        row = {"method": title_of(method), "order": values["value"].get("pr_auc", values["value"]["pearson"])}
        row |= {head: span(values.loc[name]) for name, head in MEASURES.items() if name in values.index}
        row["stays without the head"] = f"{head[method]:.2f}" if method in head else ""
        rows.append(row | {"same whatever is at the top": f"{cosine[method]:.2f}" if method in cosine else ""})
    chance = chosen.groupby("measure")["chance"].mean()
    rows.append(
        {"method": "*chance*", "order": -2.0}
        | {head: f"{chance[name]:.2f}" for name, head in MEASURES.items() if name in chance}
    )
    table = pd.DataFrame(rows).sort_values("order", ascending=False, kind="stable").drop(columns="order").fillna("")
    return table.to_markdown(index=False, disable_numparse=True)


def quoted_values(study: Path) -> dict[str, str]:
    """Write every number over true positives by its name.

    ``{method}.{measure}``; ``{method}.{measure}.of_{n}``, that of the mean map of n models;
    ``{method}.pearson.pairs``, the range over pairs of models; ``{method}.stays``; ``{method}.forgets``;
    ``chance.{measure}``.
    """
    scores = read_table(study / "compare/scores.tsv")
    scores = scores[(scores["outcome"] == "TP") & scores["value"].notna()]
    values = {f"{row.method}.{row.measure}": f"{row.value:.2f}" for row in scores.itertuples()}
    values |= {f"chance.{name}": f"{chance:.2f}" for name, chance in scores.groupby("measure")["chance"].mean().items()}
    for path in (study / "compare").glob("*/agreement.tsv"):
        pairs = read_table(path).query("measure == 'pearson' and outcome == 'TP' and left_out == 0")["value"]
        values[f"{path.parent.name}.pearson.pairs"] = f"{pairs.min():.2f} to {pairs.max():.2f}"
    for path in (study / "compare").glob("*/ensembles.tsv"):
        measured = read_table(path).dropna(subset="value")
        values |= {f"{path.parent.name}.{r.measure}.of_{r.n_models}": f"{r.value:.2f}" for r in measured.itertuples()}
    values |= {f"{method}.stays": f"{value:.2f}" for method, value in stays(study / "compare").items()}
    return values | {f"{method}.forgets": f"{value:.2f}" for method, value in forgets(study).items()}


def describe(study: Path) -> dict[str, str]:
    """Write what the page quotes of a study, by name."""
    accuracy = read_table(study / "compare/accuracy.tsv")
    balanced = accuracy["balanced_accuracy"]
    return {
        "models": str(len(accuracy)),
        "accuracy": f"{percent(balanced.mean())} ({percents(balanced.min(), balanced.max())})",
        "table": methods_table(study),
        "value": quoted_values(study),
    }


def sections_of(page: Path) -> dict[str, str]:
    """Return the sections of a page by their titles; none where there is no page yet."""
    text = page.read_text() if page.is_file() else ""
    return {
        section.partition("\n")[0]: f"## {section.rstrip()}\n" for section in re.split(r"^## ", text, flags=re.M)[1:]
    }


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--out", type=Path, default=Path("docs/findings.md"))
    args = parser.parse_args()

    texts, before = Path(__file__).parent / "findings", sections_of(args.out)
    sections = [(texts / "page.md").read_text()]
    for study, title in STUDIES.items():
        if (args.results / study / "report/report.html").is_file():
            own = texts / f"{study}.md"
            text = (own if own.is_file() else texts / "study.md").read_text()
            sections.append(text.format(study=study, title=title, **describe(args.results / study)))
            for figure in re.findall(rf"images/{study}-([\w-]+)\.png", sections[-1]):
                source = args.results / study / f"report/{figure}.png"
                shutil.copy(source, args.out.parent / f"images/{study}-{figure}.png")
        elif title in before:
            sections.append(before[title])
    args.out.write_text("\n".join(sections))


if __name__ == "__main__":
    main()
