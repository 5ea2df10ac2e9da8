"""What is said of how well models predict."""

import numpy as np
import pandas as pd
import pytest

from heatproof.report.accuracy import not_above_chance
from heatproof.task import PATIENTS, Task

THREE = Task(("CN", "MCI", "AD"), "AD")
AGE = Task((), "age")


def participants(*numbers: int, scans: int = 1) -> pd.DataFrame:
    """Test participants of each class, with some scans each, and one that trains."""
    labels = [
        label for label, number in zip(["control", "patient", "other"], numbers, strict=False) for _ in range(number)
    ]
    rows = [(f"sub-{i}", "test", label) for i, label in enumerate(labels) for _ in range(scans)]
    return pd.DataFrame([*rows, ("sub-x", "train", "patient")], columns=["participant_id", "split", "label"])


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


def models(name: str, *values: float, **more: list) -> pd.DataFrame:
    return pd.DataFrame({"seed": range(len(values)), **more, name: values})


@pytest.mark.parametrize(
    ("task", "numbers", "limit"),
    [
        (PATIENTS, (8, 8), 0.5 + 2 * np.sqrt(2 * 0.25 / 8) / 2),
        (PATIENTS, (2, 200), 0.5 + 2 * np.sqrt(0.25 / 2 + 0.25 / 200) / 2),
        (THREE, (50, 50, 50), 1 / 3 + 2 * np.sqrt(3 * 2 / 9 / 50) / 3),
    ],
)
def test_models_must_be_two_standard_errors_above_chance_where_participants_are_counted(task, numbers, limit):
    for scans in (1, 3):
        said = list(
            not_above_chance(
                models("balanced_accuracy", limit - 0.05, limit + 0.03), participants(*numbers, scans=scans), task
            )
        )
        assert len(said) == 1 and f"{sum(numbers)} participants" in said[0]
        assert "what tells the classes apart" in said[0]
    assert not list(
        not_above_chance(models("balanced_accuracy", limit - 0.03, limit + 0.05), participants(*numbers), task)
    )


def test_guessing_reaches_the_limit_in_few_studies():
    rng, people = np.random.default_rng(0), participants(10, 10)
    found = [
        bool(list(not_above_chance(models("balanced_accuracy", rng.binomial(20, 0.5) / 20), people, PATIENTS)))
        for _ in range(500)
    ]
    assert np.mean(found) > 0.93


def test_of_a_value_the_correlation_tells():
    accuracy = models("mae", 5.0, 6.0, mae_constant=[7.0, 7.0], pearson=[0.5, 0.8])
    (said,) = not_above_chance(accuracy, participants(9), AGE)
    assert "their correlation is 0.65 on average" in said and "may reach 0.71" in said and "to do with age" in said
    assert not list(not_above_chance(accuracy.assign(pearson=0.9), participants(9), AGE))


def test_networks_are_told_apart():
    accuracy = models("balanced_accuracy", 0.9, 0.95, 0.5, 0.55, network=["paper", "paper", "vit", "vit"])
    (said,) = not_above_chance(accuracy, participants(12, 12), PATIENTS)
    assert plain(said).startswith(
        "The models of vit are not shown to be better than chance: their balanced accuracy is 52.5 %"
    )


@pytest.mark.parametrize("accuracy", [models("balanced_accuracy"), models("balanced_accuracy", np.nan)])
def test_where_nothing_is_known_nothing_is_said(accuracy):
    assert not list(not_above_chance(accuracy, participants(9, 9), PATIENTS))
    assert not list(not_above_chance(models("balanced_accuracy", 0.5), participants(9), PATIENTS))
