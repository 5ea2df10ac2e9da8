"""What a measure is: one function and one entry. Nothing else lists them.

From the entries follow the rows of every method's table, the ranges that intervals keep within, the heads of the page's
tables and the tables of docs/measures.md.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd

from heatproof.compare.agreement import chance_dice, dice, l2_rms, pearson, spearman, ssim
from heatproof.compare.curves import area_at_random, area_by_map, scaled_area
from heatproof.compare.faithfulness import (
    SUMS,
    VALUES,
    single_pearson,
    single_spearman,
    unit_pearson,
    unit_spearman,
)
from heatproof.compare.localisation import (
    change_auc,
    change_rank,
    change_share,
    effect_rank,
    pr_auc,
    true_mass,
    true_share,
    true_top,
)
from heatproof.compare.ranks import chance_rbo, chance_top_overlap, concordance, rbo, region_spearman, top_overlap
from heatproof.compare.regions import METRICS

PAIRS_OF_MAPS, PAIRS_OF_RANKINGS, RANKINGS = "pairs of maps", "pairs of rankings", "all rankings"
MAP, RANKING, CURVE = "one map", "one ranking", "a curve"
MAP_BY_CHANGE = "one map, by the change"
UNITS, SINGLE_UNITS, PAIRS_OF_UNITS = "sums and effects", "single scans' sums and effects", "pairs of sums"
EITEL = "Eitel and Ritter 2019"
COLUMNS = ["measure", "outcome", "left_out", "seed_a", "seed_b", "value", "chance"]  # of a table of values


class Range(NamedTuple):
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


def precision_range(chance: float) -> Range:
    """Return the range of an area under a precision-recall curve, whose chance is the share of positive cases."""
    return Range(least_precision(chance), 1, logit=True)


class Measure(NamedTuple):
    """One measure.

    Attributes
    ----------
    function : callable
        ``function(*things, options)``: things are what ``of`` says, two for a pair and for what is held against the
        truth; options are the config's ``compare`` section.
    of : str
        ``pairs of maps``, each a `heatproof.compare.agreement.BrainMap`; ``pairs of rankings``, one metric of all
        regions each; ``one map``, its voxels in the brain, and which of them are true; ``one map, by the change``, its
        voxels, how each of them changed, and which of them changed most; ``one ranking``, and the regions' true
        effects; ``a curve``, what `heatproof.compare.curves.area` takes; ``all rankings``, from their pairs' mean;
        ``sums and effects``, of a mean map over units and on the model; ``single scans' sums and effects``, the same of
        several scans; ``pairs of sums``, of two models' mean maps.
    range : Range, or callable
        Of the values; where it depends on chance, a function of it.
    chance : callable, or float
        The value for voxels, or rankings, drawn at random: as ``function``, or the same for all.
    table : int
        The page's table that it stands in.
    title : str
        Head of its column. Here and in the name, braces hold an option, or the metric.
    definition, at_chance, best, source : str
        For the documentation; range_in_words where numbers do not say it.
    metrics : tuple of str
        By which regions are ranked, or what is summed over units.
    """

    function: Callable
    of: str
    range: Range | Callable[[float], Range]
    chance: Callable | float
    table: int
    title: str
    definition: str
    at_chance: str
    best: str = "1"
    source: str = ""
    range_in_words: str = ""
    metrics: tuple[str, ...] = METRICS

    def names(self, key: str, options: Mapping) -> Iterator[tuple[str, str, str]]:
        """Yield name, title and metric of each column of the measure of that key, an empty metric where it has none."""
        for metric in self.metrics if "{metric}" in key else [""]:
            words = {"metric": metric.replace("_", " ")}
            yield key.format(metric=metric, **options), self.title.format(**words, **options), metric

    def at_random(self, *things, options: Mapping) -> float:
        """Return the value for voxels, or rankings, drawn at random; things are those that ``function`` takes."""
        return self.chance(*things, options) if callable(self.chance) else self.chance


MEASURES: dict[str, Measure] = {
    "l2_rms": Measure(
        l2_rms,
        PAIRS_OF_MAPS,
        Range(0, 2),
        np.nan,
        table=1,
        title="RMS",
        definition="root mean square of the difference of two maps, each divided by its largest absolute value; "
        "Table 1",
        at_chance="none",
        best="0",
        source=EITEL,
    ),
    "pearson": Measure(
        pearson,
        PAIRS_OF_MAPS,
        Range(-1, 1),
        0.0,
        table=3,
        title="Pearson",
        definition="correlation of the values of all voxels in the brain",
        at_chance="0",
    ),
    "spearman": Measure(
        spearman,
        PAIRS_OF_MAPS,
        Range(-1, 1),
        0.0,
        table=3,
        title="Spearman",
        definition="correlation of their ranks, equal values at their mean rank",
        at_chance="0",
        source="scipy `rankdata`",
    ),
    "ssim": Measure(
        ssim,
        PAIRS_OF_MAPS,
        Range(-1, 1),
        0.0,
        table=3,
        title="SSIM",
        definition="structural similarity in 3D, mean over the brain",
        at_chance="0",
        source="Wang et al. 2004, scikit-image",
    ),
    "dice_{top_percent:g}": Measure(
        dice,
        PAIRS_OF_MAPS,
        Range(0, 1),
        chance_dice,
        table=3,
        title="Dice, top {top_percent:g}\N{NO-BREAK SPACE}%",
        definition="overlap 2 \\|A ∩ B\\| / (\\|A\\| + \\|B\\|) of the p % of voxels with the largest absolute values "
        "(`compare.top_percent`)",
        at_chance="that of random sets of as many voxels, p / 100",
        source="Dice 1945",
    ),
    "top_{top_k}_{metric}": Measure(
        top_overlap,
        PAIRS_OF_RANKINGS,
        Range(0, 1),
        chance_top_overlap,
        table=2,
        title="Top {top_k} regions, {metric}",
        definition="share of the first k regions in common; Table 2",
        at_chance="k / n",
        source=EITEL,
    ),
    "rbo_{metric}": Measure(
        rbo,
        PAIRS_OF_RANKINGS,
        Range(0, 1),
        chance_rbo,
        table=4,
        title="RBO, {metric}",
        definition="rank-biased overlap of the rankings of regions, extrapolated (RBO_ext), p of `compare.rbo_p`",
        at_chance="its value where the first d share d / n",
        source="Webber et al. 2010, eq. 23",
    ),
    "region_spearman_{metric}": Measure(
        region_spearman,
        PAIRS_OF_RANKINGS,
        Range(-1, 1),
        0.0,
        table=4,
        title="Spearman, {metric}",
        definition="correlation of the ranks of all regions that both models have",
        at_chance="0",
        source="scipy `spearmanr`",
    ),
    "kendall_w_{metric}": Measure(
        concordance,
        RANKINGS,
        Range(0, 1),
        concordance,
        table=4,
        title="Kendall’s W, {metric}",
        definition="concordance of all N models' rankings at once, from the former: (1 + (N - 1) r) / N",
        at_chance="1 / N",
        source="Kendall and Babington Smith 1939",
    ),
    "pr_auc": Measure(
        pr_auc,
        MAP,
        precision_range,
        true_share,
        table=5,
        title="PR area",
        definition="area under the precision-recall curve of absolute values for finding voxels of the true regions, "
        "as average precision",
        at_chance="share of the brain's voxels that are true",
        source="scikit-learn",
        range_in_words="about half of chance (Boyd et al. 2012) to 1",
    ),
    "true_mass": Measure(
        true_mass,
        MAP,
        Range(0, 1),
        true_share,
        table=5,
        title="Relevance mass",
        definition="relevance mass accuracy: share of the brain's absolute relevance that lies in the true regions",
        at_chance="the same",
        source="Arras et al. 2022",
    ),
    "true_top": Measure(
        true_top,
        MAP,
        Range(0, 1),
        true_share,
        table=5,
        title="Relevance rank",
        definition="relevance rank accuracy: of as many top voxels as there are true ones, the share that is true; "
        "equal voxels count in proportion",
        at_chance="the same",
        source="Arras et al. 2022",
    ),
    "effect_rank_{metric}": Measure(
        effect_rank,
        RANKING,
        Range(-1, 1),
        0.0,
        table=5,
        title="Effects, {metric}",
        definition="Spearman's correlation of the regions' absolute scores with their true absolute effects",
        at_chance="0",
        best="below 1",
        source="scipy",
        metrics=("sum", "density"),
    ),
    "change_auc": Measure(
        change_auc,
        MAP_BY_CHANGE,
        precision_range,
        change_share,
        table=5,
        title="PR area, change",
        definition="`pr_auc` for finding the voxels where test patients differ most from their healthy twins, as many "
        "as the true regions have",
        at_chance="share of the brain's voxels that count as changed",
        source="scikit-learn",
        range_in_words="about half of chance to 1",
    ),
    "change_rank": Measure(
        change_rank,
        MAP_BY_CHANGE,
        Range(-1, 1),
        0.0,
        table=5,
        title="Spearman, change",
        definition="Spearman's correlation of absolute values with the absolute difference of patients and twins, over "
        "all voxels of the brain",
        at_chance="0",
        source="scipy",
    ),
    "deletion": Measure(
        area_by_map,
        CURVE,
        Range(0, 1),
        area_at_random,
        table=6,
        title="Deletion",
        definition="area under the model's probability of a patient, over the share of regions that are hidden, those "
        "of highest relevance first",
        at_chance="that of a random order",
        best="low",
        source="Petsiuk et al. 2018; regions: Rieke et al. 2018",
    ),
    "insertion": Measure(
        area_by_map,
        CURVE,
        Range(0, 1),
        area_at_random,
        table=6,
        title="Insertion",
        definition="the same where only these regions are shown",
        at_chance="that of a random order",
        best="high",
        source="the same",
    ),
    "recovery": Measure(
        scaled_area,
        CURVE,
        Range(),
        0.0,
        table=6,
        title="Recovery",
        definition="area under the share of the margin's gap between patient and reference that is closed, over "
        "the share of cubes that are given back their health, those of highest density first; scaled so that a random "
        "order is 0 and that of the effects 1",
        at_chance="0",
        range_in_words="about 1 at most",
    ),
    "faithfulness_pearson_{metric}": Measure(
        unit_pearson,
        UNITS,
        Range(-1, 1),
        0.0,
        table=7,
        title="Pearson, {metric}",
        definition="correlation of the signed sums of a mean map over units with the units' mean effects on the model",
        at_chance="0",
        metrics=VALUES,
    ),
    "faithfulness_spearman_{metric}": Measure(
        unit_spearman,
        UNITS,
        Range(-1, 1),
        0.0,
        table=7,
        title="Spearman, {metric}",
        definition="correlation of their ranks",
        at_chance="0",
        source="scipy `spearmanr`",
        metrics=VALUES,
    ),
    "single_faithfulness_pearson_{metric}": Measure(
        single_pearson,
        SINGLE_UNITS,
        Range(-1, 1),
        0.0,
        table=8,
        title="Pearson, {metric}",
        definition="`faithfulness_pearson` of each scan's own map and effects, mean over true positives",
        at_chance="0",
        metrics=VALUES,
    ),
    "single_faithfulness_spearman_{metric}": Measure(
        single_spearman,
        SINGLE_UNITS,
        Range(-1, 1),
        0.0,
        table=8,
        title="Spearman, {metric}",
        definition="correlation of their ranks",
        at_chance="0",
        source="scipy `spearmanr`",
        metrics=VALUES,
    ),
    "agreement_pearson_{metric}": Measure(
        unit_pearson,
        PAIRS_OF_UNITS,
        Range(-1, 1),
        0.0,
        table=9,
        title="Pearson, {metric}",
        definition="correlation of two models' signed sums over units, of mean maps or of mean effects",
        at_chance="0",
        metrics=SUMS,
    ),
    "agreement_spearman_{metric}": Measure(
        unit_spearman,
        PAIRS_OF_UNITS,
        Range(-1, 1),
        0.0,
        table=9,
        title="Spearman, {metric}",
        definition="correlation of their ranks",
        at_chance="0",
        source="scipy `spearmanr`",
        metrics=SUMS,
    ),
}


def measures_of(of: str) -> dict[str, Measure]:
    """Return the measures of pairs of maps, of one map, or of what else they are of, by key."""
    return {key: measure for key, measure in MEASURES.items() if measure.of == of}


def measure_all(of: str, things: Sequence, options: Mapping, metric: str = "") -> list[tuple[str, float, float]]:
    """Return name, value and chance of every measure of some things, as `Measure` has them; metric is theirs."""
    return [
        (name, measure.function(*things, options), measure.at_random(*things, options=options))
        for key, measure in measures_of(of).items()
        for name, _, by in measure.names(key, options)
        if by == metric
    ]


def compare_pairs(of: str, things: Mapping[int, object], options: Mapping, metric: str = "") -> pd.DataFrame:
    """Compare the maps, the rankings or the sums of every two models by every measure of such pairs.

    Parameters
    ----------
    of : {"pairs of maps", "pairs of rankings", "pairs of sums"}
    things : mapping
        Seed to what is compared.
    options : mapping
        The config's ``compare``.
    metric : str
        That of the rankings, or of the sums.

    Returns
    -------
    DataFrame
        measure, seed_a, seed_b, value, chance.
    """
    rows = [
        (name, *pair, measure.function(*compared, options), measure.at_random(*compared, options=options))
        for key, measure in measures_of(of).items()
        for name, _, by in measure.names(key, options)
        if by == metric
        for pair in combinations(things, 2)
        for compared in [[things[seed] for seed in pair]]
    ]
    return pd.DataFrame(rows, columns=["measure", "seed_a", "seed_b", "value", "chance"])


def heads(table: int, options: Mapping) -> dict[str, str]:
    """Name the measures of one of the page's tables, and the heads of their columns; options as `Measure` has them."""
    return {
        name: title
        for key, measure in MEASURES.items()
        if measure.table == table
        for name, title, _ in measure.names(key, options)
    }


def range_of(name: str, chance: float = np.nan) -> Range:
    """Return the range of a measure by the name that it has in ``scores.tsv``, such as ``top_10_sum``.

    Parameters
    ----------
    name : str
        A key of `MEASURES`, whose braces are filled.
    chance : float
        Its value for maps without information, which the range may depend on.

    Returns
    -------
    Range
        Without ends where the name is none of these.
    """
    known = [key for key in MEASURES if name == key or name.startswith(f"{key.partition('_{')[0]}_")]
    found = MEASURES[max(known, key=len)].range if known else Range()
    return found(chance) if callable(found) else found
