"""Regions of the atlas: from its labels to the regions that a study reports.

The Neuromorphometrics atlas has 136 labels. Joining left and right gives the 72 regions of Eitel and Ritter 2019;
joining further what Böhle et al. 2019 (doi:10.3389/fnagi.2019.00194) joined gives their 68.
"""

import re

import numpy as np
import pandas as pd

SIDE = re.compile(r"^(ctx[ -])?(?:left|right|lh|rh|l|r)[ _-]|[ _-](?:left|right|lh|rh|l|r)$", re.IGNORECASE)

BOEHLE = {
    "Cerebellum Exterior": "Cerebellum",
    "Cerebellum White Matter": "Cerebellum",
    "Inf Lat Vent": "Lateral Ventricle",
    "Cerebellar Vermal Lobules I-V": "Cerebellar Vermal Lobules",
    "Cerebellar Vermal Lobules VI-VII": "Cerebellar Vermal Lobules",
    "Cerebellar Vermal Lobules VIII-X": "Cerebellar Vermal Lobules",
}


def without_side(name: str) -> str:
    """Return the name of a region without its side: Left, lh, L and the like, before or behind it."""
    return SIDE.sub(r"\1", name)


SCHEMES = {
    "atlas": lambda name: name,
    "hemispheres": without_side,
    "boehle": lambda name: BOEHLE.get(without_side(name), without_side(name)),
}


def merge_regions(table: pd.DataFrame, scheme: str) -> pd.DataFrame:
    """Name the region that each label of the atlas belongs to.

    Parameters
    ----------
    table : DataFrame
        The atlas on the working grid: index, name, volume_mm3.
    scheme : {"atlas", "hemispheres", "boehle"}
        Every label by itself (136); left and right joined (72); joined further as in Böhle et al. 2019 (68).

    Returns
    -------
    DataFrame
        index and name as given, region (the joined name), in the order of ``table``.
    """
    return table[["index", "name"]].assign(region=table["name"].map(SCHEMES[scheme]))


def relabel(labels: np.ndarray, merged: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
    """Number merged regions 1..n in order of their first label, and renumber a label image so.

    Parameters
    ----------
    labels : ndarray of int
        Atlas labels; 0 and labels that are not in ``merged`` become 0.
    merged : DataFrame
        As `merge_regions` returns it.

    Returns
    -------
    numbers : ndarray of int32, the shape of ``labels``
    names : list of str
        Region ``i + 1`` is ``names[i]``.
    """
    names = list(dict.fromkeys(merged["region"]))
    number = {name: i for i, name in enumerate(names, start=1)}
    lookup = np.zeros(max(int(labels.max()), int(merged["index"].max())) + 1, np.int32)
    lookup[merged["index"].to_numpy()] = merged["region"].map(number).to_numpy()
    return lookup[labels], names
