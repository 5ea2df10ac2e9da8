"""Measure how often intervals hold the true value in simulated studies.

Writes docs/intervals.md; run by ``make bench``.
"""

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from heatproof.compare.resampling import Measured, difference, interval, interval_width, p_value

STUDIES = 500
VOXELS, TRUE, TOP = 60, 12, 10
SIZES = [(4, 8, 5), (10, 30, 5), (10, 30, 10), (20, 30, 5)]  # models, participants, groups of participants
CAUSES = {  # strength of what differs between models, participants, and both together
    "models and participants": (1.0, 1.0, 1.0),
    "mostly participants": (0.3, 2.0, 1.0),
    "mostly models": (1.5, 0.5, 1.0),
}


def simulate_maps(rng: np.random.Generator, size: tuple[int, int, int], causes: tuple[float, ...]) -> np.ndarray:
    """Simulate mean maps of models: a signal in the first voxels, and noise of models, participants and both.

    Models and participants differ in how strong their noise is.

    Returns
    -------
    ndarray, shape (1 + groups, models, voxels)
        Over all participants, then without each group of them.
    """
    models, participants, groups = size
    signal = np.where(np.arange(VOXELS) < TRUE, 2.0, 0.5)
    of_model = causes[0] * rng.gamma(4, 0.25, (models, 1, 1)) * rng.normal(size=(models, 1, VOXELS))
    of_participant = causes[1] * rng.gamma(4, 0.25, (1, participants, 1)) * rng.normal(size=(1, participants, VOXELS))
    maps = signal + of_model + of_participant + causes[2] * rng.normal(size=(models, participants, VOXELS))
    group = np.arange(participants) % groups
    return np.stack([maps.mean(axis=1), *(maps[:, group != left_out].mean(axis=1) for left_out in range(groups))])


def correlations(maps: np.ndarray) -> Measured:
    """Correlate the maps of every two models."""
    return over_pairs(np.stack([np.corrcoef(volumes) for volumes in maps]))


def overlaps(maps: np.ndarray) -> Measured:
    """Take the share of the top voxels that every two models have in common, which moves in steps."""
    marked = np.zeros(maps.shape)
    np.put_along_axis(marked, np.argsort(-np.abs(maps), axis=-1)[..., :TOP], 1, axis=-1)
    return over_pairs(marked @ marked.swapaxes(1, 2) / TOP)


def masses(maps: np.ndarray) -> Measured:
    """Take the share of absolute relevance in the true voxels, for each model by itself."""
    relevance = np.abs(maps)
    return Measured(relevance[..., :TRUE].sum(axis=-1) / relevance.sum(axis=-1), np.eye(maps.shape[1], dtype=bool))


def over_pairs(matrices: np.ndarray) -> Measured:
    """Take the upper triangle of matrices of models."""
    pairs = np.array(list(combinations(range(matrices.shape[1]), 2)))
    members = (pairs[:, :, None] == np.arange(matrices.shape[1])).any(axis=1)
    return Measured(matrices[:, pairs[:, 0], pairs[:, 1]], members)


def measure_coverage() -> pd.DataFrame:
    """Count how often the interval holds the mean over all studies, and how often a test finds a difference of none."""
    rows = []
    for (name, causes), size in [(cause, size) for cause in CAUSES.items() for size in SIZES]:
        rng = np.random.default_rng(0)
        studies = [[simulate_maps(rng, size, causes) for _ in range(2)] for _ in range(STUDIES)]
        row = {"differ by": name, "models": size[0], "participants": size[1], "groups": size[2]}
        for title, measure in {"Pearson": correlations, "overlap": overlaps, "mass": masses}.items():
            measured = [measure(first) for first, _ in studies]
            truth = np.mean([study.value for study in measured])
            bounds = np.array([interval(study) for study in measured])
            row[f"{title}: covered, %"] = 100 * np.mean((bounds[:, 0] <= truth) & (truth <= bounds[:, 1]))
        p = [p_value(difference(correlations(first), correlations(second))) for first, second in studies]
        row["false differences, %"] = 100 * np.mean(np.array(p) < 0.05)
        rows.append(row)
    return pd.DataFrame(rows)


def measure_prediction(few: int = 4, many: tuple[int, ...] = (10, 20)) -> pd.DataFrame:
    """Compare the median width that studies of few models predict for many with that of studies of many."""
    causes, rng = CAUSES["models and participants"], np.random.default_rng(0)
    rows = []
    for models in many:
        small = [simulate_maps(rng, (few, 30, 5), causes) for _ in range(STUDIES)]
        large = [simulate_maps(rng, (models, 30, 5), causes) for _ in range(STUDIES)]
        for title, measure in {"Pearson": correlations, "mass": masses}.items():
            predicted = np.median([interval_width(measure(maps), models)[0] for maps in small])
            found = np.median([np.diff(interval(measure(maps))) for maps in large])
            rows.append({"measure": title, "models": models, f"predicted from {few}": predicted, "found": found})
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/intervals.md"))
    arguments = parser.parse_args()
    page = (Path(__file__).parent / "intervals.md").read_text()
    coverage = measure_coverage()
    text = page.format(
        studies=STUDIES,
        voxels=VOXELS,
        lowest=coverage.filter(like="covered").min(axis=None),
        highest=coverage.filter(like="covered").max(axis=None),
        coverage=coverage.to_markdown(index=False, floatfmt=".1f"),
        prediction=measure_prediction().to_markdown(index=False, floatfmt=".3f"),
    )
    arguments.out.write_text(text)


if __name__ == "__main__":
    main()
