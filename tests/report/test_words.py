import numpy as np
import pandas as pd
import pytest

from heatproof.report.comparison import number
from heatproof.report.figures import percent, percents, title_of
from heatproof.report.words import extremes, judge, names_of, ranking_by_scale, summarise
from heatproof.task import PATIENTS, Task


def plain(text):
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_the_summary_says_what_the_tables_say():
    scans = pd.DataFrame(
        [
            ("sub-1", "train", "patient"),
            ("sub-2", "train", "control"),
            ("sub-2", "train", "control"),
            ("sub-3", "test", "patient"),
            ("sub-4", "validation", "patient"),
        ],
        columns=["participant_id", "split", "label"],
    )
    accuracy = pd.DataFrame({"seed": [0, 1], "balanced_accuracy": [0.75, 0.875]})
    l2 = pd.DataFrame(
        [("lrp", "TP", 0.5), ("occlusion", "TP", 0.25), ("lrp", "TN", 9.0), ("occlusion", "TN", 8.0)],
        columns=["method", "outcome", "rms"],
    )
    top = pd.DataFrame(
        [("lrp", "sum", 0.9), ("occlusion", "sum", 0.4), ("lrp", "gain", np.nan), ("occlusion", "gain", 0.3)],
        columns=["method", "metric", "overlap_mean"],
    ).assign(k=10, chance=10 / 72)
    noise = pd.DataFrame({"method": ["lrp"], "metric": ["sum"], "overlap_mean": [0.8]})
    assert [plain(paragraph) for paragraph in summarise(scans, accuracy, l2, top, noise)] == [
        "Here 2 networks with the same settings and different seeds were trained on 3 scans of 2 participants and "
        "explained on 1 scan of 1 participant (1 of patients, 0 of controls), with 2 attribution methods. Balanced "
        "accuracy on the test scans: 81.2 % on average, 75.0 % to 87.5 %.",
        "Root mean square difference per voxel between two models’ mean maps over true positives, each scaled to a "
        "maximum of 1: 0.250 (Occlusion) to 0.500 (LRP). Share of their top 10 regions that two models have in common: "
        "by sum, 40.0 % (Occlusion) to 90.0 % (LRP); by gain, 30.0 % for Occlusion; by chance, 13.9 % on average. "
        "For noise with the same values and smoothness: by sum, 80.0 % for LRP.",
    ]
    assert summarise(scans, accuracy, l2, top, noise[:0])[1].endswith("on average.")


def test_patients_and_controls_are_called_so_and_other_classes_by_their_names():
    assert names_of(PATIENTS) == {
        "explained": "true positives",
        "explained_class": "the class patient",
        "output": "output 1 is the class patient",
        "references": "controls",
        "reference": "healthy reference",
        "targets_of": "patients",
        "t_map": "patients against controls",
        "question": "what makes this a patient rather than healthy?",
        "empty_question": "what makes this a patient rather than nothing?",
        "gain": "patients’ sum divided by controls’ sum",
        "note": "",
    }
    for classes, explained in [(("CN", "AD"), "true positives"), (("CN", "MCI", "AD"), "recognised AD scans")]:
        names = names_of(Task(classes, "AD"))
        assert names["explained"] == explained and names["output"].startswith(f"output {len(classes) - 1} is")
        assert names["gain"] == "sum over AD scans divided by sum over CN scans"
        assert names["question"] == "what makes this scan AD rather than CN?"
        assert names["note"].startswith("The class AD is explained and held against CN.")
        assert ("A true positive is a recognised AD scan." in names["note"]) == (len(classes) == 2)
        assert "patient" not in " ".join(names.values())
        assert names.keys() == names_of(PATIENTS).keys()
    assert names_of(Task(PATIENTS.classes, "control"))["references"] == "patients"
    of_value = names_of(Task((), "age"))
    assert of_value.keys() == names_of(PATIENTS).keys() and of_value["references"] == "lowest-third scans"
    assert of_value["reference"] == "reference from the lowest-third scans"
    assert of_value["explained"] == "scans" and "patient" not in " ".join(of_value.values())


def test_equal_values_are_not_ranked():
    assert plain(extremes(pd.Series({"lrp": 0.5, "occlusion": 0.5}), percent)) == "50.0 % for every method"


@pytest.mark.parametrize(
    ("seeds", "why"), [([0], "that takes two (train.seeds)"), ([0, 1], "no two of them have maps")]
)
def test_where_no_models_can_be_compared_it_is_said_once(seeds, why):
    scans = pd.DataFrame({"participant_id": ["sub-1"], "split": ["train"], "label": ["patient"]})
    accuracy = pd.DataFrame({"seed": seeds, "balanced_accuracy": 0.5})
    l2 = pd.DataFrame({"method": ["lrp", "lrp"], "outcome": ["TP", "TN"], "rms": np.nan})
    top = pd.DataFrame({"method": "lrp", "metric": ["sum", "density", "gain"], "overlap_mean": np.nan, "k": 10})
    first, second = summarise(scans, accuracy, l2, top.assign(chance=np.nan), top)
    assert second == f"How far models agree is not known: {second.partition(': ')[2]}" and why in second
    assert ("1 network was" in first) == (len(seeds) == 1) and ("50.0 % for each" in plain(first)) == (len(seeds) == 2)


def test_of_one_model_whose_answer_is_known_it_is_said_how_right_it_is_and_nothing_of_agreement():
    scores = pd.DataFrame({"method": ["lrp", "occlusion"], "measure": "pr_auc", "value": [0.2, 0.3], "kind": "method"})
    scores = scores.assign(low=np.nan, high=np.nan, outcome="TP", chance=0.1, check="")
    (said,) = judge(scores, pd.DataFrame({"method": ["lrp"], "check": "random_head", "spearman": np.nan}))
    assert said.endswith("over true positives (chance 0.10): 0.20 (LRP) to 0.30 (Occlusion).")


def test_numbers_are_written_for_readers():
    assert [number(v) for v in (25553.4, 122.4, 0.34, np.nan)] == ["25,553", "122", "0.340", "–"]
    assert [plain(percent(v)) for v in (0.13888, np.nan)] == ["13.9 %", "–"]
    assert [plain(percents(*v)) for v in ((0.5, 0.75), (0.5, 0.5), (np.nan, np.nan))] == ["50.0–75.0 %", "50.0 %", "–"]


def test_methods_of_ones_own_keep_their_names():
    assert [title_of(*name) for name in (["lrp"], ["my_own"], ["lrp", "noise"])] == [
        *["LRP", "my own", "LRP, noise like its maps"]
    ]


def test_what_is_robust_is_set_against_what_is_right():
    rows = [
        ("lrp", "pearson", 0.9, 0.8, 1.0, "method"),
        ("occlusion", "pearson", 0.5, 0.4, 0.6, "method"),
        ("lrp", "pr_auc", 0.12, 0.09, 0.15, "method"),
        ("occlusion", "pr_auc", 0.4, 0.3, 0.5, "method"),
        ("t_map", "pr_auc", 0.6, 0.6, 0.6, "bound"),
        ("t_map_test", "pr_auc", 0.5, 0.4, 0.6, "bound"),
    ]
    scores = pd.DataFrame(rows, columns=["method", "measure", "value", "low", "high", "kind"])
    scores = scores.assign(outcome="TP", chance=0.1, check="")
    checks = pd.DataFrame({"method": ["lrp", "lrp", "occlusion"], "check": "random_head", "spearman": [0.9, 0.7, 0.1]})
    known, head, limits = judge(scores, checks)
    assert (
        "(chance 0.10): 0.12 (LRP) to 0.40 (Occlusion); of the t-map, without a network, 0.60 (training scans), "
        "0.50 (test scans). The 95 % interval lies above chance for Occlusion. "
    ) in known
    assert known.endswith("The maps of LRP are the most robust, voxel by voxel (correlation 0.90); its area is 0.12.")
    assert "Adebayo et al. 2018): 0.10 (Occlusion) to 0.80 (LRP). Near 1, a method shows the same places" in head
    assert limits.startswith("Intervals cover other trainings")
    unknown, _ = judge(scores[scores["measure"] == "pearson"], None)
    assert unknown == "These numbers show how well models agree, but not whether their maps show the change."


def test_a_ranking_that_turns_with_the_scale_is_said_to():
    values = {"lrp": (0.5, 0.6), "gradient_input": (0.1, 0.8), "occlusion": (0.05, 0.1)}
    rows = [
        (method, "", "pearson", "signed", fwhm, value)
        for method, both in values.items()
        for fwhm, value in zip((0, 20), both, strict=True)
    ]
    rows += [(method, "", "pr_auc", "signed", fwhm, 0.1) for method in values for fwhm in (0, 20)]
    rows += [("lrp", "noise", "pearson", "signed", 0, 0.0), ("lrp", "", "pearson", "absolute", 0, 0.0)]
    table = pd.DataFrame(rows, columns=["method", "check", "measure", "values", "fwhm", "value"])
    assert ranking_by_scale(table) == (
        "Pairs of methods that change places when maps are smoothed by 20 mm instead of 0 mm: by robustness, 1 of 3 "
        "(LRP is first at 0 mm, Gradient × input at 20 mm); by localisation, none of 3 (Gradient × input is first)."
    )
    assert ranking_by_scale(table[table["method"] == "lrp"]) == ""
    assert ranking_by_scale(table[:0]) == ""
