"""Label scans by the volume of a region: the lowest third of people are of the last class, the highest of the first.

A volume is the region's share of the brain, both measured through the Jacobian of the registration, so that a large
head is not a large region. Writes ``scans.tsv``, in which the middle third has no label, and the ground truth: the
images are as they came, and the region is the only place that the label is made from.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from heatproof.cohort.atrophy import label_values, paint
from heatproof.cohort.scans import read_cohort
from heatproof.cohort.split import SPLITS
from heatproof.command import json_option, run
from heatproof.errors import StudyError
from heatproof.images import load_array, load_image, save_image
from heatproof.tables import read_table, write_table
from heatproof.task import PATIENTS, THIRDS, classes_of, thirds


def volume_shares(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return every label's share of the volume of all labels, a row per scan, a column per label's name."""
    volumes = pd.DataFrame({scan: table.set_index("name")["volume_mm3"] for scan, table in tables.items()}).T
    return volumes.div(volumes.sum(axis=1), axis=0)


def label_thirds(scans: pd.DataFrame, share: pd.Series, classes: Sequence[str] = PATIENTS.classes) -> pd.Series:
    """Label scans by their participant's mean share of volume.

    Parameters
    ----------
    scans : DataFrame
        scan, participant_id.
    share : Series
        The region's share of the brain, by scan.
    classes : sequence of two str

    Returns
    -------
    Series
        The last class in the lowest third of the participants, the first in the highest, empty between; as ``scans``.
    """
    named = dict(zip(THIRDS, (classes[-1], "", classes[0]), strict=True))
    return thirds(scans.assign(label=scans["scan"].map(share))).map(named)


def check_splits(scans: pd.DataFrame, region: str, classes: Sequence[str]) -> None:
    """Refuse a split without a scan of a class."""
    for split in ("train", "validation", "test"):
        for label in reversed(classes):
            if not ((scans["split"] == split) & (scans["label"] == label)).any():
                raise StudyError(
                    f"the split {split} has no {label}: none of its participants is in the {label}s' third of "
                    f"{region} volumes; raise cohort.split.{'test' if split == 'train' else split} or choose another "
                    "cohort.split.seed"
                )


def measure_effects(
    shares: pd.DataFrame, labels: pd.Series, named: np.ndarray, classes: Sequence[str] = PATIENTS.classes
) -> pd.DataFrame:
    """Compare mean shares of volume of last and first class: region, effect, prescribed, signal_loss, measured.

    Parameters
    ----------
    shares : DataFrame
        As `volume_shares` returns it.
    labels : Series
        Label by scan.
    named : ndarray of bool
        The columns whose volume is the label.
    classes : sequence of two str

    Returns
    -------
    DataFrame
        ``measured`` is the logarithm of the ratio of mean shares, of every region: those that vary together with the
        named one differ as well. ``effect`` is the same for the named region, the truth, and 0 for all others.
    """
    measured = np.log(shares[labels == classes[-1]].mean() / shares[labels == classes[0]].mean()).to_numpy()
    effect = np.where(named, measured, 0.0)
    table = {"region": shares.columns, "effect": effect, "prescribed": effect, "signal_loss": 0.0, "measured": measured}
    return pd.DataFrame(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--options", type=json_option, required=True, help="the config's cohort section, as JSON")
    parser.add_argument("--folder", required=True, help="the cohort's results folder")
    parser.add_argument("--volumes", required=True, help="path of a scan's table of volumes, with {scan} for its name")
    parser.add_argument("--template", type=Path, required=True, help="folder of the template on the working grid")
    parser.add_argument("--ground-truth", type=Path, required=True, help="the folder to write")
    parser.add_argument("--out", type=Path, required=True, help="scans.tsv; each split's table is written beside it")
    arguments = parser.parse_args()
    region = arguments.options["label"]["volume"]
    scans, unreadable = read_cohort(arguments.options, arguments.folder)
    tables = {scan: read_table(arguments.volumes.format(scan=scan)) for scan in scans["scan"]}
    shares, names = volume_shares(tables), next(iter(tables.values()))
    named = label_values(names, {region: 1.0}, "cohort.label.volume") > 0
    share = shares.loc[:, named].sum(axis=1)
    classes = list(classes_of(arguments.options))
    scans["label"] = label_thirds(scans, share, classes)
    check_splits(scans, region, classes)
    labels = scans.set_index("scan")["label"]
    effects = measure_effects(shares, labels, named, classes)

    write_table(scans, arguments.out)
    write_table(unreadable, arguments.out.with_name("unreadable.tsv"))
    for split in SPLITS:
        write_table(scans[scans["split"] == split], arguments.out.with_name(f"{split}.tsv"))
    write_table(effects, arguments.ground_truth / "regions.tsv")
    severity = np.log(share.median() / share).rename("severity")
    write_table(
        pd.DataFrame({"label": labels, "severity": severity, "share": share}).rename_axis("scan").reset_index(),
        arguments.ground_truth / "scans.tsv",
    )
    regions, affine = arguments.template / "regions.nii.gz", load_image(arguments.template / "regions.nii.gz").affine
    truth = paint(load_array(regions, np.int32), names, effects["effect"].to_numpy())
    save_image(truth, affine, arguments.ground_truth / "log_jacobian.nii.gz")
    save_image(0 * truth, affine, arguments.ground_truth / "signal_loss.nii.gz")
    logging.info(
        "%s: %s", region, ", ".join(f"{n} {label or 'left out'}" for label, n in labels.value_counts().items())
    )


if __name__ == "__main__":
    run(main)
