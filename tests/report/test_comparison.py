"""Tables as a page prints them: what bounds the methods' numbers, and what is not known."""

import numpy as np
import pandas as pd

from heatproof.report.comparison import measure_rows, metric_spans, noise_of, variance_rows


def scores(*rows):
    table = pd.DataFrame(rows, columns=["method", "check", "value"])
    return table.assign(measure="rbo_sum", outcome="TP", low=np.nan, high=np.nan, chance=0.14)


def names_and_values(rows):
    return [(row["name"], row["cells"][0][0]) for row in rows]


def test_noise_like_the_maps_of_the_methods_shown_stands_before_chance():
    table = scores(
        *[("lrp", "", 0.8), ("occlusion", "", 0.7)],
        *[("lrp", "noise", 0.9), ("occlusion", "noise", 0.6), ("input", "noise", 1.0)],
    )
    found = names_and_values(measure_rows(table, {"rbo_sum": "RBO"}, "TP", [("lrp", ""), ("occlusion", "")]))
    noise = ("Noise like their maps", "0.60 to 0.90")
    assert found == [("LRP", "0.80"), ("Occlusion", "0.70"), noise, ("Chance", "0.14")]


def test_chance_is_that_of_the_methods_shown():
    table = scores(("lrp", "", 0.8), ("t_map", "", 1.0))
    table.loc[1, "chance"] = 1.0
    assert names_and_values(measure_rows(table, {"rbo_sum": "RBO"}, "TP", [("lrp", "")]))[-1] == ("Chance", "0.14")


def test_noise_with_a_row_of_its_own_has_no_second_one():
    table = scores(("lrp", "", 0.8), ("lrp", "noise", 0.9))
    found = names_and_values(measure_rows(table, {"rbo_sum": "RBO"}, "TP", [("lrp", ""), ("lrp", "noise")]))
    assert [name for name, _ in found] == ["LRP", "LRP, noise like its maps", "Chance"]


def test_a_study_without_noise_has_no_row_of_it():
    assert len(measure_rows(scores(("lrp", "", 0.8)), {"rbo_sum": "RBO"}, "TP", [("lrp", "")])) == 2


def test_the_overlap_of_noise_is_a_range_over_methods():
    rows = [(method, metric, 0.5 + 0.1 * i) for i, method in enumerate("abc") for metric in ("sum", "density", "gain")]
    top = pd.DataFrame(rows, columns=["method", "metric", "overlap_mean"])
    top["check"] = "noise"
    noise = noise_of(top, ["a", "b"])
    assert sorted(set(noise["method"])) == ["a", "b"]
    assert metric_spans(noise, "overlap_mean") == ["50.0–60.0\N{NO-BREAK SPACE}%"] * 3


def test_an_unknown_share_of_the_variance_is_not_0():
    table = pd.DataFrame(
        [("lrp", 0.3, 0.1), ("occlusion", 0.3, np.nan), ("input", 0.0, 0.0)],
        columns=["method", "models", "participants"],
    )
    rows = variance_rows(table.assign(measure="pearson", outcome="TP"))
    cells = {row["name"]: row["cells"][0].replace("\N{NO-BREAK SPACE}", " ") for row in rows}
    assert cells == {"LRP": "75 %", "Occlusion": "–", "Scan (no model)": "0 %"}
