"""Write docs/real-data.md and its figures from the results of the presets ds002748 and atrophy-on-real.

Run after the studies; the text around their tables is in tests/benchmarks/real-data. Its claims are checked (see
`claims`). What the page says of a study that has not run here stays, and is marked.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from claims import tell
from PIL import Image
from write_findings import describe, ends, mark_as_old, sections_of

from heatproof.regions import without_side
from heatproof.report.figures import percent, percents, title_of
from heatproof.tables import own, read_table

STUDIES = ("ds002748", "atrophy-on-real")
METRICS = ("sum", "density", "gain")
FIGURE_WIDTH = 900


def true_regions(folder: Path) -> set[str]:
    """Name the regions, left and right joined, whose volume or signal the ground truth changes; none without one."""
    path = folder / "cohort/ground_truth/regions.tsv"
    if not path.is_file():
        return set()
    truth = read_table(path)
    return set(truth.loc[truth["prescribed"] != 0, "region"].map(without_side))


def hits(folder: Path, method: str, metric: str, k: int) -> float:
    """Count the true regions among the first k of a model's regions: the mean over models."""
    truth, counts = true_regions(folder), []
    for path in sorted((folder / "compare" / method).glob("seed-*/regions.tsv")):
        ranked = read_table(path).dropna(subset=metric).sort_values(metric, ascending=False, kind="stable")
        if len(ranked) >= k:
            counts.append(len(truth & set(ranked["region"].head(k))))
    return sum(counts) / len(counts) if counts else float("nan")


def bounds_table(folder: Path) -> pd.DataFrame:
    """Tabulate localisation, robustness and what stays when the head is re-initialised, by method and for the t-map."""
    scores, checks = read_table(folder / "compare/scores.tsv"), read_table(folder / "compare/checks.tsv")
    head = checks[checks["check"] == "random_head"].groupby("method")["spearman"].mean()
    of_either = (scores["kind"] == "method") | scores["method"].isin(["t_map", "t_map_test"])
    chosen = scores[(scores["outcome"] == "TP") & of_either]
    table = chosen.pivot(index="method", columns="measure", values="value")
    spans = chosen.assign(
        span=[f"{low:.2f} to {high:.2f}" for low, high in zip(chosen["low"], chosen["high"], strict=True)]
    )
    spans = spans.pivot(index="method", columns="measure", values="span")
    rows = []
    for method in table.index:
        row = {"method": title_of(method), "robustness: Pearson": f"{table.at[method, 'pearson']:.2f}"}
        if "pr_auc" in table:
            row |= {
                "localisation: PR area": f"{table.at[method, 'pr_auc']:.2f}",
                "its interval": spans.at[method, "pr_auc"],
            }
        rows.append(row | {"stays without the head": f"{head[method]:.2f}" if method in head else ""})
    return pd.DataFrame(rows).replace("nan to nan", "")


def method_table(folder: Path) -> pd.DataFrame:
    """Tabulate per method how far models agree, and how many true regions are first, where the truth is known."""
    l2, top = own(read_table(folder / "compare/l2.tsv")), own(read_table(folder / "compare/top_regions.tsv"))
    scores, rows = read_table(folder / "compare/scores.tsv"), []
    for method in scores.loc[scores["kind"] == "method", "method"].unique():
        overlap = top[top["method"] == method].set_index("metric")["overlap_mean"]
        rms = l2.loc[(l2["method"] == method) & (l2["outcome"] == "TP"), "rms"].iloc[0]
        row = {"method": title_of(method), "RMS difference": f"{rms:.3f}"}
        row |= {f"top 10 shared, {metric}": percent(overlap[metric], 0) for metric in METRICS}
        if true_regions(folder):
            row |= {f"true of top 10, {metric}": f"{hits(folder, method, metric, 10):.1f}" for metric in METRICS}
        rows.append(row)
    return pd.DataFrame(rows)


def chance_of_localisation(folder: Path) -> float:
    """Return the area under the precision-recall curve of a random map; NaN where the truth is not known."""
    scores = read_table(folder / "compare/scores.tsv")
    return scores.loc[scores["measure"] == "pr_auc", "chance"].mean()


def span_of(folder: Path, measure: str, check: str, write: Callable[[float], str]) -> str:
    """Write the least and the most of a measure over true positives, over all methods or over a check of each."""
    scores = read_table(folder / "compare/scores.tsv")
    judged = scores.loc[scores["kind"] == "method", "method"].unique()
    scores = scores[scores["method"].isin(judged) & (scores["check"] == check)]
    chosen = scores[(scores["measure"] == measure) & (scores["outcome"] == "TP")]
    return f"{write(chosen['value'].min())} to {write(chosen['value'].max())}"


def numbers_of(folder: Path) -> dict[str, float]:
    """Return the numbers that claims are about, by name: those of the findings, and the top regions of noise."""
    scores, numbers = read_table(folder / "compare/scores.tsv"), describe(folder)["numbers"]
    noise = scores[(scores["check"] == "noise") & (scores["measure"] == "top_10_sum")]
    mean = read_table(folder / "compare/accuracy.tsv")["balanced_accuracy"].mean()
    return numbers | {"accuracy.mean": mean, "noise.most.top_10_sum": ends(noise["value"])["most"]}


def describe_study(folder: Path) -> dict:
    """Write a study's tables and numbers as the page quotes them, by name."""
    accuracy, scores = read_table(folder / "compare/accuracy.tsv"), read_table(folder / "compare/scores.tsv")
    scans, top = read_table(folder / "cohort/scans.tsv"), read_table(folder / "compare/top_regions.tsv")
    groups, quality = read_table(folder / "cohort/demographics.tsv"), read_table(folder / "register/qc.tsv")
    leakage, balanced = read_table(folder / "train/store/leakage_test.tsv"), accuracy["balanced_accuracy"]
    counts = scans.groupby(["split", "label"])["participant_id"].nunique()
    everyone = groups[groups["split"] == "all"].set_index("label")
    differences = read_table(folder / "cohort/group_differences.tsv").dropna(subset="p")
    return {
        "models": str(len(accuracy)),
        "balanced": percent(balanced.mean()),
        "range": percents(balanced.min(), balanced.max()),
        "auc": f"{accuracy['auc'].mean():.2f}",
        "most": describe(folder)["most"],
        "scan_points": f"{200 / (scans['split'] == 'test').sum():.1f}",
        "test_scans": str((scans["split"] == "test").sum()),
        "people": ", ".join(
            f"{counts[split, 'patient']} and {counts[split, 'control']} for {name}"
            for split, name in (("train", "training"), ("validation", "validation"), ("test", "test"))
        ),
        "chance": percent(top["chance"].iloc[0]),
        "methods": method_table(folder).to_markdown(index=False, disable_numparse=True),
        "bounds": bounds_table(folder).to_markdown(index=False, disable_numparse=True),
        "localisation_chance": f"{chance_of_localisation(folder):.2f}",
        "overlap": span_of(folder, "top_10_sum", "", percent),
        "noise_overlap": span_of(folder, "top_10_sum", "noise", percent),
        "deletion": span_of(folder, "deletion", "", "{:.2f}".format),
        "deletion_chance": f"{scores.loc[scores['measure'] == 'deletion', 'chance'].mean():.2f}",
        "likeness": f"{leakage['likeness'].max():.2f}",
        "brain_overlap": f"{quality['brain_overlap'].min():.2f}",
        "ages": f"{everyone.at['patient', 'age_mean']:.1f} against {everyone.at['control', 'age_mean']:.1f} years",
        "women": " against ".join(percent(everyone.at[label, "female"], 0) for label in ("patient", "control")),
        "differences": ", ".join(f"{row.characteristic} p = {row.p:.2f}" for row in differences.itertuples()),
        "true": str(len(true_regions(folder))),
        "true_chance": f"{10 * len(true_regions(folder)) / 72:.1f}",
    }


def shrink(figure: Path, out: Path) -> None:
    """Copy a picture at a width that a page shows."""
    picture = Image.open(figure).convert("RGB")
    height = round(picture.height * FIGURE_WIDTH / picture.width)
    picture.resize((FIGURE_WIDTH, height), Image.LANCZOS).save(out, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--out", type=Path, default=Path("docs/real-data.md"))
    arguments = parser.parse_args()
    texts, before = Path(__file__).parent / "real-data", sections_of(arguments.out)
    sections = [(texts / "page.md").read_text()]
    for study in STUDIES:
        text, folder = (texts / f"{study}.md").read_text(), arguments.results / study
        if (folder / "report/report.html").is_file():
            sections.append(tell(text, numbers_of(folder), **describe_study(folder)))
            for figure, name in (("figure-2-methods", study), ("bounds", f"{study}-bounds")):
                shrink(folder / f"report/{figure}.png", arguments.out.parent / f"images/{name}.png")
        elif (title := text.partition("\n")[0].removeprefix("## ")) in before:
            sections.append(mark_as_old(before[title]))
    arguments.out.write_text("\n".join(sections))


if __name__ == "__main__":
    main()
