"""Write docs/findings.md from the results of the studies that it is about, as far as they have run.

The text around the tables is in tests/benchmarks/findings: that of a study, or study.md where it has none of its own.
Its claims are checked (see `claims`). What the page says of a study that has not run here stays, and is marked.
"""

import argparse
import re
import shutil
from pathlib import Path

import pandas as pd
from claims import tell

from heatproof.report.figures import percent, percents, title_of
from heatproof.tables import read_table

STUDIES = {
    "demo": "The simulated cohort",
    "full": "Every method, on the models of the simulated cohort",
    "patch-sweep": "Is occlusion unstable, or just coarse?",
    "atrophy-on-real": "Simulated atrophy in real brains",
    "region-volume": "The volume of a region",
}
OLD = "*From an earlier run: not made again with the studies above.*"
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
    """Return the rank correlation of maps before and after the head is drawn anew, by method; none without checks."""
    path = compare / "checks.tsv"
    table = read_table(path) if path.is_file() else pd.DataFrame(columns=["method", "check", "spearman"])
    return table[table["check"] == "random_head"].groupby("method")["spearman"].mean()


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


def quoted_numbers(study: Path) -> dict[str, float]:
    """Return every number over true positives by its name.

    ``{method}.{measure}``, ``{method}.{check}.{measure}``; ``{method}.{measure}.of_{n}``, that of n models' mean map;
    ``{method}.pearson.pairs.least`` and ``.most``, over pairs of models; ``{method}.stays``; ``{method}.forgets``;
    ``chance.{measure}``; ``accuracy.least``, the balanced accuracy of the worst model.
    """
    scores = read_table(study / "compare/scores.tsv")
    scores = scores[(scores["outcome"] == "TP") & scores["value"].notna()]
    names = scores["method"] + ("." + scores["check"]).where(scores["check"] != "", "") + "." + scores["measure"]
    numbers = dict(zip(names, scores["value"], strict=True))
    numbers |= {f"chance.{name}": chance for name, chance in scores.groupby("measure")["chance"].mean().items()}
    for path in (study / "compare").glob("*/measures.tsv"):
        pairs = read_table(path).query("measure == 'pearson' and outcome == 'TP' and left_out == 0")["value"]
        numbers |= {f"{path.parent.name}.pearson.pairs.{end}": value for end, value in ends(pairs).items()}
    for path in (study / "compare").glob("*/ensembles.tsv"):
        measured = read_table(path).dropna(subset="value")
        numbers |= {f"{path.parent.name}.{r.measure}.of_{r.n_models}": r.value for r in measured.itertuples()}
    numbers |= {f"{method}.stays": value for method, value in stays(study / "compare").items()}
    numbers |= {f"{method}.forgets": value for method, value in forgets(study).items()}
    return numbers | {"accuracy.least": read_table(study / "compare/accuracy.tsv")["balanced_accuracy"].min()}


def ends(values: pd.Series) -> dict[str, float]:
    """Return the least and the most of some values."""
    return {"least": values.min(), "most": values.max()}


def ranked(study: Path) -> pd.DataFrame:
    """Tabulate over true positives every measure, and what stays without the head, of every method that is judged."""
    scores = read_table(study / "compare/scores.tsv")
    chosen = scores[(scores["outcome"] == "TP") & (scores["kind"] == "method")]
    table = chosen.pivot(index="method", columns="measure", values="value").dropna(axis=1, how="all")
    return table.assign(stays=stays(study / "compare").reindex(table.index)).dropna(axis=1, how="all")


def describe(study: Path) -> dict:
    """Gather what the page quotes of a study, by name.

    Beside `quoted_numbers`, numbers has ``most.{measure}`` and ``least.{measure}`` over methods, whose names are in
    most and least; ``most.{measure}.{other}``, another measure of that method; and ``order.robust_right``, the rank
    correlation over methods of robustness and rightness.
    """
    accuracy, methods, numbers = read_table(study / "compare/accuracy.tsv"), ranked(study), quoted_numbers(study)
    for measure, values in methods.items():
        numbers |= {f"{end}.{measure}": value for end, value in ends(values).items()}
        best = methods.loc[values.idxmax()]
        numbers |= {f"most.{measure}.{other}": value for other, value in best.items()}
    if {"pearson", "pr_auc"} <= set(methods.columns):
        numbers["order.robust_right"] = methods["pearson"].corr(methods["pr_auc"], "spearman")
    balanced = accuracy["balanced_accuracy"]
    return {
        "numbers": numbers,
        "models": str(len(accuracy)),
        "methods": str(len(methods)),
        "accuracy": f"{percent(balanced.mean())} ({percents(balanced.min(), balanced.max())})",
        "table": methods_table(study),
        "most": {measure: title_of(values.idxmax()) for measure, values in methods.items()},
        "least": {measure: title_of(values.idxmin()) for measure, values in methods.items()},
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
    done = [study for study in STUDIES if (args.results / study / "report/report.html").is_file()]
    described = {study: describe(args.results / study) for study in done}
    sections = [tell((texts / "page.md").read_text(), **over_studies(described))]
    for study, title in STUDIES.items():
        if study in described:
            own = texts / f"{study}.md"
            text = (own if own.is_file() else texts / "study.md").read_text()
            sections.append(tell(text, study=study, title=title, **described[study]))
            for figure in re.findall(rf"images/{study}-([\w-]+)\.png", sections[-1]):
                source = args.results / study / f"report/{figure}.png"
                shutil.copy(source, args.out.parent / f"images/{study}-{figure}.png")
        elif title in before:
            sections.append(mark_as_old(before[title]))
    args.out.write_text("\n".join(sections))


def over_studies(described: dict[str, dict]) -> dict:
    """Gather what is quoted of all studies, ``{study}:`` before each name, and the number of methods of the largest."""
    gathered: dict = {"numbers": {}, "most": {}}
    for study, quoted in described.items():
        for kind, named in gathered.items():
            named |= {f"{study}:{name}": value for name, value in quoted[kind].items()}
    return gathered | {"methods": max((quoted["methods"] for quoted in described.values()), key=int, default="")}


def mark_as_old(section: str) -> str:
    """Say beneath its title that a section was not written with the others."""
    title, _, rest = section.removesuffix("\n").partition("\n\n")
    return f"{title}\n\n{OLD}\n\n{rest.removeprefix(OLD).lstrip()}\n"


if __name__ == "__main__":
    main()
