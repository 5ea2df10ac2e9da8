"""Measure the effects of regions and cubes on one model's margin, or value, in all test scans of the target.

Writes two tables. Effects: scan reference unit_kind unit effect_first effect_last effect, and shapley shapley_error
where they are asked for. reference is ``twin``, the scan's healthy twin, or ``controls``, some training controls
whose effects are averaged; unit_kind is ``regions`` or ``cubes``; effect is the mean of first and last. Margins: scan
reference margin margin_reference, of the target. Of several channels a third: scan reference channel effect_first
effect_last effect, when the whole channel is taken from the reference.
"""

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from heatproof.attribute.effects import Effects, channel_effects, unit_effects
from heatproof.attribute.references import chosen_controls
from heatproof.command import json_option, run
from heatproof.device import prepare_device
from heatproof.errors import StudyError
from heatproof.store import Store, open_store
from heatproof.tables import write_table
from heatproof.task import task_argument
from heatproof.train.network import load_model
from heatproof.units import KINDS, unit_table, units_of

COLUMNS = ["scan", "reference", "unit_kind", "unit", "effect_first", "effect_last", "effect"]
OF_CHANNELS = ["scan", "reference", "channel", "effect_first", "effect_last", "effect"]
MARGINS = ["scan", "reference", "margin", "margin_reference"]


def over_references(effects: Effects) -> dict[str, np.ndarray]:
    """Average the effects in one scan over its references, by column."""
    columns = {"effect_first": effects.first, "effect_last": effects.last, "effect": effects.mean}
    return {name: values.mean(axis=0) for name, values in columns.items()}


def effect_rows(effects: Effects, table: pd.DataFrame) -> pd.DataFrame:
    """Average the effects over the references of one scan: one row for each unit.

    Parameters
    ----------
    effects : Effects
        Of one scan, against each of its references.
    table : DataFrame
        unit_kind, number, unit of the units that have voxels.
    """
    places = table["number"].to_numpy() - 1
    rows = {name: values[places] for name, values in over_references(effects).items()}
    if effects.shapley is not None:
        errors = np.sqrt((effects.shapley_error**2).sum(axis=0)) / len(effects.shapley_error)
        rows |= {"shapley": effects.shapley.mean(axis=0)[places], "shapley_error": errors[places]}
    return table[["unit_kind", "unit"]].assign(**rows)


def channel_rows(effects: Effects, names: list[str]) -> pd.DataFrame:
    """Average the effects of channels over the references of one scan: one row for each channel."""
    return pd.DataFrame({"channel": names, **over_references(effects)})


def measure_scan(
    model: nn.Module, image: Tensor, references: Tensor, units: dict[str, tuple], **settings
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Measure the effects in one scan, averaged over references, and its margins.

    Parameters
    ----------
    model : Module
    image : Tensor, shape (C, x, y, z)
    references : Tensor, shape (K, C, x, y, z)
    units : dict
        Kind to the numbers of its units, (x, y, z), and their table.
    **settings
        target, shapley and batch_size of `unit_effects`.
    """
    images, tables = image.expand_as(references), []
    for numbers, table in units.values():
        effects = unit_effects(model, images, references, numbers, **settings)
        tables.append(effect_rows(effects, table))
    margins = {"margin": effects.margin.mean(), "margin_reference": effects.margin_reference.mean()}
    return pd.concat(tables, ignore_index=True), margins


def references_of(scan: str, twins: Store | None, controls: Tensor | None) -> Iterator[tuple[str, Tensor]]:
    """Yield the names of a scan's references, and their images (K, C, x, y, z)."""
    if twins is not None:
        yield "twin", torch.from_numpy(twins.image_of(scan))[None]
    if controls is not None:
        yield "controls", controls


def units_on_grid(template: Path, options: dict, grid: tuple[int, ...]) -> dict[str, tuple]:
    """Number the units of every kind; they must lie on the scans' grid."""
    units = {}
    for kind in KINDS:
        numbers, names = units_of(kind, template, options["regions"], options["cubes"])
        if numbers.shape != grid:
            raise StudyError(
                f"{template} has a grid of {numbers.shape} voxels and the packed scans have {grid}; delete the older "
                "of the two to make it again"
            )
        units[kind] = torch.from_numpy(numbers), unit_table(kind, numbers, names)
    return units


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="model.safetensors, the trained one")
    parser.add_argument("--scans", type=Path, required=True, help="store of the test scans, .npy")
    parser.add_argument("--twins", type=Path, help="store of the patients' healthy twins, .npy, where there are any")
    parser.add_argument("--train", type=Path, help="store of the training scans, .npy, where there are controls")
    parser.add_argument("--template", type=Path, required=True, help="folder of the brain mask and the regions")
    task_argument(parser)
    parser.add_argument("--options", type=json_option, required=True, help="regions, cubes, controls, shapley, as JSON")
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--out", required=True, help="table of effects")
    parser.add_argument("--margins", required=True, help="table of margins")
    parser.add_argument("--channels", nargs="*", default=[], help="their names, where a scan has several")
    parser.add_argument("--of-channels", help="table of the channels' effects")
    args = parser.parse_args()
    device, options, task = prepare_device(args.device), args.options, args.task

    store, twins = open_store(args.scans), open_store(args.twins) if args.twins else None
    controls = chosen_controls(args.train, options["controls"], 0, task) if options["controls"] else None
    model, units = load_model(args.model, device), units_on_grid(args.template, options, store.grid)
    settings = {"target": task.index, "shapley": options["shapley"], "batch_size": args.batch_size}
    explained = store.scans.loc[task.is_explained(store.scans), "scan"]
    tables, margins, of_channels = [], [], []
    for scan in tqdm(explained, unit="scan", mininterval=1):
        image = torch.from_numpy(store.image_of(scan)).to(device)
        for name, references in references_of(scan, twins, controls):
            references = references.to(device)
            rows, ends = measure_scan(model, image, references, units, **settings)
            tables.append(rows.assign(scan=scan, reference=name))
            margins.append({"scan": scan, "reference": name, **ends})
            if args.channels:
                effects = channel_effects(model, image.expand_as(references), references, task.index)
                of_channels.append(channel_rows(effects, args.channels).assign(scan=scan, reference=name))
    drawn = ["shapley", "shapley_error"] if options["shapley"] else []
    drawn_from = 0 if controls is None else len(controls)
    logging.info("effects on %d scans, by %d scans of %s", len(explained), drawn_from, task.in_words(task.reference))
    empty = pd.DataFrame(columns=[*COLUMNS, *drawn])
    write_table((pd.concat(tables) if tables else empty)[[*COLUMNS, *drawn]], args.out)
    write_table(pd.DataFrame(margins, columns=MARGINS), args.margins)
    if args.channels:
        empty = pd.DataFrame(columns=OF_CHANNELS)
        write_table((pd.concat(of_channels) if of_channels else empty)[OF_CHANNELS], args.of_channels)


if __name__ == "__main__":
    run(main)
