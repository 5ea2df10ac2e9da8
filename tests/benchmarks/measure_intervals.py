"""Measure how often intervals hold the true value in simulated studies.

Writes docs/intervals.md; run by ``make bench``.
"""

import argparse
from collections.abc import Callable
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd

from heatproof.compare.measures import range_of
from heatproof.compare.resampling import Measured, bounds, difference, interval_width, p_value

STUDIES = 500
SIDE = 20  # voxels, edge of a square map
TRUE = np.zeros((SIDE, SIDE), bool)
TRUE[3:10, 4:11] = True
TRUE = TRUE.ravel()
SIZES = [(4, 8, 5), (10, 8, 5), (10, 30, 5), (10, 30, 10), (20, 30, 5)]  # models, patients, groups
CAUSES = {  # strength of what differs between models, participants, and both together
    "models and participants": (1.0, 1.0, 1.0),
    "mostly participants": (0.3, 2.0, 1.0),
    "mostly models": (1.5, 0.5, 1.0),
}
PATTERNS = {"rough": 0.0, "smooth": 1.5}  # voxels, standard deviation of the Gaussian


def noise(rng: np.random.Generator, *shape: int, smooth: float) -> np.ndarray:
    """Draw maps of normal numbers of variance 1, smoothed and wrapped around; shape (..., voxels)."""
    lag = np.abs(np.arange(SIDE) - np.arange(SIDE)[:, None])
    kernel = np.exp(-np.square(np.minimum(lag, SIDE - lag) / smooth) / 2) if smooth else np.eye(SIDE)
    kernel = (kernel / np.linalg.norm(kernel, axis=1)).astype(np.float32)
    fields = rng.standard_normal((*shape, SIDE, SIDE), np.float32)
    return (kernel @ fields @ kernel).reshape(*shape, SIDE * SIDE)


def simulate_maps(
    rng: np.random.Generator, size: tuple[int, int, int], causes: tuple[float, ...], smooth: float
) -> np.ndarray:
    """Simulate mean maps of models: a signal in the true voxels, and noise of models, participants and both.

    Models and participants differ in how strong their noise is. Each model recognises other patients, half of them to
    all but one, and its maps are averaged over these.

    Returns
    -------
    ndarray, shape (1 + groups, models, voxels)
        Over all participants, then without each group of them.
    """
    models, participants, groups = size
    of_model = rng.gamma(4, 0.25, (models, 1, 1)) * noise(rng, models, 1, smooth=smooth)
    of_participant = rng.gamma(4, 0.25, (participants, 1)) * noise(rng, participants, smooth=smooth)
    both = noise(rng, models, participants, smooth=smooth)
    maps = np.where(TRUE, 1.0, 0.25) + causes[0] * of_model + causes[1] * of_participant + causes[2] * both
    counts = rng.integers(participants // 2, participants, models)
    recognised = rng.random((models, participants)).argsort(axis=1) < counts[:, None]
    kept = np.arange(participants) % groups != np.arange(-1, groups)[:, None]
    return np.stack(
        [[of[seen & some].mean(axis=0) for of, seen in zip(maps, recognised, strict=True)] for some in kept]
    )


def correlations(maps: np.ndarray) -> Measured:
    """Correlate the maps of every two models."""
    return over_pairs(np.stack([np.corrcoef(volumes) for volumes in maps]))


def overlaps(maps: np.ndarray) -> Measured:
    """Take the share of the top voxels that every two models have in common, which moves in steps."""
    marked = marked_top(maps, len(TRUE) // 20)
    return over_pairs(marked @ marked.swapaxes(1, 2) / (len(TRUE) // 20))


def areas(maps: np.ndarray) -> Measured:
    """Take the area under the precision-recall curve of absolute values, as average precision, for each model."""
    hits = TRUE[np.argsort(-np.abs(maps), axis=-1)]
    precision = hits.cumsum(axis=-1) / np.arange(1, len(TRUE) + 1)
    return of_models((precision * hits).sum(axis=-1) / TRUE.sum())


def shares_of_top(maps: np.ndarray) -> Measured:
    """Take the share of as many top voxels as there are true ones that is true, for each model."""
    return of_models(marked_top(maps, TRUE.sum()) @ TRUE / TRUE.sum())


def masses(maps: np.ndarray) -> Measured:
    """Take the share of absolute relevance in the true voxels, for each model."""
    return of_models(np.abs(maps) @ TRUE / np.abs(maps).sum(axis=-1))


MEASURES: dict[str, tuple[str, Callable[[np.ndarray], Measured]]] = {
    "Pearson": ("pearson", correlations),
    "Dice": ("dice_5", overlaps),
    "PR area": ("pr_auc", areas),
    "top inside": ("true_top", shares_of_top),
    "mass": ("true_mass", masses),
}
TESTED = ("Pearson", "PR area")


def marked_top(maps: np.ndarray, count: int) -> np.ndarray:
    """Mark the top voxels of each map by 1, all others by 0."""
    marked = np.zeros(maps.shape)
    np.put_along_axis(marked, np.argsort(-np.abs(maps), axis=-1)[..., :count], 1, axis=-1)
    return marked


def of_models(values: np.ndarray) -> Measured:
    """Take values of single models, shape (1 + groups, models)."""
    return Measured(values, np.eye(values.shape[1], dtype=bool))


def over_pairs(matrices: np.ndarray) -> Measured:
    """Take the upper triangle of matrices of models."""
    pairs = np.array(list(combinations(range(matrices.shape[1]), 2)))
    members = (pairs[:, :, None] == np.arange(matrices.shape[1])).any(axis=1)
    return Measured(matrices[:, pairs[:, 0], pairs[:, 1]], members)


def measure_coverage() -> pd.DataFrame:
    """Count how often the interval holds the mean over all studies, and how often a test finds a difference of none."""
    rows = []
    for (name, causes), (pattern, smooth), size in product(CAUSES.items(), PATTERNS.items(), SIZES):
        rng = np.random.default_rng(0)
        studies = [[simulate_maps(rng, size, causes, smooth) for _ in range(2)] for _ in range(STUDIES)]
        row = {"differ by": name, "patterns": pattern, "models": size[0], "patients": size[1], "groups": size[2]}
        for title, (measure, take) in MEASURES.items():
            measured = [take(first) for first, _ in studies]
            truth = np.mean([study.value for study in measured])
            ends = np.array([bounds(study, range_of(measure, TRUE.mean())) for study in measured])
            row[f"{title}: covered, %"] = 100 * np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1]))
        for title in TESTED:
            p = [p_value(difference(*map(MEASURES[title][1], study))) for study in studies]
            row[f"{title}: false differences, %"] = 100 * np.mean(np.array(p) < 0.05)
        rows.append(row)
    return pd.DataFrame(rows)


def measure_prediction(few: int = 4, many: tuple[int, ...] = (10, 20)) -> pd.DataFrame:
    """Compare the median width that studies of few models predict for many with that of studies of many."""
    causes, rng = CAUSES["models and participants"], np.random.default_rng(0)
    rows = []
    for models in many:
        small = [simulate_maps(rng, (few, 30, 5), causes, PATTERNS["rough"]) for _ in range(STUDIES)]
        large = [simulate_maps(rng, (models, 30, 5), causes, PATTERNS["rough"]) for _ in range(STUDIES)]
        for title in TESTED:
            name, take = MEASURES[title]
            measure = range_of(name, TRUE.mean())
            predicted = np.median([interval_width(take(maps), measure, models)[0] for maps in small])
            found = np.median([np.ptp(bounds(take(maps), measure)) for maps in large])
            rows.append({"measure": title, "models": models, f"predicted from {few}": predicted, "found": found})
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/intervals.md"))
    arguments = parser.parse_args()
    page = (Path(__file__).parent / "intervals.md").read_text()
    coverage = measure_coverage()
    covered, false = coverage.filter(like="covered"), coverage.filter(like="false")
    text = page.format(
        studies=STUDIES,
        voxels=SIDE**2,
        lowest=covered.min(axis=None),
        highest=covered.max(axis=None),
        lowest_area=coverage.loc[coverage["groups"] == 5, "PR area: covered, %"].min(),
        fewest=false.min(axis=None),
        most=false.max(axis=None),
        coverage=coverage.to_markdown(index=False, floatfmt=".1f"),
        prediction=measure_prediction().to_markdown(index=False, floatfmt=".3f"),
    )
    arguments.out.write_text(text)


if __name__ == "__main__":
    main()
