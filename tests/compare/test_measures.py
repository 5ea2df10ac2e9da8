"""What is known of each measure: its range, as the documentation has it too."""

import re
from pathlib import Path

import numpy as np
import pytest

from heatproof.compare.measures import MEASURES, least_precision, measure_of
from heatproof.compare.rightness import score_voxels

DOCS = Path(__file__).parents[2] / "docs/measures.md"


def documented():
    """Name, and ends, of every measure in the tables of the documentation."""
    for line in DOCS.read_text().splitlines():
        ends = re.search(r"\| (-?\d) to (\d) \|", line)
        for name in re.findall(r"`([a-z0-9_{}]+)`", line.split("|")[1]) if ends else ():
            yield name.format(k=10, p=5, metric="gain"), float(ends[1]), float(ends[2])


def test_ranges_are_those_of_the_documentation():
    rows = list(documented())
    assert {key for key in MEASURES for name, *_ in rows if name.startswith(key)} == set(MEASURES) - {"pr_auc"}
    for name, lowest, highest in rows:
        assert (name, *measure_of(name)[:2]) == (name, lowest, highest)


def test_a_measure_that_is_not_known_has_no_ends():
    assert measure_of("cohens_d") == measure_of("temperature") == (-np.inf, np.inf, False)


def test_the_longest_name_counts():
    assert measure_of("region_spearman_sum").lowest == -1
    assert measure_of("top_10_sum").lowest == measure_of("true_top").lowest == 0


@pytest.mark.parametrize("positive", [1, 30, 150])
def test_no_area_is_below_the_least(positive):
    true = np.arange(200) < positive
    worst = score_voxels(np.arange(1.0, 201), true)["pr_auc"]
    assert least_precision(true.mean()) <= worst == pytest.approx(least_precision(true.mean()), rel=0.6, abs=0.003)
    assert measure_of("pr_auc", true.mean()).lowest == least_precision(true.mean())
