"""Intervals and tests by leaving out models and participants in turn: a jackknife in two directions.

A measure is the mean of values of pairs of models, or of single models, computed from maps over all test participants.
It varies because other trainings, and other participants, could have been drawn. The variance from models is that of
leaving out each model, corrected where pairs are averaged (see `variance_from_models`). The variance from participants
is that of leaving out each group of participants, for which the maps were averaged and measured again. The two are
added. What models and participants cause together is then counted twice: the sum errs to the safe side.

Groups and not single participants: that keeps the cost bounded at 1 mm, and makes the jackknife hold for measures with
steps, such as the overlap of the first regions. Leaving out and not drawing with replacement: a model drawn twice
would be compared with itself.

Differences of methods are bounded by Student's t with the degrees of freedom of Welch and Satterthwaite. A value itself
is bounded within the range of its measure and with the fewer of the two degrees of freedom: values are skewed, so that
those that are low by chance also seem to scatter less than they do.

References
----------
Arvesen 1969, doi:10.1214/aoms/1177697287: leaving out one, where a statistic is a mean over pairs.
Shao and Wu 1989, doi:10.1214/aos/1176347263: leaving out groups, where a statistic has steps.
Owen 2007, doi:10.1214/07-AOAS122: resampling in two directions, and why adding errs to the safe side.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from scipy.stats import t as student

from heatproof.compare.measures import Range
from heatproof.models import network_of

NO_SCATTER = 1e-12  # a standard error of rounding alone


@dataclass
class Measured:
    """One measure of one method, or the difference of two methods.

    Attributes
    ----------
    values : ndarray of float, shape (1 + groups, rows)
        With all participants, then without each group of them; one row per pair of models, or per model.
    members : ndarray of bool, shape (rows, models)
        The models that a row is about.
    networks : tuple of str
        The network of each model; nothing where all have the same.
    """

    values: np.ndarray
    members: np.ndarray
    networks: tuple[str, ...] = ()

    @property
    def value(self) -> float:
        """The mean over rows; NaN where there is none."""
        return float(self.values[0].mean()) if self.values.shape[1] else np.nan

    @property
    def of_pairs(self) -> bool:
        """Whether rows are pairs of models."""
        return self.members.sum() > len(self.members)

    @property
    def n_models(self) -> int:
        """How many models there are."""
        return self.members.shape[1]

    @property
    def n_networks(self) -> int:
        """How many networks they are of."""
        return len(set(self.networks)) or 1

    @property
    def between(self) -> bool:
        """Whether rows are pairs of models of two networks."""
        models = [np.flatnonzero(row) for row in self.members] if self.networks else []
        return any(self.networks[of_row[0]] != self.networks[of_row[-1]] for of_row in models)

    @property
    def enough(self) -> bool:
        """Whether there are as many models as it takes to tell how far others would scatter."""
        sizes = Counter(self.networks or ["one"] * self.n_models).values()
        return min(sizes, default=0) >= (2 if self.between else 3)

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the scatter of models."""
        return self.n_models - self.n_networks

    def of_network(self, network: str) -> "Measured":
        """Return what was measured of the models of one network alone."""
        models = np.array([name == network for name in self.networks])
        rows = self.members[:, models].any(axis=1)
        return Measured(self.values[:, rows], self.members[np.ix_(rows, models)])

    @property
    def n_groups(self) -> int:
        """How many groups of participants were left out in turn."""
        return len(self.values) - 1


def measured_of(values: np.ndarray, pairs: np.ndarray) -> Measured:
    """Return what was measured of models or pairs of them.

    Parameters
    ----------
    values : ndarray of float, shape (1 + groups, rows)
    pairs : ndarray, shape (rows, 2)
        Names of the two models of each row, or twice the one.
    """
    models = np.unique(pairs)
    networks = tuple(map(network_of, models))
    members = (pairs[:, :, None] == models).any(axis=1)
    return Measured(values, members, networks if len(set(networks)) > 1 else ())


def variance_from_models(measured: Measured) -> float:
    """Estimate the variance of a mean over models, or over pairs of models, that other trainings would cause.

    Values of single models are independent: their variance by their number N. The value of a pair is taken as
    ``mean + g_a + g_b + e_ab``, a part of each model and one of the pair alone; the mean over all pairs then has the
    variance ``4 var(g) / N + 2 var(e) / (N (N - 1))``. Leaving out each model would give ``4 var(e) / (N (N - 2))`` for
    the last term, three times too much with 4 models. With 3 models the parts cannot be told apart, and that is what
    is taken.

    Of several networks, which are none that others could be drawn in place of, the variances of each are added,
    weighted as its rows are in the mean.

    Parameters
    ----------
    measured : Measured
        With at least 3 models; all pairs of them, or each by itself. Of several networks, with `Measured.enough` of
        each: all pairs within them, all between two of them, or each model by itself.
    """
    if measured.between:
        return variance_between(measured)
    if measured.n_networks > 1:
        parts = [measured.of_network(network) for network in dict.fromkeys(measured.networks)]
        shares = [part.values.shape[1] / measured.values.shape[1] for part in parts]
        return sum(share**2 * variance_from_models(part) for share, part in zip(shares, parts, strict=True))
    values, n = measured.values[0], measured.n_models
    deviations = values - values.mean()
    if not measured.of_pairs:
        return float(np.sum(deviations**2) / (n - 1) / n)
    parts = deviations @ measured.members / (n - 2)
    of_pairs = np.sum((deviations - measured.members @ parts) ** 2) / (n * (n - 3) / 2) if n > 3 else 0.0
    of_models = max(np.sum(parts**2) / (n - 1) - of_pairs / (n - 2), 0.0)
    return float(4 * of_models / n + 2 * of_pairs / (n * (n - 1)))


def variance_between(measured: Measured) -> float:
    """Estimate the variance of a mean over pairs of models of two networks that other trainings would cause.

    The value of a pair is taken as ``mean + g_a + h_b + e_ab``; the mean over all A B pairs then has the variance
    ``var(g) / A + var(h) / B + var(e) / (A B)``, whose parts a two-way table without repetition gives.
    """
    first = np.array([network == measured.networks[0] for network in measured.networks])
    rows, columns = (measured.members[:, chosen].argmax(axis=1) for chosen in (first, ~first))
    table = np.full((first.sum(), (~first).sum()), np.nan)
    table[rows, columns] = measured.values[0]
    means = [table.mean(axis=axis) - table.mean() for axis in (1, 0)]
    rest = table - table.mean() - means[0][:, None] - means[1]
    count_a, count_b = table.shape
    of_pairs = np.sum(rest**2) / ((count_a - 1) * (count_b - 1))
    of_a = max(np.sum(means[0] ** 2) / (count_a - 1) - of_pairs / count_b, 0.0)
    of_b = max(np.sum(means[1] ** 2) / (count_b - 1) - of_pairs / count_a, 0.0)
    return float(of_a / count_a + of_b / count_b + of_pairs / (count_a * count_b))


def variance_from_participants(measured: Measured) -> float:
    """Estimate the variance that other participants would cause: (n - 1) / n times the scatter without each group.

    A row that has no value without a group has no part in what that group changes; the mean over other rows than
    before would differ by what the models differ. NaN where without some group there is no value at all.
    """
    changes = measured.values[1:] - measured.values[0]
    present = ~np.isnan(changes)
    with np.errstate(invalid="ignore"):
        changes = np.where(present, changes, 0).sum(axis=1) / present.sum(axis=1)
    n = len(changes)
    return (n - 1) / n * float(np.sum(np.square(changes - changes.mean())))


def standard_error(measured: Measured) -> tuple[float, float]:
    """Add the variances from models and from participants.

    Returns
    -------
    error : float
        NaN with fewer than 3 models or 2 groups of participants, and where nothing scatters, as with a measure at its
        ceiling: this is no sign that nothing would in another study.
    freedom : float
        Degrees of freedom after Welch and Satterthwaite.
    """
    if not measured.enough or measured.n_groups < 2:
        return np.nan, np.nan
    parts = np.array([variance_from_models(measured), variance_from_participants(measured)])
    if np.sqrt(parts.sum()) < NO_SCATTER:
        return np.nan, np.nan
    return combine(parts, np.array([measured.freedom, measured.n_groups - 1]))


def combine(variances: np.ndarray, freedoms: np.ndarray) -> tuple[float, float]:
    """Add variances; return the standard error and its degrees of freedom after Welch and Satterthwaite."""
    total = variances.sum()
    if total == 0:
        return 0.0, float(freedoms.min())
    return float(np.sqrt(total)), float(total**2 / np.sum(variances**2 / freedoms))


def interval(measured: Measured, level: float = 0.95) -> tuple[float, float]:
    """Bound a difference by Student's t; NaN where there is no standard error."""
    error, freedom = standard_error(measured)
    half = student.ppf((1 + level) / 2, freedom) * error
    return measured.value - half, measured.value + half


def bounds(measured: Measured, within: Range, level: float = 0.95) -> tuple[float, float]:
    """Bound a value by Student's t within the range of its measure; NaN where there is no standard error."""
    error, _ = standard_error(measured)
    return around(measured.value, quantile(1 + measured.freedom, measured.n_groups, level) * error, within)


def quantile(n_models: int, n_groups: int, level: float) -> float:
    """Return how many standard errors a value is bounded by: Student's t with the fewer degrees of freedom."""
    return float(student.ppf((1 + level) / 2, min(n_models, n_groups) - 1))


def around(value: float, half: float, within: Range) -> tuple[float, float]:
    """Return the ends of an interval of half a width around a value, on the measure's scale or cut off at its ends."""
    lowest, highest, on_logit = within
    if not on_logit or not lowest < value < highest:
        return tuple(np.clip([value - half, value + half], lowest, highest))
    length = highest - lowest
    share = (value - lowest) / length
    half = half / length / (share * (1 - share))
    return tuple(lowest + length * expit(logit(share) + np.array([-half, half])))


def difference(a: Measured, b: Measured) -> Measured:
    """Subtract two methods, measured with the same models and participants in the same order."""
    return Measured(a.values - b.values, a.members, a.networks)


def p_value(measured: Measured) -> float:
    """Test by Student's t whether a difference is 0; two-sided. NaN where there is no standard error."""
    error, freedom = standard_error(measured)
    return float(2 * student.sf(abs(measured.value) / error, freedom))


def holm(p_values: np.ndarray) -> np.ndarray:
    """Correct p values for being several, after Holm 1979; NaN stays and does not count."""
    corrected = np.full(len(p_values), np.nan)
    order = np.argsort(p_values)[: np.count_nonzero(~np.isnan(p_values))]
    steps = p_values[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def interval_width(measured: Measured, within: Range, n_models: int, level: float = 0.95) -> tuple[float, float]:
    """Predict how wide the interval is with another number of models and the same participants.

    The variance from models is taken to fall with their number, that from participants to stay.

    Parameters
    ----------
    measured : Measured
        With at least 3 models and 2 groups.
    within : Range
    n_models : int

    Returns
    -------
    width : float
        With that many models.
    floor : float
        With endlessly many: what only more participants could narrow.
    """
    participants = variance_from_participants(measured)
    models = variance_from_models(measured) * measured.n_models / n_models
    halves = (
        quantile(n_models, measured.n_groups, level) * np.sqrt(models + participants),
        quantile(measured.n_groups, measured.n_groups, level) * np.sqrt(participants),
    )
    return tuple(float(np.ptp(around(measured.value, half, within))) for half in halves)
