"""How well models predict the test scans' classes, or their value, in words and cells."""

from collections.abc import Callable
from typing import NamedTuple

import pandas as pd

from heatproof.models import title_of_model
from heatproof.report.comparison import decimal, decimals, number, numbers
from heatproof.report.figures import CHECKS, percent, percents


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
