"""What all figures share: their look, the names of methods, and files whose bytes depend on the data alone."""

from collections.abc import Iterable, Sequence
from itertools import cycle, product
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from heatproof.task import FORMER, Task, plural

WIDTH = 7.2  # inches: the text width of a journal page

NO_PAIRS = "no two models have maps that could be compared"

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.edgecolor": "0.3",
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.color": "0.2",
    "ytick.color": "0.2",
    "svg.hashsalt": "heatproof",
}

COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#e69f00",
)  # Okabe and Ito 2008, less yellow and black
LINES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D")

TITLES = {
    "gradient_input": "Gradient × input",
    "gradient_input_mean_control": "Gradient × (input - mean control)",
    "integrated_gradients": "Integrated gradients",
    "integrated_gradients_mean_control": "Integrated gradients from the mean control",
    "integrated_gradients_blurred": "Integrated gradients from the blurred scan",
    "integrated_gradients_twin": "Integrated gradients from the twin",
    "gradient_shap": "GradientSHAP",
    "deep_lift": "DeepLIFT",
    "deep_lift_mean_control": "DeepLIFT from the mean control",
    "smooth_grad": "SmoothGrad",
    "guided_backprop": "Guided backpropagation",
    "grad_cam": "Grad-CAM",
    "grad_cam_fine": "Grad-CAM, one layer earlier",
    "lrp": "LRP",
    "lrp_alpha2_beta1": "LRP α2β1",
    "lrp_epsilon": "LRP ε",
    "lrp_gamma": "LRP γ",
    "lrp_epsilon_plus": "LRP ε, z⁺",
    "lrp_epsilon_plus_flat": "LRP ε, z⁺, flat",
    "lrp_epsilon_gamma_box": "LRP ε, γ, box",
    "lrp_batch_norm_passed": "LRP, batch norm passed",
    "occlusion": "Occlusion",
    "occlusion_mean_control": "Occlusion by the mean control",
    "region_occlusion": "Region occlusion",
    "region_occlusion_mean_control": "Region occlusion by the mean control",
    "edges": "Edges (no model)",
    "input": "Scan (no model)",
    "input_mean_control": "|Scan - mean control| (no model)",
    "effects": "The models’ own effects",
    "t_map": "t-map of training scans (no model)",
    "t_map_test": "t-map of test scans (no model)",
}
CHECKS = {
    "random_head": "re-initialised head",
    "initial_head": "head before training",
    "untrained": "untrained",
    "shuffled_labels": "permuted labels",
    "same_initialisation": "same initialisation",
    "same_order": "same order of batches",
    "noise": "noise like its maps",
    "last": "last replaced against first",
    "halves": "one half of the scans against the other",
    "other_model": "of another model",
    "controls": "from training scans in place of twins",
}


FAVOURITE = "guided_backprop"  # the method of the paper's Figure 1 is shown first


def in_order(methods: Iterable[str]) -> list[str]:
    """Sort methods of the config as they are offered to a reader."""
    return sorted(methods, key=lambda name: (name != FAVOURITE, name))


def title_of(method: str, check: str = "") -> str:
    """Name a method of the config for a reader, or a sanity check of it."""
    title = TITLES.get(method, method.replace("_", " "))
    return f"{title}, {CHECKS.get(check, check.replace('_', ' '))}" if check else title


def scans_of(task: Task, stratum: str) -> str:
    """Name the scans of a class, or of a third of the value, for a reader: patients, controls, or by its name."""
    if not task.classes:
        return f"{stratum}est-third scans"
    return plural(stratum) if stratum in FORMER else f"{stratum} scans"


def method_styles(methods: Sequence[str]) -> dict[str, dict]:
    """Return colour, line style and marker of each method, the same in every figure of a study.

    Colours are told apart with every kind of colour vision; methods that share one differ in line style and marker.
    """
    styles = product(zip(LINES, MARKERS, strict=True), COLOURS)
    return {
        method: {"color": colour, "linestyle": line, "marker": marker}
        for method, ((line, marker), colour) in zip(methods, cycle(styles), strict=False)
    }


def empty_figure(reason: str) -> plt.Figure:
    """Make a figure that says why there is nothing to draw: no axes, which would look like a result."""
    figure = plt.figure(figsize=(WIDTH, 0.5))
    figure.text(0.5, 0.5, reason, ha="center", va="center", color="0.3")
    return figure


def percent(share: float, digits: int = 1) -> str:
    """Write a share of 1 in per cent; a dash where there is none."""
    return "–" if np.isnan(share) else f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def percents(low: float, high: float) -> str:
    """Write a range of shares in per cent; a single one where both ends read alike, a dash where there is none."""
    if percent(low) == percent(high):
        return percent(low)
    return f"{100 * low:.1f}–{percent(high)}"


def save_figure(figure: plt.Figure, paths: Iterable[str | Path], dpi: float) -> None:
    """Write a figure to each path in the format of its suffix (png or svg), without date or software, and close it."""
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        metadata = {".png": {"Software": None}, ".svg": {"Date": None}}[path.suffix]
        figure.savefig(path, dpi=dpi, metadata=metadata)
    plt.close(figure)
