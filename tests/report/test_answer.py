"""What each method is worth: floors, states, verdicts, and the sentence that the page begins with."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from heatproof.report import answer
from heatproof.report.accuracy import still_trained
from heatproof.report.answer import RESPECTS, RULES, STATES, Cell, answer_heads, answer_rows, answer_sentence

METHODS = {
    "from_controls": {"method": "integrated_gradients", "baseline": "mean_control"},
    "from_nothing": {"method": "integrated_gradients", "baseline": 0.0},
    "input": {"method": "input"},
}
JUDGED = ["from_controls", "from_nothing"]
FAITHFUL = "faithfulness_pearson_cubes"


def scores_of(*rows):
    """Make scores of (method, check, measure, value, half of the interval); chance is 0, of localisation 0.1."""
    table = pd.DataFrame(rows, columns=["method", "check", "measure", "value", "half"])
    table = table.assign(outcome="TP", low=table["value"] - table["half"], high=table["value"] + table["half"])
    table["kind"] = np.where(table["method"].isin(JUDGED) & (table["check"] == ""), "method", "bound")
    return table.assign(chance=np.where(table["measure"] == "pr_auc", 0.1, 0.0))


def checks_of(**spearman):
    """Make ``checks.tsv`` of three models by method."""
    rows = [
        (method, "random_head", seed, value + 0.01 * seed) for method, value in spearman.items() for seed in (-1, 0, 1)
    ]
    return pd.DataFrame(rows, columns=["method", "check", "seed", "spearman"])


def row_of(name, scores, checks=None):
    rows = answer_rows(scores, checks, METHODS, JUDGED)
    return next(row for row in rows if row["method"] == name.replace("_", " "))


def sound(method="from_controls", faithful=0.8, robust=0.6):
    return [(method, "", FAITHFUL, faithful, 0.1), (method, "", "agreement_pearson_cubes", robust, 0.1)]


@pytest.mark.parametrize(
    ("states", "verdict"),
    [
        ({"robust": "above", "faithful": "enough", "depends": "above"}, "believe"),
        ({"robust": "above", "faithful": "enough", "depends": "above", "localises": "below"}, "believe"),
        ({"robust": "above", "faithful": "above", "depends": "above"}, "with care"),
        ({"robust": "unsure", "faithful": "enough", "depends": "above"}, "with care"),
        ({"robust": "below", "faithful": "enough", "depends": "above"}, "with care"),
        ({"robust": "above", "faithful": "unsure", "depends": "above"}, "cannot tell"),
        ({"robust": "above", "faithful": "enough", "depends": "unsure"}, "with care"),
        ({"robust": "above", "faithful": "enough"}, "with care"),
        ({"robust": "above", "faithful": "above", "depends": "below"}, "with care"),
        ({"robust": "above", "faithful": "unsure", "depends": "below"}, "do not believe"),
        ({"robust": "above", "depends": "above"}, "cannot tell"),
        ({"robust": "above", "faithful": "below", "depends": "above"}, "do not believe"),
        ({"robust": "above", "depends": "below"}, "do not believe"),
    ],
)
def test_a_verdict_follows_from_where_the_intervals_lie(states, verdict):
    assert answer.verdict_of(states) == verdict


def test_every_combination_of_states_has_a_verdict_and_every_rule_is_reached():
    found = {
        answer.verdict_of(dict(zip(("robust", "faithful", "depends"), states, strict=True)))
        for states in product(STATES, repeat=3)
    }
    assert found == {rule.verdict for rule in RULES} == set(answer.ORDER)
    assert all(rule.words.endswith(".") and set(rule.states) <= set(RESPECTS) for rule in RULES)


@pytest.mark.parametrize(
    ("interval", "state"),
    [
        ((0.4, 0.35, 0.45), "above"),
        ((0.8, 0.6, 0.9), "enough"),
        ((0.8, 0.4, 0.9), "above"),
        ((0.4, 0.2, 0.6), "unsure"),
        ((0.4, 0.3, 0.6), "unsure"),
        ((0.2, 0.1, 0.3), "below"),
        ((0.9, np.nan, np.nan), "unsure"),
        ((np.nan, np.nan, np.nan), "unknown"),
    ],
)
def test_an_interval_lies_above_its_floor_or_below_it_or_decides_nothing(interval, state):
    assert answer.place(*interval, floor=0.3, enough=0.5) == state


def test_a_faithful_robust_method_that_depends_on_its_head_is_believed():
    row = row_of("from_controls", scores_of(*sound()), checks_of(from_controls=0.4))
    assert row["verdict"] == "believe"
    assert row["cells"]["depends"].value == pytest.approx(0.6)
    assert row["cells"]["localises"] == Cell()
    assert (row["cells"]["faithful"].floor, row["cells"]["faithful"].source) == (0.0, "chance")


def test_a_method_that_keeps_its_maps_without_its_head_is_not_believed_unless_it_is_faithful():
    row = row_of("from_controls", scores_of(*sound(faithful=0.05)), checks_of(from_controls=0.96))
    assert row["cells"]["depends"].state == "below" and row["verdict"] == "do not believe"
    row = row_of("from_controls", scores_of(*sound()), checks_of(from_controls=0.96))
    assert row["cells"]["depends"].state == "below" and row["verdict"] == "with care"


@pytest.mark.parametrize(
    ("method", "check", "source"), [("from_controls", "noise", "noise like its maps"), ("input", "", "Scan (no model)")]
)
def test_the_floor_of_faithfulness_is_the_best_of_chance_checks_and_maps_without_a_model(method, check, source):
    rows = [*sound(), (method, check, FAITHFUL, 0.95, 0.01), ("from_nothing", "noise", FAITHFUL, 0.99, 0.01)]
    row = row_of("from_controls", scores_of(*rows), checks_of(from_controls=0.4))
    assert (row["cells"]["faithful"].floor, row["cells"]["faithful"].source) == (0.95, source)
    assert row["verdict"] == "do not believe"


def test_a_check_whose_models_still_tell_the_classes_apart_is_no_floor():
    trained = pd.DataFrame({"seed": [0, 1], "auc": [0.9, 0.94]})
    of_checks = {"random_head": [0.9, 0.3], "initial_head": [0.95, 0.7], "untrained": [0.6, 0.8]}  # half way is 0.71
    checks = pd.DataFrame([(name, seed, auc) for name, aucs in of_checks.items() for seed, auc in enumerate(aucs)])
    assert still_trained(checks.set_axis(["check", "seed", "auc"], axis=1), trained) == ["initial_head"]


def test_models_that_order_scans_no_better_than_chance_leave_every_check_a_floor():
    checks = pd.DataFrame({"check": ["random_head"] * 2, "seed": [0, 1], "auc": [0.6, 0.7]})
    assert still_trained(checks, pd.DataFrame({"seed": [0, 1], "auc": [0.2, 0.4]})) == []
    assert still_trained(checks, pd.DataFrame({"seed": [0, 1], "auc": [0.6, 0.7]})) == ["random_head"]


def test_where_no_model_has_a_mean_map_every_column_says_so():
    scores = scores_of(("from_controls", "", FAITHFUL, np.nan, np.nan))
    heads = answer_heads(scores, None, METHODS, "No model recognised a patient.")
    assert {head["measure"] for head in heads.values()} == {"No model recognised a patient."}


def test_maps_without_a_model_are_no_floor_of_robustness_as_nothing_in_them_can_differ():
    rows = [*sound(), ("input", "", "agreement_pearson_cubes", 1.0, 0.0)]
    assert row_of("from_controls", scores_of(*rows))["cells"]["robust"].floor == 0


def test_a_method_that_answers_the_other_question_is_not_called_wrong_for_it():
    checks = checks_of(from_controls=0.4, from_nothing=0.4)
    rows = [*sound("from_nothing", faithful=-0.4), *sound("from_controls", faithful=-0.4)]
    scores = scores_of(*rows)
    assert row_of("from_controls", scores, checks)["verdict"] == "do not believe"
    assert row_of("from_nothing", scores, checks)["verdict"] == "cannot tell"
    faithful = scores_of(*sound("from_nothing"))
    assert row_of("from_nothing", faithful, checks)["verdict"] == "believe"


def test_robustness_is_measured_over_cubes_where_it_is_and_else_voxel_by_voxel():
    voxels = [("from_controls", "", "pearson", 0.3, 0.1)]
    assert row_of("from_controls", scores_of(*voxels))["cells"]["robust"].value == 0.3
    assert row_of("from_controls", scores_of(*voxels, *sound()))["cells"]["robust"].value == 0.6


def test_what_was_not_measured_has_its_reason():
    heads = answer_heads(scores_of(("from_controls", "", "pearson", 0.3, 0.1)), None, METHODS)
    assert [head["known"] for head in heads.values()] == [True, False, False, False]
    assert "attribute.effects" in heads["faithful"]["measure"] and "compare.checks" in heads["depends"]["measure"]


def test_scales_go_from_0_or_from_what_is_negative_to_1():
    scores = scores_of(*sound(faithful=-0.12, robust=0.5))
    heads = answer_heads(scores, None, METHODS)
    assert heads["faithful"]["ends"] == pytest.approx((-0.3, 1)) and heads["robust"]["ends"] == (0, 1)


@pytest.mark.parametrize(
    ("options", "reference", "healthy"),
    [
        ({"method": "integrated_gradients", "baseline": "mean_control"}, "mean of the training controls", True),
        ({"method": "occlusion", "baseline": "twin"}, "healthy twin", True),
        ({"method": "gradient_shap", "controls": 16}, "training controls", True),
        ({"method": "gradient_input", "reference": "mean_control"}, "mean of the training controls", True),
        ({"method": "integrated_gradients", "baseline": {"blurred": 20.0}}, "blurred scan", False),
        ({"method": "occlusion", "baseline": 0.0}, "empty scan", False),
        ({"method": "gradient_input"}, "empty scan", False),
        *(
            ({"method": name}, "empty scan", False)
            for name in ("integrated_gradients", "occlusion", "region_occlusion")
        ),
        ({"method": "lrp", "rule": "gamma"}, "empty scan", False),
        ({"method": "guided_backprop"}, "", False),
    ],
)
def test_a_method_s_reference_is_named(options, reference, healthy):
    assert answer.reference_of(options) == reference and answer.is_healthy(options) == healthy


def test_methods_that_are_believed_come_first_and_those_without_a_verdict_last():
    rows = [*sound(), ("input", "", FAITHFUL, 0.2, 0.1), *sound("from_nothing", faithful=0.3)]
    checks = checks_of(from_controls=0.4, from_nothing=0.4)
    found = [
        (row["number"], row["method"], row["verdict"]) for row in answer_rows(scores_of(*rows), checks, METHODS, JUDGED)
    ]
    assert found == [(1, "from controls", "believe"), (2, "from nothing", "cannot tell"), (None, "Scan (no model)", "")]


def test_the_models_own_effects_and_another_model_s_stand_beside_the_methods():
    rows = [*sound(), ("effects", "", "agreement_pearson_cubes", 0.8, 0.1), ("effects", "halves", FAITHFUL, 0.9, 0.05)]
    found = answer.beside_rows(scores_of(*rows), None, METHODS)
    assert [row["method"] for row in found] == ["The models’ own effects"]
    assert [found[0]["cells"][key].text for key in RESPECTS] == ["0.80", "0.90", "–", "–"]


def test_the_sentence_counts_and_names_the_methods_of_each_verdict():
    rows = [{"method": name, "verdict": "believe"} for name in "ab"] + [{"method": "input", "verdict": ""}]
    rows += [{"method": name, "verdict": "cannot tell"} for name in "cdefg"]
    assert answer_sentence(rows, 4) == (
        "Of 7 methods, tried on 4 networks that differ by chance alone, 2 can be believed (a, b); for 5 this study "
        "cannot tell (c, d, e and 2 more)."
    )
    assert "tried on 6 models of 2 networks, 2 can" in answer_sentence(rows, 6, 2)
    assert answer_sentence([{"method": "LRP", "verdict": "do not believe"}], 1) == (
        "Of one method, tried on one network, 1 cannot be believed (LRP)."
    )
