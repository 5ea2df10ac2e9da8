"""How well models predict the test scans' classes, or their value, in words and cells."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from heatproof.models import title_of_model
from heatproof.report.comparison import decimal, decimals, number, numbers
from heatproof.report.figures import CHECKS, percent, percents
from heatproof.task import Task


class Quantity(NamedTuple):
    """A column of ``accuracy.tsv``: its title, how one value is written, and how a range."""

    title: str
    write: Callable[[float], str]
    write_range: Callable[[float, float], str]


QUANTITIES = {
    "balanced_accuracy": Quantity("Balanced accuracy", percent, percents),
    "sensitivity": Quantity("Sensitivity", percent, percents),
    "specificity": Quantity("Specificity", percent, percents),
    "accuracy": Quantity("Accuracy", percent, percents),
    "auc": Quantity("AUC", percent, percents),
    "mae": Quantity("Mean absolute error", number, numbers),
    "mae_constant": Quantity("Of the median", number, numbers),
    "rmse": Quantity("Root mean square error", number, numbers),
    "r2": Quantity("R²", decimal, decimals),
    "pearson": Quantity("Correlation", decimal, decimals),
    "spearman": Quantity("Rank correlation", decimal, decimals),
}
LUCK = 2  # standard errors above chance, which models without knowledge reach in one of 40 studies
RANKING = {"auc": 0.5, "pearson": 0.0}  # how well models order the scans, of classes and of a value, and at chance


def quantities_of(accuracy: pd.DataFrame) -> dict[str, Quantity]:
    """Return what is told of each model, in the order of the table's columns."""
    return {name: quantity for name, quantity in QUANTITIES.items() if name in accuracy}


def headline(accuracy: pd.DataFrame) -> tuple[str, Quantity]:
    """Return the first quantity, by which models are known, and its column."""
    return next(iter(quantities_of(accuracy).items()))


def ranking(accuracy: pd.DataFrame) -> str:
    """Return the column that says how well models order the scans."""
    return next(name for name in RANKING if name in accuracy)


def count_columns(accuracy: pd.DataFrame) -> list[str]:
    """List the columns of numbers of scans: of the confusion matrix, or where there is none of the groups."""
    matrix = [column for column in accuracy if "_as_" in column]
    return matrix or [column for column in accuracy if column.startswith("n_")]


def accuracy_rows(accuracy: pd.DataFrame) -> list[dict]:
    """Write the accuracy of each model, then the mean and the range over models.

    Returns
    -------
    list of dict
        name (of the model, mean, range), shares (each of `quantities_of`) and counts (of each group; empty for mean and
        range).
    """
    told, counts = quantities_of(accuracy), accuracy[count_columns(accuracy)]
    rows = [
        {
            "name": title_of_model(seed),
            "shares": [quantity.write(accuracy.at[i, name]) for name, quantity in told.items()],
            "counts": counts.loc[i].tolist(),
        }
        for i, seed in accuracy["seed"].items()
    ]
    means = [quantity.write(accuracy[name].mean()) for name, quantity in told.items()]
    spans = [quantity.write_range(accuracy[name].min(), accuracy[name].max()) for name, quantity in told.items()]
    rows.append({"name": "Mean", "shares": means, "counts": [""] * counts.shape[1]})
    return [*rows, {"name": "Range", "shares": spans, "counts": [""] * counts.shape[1]}]


def by_luck(test: pd.DataFrame, task: Task) -> tuple[str, float]:
    """Return a column of ``accuracy.tsv``, and what models that know nothing may reach there: `LUCK` above chance.

    Participants are independent, their scans are not: standard errors are those of one scan each. NaN where test scans
    are all of one class.
    """
    if not task.classes:
        return "pearson", min(1.0, LUCK / np.sqrt(max(1, test["participant_id"].nunique() - 1)))
    people = test.groupby("label")["participant_id"].nunique()
    if len(people) < 2:
        return "balanced_accuracy", np.nan
    chance = 1 / len(people)
    return "balanced_accuracy", min(1.0, chance + LUCK * np.sqrt((chance * (1 - chance) / people).sum()) * chance)


def not_above_chance(accuracy: pd.DataFrame, scans: pd.DataFrame, task: Task) -> Iterator[str]:
    """Say of each network whose models are not shown to predict better than chance that they are not.

    Models share their test scans: their mean is taken to be as uncertain as one of them.

    Parameters
    ----------
    accuracy : DataFrame
        ``accuracy.tsv``, with a column network where the study has several.
    scans : DataFrame
        participant_id, split, label.
    task : Task
    """
    test = scans[scans["split"] == "test"]
    name, luck = by_luck(test, task)
    (title, write, _), people = QUANTITIES[name], test["participant_id"].nunique()
    of = "what tells the classes apart" if task.classes else task.target
    for network, models in accuracy.groupby("network") if "network" in accuracy else [("", accuracy)]:
        if (mean := models[name].mean()) <= luck:
            named, often = f" of {network}" if network else "", " on average" if len(models) > 1 else ""
            yield (
                f"The models{named} are not shown to be better than chance: their {title.lower()} is {write(mean)}"
                f"{often}. With {people} participants in the test set luck alone may reach {write(luck)}. The maps say "
                f"what these models use. That it has to do with {of} is not shown."
            )


def check_accuracy_rows(accuracy: pd.DataFrame) -> list[dict]:
    """Write how well the models of each sanity check predict, as texts over seeds.

    Returns
    -------
    list of dict
        name, mean and range (of the `headline`), and ordered, the mean of the `ranking`.
    """
    rows, (name, quantity), ordered = [], headline(accuracy), ranking(accuracy)
    for check, models in accuracy.groupby("check", sort=False):
        values = models[name]
        spread = {"mean": quantity.write(values.mean()), "range": quantity.write_range(values.min(), values.max())}
        title = CHECKS.get(check, check.replace("_", " "))
        rows.append({"name": title, **spread, "ordered": decimal(models[ordered].mean())})
    return rows


def still_trained(check_accuracy: pd.DataFrame, accuracy: pd.DataFrame) -> list[str]:
    """Name the sanity checks that are no floor, as their models still tell the scans apart.

    Maps that are faithful to such a model may be faithful to the trained one, and are no worse for it.

    Parameters
    ----------
    check_accuracy, accuracy : DataFrame
        ``checks_accuracy.tsv`` (check, seed) and ``accuracy.tsv`` (seed), with the column that `ranking` names.

    Returns
    -------
    list of str
        Checks whose mean area under the ROC curve, or correlation, lies at least half way from chance to that of the
        trained models; none where these order the scans no better than chance.
    """
    column = ranking(accuracy)
    if not accuracy[column].mean() > RANKING[column]:
        return []
    means, half_way = check_accuracy.groupby("check")[column].mean(), (RANKING[column] + accuracy[column].mean()) / 2
    return list(means.index[means >= half_way])
