"""`train.models`: what can be said of models that were trained elsewhere before any job starts."""

import pandas as pd
import pytest

from heatproof.errors import StudyError
from heatproof.train.imported import check_imported, check_parts, with_imported_models


def scans(**parts):
    """List scans by their splits: train="PC" is one of a patient and one of a control there."""
    kinds = {"P": "patient", "C": "control", "?": ""}
    rows = [(split, kinds[letter]) for split, letters in parts.items() for letter in letters]
    return pd.DataFrame(rows, columns=["split", "label"])


def imported(config, models, **laid_over):
    config["train"]["models"] = models
    return with_imported_models(config, {"train": {"models": models}, **laid_over})


def test_one_file_a_mapping_and_a_pattern_say_which_models_there_are(config):
    config["train"]["seeds"] = [2, 5]
    read = imported(config, "my.pt")["train"]
    assert read["models"] == {"0": "my.pt"} and read["seeds"] == [0]
    read = imported(config, {7: "a.pt", 3: "~/b.safetensors"})["train"]
    assert read["seeds"] == [7, 3] and read["models"]["7"] == "a.pt" and read["models"]["3"][0] == "/"
    read = imported(config, "runs/{seed}/model-{seed}.pth")["train"]
    assert read["models"] == {"2": "runs/2/model-2.pth", "5": "runs/5/model-5.pth"} and read["seeds"] == [2, 5]


def test_a_model_is_called_by_a_number(config):
    with pytest.raises(StudyError, match=r"train.models calls a model 'best'; give each a number"):
        imported(config, {"best": "a.pt"})


def test_a_config_without_imported_models_stays_as_it_is(config):
    assert with_imported_models(config, {}) == config


def test_the_default_leaves_out_checks_that_ask_for_the_training_and_a_config_that_names_one_is_refused(
    config, tmp_path
):
    (tmp_path / "my.pt").touch()
    read = imported(config, str(tmp_path / "my.pt"))
    assert read["compare"]["checks"] == ["random_head", "noise", "t_map"]
    check_imported(read)
    for check in ("initial_head", "shuffled_labels", "same_order"):
        config["compare"]["checks"] = ["noise", check]
        read = imported(config, str(tmp_path / "my.pt"), compare={"checks": ["noise", check]})
        with pytest.raises(StudyError, match=f"compare.checks names {check}, which needs to know how a model was trai"):
            check_imported(read)


def test_files_that_are_not_there_or_of_another_kind_are_refused(config, tmp_path):
    with pytest.raises(StudyError, match=r"names nowhere.pt, which does not exist"):
        check_imported(imported(config, "nowhere.pt"))
    with pytest.raises(StudyError, match=r"names model.h5, which ends in none of .safetensors, .pt"):
        check_imported(imported(config, "model.h5"))
    with pytest.raises(StudyError, match=r"names \{run\}.pt, whose word in braces is a wildcard"):
        check_imported(imported(config, "{run}.pt"))


def without_controls(config):
    """Leave out of the default all that is made of training scans."""
    config["attribute"]["effects"]["controls"] = 0
    config["attribute"]["methods"] |= dict.fromkeys(["integrated_gradients_mean_control", "occlusion_mean_control"])
    config["compare"]["checks"] = ["random_head"]
    return config


def test_with_imported_models_test_scans_are_enough(config):
    check_parts(imported(without_controls(config), "my.pt"), scans(test="PC"))
    with pytest.raises(StudyError, match=r"cohort.split leaves no control for test"):
        check_parts(imported(config, "my.pt"), scans(test="P", train="C"))


def test_networks_that_are_trained_need_scans_of_both_classes_in_all_splits(config):
    check_parts(config, scans(train="PC", validation="PC", test="PC"))
    check_parts(config, scans(train="?", validation="?", test="?"))
    with pytest.raises(StudyError, match=r"cohort.split leaves no patient for train"):
        check_parts(without_controls(config), scans(test="PC"))
    config["cohort"]["split"]["table"] = "split.tsv"
    with pytest.raises(StudyError, match=r"^split.tsv leaves no control for validation; move at least one there"):
        check_parts(config, scans(train="PC", validation="P", test="PC"))


NEEDS = {
    "attribute.effects.controls": lambda config: config["attribute"]["effects"].update(controls=3),
    "attribute.recovery_scans": lambda config: config["cohort"]["simulate"].update(twins=False),
    "attribute.methods.mine.reference": lambda config: config["attribute"]["methods"].update(
        mine={"method": "gradient_input", "reference": "mean_control"}
    ),
    "attribute.methods.shap.controls": lambda config: config["attribute"]["methods"].update(
        shap={"method": "gradient_shap", "controls": 16}
    ),
}


@pytest.mark.parametrize("key", NEEDS)
def test_what_is_made_of_training_controls_is_refused_by_name_where_there_are_none(config, key):
    config = imported(without_controls(config), "my.pt")
    NEEDS[key](config)
    with pytest.raises(StudyError, match=f"{key} needs training scans, and cohort.split leaves no control for train"):
        check_parts(config, scans(test="PC"))
    check_parts(config, scans(test="PC", train="C"))


def test_a_t_map_needs_training_scans_of_both_classes(config):
    config = imported(without_controls(config), "my.pt")
    config["compare"]["checks"] = ["t_map"]
    with pytest.raises(StudyError, match=r"compare.checks: t_map needs training scans, .* no patient for train"):
        check_parts(config, scans(test="PC", train="C"))
