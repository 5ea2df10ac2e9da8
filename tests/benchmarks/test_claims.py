"""Pages say of numbers only what the numbers say."""

from pathlib import Path

import pytest
from claims import holds, near, tell
from write_findings import OLD, mark_as_old

TEXTS = sorted(path for folder in ("findings", "real-data") for path in Path(__file__).parent.glob(f"{folder}/*.md"))
NUMBERS = {"lrp.pearson": 0.5, "occlusion.pearson": 0.3, "full:lrp.pearson": 0.9, "chance.pr_auc": 0.1}


@pytest.mark.parametrize(
    ("claim", "true"),
    [
        ("lrp.pearson > occlusion.pearson > 0", True),
        ("lrp.pearson < occlusion.pearson", False),
        ("near(lrp.pearson, occlusion.pearson, 0.25) and full:lrp.pearson == 0.9", True),
        ("max(lrp.pearson, occlusion.pearson) < full:lrp.pearson - 0.3", True),
        ("not grad_cam.pearson > 0.2", False),
        ("lrp.pearson > 0 or grad_cam.pearson > 0", False),
    ],
)
def test_a_claim_is_evaluated_and_never_holds_of_a_number_that_is_not_there(claim, true):
    assert holds(claim, NUMBERS) == true


def test_numbers_are_near_up_to_the_given_difference():
    assert near(0.25, 0.5, 0.25) and not near(0.25, 0.51, 0.25)


def test_sentences_whose_claim_does_not_hold_are_left_out_and_named(capsys):
    text = """## {title}

- [[lrp.pearson > 0.4]] LRP has {value[lrp.pearson]}.
  [[occlusion.pearson > 0.4]] And occlusion
  {value[occlusion.pearson]}. [[chance.pr_auc < 1]] Chance {value[chance.pr_auc]}.
- [[occlusion.pearson > 0.4]] Occlusion has {value[occlusion.pearson]}. [[lrp.pearson > 0.4]] It leans on this.

**In short.** [[occlusion.pearson > 0.4]] Never. [[full:lrp.pearson > 0.8]] {value[full:lrp.pearson]}.
"""
    told = tell(text, NUMBERS, title="A study")
    assert told == "## A study\n\n- LRP has 0.50. Chance 0.10.\n\n**In short.** 0.90.\n"
    assert capsys.readouterr().err.count("occlusion.pearson > 0.4") == 3


def test_a_number_without_a_claim_is_refused():
    with pytest.raises(ValueError, match=r"quoted without a claim: LRP has"):
        tell("LRP has {value[lrp.pearson]}.", NUMBERS)


def test_a_section_of_a_study_that_was_not_run_again_is_marked_once():
    old = mark_as_old("## A study\n\n4 models.\n\n- A claim.\n")
    assert old.startswith(f"## A study\n\n{OLD}\n\n4 models.") and mark_as_old(old) == old


class Anything(dict):
    """Quotes whatever a text asks for."""

    def __missing__(self, name):
        return Anything()

    def __format__(self, spec):
        return "x"


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_without_any_number_a_page_makes_no_claim_and_quotes_none(text):
    fields = {
        name: Anything() for name in ("study", "title", "models", "methods", "accuracy", "table", "most", "least")
    }
    fields |= {name: Anything() for name in ("accuracies", "networks")}
    fields |= {name: Anything() for name in ("people", "ages", "women", "differences", "brain_overlap", "likeness")}
    fields |= {
        name: Anything() for name in ("test_scans", "balanced", "range", "auc", "chance", "bounds", "true", "least")
    }
    told = tell(text.read_text(), {}, **fields, true_chance="x", localisation_chance="x", scan_points="x")
    assert "[[" not in told and "{" not in told.replace("{checks:", "")


def test_a_sentence_that_quotes_a_number_which_is_not_there_is_left_out(capsys):
    text = "- [[lrp.pearson > 0.4]] LRP {value[lrp.pearson]}. [[chance.pr_auc < 1]] The t-map {value[t_map.pr_auc]}.\n"
    assert tell(text, NUMBERS) == "- LRP 0.50.\n"
    assert "chance.pr_auc < 1" in capsys.readouterr().err
