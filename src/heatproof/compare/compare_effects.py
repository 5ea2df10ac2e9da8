"""Compare the models by the effects of units on them, and tell how sure these effects are: what bounds faithfulness.

Writes ``effects/measures.tsv``, whose columns are those of `heatproof.compare.measure_method`. The method is
``effects``; check is empty where two models' effects are compared, as two models' maps are. The others are held against
a model's effects as maps are:

- ``last``: a ceiling, the effects of units that are the last to be replaced against those of the first;
- ``halves``: a ceiling, the mean effects over one random half of the true positives against those over the other;
- ``other_model``: a floor, the effects on another model, of the same scans;
- ``controls``: where units are taken from twins and from controls, the effects from controls.

Writes ``effects.tsv``: seed reference unit_kind n_scans margin margin_reference gap explained sum_first sum_last
sum_effect pearson_last pearson_halves pearson_controls. Margins and sums over units are means over true positives;
explained is whether the gap, margin less margin_reference, is more than two standard errors above 0. The correlations
are those of the checks, of the reference that maps are held against.
"""

import argparse
from collections.abc import Callable, Mapping
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pandas as pd

from heatproof.command import json_option, run
from heatproof.compare.effects import (
    Effects,
    effects_arguments,
    effects_of,
    follow,
    groups_of,
    measure_unit_agreement,
)
from heatproof.compare.faithfulness import VALUES
from heatproof.compare.measure_method import write_measures
from heatproof.compare.measures import COLUMNS
from heatproof.generators import generator
from heatproof.models import model_name
from heatproof.tables import write_table
from heatproof.task import task_in

TABLE = [
    *["seed", "reference", "unit_kind", "n_scans", "margin", "margin_reference", "gap", "explained"],
    *["sum_first", "sum_last", "sum_effect", "pearson_last", "pearson_halves", "pearson_controls"],
]
Rows = list[tuple[str, float, float]]


def follow_last(effects: Effects, kept: pd.Index, value: str, options: Mapping) -> Rows:
    """Hold the effects of the last unit to be replaced against those of the first."""
    last, first = (effects.spread(value, f"effect_{place}").loc[kept] for place in ("last", "first"))
    return follow(last.mean(), last, first, value, options)


def follow_controls(effects: Effects, kept: pd.Index, value: str, options: Mapping) -> Rows:
    """Hold the effects by controls against those by twins."""
    controls, twins = (effects.spread(value, reference=reference).loc[kept] for reference in ("controls", "twin"))
    return follow(controls.mean(), controls, twins, value, options)


def follow_half(effects: Effects, kept: pd.Index, value: str, options: Mapping) -> Rows:
    """Hold the mean effects over a random half of the participants against those over the other half."""
    people = np.sort(effects.recognised["participant_id"].unique())
    half = generator(effects.seed, "halves").permutation(people)[: len(people) // 2]
    inside = effects.recognised.loc[kept, "participant_id"].isin(half)
    true = effects.spread(value).loc[kept]
    return follow(true[inside].mean(), None, true[~inside], value, options)


def measure_check(
    check: Callable[[Effects, pd.Index, str, Mapping], Rows], effects: Mapping[int, Effects], options: Mapping
) -> pd.DataFrame:
    """Measure what is held against the effects on every model, with all participants and without each group.

    Parameters
    ----------
    check : callable
        Of the effects on a model, the scans that count, what is summed and the options; returns what `follow` does.
    effects : mapping
        Seed to `Effects`.
    options : mapping
        The config's ``compare``.

    Returns
    -------
    DataFrame
        The columns of ``measures.tsv`` but for method and check.
    """
    rows = [
        (name, task_in(options).explained, left_out, seed, seed, *measured)
        for (seed, of_model), value, left_out in product(effects.items(), VALUES, groups_of(effects))
        for name, *measured in check(of_model, of_model.kept(left_out), value, options)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def measure_other_models(effects: Mapping[int, Effects], options: Mapping) -> pd.DataFrame:
    """Hold the effects on every model against those on every other, over the scans that this one recognises.

    The value of a pair is the mean over the two directions. Arguments and result are those of `measure_check`.
    """
    order, rows = list(effects), []
    spread = {(seed, value): effects[seed].spread(value) for seed, value in product(order, VALUES)}
    for (seed, other), value, left_out in product(permutations(order, 2), VALUES, groups_of(effects)):
        pair = sorted((seed, other), key=order.index)
        kept = effects[seed].kept(left_out)
        own, others = (spread[model, value].loc[kept] for model in (seed, other))
        found = follow(others.mean(), others, own, value, options)
        rows += [(name, task_in(options).explained, left_out, *pair, *measured) for name, *measured in found]
    return pd.DataFrame(rows, columns=COLUMNS).groupby(COLUMNS[:-2], sort=False).mean().reset_index()


def measure_effects(effects: Mapping[int, Effects], options: Mapping) -> dict[str, pd.DataFrame]:
    """Measure the models' effects and what bounds them, by method or ``{method}.{check}``."""

    def mean_effects(seed: int, value: str, left_out: int) -> pd.Series:
        return effects[seed].spread(value).loc[effects[seed].kept(left_out)].mean()

    measured = {
        "effects": measure_unit_agreement(mean_effects, effects, options),
        "effects.last": measure_check(follow_last, effects, options),
        "effects.halves": measure_check(follow_half, effects, options),
        "effects.other_model": measure_other_models(effects, options),
    }
    if all({"twin", "controls"} <= set(of_model.table["reference"]) for of_model in effects.values()):
        measured["effects.controls"] = measure_check(follow_controls, effects, options)
    return measured


def tabulate_effects(effects: Mapping[int, Effects], measured: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Tabulate the gap of every model's margin, the sums of its effects, and how sure they are: ``effects.tsv``."""
    rows = []
    for seed, of_model in effects.items():
        for (reference, kind), table in of_model.table.groupby(["reference", "unit_kind"], sort=False):
            of_recognised = table[table["scan"].isin(of_model.recognised.index)]
            count, margins = len(of_model.recognised), of_model.margins_by(reference).mean()
            row = {"seed": seed, "reference": reference, "unit_kind": kind, "n_scans": count}
            row |= {"margin": margins["margin"], "margin_reference": margins["margin_reference"]}
            row |= {"gap": of_model.gaps(reference).mean(), "explained": of_model.explains(reference)}
            for name, column in (("first", "effect_first"), ("last", "effect_last"), ("effect", "effect")):
                row[f"sum_{name}"] = of_recognised[column].sum() / count if count else np.nan
            for check in ("last", "halves", "controls"):
                values = measured.get(f"effects.{check}", pd.DataFrame(columns=COLUMNS))
                chosen = (values["seed_a"] == seed) & (values["left_out"] == 0)
                chosen &= values["measure"] == f"faithfulness_pearson_{kind}"
                shown = values.loc[chosen, "value"] if reference == of_model.reference else ()
                row[f"pearson_{check}"] = next(iter(shown), np.nan)
            rows.append(row)
    return pd.DataFrame(rows, columns=TABLE)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", required=True, type=model_name, nargs="+")
    parser.add_argument("--template", required=True, type=Path, help="folder of brain_mask, regions and regions.tsv")
    effects_arguments(parser)
    parser.add_argument("--options", required=True, type=json_option, help="the config's compare as JSON")
    parser.add_argument("--measures", required=True, help="measures.tsv of the effects")
    parser.add_argument("--out", required=True, help="effects.tsv")
    args = parser.parse_args()

    effects = effects_of(args)
    measured = measure_effects(effects, args.options)
    write_table(tabulate_effects(effects, measured), args.out)
    write_measures({name: [table] for name, table in measured.items()}, args.measures)


if __name__ == "__main__":
    run(main)
