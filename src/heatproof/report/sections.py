"""What each section of the report's page shows."""

import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import yaml
from PIL import Image

from heatproof.channels import channels_of
from heatproof.checks import T_MAP_SPLITS
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
from heatproof.report.pages import megabytes
from heatproof.report.runtimes import measure_runtimes
from heatproof.report.words import comparable, judge, names_of, ranking_by_scale, summarise
from heatproof.tables import own, read_table
from heatproof.task import PATIENTS, Task, one, plural, task_of

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


def rows_about(group: str, table: pd.DataFrame) -> pd.DataFrame:
    """Return what a table says of a group of scans."""
    return table[table["outcome"] == group]


class Study(NamedTuple):
    """What several sections of the page are made of."""

    results: Path
    models: Path  # results of the study that scans and models come from
    config: dict
    task: Task
    scans: pd.DataFrame
    accuracy: pd.DataFrame
    quality: pd.DataFrame | None  # of registration; None where there was none
    l2: pd.DataFrame
    top: pd.DataFrame
    notes: pd.DataFrame
    scores: pd.DataFrame
    methods: dict[str, dict]  # that have maps, with their options
    judged: list[str]  # those of them that no other bounds

    def of_explained(self, name: str) -> pd.DataFrame:
        """Read a table of the stage compare, and keep what it says of the group that is explained."""
        return rows_about(self.task.explained, read_table(self.results / f"compare/{name}.tsv"))

    @property
    def explained_scores(self) -> pd.DataFrame:
        """Scores of the group that is explained."""
        return rows_about(self.task.explained, self.scores)

    @property
    def imported(self) -> dict | None:
        """The files of models, or of predictions, that come from elsewhere, by seed; None where models are trained."""
        return self.config["train"].get("models") or self.config["train"].get("predictions")

    @property
    def paired(self) -> bool:
        """Whether two models have maps that can be compared."""
        return comparable(own(self.l2), own(self.top))


def read_study(results: Path, models: Path, config: dict) -> Study:
    """Read what several sections are made of from the files of a study, and of the one that its models come from."""
    l2, scores = (read_table(results / f"compare/{name}.tsv") for name in ("l2", "scores"))
    methods = {name: options for name, options in used_methods(config).items() if name in set(l2["method"])}
    task = task_of(config)
    judged = set(rows_about(task.explained, scores).query("kind == 'method'")["method"])
    return Study(
        results,
        models,
        config,
        task,
        scans=read_table(models / "cohort/scans.tsv"),
        accuracy=read_table(results / "compare/accuracy.tsv"),
        quality=None if config["cohort"].get("scans") else read_table(models / "register/qc.tsv"),
        l2=l2,
        top=read_table(results / "compare/top_regions.tsv"),
        notes=read_table(results / "compare/notes.tsv"),
        scores=scores,
        methods=methods,
        judged=[name for name in sorted(methods) if name in judged],
    )


def answered(study: Study, checks: Path | None, check_accuracy: Path | None) -> dict:
    """Gather the answer, what warns of it, and what was found."""
    task, trained, called = study.task, models_of(study.config["train"]), names_of(study.task)
    scores = study.explained_scores
    of_checks = read_table(check_accuracy) if check_accuracy else None
    no_floor = still_trained(of_checks, study.accuracy) if check_accuracy else []
    judging = scores[~scores["check"].isin(no_floor)], read_table(checks) if checks else None, study.methods
    answers, nothing = answer_rows(*judging, study.judged, called["references"]), no_mean_maps(study.accuracy, task)
    shared, noise = own(study.top[study.top["method"].isin(study.judged)]), noise_of(study.top, study.judged)
    l2 = own(study.l2[study.l2["method"].isin(study.judged)])
    return {
        "answer": answer_sentence(answers, len(trained), len(set(map(network_of, trained)))),
        "alarms": [
            *filter(None, [study.config["report"].get("note"), nothing]),
            *not_above_chance(study.accuracy, study.scans, task),
            *([] if study.quality is None else poor_registrations(study.quality)),
        ],
        "answer_heads": answer_heads(*judging, nothing),
        "answer_rows": answers,
        "beside_rows": beside_rows(*judging),
        "rules": RULES,
        "respects": RESPECTS,
        "ranking_by_scale": ranking_by_scale(scale_tables(study.results / "compare", study.judged)),
        "found": [
            *summarise(study.scans, study.accuracy, l2, shared, noise, bool(study.imported), task),
            *judge(scores, judging[1], called["explained"]),
        ],
        "chances": metric_spans(shared, "chance"),
        "noise": metric_spans(noise, "overlap_mean") if noise["overlap_mean"].notna().any() else None,
        "no_floor": [CHECKS.get(check, check) for check in no_floor],
        "check_accuracy": check_accuracy_rows(of_checks) if check_accuracy else None,
    }


def described(study: Study) -> dict:
    """Gather what the study is about: its scans, classes and models, and how well these recognise scans."""
    task = study.task
    return {
        "config": study.config,
        "imported": study.imported,
        "scans": count_scans(study.scans, task),
        "classes": [f"{name[0].upper()}{name[1:]}" for name in map(plural, task.shown)] if task.classes else ["All"],
        "target": one(task.target) if len(task.classes) == 2 else task.target,
        "value": None if task.classes else task.target,
        "called": names_of(task),
        "compared": [plural_title(task, group) for group in task.compared],
        "groups": group_rows(read_table(study.models / "cohort/demographics.tsv")),
        "warnings": [
            *left_out(read_table(study.models / "cohort/unreadable.tsv")),
            *read_table(study.models / "cohort/group_differences.tsv")["warning"].dropna(),
        ],
        "accuracy": accuracy_rows(study.accuracy),
        "accuracy_heads": [quantity.title for quantity in quantities_of(study.accuracy).values()],
        "counted": [column.removeprefix("n_").replace("_", " ") for column in count_columns(study.accuracy)],
        "paper_accuracy": {name: percent(value, 2) for name, value in paper.BALANCED_ACCURACY.items()},
    }


def compared(study: Study) -> dict:
    """Gather the tables of measures, and what says how far they can be relied on."""
    config, top_k = study.config, study.config["compare"]["top_k"]
    trained, several = models_of(config["train"]), config["train"].get("networks")
    variance, explained = study.of_explained("variance"), study.task.explained
    cause_heads, causes = cause_rows(study.explained_scores, study.judged, top_k)
    return {
        "not_possible": not_possible(study.notes, trained),
        "paired": study.paired,
        "t_maps": bool(study.explained_scores["method"].isin(T_MAP_SPLITS).any()),
        "l2": l2_rows(study.l2, study.scores, study.methods),
        "overlap": overlap_rows(study.top, study.explained_scores, study.methods),
        "metrics": METRICS,
        **measure_tables(study.scores, study.methods, config["compare"], study.task),
        "cause_heads": cause_heads,
        "cause_rows": causes,
        "variance_heads": [words for name, words in SEEDS.items() if name in set(variance["measure"])],
        "variance_rows": variance_rows(variance),
        "enough_seeds": enough_seeds(study.of_explained("seeds")),
        "notes": note_rows(study.notes, trained),
        "network_tables": network_tables(study.of_explained("networks"), study.methods, top_k) if several else [],
        "channel_tables": channel_tables(read_table(study.results / "compare/channels.tsv"), study.methods, explained)
        if len(channels_of(config["cohort"])) > 1
        else [],
        "methods": {name: title_of(name) for name in in_order(study.methods)},
    }


def pictured(study: Study, figures: Sequence[Path], pages: Sequence[Path]) -> dict:
    """Gather figures, what stands beneath them, and the pages beside this one."""
    scores = study.explained_scores
    robust = bool(((scores["measure"] == "pearson") & scores["value"].notna()).any())
    bound_heads, bounds = bound_rows(scores, study.config["compare"]["top_k"])
    sheet, shown = study.models / "register/contact_sheet.png", informative(figures, study.paired, robust)
    return {
        "bound_heads": bound_heads,
        "bound_rows": bounds if any(figure.stem == "bounds" for figure in figures) else None,
        "figures": {figure.stem: embed(figure.read_bytes()) for figure in shown},
        **(registrations(study.quality, sheet) if study.quality is not None else {"quality": None}),
        "pages": {page.stem: megabytes(page.stat().st_size) for page in pages},
    }


def reproduced(study: Study) -> dict:
    """Gather what it takes to make the study again: its configuration, software, and time."""
    runtimes = measure_runtimes(*dict.fromkeys([study.models / "benchmarks", study.results / "benchmarks"]))
    return {
        "configuration": yaml.safe_dump(
            study.config, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100
        ),
        "versions": versions(json.loads((study.results / "provenance.json").read_text())["software"]),
        "stages": [
            {"name": stage, "seconds": rules["seconds"].sum(), "rules": rules.to_dict("records")}
            for stage, rules in runtimes.groupby("stage", sort=False)
        ],
    }
