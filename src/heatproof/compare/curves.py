"""What a model's output does as regions are hidden, or shown, in the order of a heatmap."""

from collections.abc import Mapping

import numpy as np
import pandas as pd


def area(curves: pd.DataFrame, order: str) -> float:
    """Return the area under a curve, averaged over scans; NaN without a scan.

    Parameters
    ----------
    curves : DataFrame
        scan, order, share (rising within each scan and order), probability.
    order : {"relevance", "random"}
        The order of regions that is followed.
    """
    chosen = curves[curves["order"] == order]
    areas = [np.trapezoid(curve["probability"], curve["share"]) for _, curve in chosen.groupby("scan")]
    return float(np.mean(areas)) if areas else np.nan


def area_by_relevance(curves: pd.DataFrame, options: Mapping) -> float:
    """Return the mean `area` where the regions of highest relevance come first."""
    return area(curves, "relevance")


def area_at_random(curves: pd.DataFrame, options: Mapping) -> float:
    """Return the mean `area` where regions come in random order."""
    return area(curves, "random")
