"""The registry of measures: what the code, the page and the documentation say of each is one entry.

python tests/compare/test_measures.py     # writes the tables of docs/measures.md from the entries
"""

import re
from pathlib import Path

import numpy as np
import pytest

from heatproof.compare.localisation import pr_auc
from heatproof.compare.measures import MEASURES, PAIRS_OF_MAPS, heads, least_precision, range_of
from heatproof.compare.regions import METRICS

DOCS = Path(__file__).parents[2] / "docs/measures.md"
TABLES = {
    "agreement": (1, 2, 3, 4),
    "localisation": (5,),
    "faithfulness": (6,),
    "effects": (7, 8, 9),
}  # of the page, by that of the docs
OPTIONS = {"top_k": 10, "top_percent": 5}


def ends(measure):
    """Write a range for a reader."""
    return measure.range_in_words or f"{measure.range.lowest} to {measure.range.highest}"


def rows(table):
    """Write the rows of one of the documentation's tables."""
    for key, measure in MEASURES.items():
        if measure.table not in TABLES[table]:
            continue
        names = [name for name, *_ in measure.names(key, {"top_k": "{k}", "top_percent": Percent()})]
        by_all = key.format(metric="{metric}", top_k="{k}", top_percent=Percent())
        name = by_all if len(names) == 3 and measure.metrics == METRICS else "`, `".join(names)
        outcomes = ["TP, TN" if measure.of == PAIRS_OF_MAPS else "TP"] if table == "agreement" else []
        cells = [f"`{name}`", *outcomes, measure.definition, ends(measure), measure.at_chance, measure.best]
        yield f"| {' | '.join([*cells, measure.source])} |".replace("|  |", "| |")


class Percent:
    """Stands for the number in the name of a measure."""

    def __format__(self, _):
        return "{p}"


def written(text):
    """Put the tables into the text of the documentation, behind their heads."""
    for table in TABLES:
        pattern = rf"(<!-- measures: {table} -->\n(?:\|.*\n){{2}})(?:\|.*\n)*"
        text = re.sub(pattern, lambda found, t=table: found[1] + "".join(f"{row}\n" for row in rows(t)), text)
    return text


def test_the_tables_of_the_documentation_are_made_of_the_entries():
    text = DOCS.read_text()
    assert text.count("<!-- measures: ") == len(TABLES)
    assert text == written(text)


def test_every_measure_has_its_place_and_no_two_the_same_name():
    tables = [heads(table, OPTIONS) for table in range(1, 10)]
    names = [name for table in tables for name in table]
    assert len(names) == len(set(names)) == 5 + 4 * 3 + 3 + 2 + 2 + 3 + 2 * 6 + 4
    assert tables[2] == {
        "pearson": "Pearson",
        "spearman": "Spearman",
        "ssim": "SSIM",
        "dice_5": "Dice, top 5\N{NO-BREAK SPACE}%",
    }
    assert list(tables[6].values())[2:4] == ["Pearson, cubes density", "Spearman, regions"]
    assert list(tables[4].values())[-4:] == ["Effects, sum", "Effects, density", "PR area, change", "Spearman, change"]


def test_a_measure_is_found_by_the_name_that_it_has_in_the_tables():
    for key, measure in MEASURES.items():
        for name, *_ in measure.names(key, OPTIONS):
            expected = measure.range(0.1) if callable(measure.range) else measure.range
            assert range_of(name, 0.1) == expected


def test_a_measure_that_is_not_known_has_no_ends():
    assert range_of("cohens_d") == range_of("temperature") == (-np.inf, np.inf, False)


@pytest.mark.parametrize("positive", [1, 30, 150])
def test_no_area_is_below_the_least(positive):
    true = np.arange(200) < positive
    worst = pr_auc(np.arange(1.0, 201), true, {})
    assert least_precision(true.mean()) <= worst == pytest.approx(least_precision(true.mean()), rel=0.6, abs=0.003)
    assert range_of("pr_auc", true.mean()).lowest == least_precision(true.mean())


if __name__ == "__main__":
    DOCS.write_text(written(DOCS.read_text()))
