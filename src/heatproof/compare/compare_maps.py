"""Compare the mean maps of all models, voxel by voxel: Table 1 of Eitel and Ritter 2019.

Reads ``mean_{TP,TN}.nii.gz`` and ``mean_maps.tsv`` of every method and model. Writes

- ``l2_pairs.tsv``: method outcome seed_a seed_b l2 rms, every pair of models once, l2 and rms empty where one of
  the two maps does not exist or is zero in every voxel compared;
- ``l2.tsv``: method outcome n_models l2_mean l2_sum rms, over the pairs that have a value; rms is their mean rms.
"""

import argparse
import logging
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from scipy.spatial.distance import pdist

from heatproof.command import run
from heatproof.compare.layout import gather_tables, model_folder
from heatproof.images import load_array
from heatproof.tables import write_table


def pairwise_l2(
    paths: Sequence[str | Path], peaks: Sequence[float], mask: np.ndarray, *, slab_bytes: int = 2**24
) -> np.ndarray:
    """Measure the L2 norm of the difference of each pair of scaled maps.

    All maps are read together, slab by slab, each file once and in the order in which its voxels are stored, so that
    memory grows neither with their number nor with that of pairs. Differences are taken directly, in float64: equal
    maps are at distance 0.

    Parameters
    ----------
    paths : sequence of n path
        Maps on the grid of ``mask``.
    peaks : sequence of n float
        What each map is divided by.
    mask : ndarray of bool, shape (x, y, z)
        The voxels that are compared.
    slab_bytes : int
        Largest size of a slab of all maps together, but at least one slice each is read.

    Returns
    -------
    ndarray of float64, shape (n (n - 1) / 2,)
        In the order of `itertools.combinations`.
    """
    images = [nib.load(path, keep_file_open=True) for path in paths]
    scale = np.asarray(peaks, float)[:, None]
    depth = max(1, slab_bytes // (8 * len(images) * mask[..., 0].size))
    squares = np.zeros(len(images) * (len(images) - 1) // 2)
    for start in range(0, mask.shape[2], depth):
        slab = np.s_[..., start : start + depth]
        voxels = np.stack([image.dataobj[slab][mask[slab]] for image in images])
        squares += pdist(voxels / scale, "sqeuclidean")
    return np.sqrt(squares)


def compare_models(maps: pd.DataFrame, seeds: Sequence[int], mask: np.ndarray) -> pd.DataFrame:
    """Compare the maps of one method and outcome between all models.

    Parameters
    ----------
    maps : DataFrame
        One row per model: seed, path of the map, peak (its largest absolute value in the mask).
    seeds : sequence of int
        All models.
    mask : ndarray of bool, shape (x, y, z)
        The voxels that are compared.

    Returns
    -------
    DataFrame
        seed_a, seed_b, l2, rms (l2 / square root of the number of voxels); NaN where a map's peak is 0.
    """
    pairs = pd.DataFrame(combinations(seeds, 2), columns=["seed_a", "seed_b"])
    usable = maps[maps["peak"] > 0]
    distances = pairwise_l2(usable["path"], usable["peak"], mask) if len(usable) > 1 else []
    known = dict(zip(combinations(usable["seed"], 2), distances, strict=True))
    l2 = pd.Series([known.get(pair, np.nan) for pair in combinations(seeds, 2)], dtype=float)
    return pairs.assign(l2=l2, rms=l2 / np.sqrt(np.count_nonzero(mask)))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", required=True, type=Path, help="results/{study}/compare")
    parser.add_argument("--methods", required=True, nargs="+")
    parser.add_argument("--seeds", required=True, type=int, nargs="+")
    parser.add_argument("--template", required=True, type=Path, help="folder of brain_mask.nii.gz")
    parser.add_argument("--within", choices=["brain", "grid"], default="brain", help="the voxels that are compared")
    parser.add_argument("--pairs", required=True, help="l2_pairs.tsv")
    parser.add_argument("--summary", required=True, help="l2.tsv")
    args = parser.parse_args()

    brain = load_array(args.template / "brain_mask.nii.gz", np.uint8) > 0
    mask = brain if args.within == "brain" else np.ones_like(brain)
    maps = gather_tables(args.folder, args.methods, args.seeds, "mean_maps.tsv")
    maps["peak"] = maps[f"peak_{args.within}"]
    maps["path"] = [
        model_folder(args.folder, row.method, row.seed) / f"mean_{row.outcome}.nii.gz" for row in maps.itertuples()
    ]
    pairs, summary = [], []
    for (method, outcome), group in maps[maps["outcome"].isin(["TP", "TN"])].groupby(["method", "outcome"], sort=False):
        n_models = np.count_nonzero(group["peak"])
        logging.info("%s %s: comparing %d models", method, outcome, n_models)
        compared = compare_models(group, args.seeds, mask)
        pairs.append(compared.assign(method=method, outcome=outcome))
        summary.append(
            {
                "method": method,
                "outcome": outcome,
                "n_models": n_models,
                "l2_mean": compared["l2"].mean(),
                "l2_sum": compared["l2"].sum(min_count=1),
                "rms": compared["rms"].mean(),
            }
        )
    write_table(pd.concat(pairs)[["method", "outcome", "seed_a", "seed_b", "l2", "rms"]], args.pairs)
    write_table(pd.DataFrame(summary), args.summary)


if __name__ == "__main__":
    run(main)
