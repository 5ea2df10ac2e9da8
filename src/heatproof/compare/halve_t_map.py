"""Measure how far the t-maps of two halves of the participants agree: ``agreement.tsv`` of the t-map.

The t-map has no models that could differ: what stands for them are random halves of its participants, one division for
each of the study's seeds. Columns are those of `heatproof.compare.measure_agreement`; seed_a and seed_b are both the
seed of the division.
"""

import argparse
import logging
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from heatproof.command import run
from heatproof.compare.average_maps import output_arguments
from heatproof.compare.layout import model_folder
from heatproof.compare.make_t_map import t_maps, without_groups, write_t_maps
from heatproof.compare.measure_agreement import comparison_arguments, measure_models
from heatproof.generators import generator
from heatproof.store import open_store
from heatproof.tables import write_table


def random_half(scans: pd.DataFrame, seed: int) -> np.ndarray:
    """Choose the scans of half of the participants of each class, one fewer where their number is odd.

    Parameters
    ----------
    scans : DataFrame
        participant_id, label.
    seed : int

    Returns
    -------
    ndarray of bool, shape (scans,)
    """
    random, half = generator(seed, "halves"), []
    for _, people in scans.groupby("label")["participant_id"]:
        names = np.unique(people)
        half += list(random.permutation(names)[: len(names) // 2])
    return scans["participant_id"].isin(half).to_numpy()


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", required=True, help="store of the scans")
    parser.add_argument("--seeds", required=True, type=int, nargs="+")
    output_arguments(parser)
    comparison_arguments(parser)
    arguments = vars(parser.parse_args())

    store, seeds, out = open_store(arguments.pop("scans")), arguments.pop("seeds"), arguments.pop("out")
    kept = without_groups(store.scans, arguments.pop("participant_groups"))
    of_maps = {name: arguments.pop(name) for name in ("regions", "relevance", "gain_controls")}
    tables = []
    for seed in seeds:
        logging.info("division %d", seed)
        half = random_half(store.scans, seed)
        with TemporaryDirectory() as folder:
            for number, chosen in enumerate([kept & half, kept & ~half]):
                place = model_folder(folder, "t_map", number)
                write_t_maps(t_maps(store, chosen), chosen, place, template=arguments["template"], **of_maps)
            compared = measure_models(Path(folder), "t_map", [0, 1], **arguments)
        tables.append(compared[compared["outcome"] == "TP"].assign(seed_a=seed, seed_b=seed))
    write_table(pd.concat(tables), out)


if __name__ == "__main__":
    run(main)
