"""The range of every measure's values, and the scale that its interval is taken on."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Measure(NamedTuple):
    """Where the values of a measure end, and how they scatter.

    Attributes
    ----------
    lowest, highest : float
    logit : bool
        Whether intervals are taken on the logit scale between both ends, as low values scatter less than high ones.
    """

    lowest: float = -np.inf
    highest: float = np.inf
    logit: bool = False


def least_precision(share: float) -> float:
    """Return the least area under a precision-recall curve where that share of cases is positive.

    References
    ----------
    Boyd, Santos Costa, Davis and Page 2012, "Unachievable region in precision-recall space", arXiv:1206.4667
    """
    return 1 + (1 - share) * np.log1p(-share) / share if 0 < share < 1 else 0.0


MEASURES: dict[str, Measure | Callable[[float], Measure]] = {
    "l2_rms": Measure(0, 2),
    "pearson": Measure(-1, 1),
    "spearman": Measure(-1, 1),
    "ssim": Measure(-1, 1),
    "dice": Measure(0, 1),
    "top": Measure(0, 1),
    "rbo": Measure(0, 1),
    "region_spearman": Measure(-1, 1),
    "kendall_w": Measure(0, 1),
    "pr_auc": lambda chance: Measure(least_precision(chance), 1, logit=True),
    "true_mass": Measure(0, 1),
    "true_top": Measure(0, 1),
    "effect_rank": Measure(-1, 1),
    "deletion": Measure(0, 1),
    "insertion": Measure(0, 1),
}


def measure_of(name: str, chance: float = np.nan) -> Measure:
    """Return what is known of a measure by the name that it has in ``scores.tsv``, such as ``top_10_sum``.

    Parameters
    ----------
    name : str
        A key of `MEASURES`, or one with what it is a measure of behind it.
    chance : float
        Its value for maps without information, which the range may depend on.

    Returns
    -------
    Measure
        Without ends where the name is none of these.
    """
    known = [key for key in MEASURES if name == key or name.startswith(f"{key}_")]
    found = MEASURES[max(known, key=len)] if known else Measure()
    return found(chance) if callable(found) else found
