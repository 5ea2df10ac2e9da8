"""Write the report of a study as one HTML page that loads nothing from anywhere."""

import argparse
import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from io import BytesIO
from itertools import chain
from pathlib import Path

import pandas as pd
import yaml
from PIL import Image

from heatproof.channels import channels_of
from heatproof.checks import T_MAP_SPLITS
from heatproof.command import json_option, run
from heatproof.compare.measures import heads
from heatproof.compare.regions import METRICS
from heatproof.models import Model, models_of, network_of
from heatproof.report import paper
from heatproof.report.accuracy import (
    accuracy_rows,
    check_accuracy_rows,
    count_columns,
    not_above_chance,
    quantities_of,
    still_trained,
)
from heatproof.report.answer import (
    RESPECTS,
    RULES,
    answer_heads,
    answer_rows,
    answer_sentence,
    beside_rows,
)
from heatproof.report.comparison import (
    SEEDS,
    bound_rows,
    cause_rows,
    channel_tables,
    enough_seeds,
    group_rows,
    l2_rows,
    measure_rows,
    metric_spans,
    network_tables,
    noise_of,
    note_rows,
    overlap_rows,
    poor_registrations,
    quality_rows,
    rows_by_value,
    variance_rows,
)
from heatproof.report.figures import CHECKS, in_order, percent, title_of
from heatproof.report.pages import megabytes, render
from heatproof.report.runtimes import duration, measure_runtimes
from heatproof.report.words import comparable, judge, names_of, ranking_by_scale, summarise
from heatproof.tables import own, read_table
from heatproof.task import PATIENTS, Task, one, plural, task_of

TEMPLATE = "page.html.jinja"
BY = "faithfulness_pearson_cubes"  # whose highest value stands first


def embed(image: bytes, kind: str = "png") -> str:
    """Turn an image file into a data URI."""
    return f"data:image/{kind};base64,{b64encode(image).decode()}"


def compress(path: Path) -> bytes:
    """Turn a picture that may be large into JPEG."""
    packed = BytesIO()
    Image.open(path).convert("RGB").save(packed, "JPEG", quality=80)
    return packed.getvalue()


def versions(software: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    """List the versions that jobs ran with, from the provenance's ``software``: package, its version or versions."""
    found: dict[str, set] = {}
    for packages in chain(*software.values()):
        for package, number in packages.items():
            found.setdefault(package, set()).add(number)
    return {package: ", ".join(sorted(numbers)) for package, numbers in found.items()}


def used_methods(config: dict) -> dict[str, dict]:
    """Return the options of the methods that the config does not switch off."""
    return {name: options for name, options in config["attribute"]["methods"].items() if options}


def left_out(unreadable: pd.DataFrame) -> list[str]:
    """Say which scans are no part of the study, since their files could not be read, and why."""
    return [f"{row.scan} is left out: {row.image}: {row.reason}." for row in unreadable.itertuples()]


def not_possible(notes: pd.DataFrame, models: Sequence[Model]) -> list[str]:
    """Say which methods and sanity checks are left out, as a network cannot have them, and why."""
    said = []
    for row in note_rows(notes[notes["reason"].str.contains("left out: ")], models):
        words = row["reason"] if row["method"] == "every" else f"{row['method']} is {row['reason']}"
        of = "" if row["seeds"] == "every" else f" ({row['seeds']})"
        said.append(f"{words[0].upper()}{words[1:]}{of}.")
    return said


def count_scans(scans: pd.DataFrame, task: Task = PATIENTS) -> list[dict]:
    """Count scans and participants of each split and label."""
    splits, labels = ("train", "validation", "test"), task.shown if task.classes else ["all"]
    scans = scans if task.classes else scans.assign(label="all")
    groups = scans.groupby(["split", "label"])["participant_id"].agg(["size", "nunique"])
    groups = groups.reindex(pd.MultiIndex.from_product([splits, labels]), fill_value=0)
    return [{"split": split, "cells": [tuple(groups.loc[(split, label)]) for label in labels]} for split in splits]


def no_mean_maps(accuracy: pd.DataFrame, task: Task) -> str:
    """Say that no model has a mean map, where none has a scan of the group that is explained; else an empty text."""
    if accuracy[f"n_{task.explained}"].any():
        return ""
    title = one(task.target) if task.classes else "a test scan"
    return f"No model recognised {title}, so that there are no mean maps, and nothing is measured of them."


def informative(figures: Sequence[Path], paired: bool, robust: bool) -> list[Path]:
    """Leave out figures that say no more than that no two models could be compared."""
    empty = {"bounds": not robust, "figure-3-overlap": not paired, "overlap-curve": not paired, "scale": not robust}
    return [figure for figure in figures if not empty.get(figure.stem)]


def along(value: float, ends: tuple[float, float]) -> str:
    """Return where a value lies on a scale that ends at two numbers, in per cent of its length."""
    low, high = ends
    return f"{100 * min(max((value - low) / (high - low), 0), 1):.1f}%"


def scale_tables(folder: Path, methods: Iterable[str]) -> pd.DataFrame:
    """Read ``scale.tsv`` of every method in the stage's folder."""
    return pd.concat([read_table(folder / method / "scale.tsv") for method in methods], ignore_index=True)


def registrations(quality: pd.DataFrame, sheet: Path) -> dict:
    """Gather the table of ``qc.tsv`` and the contact sheet."""
    figures = list(quality.columns.drop(["scan", "poor", "outlier"]))
    return {
        "quality": {"figures": figures, "rows": quality_rows(quality)},
        "contact_sheet": embed(compress(sheet), "jpeg"),
    }


def plural_title(task: Task, group: str) -> str:
    """Return the title of a group of several scans, as a table's head."""
    title = task.groups[group].title
    return f"{title[0].upper()}{title[1:]}s"


def measure_tables(scores: pd.DataFrame, methods: Iterable[str], options: dict, task: Task) -> dict:
    """Make the tables of measures, from the third on: heads and rows of each; options are the config's ``compare``."""
    by_group, scores = scores, scores[scores["outcome"] == task.explained]
    columns = {table: heads(table, options) for table in range(3, 10)}
    columns[6] = {name: head for name, head in columns[6].items() if (scores["measure"] == name).any()}
    named = [(method, "") for method in methods]
    of_curves = scores.loc[scores["measure"].isin(columns[6]), ["method", "check"]].drop_duplicates()
    followed = list(of_curves.itertuples(index=False, name=None))
    return {
        "voxel_heads": list(columns[3].values()),
        "voxel_rows": {
            plural_title(task, group): measure_rows(by_group[by_group["outcome"] == group], columns[3], named)
            for group in task.compared
        },
        "region_heads": list(columns[4].values()),
        "region_rows": measure_rows(scores, columns[4], named),
        "localisation_heads": list(columns[5].values()),
        "localisation_rows": measure_rows(scores, columns[5], named),
        "effect_heads": list(columns[7].values()),
        "effect_rows": rows_by_value(scores, columns[7], BY),
        "single_effect_rows": rows_by_value(scores, columns[8], f"single_{BY}"),
        "unit_heads": list(columns[9].values()),
        "unit_rows": measure_rows(scores, columns[9], [*named, ("effects", "")]),
        "faithfulness_heads": list(columns[6].values()),
        "faithfulness_rows": measure_rows(scores, columns[6], followed),
    }


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
    compare, trained, several = results / "compare", models_of(config["train"]), config["train"].get("networks")
    with_channels = len(channels_of(config["cohort"])) > 1
    scans, accuracy = read_table(models / "cohort/scans.tsv"), read_table(compare / "accuracy.tsv")
    l2, top = read_table(compare / "l2.tsv"), read_table(compare / "top_regions.tsv")
    methods = {name: options for name, options in used_methods(config).items() if name in set(l2["method"])}
    notes, task = read_table(compare / "notes.tsv"), task_of(config)
    called = names_of(task)
    beside = {"networks": several, "channels": with_channels}
    names = ["scores", "variance", "seeds", *(name for name, there in beside.items() if there)]
    tables = {name: read_table(compare / f"{name}.tsv") for name in names}
    of_group = {name: table[table["outcome"] == task.explained] for name, table in tables.items()}
    scores, networks = of_group["scores"], of_group.get("networks")
    bound_heads, bounds = bound_rows(scores, config["compare"]["top_k"])
    judged = [name for name in sorted(methods) if (scores.loc[scores["method"] == name, "kind"] == "method").any()]
    shared, noise = own(top[top["method"].isin(judged)]), noise_of(top, judged)
    paired = comparable(own(l2), own(top))
    robust = bool(((scores["measure"] == "pearson") & scores["value"].notna()).any())
    cause_heads, causes = cause_rows(scores, judged, config["compare"]["top_k"])
    quality = None if config["cohort"].get("scans") else read_table(models / "register/qc.tsv")
    runtimes = measure_runtimes(*dict.fromkeys([models / "benchmarks", results / "benchmarks"]))
    imported = config["train"].get("models") or config["train"].get("predictions")
    of_checks = read_table(check_accuracy) if check_accuracy else None
    no_floor = still_trained(of_checks, accuracy) if check_accuracy else []
    judging = scores[~scores["check"].isin(no_floor)], read_table(checks) if checks else None, methods
    answers = answer_rows(*judging, judged, called["references"])
    nothing = no_mean_maps(accuracy, task)
    return {
        "config": config,
        "imported": imported,
        "answer": answer_sentence(answers, len(trained), len(set(map(network_of, trained)))),
        "alarms": [
            *filter(None, [config["report"].get("note"), nothing]),
            *not_above_chance(accuracy, scans, task),
            *([] if quality is None else poor_registrations(quality)),
        ],
        "answer_heads": answer_heads(*judging, nothing),
        "answer_rows": answers,
        "beside_rows": beside_rows(*judging),
        "rules": RULES,
        "respects": RESPECTS,
        "ranking_by_scale": ranking_by_scale(scale_tables(compare, judged)),
        "found": [
            *summarise(scans, accuracy, own(l2[l2["method"].isin(judged)]), shared, noise, bool(imported), task),
            *judge(scores, judging[1], called["explained"]),
        ],
        "not_possible": not_possible(notes, trained),
        "paired": paired,
        "scans": count_scans(scans, task),
        "classes": [f"{name[0].upper()}{name[1:]}" for name in map(plural, task.shown)] if task.classes else ["All"],
        "target": one(task.target) if len(task.classes) == 2 else task.target,
        "called": called,
        "t_maps": bool(scores["method"].isin(T_MAP_SPLITS).any()),
        "counted": [column.removeprefix("n_").replace("_", " ") for column in count_columns(accuracy)],
        "compared": [plural_title(task, group) for group in task.compared],
        "groups": group_rows(read_table(models / "cohort/demographics.tsv")),
        "warnings": [
            *left_out(read_table(models / "cohort/unreadable.tsv")),
            *read_table(models / "cohort/group_differences.tsv")["warning"].dropna(),
        ],
        "accuracy": accuracy_rows(accuracy),
        "accuracy_heads": [quantity.title for quantity in quantities_of(accuracy).values()],
        "value": None if task.classes else task.target,
        "no_floor": [CHECKS.get(check, check) for check in no_floor],
        "check_accuracy": check_accuracy_rows(of_checks) if check_accuracy else None,
        "paper_accuracy": {name: percent(value, 2) for name, value in paper.BALANCED_ACCURACY.items()},
        "l2": l2_rows(l2, tables["scores"], methods),
        "overlap": overlap_rows(top, scores, methods),
        "metrics": METRICS,
        "chances": metric_spans(shared, "chance"),
        "noise": metric_spans(noise, "overlap_mean") if noise["overlap_mean"].notna().any() else None,
        "bound_heads": bound_heads,
        "bound_rows": bounds if any(figure.stem == "bounds" for figure in figures) else None,
        **measure_tables(tables["scores"], methods, config["compare"], task),
        "cause_heads": cause_heads,
        "cause_rows": causes,
        "variance_heads": [words for name, words in SEEDS.items() if name in set(of_group["variance"]["measure"])],
        "variance_rows": variance_rows(of_group["variance"]),
        "enough_seeds": enough_seeds(of_group["seeds"]),
        "notes": note_rows(notes, trained),
        "network_tables": network_tables(networks, methods, config["compare"]["top_k"]) if several else [],
        "channel_tables": channel_tables(tables["channels"], methods, task.explained) if with_channels else [],
        "methods": {name: title_of(name) for name in in_order(methods)},
        "figures": {figure.stem: embed(figure.read_bytes()) for figure in informative(figures, paired, robust)},
        **(registrations(quality, models / "register/contact_sheet.png") if quality is not None else {"quality": None}),
        "pages": {page.stem: megabytes(page.stat().st_size) for page in pages},
        "configuration": yaml.safe_dump(
            config, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100
        ),
        "versions": versions(json.loads((results / "provenance.json").read_text())["software"]),
        "stages": [
            {"name": stage, "seconds": rules["seconds"].sum(), "rules": rules.to_dict("records")}
            for stage, rules in runtimes.groupby("stage", sort=False)
        ],
    }


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
