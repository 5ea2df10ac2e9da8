"""What a model's output does as units are hidden, shown or given back their health in the order of a heatmap."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

CURVES = {"curves": ("deletion", "insertion"), "recovery": ("recovery",)}  # by the option that names their files


def area(curves: pd.DataFrame, order: str) -> float:
    """Return the area under a curve, averaged over scans; NaN without a scan.

    Parameters
    ----------
    curves : DataFrame
        scan, order, share (rising within each scan and order), value.
    order : {"map", "effects", "random"}
        The order of units that is followed.
    """
    chosen = curves[curves["order"] == order]
    areas = [np.trapezoid(curve["value"], curve["share"]) for _, curve in chosen.groupby("scan")]
    return float(np.mean(areas)) if areas else np.nan


def area_by_map(curves: pd.DataFrame, options: Mapping) -> float:
    """Return the mean `area` where the units of highest relevance come first."""
    return area(curves, "map")


def area_at_random(curves: pd.DataFrame, options: Mapping) -> float:
    """Return the mean `area` where units come in random order."""
    return area(curves, "random")


def scaled_area(curves: pd.DataFrame, options: Mapping) -> float:
    """Return the mean `area` by the map, scaled so that random order is 0 and the order of the effects 1.

    NaN where the order of the effects is no better than a random one.
    """
    by_map, by_effects, at_random = (area(curves, order) for order in ("map", "effects", "random"))
    return (by_map - at_random) / (by_effects - at_random) if by_effects > at_random else np.nan
