"""Areas under the curves of deletion and insertion."""

import numpy as np
import pandas as pd
import pytest

from heatproof.compare.curves import CURVES, area, scaled_area
from heatproof.compare.measure_method import measure_curves
from heatproof.tables import read_table


def curve(scan: str, kind: str, order: str, value: list[float]) -> pd.DataFrame:
    """Make a curve over three points."""
    columns = {"n_units": [0, 1, 4], "share": [0.0, 0.25, 1.0], "value": value}
    return pd.DataFrame({"scan": scan, "curve": kind, "order": order} | columns)


def curves() -> pd.DataFrame:
    """Two patients: of the second, nothing changes whatever is hidden."""
    return pd.concat(
        [
            curve("sub-1", "deletion", "map", [1.0, 0.0, 0.0]),
            curve("sub-1", "deletion", "random", [1.0, 1.0, 0.0]),
            curve("sub-1", "insertion", "map", [0.0, 1.0, 1.0]),
            curve("sub-1", "insertion", "random", [0.0, 0.0, 1.0]),
            *(curve("sub-2", kind, order, [1.0] * 3) for kind in ("deletion", "insertion") for order in ORDERS),
        ]
    )


ORDERS = ("map", "random")
NAMES = CURVES["curves"]


def people(*names):
    """Predictions of patients, each in a group of its own."""
    return pd.DataFrame({"scan": names, "participant_id": names, "split": "test", "label": "patient"})


def test_the_areas_are_those_of_trapezes():
    one = curves().query("scan == 'sub-1'")
    assert area(one[one["curve"] == "deletion"], "map") == pytest.approx(0.125)
    assert area(one[one["curve"] == "deletion"], "random") == pytest.approx(0.625)
    assert area(one[one["curve"] == "insertion"], "map") == pytest.approx(0.875)


def test_means_are_over_scans_and_without_each_group_over_the_others():
    table = measure_curves(NAMES, curves(), people("sub-1", "sub-2"), 3, {"participant_groups": 2})
    assert set(table["seed_a"]) == set(table["seed_b"]) == {3}
    table = table.set_index(["measure", "left_out"])
    assert table.loc[("deletion", 0), "value"] == pytest.approx((0.125 + 1) / 2)
    assert table.loc[("deletion", 1), "value"] == 1 and table.loc[("deletion", 2), "value"] == pytest.approx(0.125)
    assert table.loc[("insertion", 0), "chance"] == pytest.approx((0.375 + 1) / 2)


def recovery(**values):
    """The curves of recovery of one patient, by order."""
    return pd.concat([curve("sub-1", "recovery", order, value) for order, value in values.items()])


def test_recovery_is_0_for_a_random_order_and_1_for_that_of_the_effects():
    orders = {"effects": [0.0, 0.8, 1.0], "random": [0.0, 0.2, 1.0]}  # areas 0.775 and 0.475
    middle = recovery(map=[0.0, 0.5, 1.0], **orders)  # 0.625
    assert scaled_area(middle, {}) == pytest.approx(0.5)
    assert scaled_area(recovery(map=orders["effects"], **orders), {}) == pytest.approx(1)
    assert scaled_area(recovery(map=orders["random"], **orders), {}) == pytest.approx(0)
    assert scaled_area(recovery(map=[0.0, -0.1, 1.0], **orders), {}) == pytest.approx(-0.5)
    assert np.isnan(scaled_area(recovery(map=[0.0, 0.5, 1.0], effects=[0.0] * 3, random=[0.0] * 3), {}))
    table = measure_curves(CURVES["recovery"], middle, people("sub-1", "sub-2"), 3, {"participant_groups": 2})
    assert table["measure"].tolist() == ["recovery"] * 3 and (table["chance"] == 0).all()
    values = table.set_index("left_out")["value"]
    assert values[0] == values[2] == pytest.approx(0.5) and np.isnan(values[1])


def test_a_model_that_recognised_nobody_has_empty_cells():
    table = measure_curves(NAMES, curves().iloc[:0], people(), 0, {"participant_groups": 2})
    assert len(table) == 6 and table["value"].isna().all()


def test_the_command_gathers_every_model_and_the_scores_have_the_measure(finished):
    table = read_table(finished / "rough/measures.tsv")
    whole = table[(table["left_out"] == 0) & (table["measure"] == "deletion")]
    assert whole["seed_a"].tolist() == [5, 2, 9, 4] and np.isfinite(whole["value"]).all()
    (score,) = read_table(finished / "scores.tsv").query("method == 'rough' and measure == 'deletion'").itertuples()
    assert score.value == pytest.approx(whole["value"].mean())
    assert score.chance == pytest.approx(whole["chance"].mean())
