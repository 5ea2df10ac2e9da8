"""Average the heatmaps of one method and model over the test scans of each group, channel by channel.

Writes into one folder ``mean_{group}_{channel}.nii.gz``, which of all channels sum to ``mean_{group}.nii.gz``, and
``channels.tsv``: outcome n_scans channel relevance share. relevance is the mean over the scans of the sum of absolute
values in the brain, share what the channel has of that of all; empty where there is none.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from heatproof.command import run
from heatproof.images import load_channels, load_image, save_image
from heatproof.possible import is_left_out
from heatproof.tables import read_table, write_table
from heatproof.task import scans_by_group, task_argument


def average_channels(paths: Sequence[Path], brain: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Average heatmaps, and what they have in the brain in absolute values, channel by channel.

    Returns
    -------
    mean : ndarray of float32, shape (channels, x, y, z)
    relevance : ndarray of float64, shape (channels,)
        Both 0 where there is no heatmap.
    """
    total, relevance = np.zeros((count, *brain.shape)), np.zeros(count)
    for path in paths:
        heatmap = load_channels(path)
        total += heatmap
        relevance += np.abs(heatmap[:, brain]).sum(axis=1, dtype=np.float64)
    number = max(1, len(paths))
    return (total / number).astype(np.float32), relevance / number


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--predictions", required=True, help="the model's predictions.tsv")
    parser.add_argument("--heatmaps", required=True, type=Path, help="folder of {scan}_heatmap.nii.gz")
    parser.add_argument("--mask", required=True, type=Path, help="brain_mask.nii.gz on the working grid")
    parser.add_argument("--channels", required=True, nargs="+", help="their names, in order")
    task_argument(parser)
    parser.add_argument("--out", required=True, type=Path, help="channels.tsv, beside which maps are written")
    args = parser.parse_args()

    mask, rows = load_image(args.mask), []
    brain = np.asarray(mask.dataobj) > 0
    predictions = read_table(args.predictions)[: 0 if is_left_out(args.heatmaps) else None]
    for group, scans in scans_by_group(predictions, args.task).items():
        paths = [args.heatmaps / f"{scan}_heatmap.nii.gz" for scan in scans]
        mean, relevance = average_channels(paths, brain, len(args.channels))
        shares = relevance / relevance.sum() if relevance.any() else np.full(len(relevance), np.nan)
        for channel, volume, *values in zip(args.channels, mean, relevance, shares, strict=True):
            save_image(volume, mask.affine, args.out.with_name(f"mean_{group}_{channel}.nii.gz"))
            rows.append((group, len(scans), channel, *values))
    write_table(pd.DataFrame(rows, columns=["outcome", "n_scans", "channel", "relevance", "share"]), args.out)


if __name__ == "__main__":
    run(main)
