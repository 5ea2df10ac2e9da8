"""Tables as a page prints them: what bounds the methods' numbers, and what is not known."""

import numpy as np
import pandas as pd

from heatproof.report.comparison import (
    enough_seeds,
    measure_rows,
    metric_spans,
    network_tables,
    noise_of,
    note_rows,
    variance_rows,
)


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
    found = names_and_values(measure_rows(table, {"rbo_sum": "RBO"}, [("lrp", ""), ("occlusion", "")]))
    noise = ("Noise like their maps", "0.60 to 0.90")
    assert found == [("LRP", "0.80"), ("Occlusion", "0.70"), noise, ("Chance", "0.14")]


def test_chance_is_that_of_the_methods_shown():
    table = scores(("lrp", "", 0.8), ("t_map", "", 1.0))
    table.loc[1, "chance"] = 1.0
    assert names_and_values(measure_rows(table, {"rbo_sum": "RBO"}, [("lrp", "")]))[-1] == ("Chance", "0.14")


def test_noise_with_a_row_of_its_own_has_no_second_one():
    table = scores(("lrp", "", 0.8), ("lrp", "noise", 0.9))
    found = names_and_values(measure_rows(table, {"rbo_sum": "RBO"}, [("lrp", ""), ("lrp", "noise")]))
    assert [name for name, _ in found] == ["LRP", "LRP, noise like its maps", "Chance"]


def test_a_study_without_noise_has_no_row_of_it():
    assert len(measure_rows(scores(("lrp", "", 0.8)), {"rbo_sum": "RBO"}, [("lrp", "")])) == 2


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


NETWORKS = [
    ("lrp", "pearson", "paper", "paper", 0.8, 0.7, 0.9),
    ("lrp", "pearson", "paper", "resnet", 0.3, 0.2, 0.4),
    ("lrp", "pearson", "resnet", "resnet", 0.7, np.nan, np.nan),
    ("effects", "agreement_pearson_cubes", "paper", "resnet", 0.5, 0.4, 0.6),
    ("lrp", "pr_auc", "paper", "paper", np.nan, np.nan, np.nan),
]


def test_agreement_within_and_between_networks_stands_side_by_side():
    columns = ["method", "measure", "network_a", "network_b", "value", "low", "high"]
    table = pd.DataFrame(NETWORKS, columns=columns).assign(outcome="TP")
    maps, sums = network_tables(table, ["lrp"], 10)
    assert maps["heads"] == ["paper", "resnet", "paper and resnet"]
    (row,) = maps["rows"]
    assert row == {"name": "LRP", "cells": [("0.80", "0.70 to 0.90"), ("0.70", ""), ("0.30", "0.20 to 0.40")]}
    assert [row["name"] for row in sums["rows"]] == ["The models’ own effects"]


def test_a_reason_names_the_models_that_it_concerns():
    notes = pd.DataFrame([("lrp", "vit-0", "left out: x"), ("lrp", "vit-1", "left out: x")])
    notes.columns = ["method", "seed", "reason"]
    (row,) = note_rows(notes, ["paper-0", "paper-1", "vit-0", "vit-1"])
    assert row == {"method": "LRP", "seeds": "vit-0, vit-1", "reason": "left out: x"}


def test_widths_of_several_networks_are_sentences_of_their_own():
    rows = [("pearson", "TP", network, models, 0.8 / models, 0.1) for network in ("paper", "vit") for models in (4, 10)]
    seeds = pd.DataFrame(rows, columns=["measure", "outcome", "network", "n_models", "width", "floor"])
    alone = enough_seeds(seeds[seeds["network"] == "paper"].drop(columns="network"))
    of_paper, of_vit = enough_seeds(seeds)
    assert of_paper.replace(" (paper)", "") == alone[0] and " (vit): 0.20 with 4" in of_vit
