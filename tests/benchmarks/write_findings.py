"""Write docs/findings.md from the results of the studies that it is about, as far as they have run.

The text around the tables is in tests/benchmarks/findings: that of a study, or study.md where it has none of its own.
Its claims are checked (see `claims`). What the page says of a study that has not run here stays, and is marked.
"""

import argparse
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from claims import tell

from heatproof.models import network_of
from heatproof.report.figures import percent, percents, title_of
from heatproof.tables import read_table

STUDIES = {
    "reference": "The reference study",
    "demo": "The demo: fewer people, coarser voxels",
    "patch-sweep": "Is occlusion unstable, or just coarse?",
    "atrophy-on-real": "Simulated atrophy in real brains",
    "region-volume": "The volume of a region",
    "networks": "Three networks",
}
PUBLISHED = {  # tables that are kept beside the page, by study
    "reference": (
        "accuracy",
        "checks_accuracy",
        "checks",
        "effects",
        "l2",
        "top_regions",
        "scores",
        "variance",
        "notes",
    )
}
PAPER = ("gradient_input", "guided_backprop", "lrp", "occlusion")  # the paper's four methods
OLD = "*From an earlier run: not made again with the studies above.*"
MEASURES = {
    "faithfulness_pearson_cubes": "faithful to the model",
    "recovery": "recovery",
    "agreement_pearson_cubes": "robust: cubes",
    "pearson": "robust: voxels",
    "pr_auc": "localises: regions",
    "change_auc": "localises: change",
}
BESIDE = {  # rows that are no method's, by method and check of scores.tsv
    ("effects", ""): "*the models' own effects*",
    ("effects", "halves"): "*the models' own effects, half of the patients*",
    ("effects", "other_model"): "*another model's effects*",
    ("t_map", ""): "*t-map of training scans (no model)*",
    ("t_map_test", ""): "*t-map of test scans (no model)*",
}


def span(row: pd.Series) -> str:
    """Write a value with its interval, where it has one; nothing where there is none."""
    if pd.isna(row["value"]):
        return ""
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
    """Tabulate every method, the most faithful first (or the best localised), then what stands beside the methods."""
    scores = read_table(study / "compare/scores.tsv")
    scores = scores[scores["outcome"] == "TP"]
    head, cosine = stays(study / "compare"), forgets(study)
    judged = scores[scores["kind"] == "method"]
    by = next(name for name in ("faithfulness_pearson_cubes", "pr_auc") if name in set(judged["measure"]))
    order = judged[judged["measure"] == by].set_index("method")["value"].reindex(judged["method"].unique())
    rows = []
    for method in order.sort_values(ascending=False, kind="stable").index:
        row = measured_row(title_of(method), judged[judged["method"] == method])
        row["changes with the head"] = f"{1 - head[method]:.2f}" if method in head else ""
        rows.append(row | {"same whatever is at the top": f"{cosine[method]:.2f}" if method in cosine else ""})
    for (method, check), title in BESIDE.items():
        found = scores[(scores["method"] == method) & (scores["check"] == check)]
        rows += [measured_row(title, found)] if len(found) else []
    chance = scores.groupby("measure")["chance"].mean()
    rows.append(
        {"method": "*chance*"} | {head: f"{chance[name]:.2f}" for name, head in MEASURES.items() if name in chance}
    )
    return pd.DataFrame(rows).fillna("").to_markdown(index=False, disable_numparse=True)


def measured_row(title: str, scores: pd.DataFrame) -> dict[str, str]:
    """Write what was measured of one method and check, with intervals; scores of that method alone."""
    values = scores.set_index("measure")
    shown = {head: span(values.loc[name]) for name, head in MEASURES.items() if name in values.index}
    return {"method": title} | shown


def of_networks(study: Path) -> pd.DataFrame:
    """Return the rows of ``networks.tsv`` over true positives; none where a study has one network."""
    path = study / "compare/networks.tsv"
    columns = ["method", "measure", "outcome", "network_a", "network_b", "value", "low", "high"]
    table = read_table(path) if path.is_file() else pd.DataFrame(columns=columns)
    return table[(table["outcome"] == "TP") & table["value"].notna()]


def networks_table(study: Path, measure: str) -> str:
    """Tabulate a measure of every method within each network, and where it is of pairs, between every two."""
    rows = of_networks(study).query("measure == @measure")
    same = rows["network_a"] == rows["network_b"]
    places = rows["network_a"].where(same, rows["network_a"] + " and " + rows["network_b"])
    cells = rows.assign(place=places, cell=[span(row) for _, row in rows.iterrows()] if len(rows) else "")
    order = [*dict.fromkeys(places[same]), *dict.fromkeys(places[~same])]
    table = cells.pivot(index="method", columns="place", values="cell").reindex(index=cells["method"].unique())
    table = table[order].rename(index=lambda name: BESIDE.get((name, "")) or title_of(name)).rename_axis("method")
    return table.fillna("").reset_index().to_markdown(index=False, disable_numparse=True)


def accuracies(accuracy: pd.DataFrame) -> str:
    """Write the mean balanced accuracy of every network."""
    means = accuracy.groupby(accuracy["seed"].astype(str).map(network_of), sort=False)["balanced_accuracy"].mean()
    return ", ".join(f"{network} {percent(value)}" for network, value in means.items())


def quoted_numbers(study: Path) -> dict[str, float]:
    """Return every number over true positives by its name.

    ``{method}.{measure}``, ``{method}.{check}.{measure}``; ``{method}.{measure}.of_{n}``, that of n models' mean map;
    ``{method}.pearson.pairs.least`` and ``.most``, over pairs of models; ``{method}.stays``; ``{method}.forgets``;
    ``{method}.{measure}.{signed or absolute}.at_{fwhm}``, smoothed by so many mm; ``chance.{measure}``;
    ``accuracy.least``, the balanced accuracy of the worst model; ``{check}.auc`` and ``trained.auc``, the mean area
    under the ROC curve of the models of a check, and of the trained ones; ``{method}.{measure}.{network}.{network}``,
    within or between networks.
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
    for path in (study / "compare").glob("*/scale.tsv"):
        smoothed = read_table(path).query("check == ''").groupby(["measure", "values", "fwhm"])["value"].mean().dropna()
        numbers |= {f"{path.parent.name}.{m}.{kind}.at_{mm:g}": value for (m, kind, mm), value in smoothed.items()}
    trained = read_table(study / "compare/accuracy.tsv")
    if (study / "compare/checks_accuracy.tsv").is_file():
        aucs = read_table(study / "compare/checks_accuracy.tsv").groupby("check")["auc"].mean()
        numbers |= {f"{check}.auc": value for check, value in aucs.items()} | {"trained.auc": trained["auc"].mean()}
    for row in of_networks(study).itertuples():
        numbers[f"{row.method}.{row.measure}.{row.network_a}.{row.network_b}"] = row.value
    numbers |= {f"{method}.stays": value for method, value in stays(study / "compare").items()}
    numbers |= {f"{method}.forgets": value for method, value in forgets(study).items()}
    return numbers | {"accuracy.least": trained["balanced_accuracy"].min()}


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
    most and least; ``most.{measure}.{other}``, another measure of that method; ``paper.{measure}``, the highest of the
    paper's four methods, whose name is in most; and ``order.{measure}``, the rank correlation over methods of
    robustness, voxel by voxel, with a measure.
    """
    accuracy, methods, numbers = read_table(study / "compare/accuracy.tsv"), ranked(study), quoted_numbers(study)
    for measure, values in methods.items():
        numbers |= {f"{end}.{measure}": value for end, value in ends(values).items()}
        best = methods.loc[values.idxmax()]
        numbers |= {f"most.{measure}.{other}": value for other, value in best.items()}
    of_paper = methods.loc[methods.index.intersection(PAPER)]
    numbers |= {f"paper.{measure}": value for measure, value in of_paper.max().items()}
    numbers |= {f"order.{name}": methods["pearson"].corr(values, "spearman") for name, values in methods.items()}
    balanced = accuracy["balanced_accuracy"]
    return {
        "numbers": numbers,
        "models": str(len(accuracy)),
        "methods": str(len(methods)),
        "accuracy": f"{percent(balanced.mean())} ({percents(balanced.min(), balanced.max())})",
        "table": methods_table(study),
        "accuracies": accuracies(accuracy),
        "networks": {name: networks_table(study, name) for name in MEASURES},
        "most": {measure: title_of(values.idxmax()) for measure, values in methods.items()}
        | {
            f"paper.{measure}": title_of(values.idxmax())
            for measure, values in of_paper.items()
            if values.notna().any()
        },
        "least": {measure: title_of(values.idxmin()) for measure, values in methods.items()},
    }


def sections_of(page: Path) -> dict[str, str]:
    """Return the sections of a page by their titles; none where there is no page yet."""
    text = page.read_text() if page.is_file() else ""
    return {
        section.partition("\n")[0]: f"## {section.rstrip()}\n" for section in re.split(r"^## ", text, flags=re.M)[1:]
    }


def beginning_of(page: Path) -> str:
    """Return what a page says before its first section on a study."""
    titles = "|".join(map(re.escape, STUDIES.values()))
    return re.split(rf"^## (?:{titles})$", page.read_text(), maxsplit=1, flags=re.M)[0].rstrip() + "\n"


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--out", type=Path, default=Path("docs/findings.md"))
    parser.add_argument(
        "--sections", nargs="+", choices=STUDIES, help="write these alone; the rest of the page stays as it is"
    )
    args = parser.parse_args()

    texts, before = Path(__file__).parent / "findings", sections_of(args.out)
    done = [s for s in args.sections or STUDIES if (args.results / s / "report/report.html").is_file()]
    described = {study: describe(args.results / study) for study in done}
    text = (texts / "page.md").read_text()
    sections = [beginning_of(args.out) if args.sections else tell(text, **over_studies(described))]
    for study, title in STUDIES.items():
        if study in described:
            own = texts / f"{study}.md"
            text = (own if own.is_file() else texts / "study.md").read_text()
            sections.append(tell(text, study=study, title=title, **described[study]))
            for figure in re.findall(rf"images/{study}-([\w-]+)\.png", sections[-1]):
                source = args.results / study / f"report/{figure}.png"
                shutil.copy(source, args.out.parent / f"images/{study}-{figure}.png")
        elif title in before:
            sections.append(before[title] if args.sections else mark_as_old(before[title]))
    for study in set(PUBLISHED) & set(described):
        publish(args.results / study / "compare", args.out.parent / study, PUBLISHED[study])
    args.out.write_text("\n".join(sections))


def publish(compare: Path, folder: Path, names: Iterable[str]) -> None:
    """Copy small tables of a study beside the page."""
    folder.mkdir(exist_ok=True)
    for name in names:
        shutil.copy(compare / f"{name}.tsv", folder)


def over_studies(described: dict[str, dict]) -> dict:
    """Gather what is quoted of all studies, ``{study}:`` before each name."""
    gathered: dict = {"numbers": {}, "most": {}}
    for study, quoted in described.items():
        for kind, named in gathered.items():
            named |= {f"{study}:{name}": value for name, value in quoted[kind].items()}
    return gathered


def mark_as_old(section: str) -> str:
    """Say beneath its title that a section was not written with the others."""
    title, _, rest = section.removesuffix("\n").partition("\n\n")
    return f"{title}\n\n{OLD}\n\n{rest.removeprefix(OLD).lstrip()}\n"


if __name__ == "__main__":
    main()
