"""Hold maps against what units of the brain truly do to a model.

The effect of a unit is the fall of the margin when it is taken from a reference: the scan's healthy twin, or scans
of another class (see `heatproof.attribute.effects`).
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from heatproof.compare.faithfulness import SUMS, VALUES
from heatproof.compare.layout import gather_replicates
from heatproof.compare.measures import COLUMNS, PAIRS_OF_UNITS, SINGLE_UNITS, UNITS, compare_pairs, measure_all
from heatproof.compare.outcomes import participant_groups
from heatproof.compare.unit_sums import MEAN, Units, read_units, spread_units
from heatproof.tables import read_table
from heatproof.task import PATIENTS, Task, scans_by_group, task_in

ERRORS = 2  # standard errors by which the mean gap of the margin has to exceed 0


class Effects(NamedTuple):
    """The effects on one model.

    Attributes
    ----------
    seed : int
        Of the model.
    table : DataFrame
        scan, reference (twin or controls), unit_kind, unit, voxels, effect_first, effect_last, effect; of all test
        scans of the target.
    margins : DataFrame
        scan, reference, margin, margin_reference.
    recognised : DataFrame
        participant_id and group of participants of every true positive, by scan.
    """

    seed: int
    table: pd.DataFrame
    margins: pd.DataFrame
    recognised: pd.DataFrame

    @property
    def reference(self) -> str:
        """Where units are taken from that maps are held against: the twin where there is one, else controls."""
        return "twin" if (self.table["reference"] == "twin").any() else "controls"

    @property
    def explained(self) -> bool:
        """Whether there is a gap of the margin to explain by the reference that maps are held against."""
        return self.explains(self.reference)

    def explains(self, reference: str) -> bool:
        """Tell whether the margins of true positives exceed those of their references by more than chance."""
        gaps = self.gaps(reference)
        return bool(len(gaps) and gaps.mean() > ERRORS * np.nan_to_num(gaps.sem()))

    def margins_by(self, reference: str) -> pd.DataFrame:
        """Return margin and margin_reference of every true positive."""
        margins = self.margins[self.margins["reference"] == reference].set_index("scan")
        return margins.loc[self.recognised.index, ["margin", "margin_reference"]]

    def gaps(self, reference: str) -> pd.Series:
        """Return the margin of each true positive less that of its reference."""
        margins = self.margins_by(reference)
        return margins["margin"] - margins["margin_reference"]

    def spread(self, value: str, column: str = "effect", reference: str = "") -> pd.DataFrame:
        """Spread the effects as `spread_units` does; all NaN where there is nothing to explain."""
        rows = self.table[self.table["reference"] == (reference or self.reference)]
        return spread_units(rows, value, column) * (1.0 if self.explained else np.nan)

    def kept(self, left_out: int) -> pd.Index:
        """Return the true positives outside of a group of participants; 0 is nobody's."""
        return self.recognised.index[self.recognised["group"] != left_out]


def read_effects(
    seed: int,
    table: str,
    margins: str,
    predictions: str,
    units: Sequence[Units],
    count: int,
    task: Task = PATIENTS,
) -> Effects:
    """Read the effects on one model.

    Parameters
    ----------
    seed : int
    table, margins, predictions : str
        Files of the model.
    units : sequence of Units
        Those in the brain; others have no part.
    count : int
        Groups of participants.
    task : Task
    """
    predicted = read_table(predictions)
    groups = participant_groups(predicted, count, task)
    people = predicted.assign(group=predicted["scan"].map(groups)).set_index("scan")
    recognised = people.loc[scans_by_group(predicted, task)[task.explained], ["participant_id", "group"]]
    voxels = pd.concat([of_kind.table[["unit_kind", "unit", "voxels"]] for of_kind in units])
    return Effects(seed, read_table(table).merge(voxels, on=["unit_kind", "unit"]), read_table(margins), recognised)


def groups_of(effects: Mapping[int, Effects]) -> list[int]:
    """List 0, for nobody, and the groups of participants that some true positive is in."""
    return [0, *sorted(set().union(*(of_model.recognised["group"] for of_model in effects.values())))]


def follow(
    mean: pd.Series, scans: pd.DataFrame | None, effects: pd.DataFrame, value: str, options: Mapping
) -> list[tuple[str, float, float]]:
    """Measure how far sums over units follow effects, on average and, where there are any, scan by scan.

    Parameters
    ----------
    mean : Series
        Sums of a mean map, by unit.
    scans : DataFrame or None
        Sums of single scans' maps, as `spread_units` returns them.
    effects : DataFrame
        Those of the scans that count.
    value : str
        What was summed, one of `heatproof.compare.faithfulness.VALUES`.
    options : mapping
        The config's ``compare``.

    Returns
    -------
    list of (str, float, float)
        Name, value and chance of every measure.
    """
    effects = effects[mean.index] if effects.size else effects.reindex(columns=mean.index)  # where there is no patient
    rows = measure_all(UNITS, (mean.to_numpy(), effects.mean().to_numpy()), options, value)
    if scans is not None:
        own = scans.loc[effects.index, mean.index]
        rows += measure_all(SINGLE_UNITS, (own.to_numpy(), effects.to_numpy()), options, value)
    return rows


def measure_faithfulness(units: pd.DataFrame, effects: Mapping[int, Effects], options: Mapping) -> pd.DataFrame:
    """Measure how far every model's maps follow the effects on it, with all participants and without each group.

    Parameters
    ----------
    units : DataFrame
        ``units.tsv`` of every model, as `heatproof.compare.layout.gather_replicates` returns it.
    effects : mapping
        Seed to `Effects`.
    options : mapping
        The config's ``compare``.

    Returns
    -------
    DataFrame
        The columns of ``measures.tsv`` but for method and check.
    """
    rows, group = [], task_in(options).explained
    for seed, of_model in effects.items():
        own = units[units["seed"] == seed]
        of_mean, of_scans = own[own["scan"] == MEAN], own[own["scan"] != MEAN]
        for value in VALUES:
            true, scans = of_model.spread(value), spread_units(of_scans, value) if len(of_scans) else None
            for left_out in groups_of(effects):
                mean = spread_units(of_mean[of_mean["left_out"] == left_out], value).loc[MEAN]
                found = follow(mean, scans, true.loc[of_model.kept(left_out)], value, options)
                rows += [(name, group, left_out, seed, seed, *measured) for name, *measured in found]
    return pd.DataFrame(rows, columns=COLUMNS)


def measure_unit_agreement(
    sums_of: Callable[[int, str, int], pd.Series], effects: Mapping[int, Effects], options: Mapping
) -> pd.DataFrame:
    """Compare the sums of every two models over units; a model whose effects explain nothing has no value.

    Parameters
    ----------
    sums_of : callable
        ``sums_of(seed, value, left_out)``: sums of a model by unit, all models' units in the same order.
    effects, options
        As for `measure_faithfulness`.
    """
    tables = []
    for value in SUMS:
        for left_out in groups_of(effects):
            things = {
                seed: sums_of(seed, value, left_out).to_numpy() * (1.0 if of_model.explained else np.nan)
                for seed, of_model in effects.items()
            }
            compared = compare_pairs(PAIRS_OF_UNITS, things, options, value)
            tables.append(compared.assign(outcome=task_in(options).explained, left_out=left_out))
    return pd.concat(tables)[COLUMNS]


def effects_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a command that holds something against effects."""
    parser.add_argument("--predictions", nargs="*", help="predictions.tsv of every model, where they are needed")
    parser.add_argument("--effects", nargs="*", help="table of effects on every model, where there are any")
    parser.add_argument("--margins", nargs="*", help="their table of margins")


def effects_of(args: argparse.Namespace) -> dict[int, Effects]:
    """Read the effects on every model that a command with `effects_arguments` is given, by seed."""
    units, count = read_units(args.template, args.options), args.options["participant_groups"]
    files, task = zip(args.effects, args.margins, args.predictions, strict=True), task_in(args.options)
    return {seed: read_effects(seed, *paths, units, count, task) for seed, paths in zip(args.seeds, files, strict=True)}


def measure_by_units(args: argparse.Namespace) -> list[pd.DataFrame]:
    """Hold the maps of a command's method against the effects, and pairs of models' maps against each other."""
    effects = effects_of(args)
    units = gather_replicates(args.folder, args.method, args.seeds, "units.tsv")
    means = units[units["scan"] == MEAN].set_index(["seed", "left_out"]).sort_index()

    def sums_of(seed: int, value: str, left_out: int) -> pd.Series:
        return spread_units(means.loc[(seed, left_out)], value).loc[MEAN]

    return [
        measure_faithfulness(units, effects, args.options),
        measure_unit_agreement(sums_of, effects, args.options),
    ]
