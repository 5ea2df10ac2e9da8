"""Measure how far the t-maps of two halves of the participants agree, and how well that of all localises.

Writes ``measures.tsv``.

The t-map has no models that could differ: what stands for them are random halves of its participants, one division for
each of the study's seeds. Columns are those of `heatproof.compare.measure_method`; seed_a and seed_b are both the seed
of the division.
"""

import argparse
import logging
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from heatproof.command import json_option, run
from heatproof.compare.effects import effects_arguments, effects_of, measure_faithfulness
from heatproof.compare.layout import gather_replicates, model_folder
from heatproof.compare.make_t_map import t_maps, without_groups, write_t_maps
from heatproof.compare.measure_method import measure_agreement, measure_localisation, write_measures
from heatproof.generators import generator
from heatproof.images import load_array
from heatproof.models import model_name
from heatproof.store import open_store
from heatproof.task import PATIENTS, Task, task_in


def random_half(scans: pd.DataFrame, seed: int, task: Task = PATIENTS) -> np.ndarray:
    """Choose the scans of half of the participants of each stratum, one fewer where their number is odd.

    Parameters
    ----------
    scans : DataFrame
        participant_id, label.
    seed : int
    task : Task

    Returns
    -------
    ndarray of bool, shape (scans,)
    """
    random, half = generator(seed, "halves"), []
    for _, people in scans.groupby(task.strata(scans))["participant_id"]:
        names = np.unique(people)
        half += list(random.permutation(names)[: len(names) // 2])
    return scans["participant_id"].isin(half).to_numpy()


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", required=True, help="store of the scans")
    parser.add_argument("--folder", required=True, type=Path, help="results/{study}/compare")
    parser.add_argument("--method", required=True, help="t_map or t_map_test, of these scans")
    parser.add_argument("--seeds", required=True, type=model_name, nargs="+")
    parser.add_argument("--template", required=True, type=Path, help="folder of brain_mask, regions and regions.tsv")
    parser.add_argument("--truth", help="ground_truth/regions.tsv: region, prescribed; where it is known")
    parser.add_argument("--change", help="change.nii.gz: test patients less their healthy twins, where there are any")
    effects_arguments(parser)
    parser.add_argument("--options", required=True, type=json_option, help="the config's compare as JSON")
    parser.add_argument("--out", required=True, help="measures.tsv")
    args = parser.parse_args()

    task, options = task_in(args.options), args.options
    store = open_store(args.scans, task)
    kept = without_groups(store.scans, options["participant_groups"], task)
    brain = load_array(args.template / "brain_mask.nii.gz", np.uint8) > 0
    tables = []
    for seed in args.seeds:
        logging.info("division %d", seed)
        half = random_half(store.scans, seed, task)
        with TemporaryDirectory() as folder:
            for number, chosen in enumerate([kept & half, kept & ~half]):
                place = model_folder(folder, "t_map", number)
                write_t_maps(t_maps(store, chosen), chosen, args.template, place, options)
            compared = measure_agreement(Path(folder), "t_map", [0, 1], brain, options)
        tables.append(compared[compared["outcome"] == task.explained].assign(seed_a=seed, seed_b=seed))
    if args.truth:
        localised = args.template, args.truth, args.change, options
        tables.append(measure_localisation(args.folder, args.method, args.seeds, *localised))
    if args.effects:
        units = gather_replicates(args.folder, args.method, args.seeds, "units.tsv")
        tables.append(measure_faithfulness(units, effects_of(args), options))
    write_measures({args.method: tables}, args.out)


if __name__ == "__main__":
    run(main)
