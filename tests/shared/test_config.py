"""The configuration: presets are valid, every key is described, and mistakes are told in one sentence."""

import copy
import json
import re
from pathlib import Path

import pytest
import yaml

from heatproof.attribute import METHODS
from heatproof.config import (
    check_yaml,
    expand_paths,
    model_checks,
    named_by_user,
    renamed,
    typed,
    with_groups,
    with_outputs,
    with_own_classes,
    with_own_network,
)
from heatproof.config_checks import check_config, check_models
from heatproof.errors import StudyError
from heatproof.feasibility import check_feasibility, long_occlusions
from heatproof.models import models_of, networks_of
from heatproof.references import check_references
from heatproof.sources import dictionary_entries
from heatproof.train.imported import with_imported_models

SCHEMA = yaml.safe_load(Path("workflow/schemas/config.schema.yaml").read_text())


def laid_over(below: dict, above: dict) -> dict:
    """Merge two configs as Snakemake does."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = laid_over(merged[key], value) if both else value
    return merged


@pytest.mark.parametrize("preset", sorted(Path("config").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_preset_is_valid(config, preset):
    check_yaml(preset)
    above = yaml.safe_load(preset.read_text())
    study = with_own_classes(with_own_network(laid_over(config, above), above), above)
    study = with_outputs(with_groups(with_imported_models(study, above), above))
    check_config(study)
    check_feasibility(study)
    assert study["study"] == preset.stem or preset.stem == "config"


def test_the_plan_warns_where_occlusion_takes_hours(config):
    assert not list(long_occlusions(config, scans=50))
    config["register"]["voxel_size"] = 1.0
    assert not list(long_occlusions(config, scans=50)), "millimetres cost a finer grid nothing but its passes"
    config["attribute"]["methods"]["occlusion"] |= {"patch": 1, "stride": "1 mm"}
    (found,) = long_occlusions(config, scans=50)
    assert re.match(r"attribute.methods.occlusion hides about 4265\d{3} patches in each of 50 test scans", found)
    assert re.search(r"takes some \d\.\d hours for each model on one CPU thread; a larger stride takes less", found)


def test_the_plan_warns_that_another_network_may_run_as_a_whole_for_each_patch(config):
    config["register"]["voxel_size"], config["train"]["network"]["function"] = 2.0, "networks:brought"
    config["attribute"]["methods"]["occlusion"] |= {"patch": "8 mm", "stride": "4 mm"}
    found = next(long_occlusions(config, scans=50))
    assert found.startswith("attribute.methods.occlusion hides")
    assert "on one CPU thread, or less if docs/occlusion.md names all layers" in found


def test_another_network_has_its_own_options_and_none_of_the_default_s(config):
    own = {"function": "heatproof.train.presets:sfcn", "dropout": 0.2}
    for above, expected in [
        ({"train": {"network": own}}, own),
        (
            {"train": {"network": {"filters": [4, 4], "pools": [2, 2]}}},
            config["train"]["network"] | {"filters": [4, 4]},
        ),
        ({"train": {"network": config["train"]["network"]}}, config["train"]["network"]),
        ({"study": "mine"}, config["train"]["network"]),
    ]:
        network = with_own_network(laid_over(config, above), above)["train"]["network"]
        assert network == expected | ({"pools": [2, 2]} if network.get("filters") == [4, 4] else {})
        check_config(with_own_network(laid_over(config, above), above))


def test_several_networks_have_their_own_options_or_those_of_the_default(config):
    resnet = {"function": "heatproof.train.presets:resnet18"}
    above = {"train": {"networks": {"paper": {"dropout": 0.1}, "resnet": resnet, "sfcn": None}}}
    study = with_own_network(laid_over(config, above), above)
    networks = {"paper": config["train"]["network"] | {"dropout": 0.1}, "resnet": resnet}
    assert networks_of(study["train"]) == networks
    assert models_of(study["train"]) == [f"{name}-{seed}" for name in networks for seed in config["train"]["seeds"]]
    check_config(study)
    study["train"]["networks"]["resnet"] = {"function": "heatproof.train.presets:no_such"}
    with pytest.raises(StudyError, match=r"config: train.networks.resnet.function .* is not found below src/"):
        check_config(study)


@pytest.mark.parametrize(
    ("train", "said"),
    [
        ({"networks": {"a": {}}, "network": {"dropout": 0.1}}, "train.network and train.networks are both given"),
        ({"networks": {"a": None}}, "train.networks leaves out every network"),
        ({"networks": {"a-b": {}}}, "train.networks: 'a-b' does not match"),
        ({"networks": {"a": {}}, "models": {"0": "a.pt"}}, "train.models is about models of one network"),
    ],
)
def test_what_several_networks_cannot_be_is_refused(config, train, said):
    with pytest.raises(StudyError, match=f"config: {said}"):
        check_config(with_own_network(laid_over(config, {"train": train}), {"train": train}))


def test_what_a_user_names_is_told_from_what_the_default_brings():
    methods = {"occlusion": {"patch": 4}, "lrp": None, "mine": {"method": "grad_cam"}}
    for above, named in [
        ({"study": "mine"}, []),
        ({"attribute": None, "compare": {"top_k": 5}}, []),
        ({"attribute": {"methods": methods}}, ["mine", "occlusion"]),
        ({"compare": {"checks": ["cascade"]}}, ["cascade"]),
        ({"compare": {"controls": ["cascade"]}}, ["cascade"]),
    ]:
        assert named_by_user(above) == named


@pytest.mark.parametrize(("key", "value"), [("device", "mps"), ("precision", "float16")])
def test_how_a_network_cannot_be_run_is_refused(config, key, value):
    config["train"][key] = value
    with pytest.raises(StudyError, match=rf"config: train\.{key}: '{value}' .* it is: "):
        check_config(config)


def test_both_presets_for_adni_choose_the_same_scans():
    adni, paper = (yaml.safe_load(Path(f"config/{name}.yaml").read_text()) for name in ("adni", "paper"))
    assert adni["cohort"] == paper["cohort"]


def properties(schema: dict, path: str = "") -> dict[str, dict]:
    found = {}
    for key, value in schema.get("properties", {}).items():
        if isinstance(value, dict):
            found[f"{path}.{key}"] = value
            found |= properties(value, f"{path}.{key}")
    return found


def test_every_key_of_the_config_is_described(config):
    stages = properties(SCHEMA)
    missing = [path for path, schema in stages.items() if path.count(".") > 1 and "description" not in schema]
    assert not missing


def test_no_unknown_key_passes_anywhere(config):
    def sections(value, path=()):
        if isinstance(value, dict):
            yield path, value
            for key, item in value.items():
                yield from sections(item, (*path, key))

    for path, section in list(sections(config)):
        if ".".join(path) in ["cohort.simulate.volume_change", "cohort.only", "cohort.select", "attribute.methods"]:
            continue
        section["unknown_key"] = 1
        with pytest.raises(StudyError, match="unknown_key"):
            check_config(config)
        del section["unknown_key"]
    check_config(config)


def test_numbers_that_yaml_reads_as_text_are_caught(config):
    config["train"]["learning_rate"] = yaml.safe_load("1e-4")
    with pytest.raises(StudyError, match=r"learning_rate: '1e-4' is text to YAML; write a number with a point"):
        check_config(config)


def test_values_from_the_command_line_get_their_types():
    assert typed({"only": {"smoker": "yes", "site": "01"}}) == {"only": {"smoker": "yes", "site": "01"}}
    given = {"a": "1", "b": ["2.5", "x"], "c": {"d": "true", "e": "null"}, "label": "1", "f": "1e-4", "g": 3}
    expected = {"a": 1, "b": [2.5, "x"], "c": {"d": True, "e": None}, "label": "1", "f": "1e-4", "g": 3}
    assert typed(given) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "patient: yes",
            "cohort.patient: True is no text: YAML reads yes, no, on, off, true and false as truth values",
        ),
        ("control: [CN, no]", "cohort.control.1: False is no text: YAML reads yes, no,"),
        ("only: {site: on}", "cohort.only.site: True is no text: YAML reads yes, no, on"),
        ("only: {on: 1}", "cohort.only: True is no text"),
        ("label: off", "cohort.label: False is no text: YAML reads yes, no"),
        ("control: 2020-01-31", "cohort.control: 2020-01-31 is no text: YAML reads it as a date; write it in quotes"),
        ("exclude: [012]", "cohort.exclude.0: 10 is no text: YAML reads a number, and one that begins with 0 as octal"),
        ("patient: ~", "cohort.patient: None is no text: YAML reads nothing, null or ~ as no value"),
        ("select: {run: yes}", "cohort.select.run: True is no text"),
    ],
)
def test_text_that_yaml_reads_as_something_else_is_told_with_what_to_write(config, text, message):
    config["cohort"] |= yaml.safe_load(text)
    with pytest.raises(StudyError, match=re.escape(message)):
        check_config(config)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cohort: {exclude: [sub-1],\n  only: {site: [8, 010]}}", r"line 2: YAML reads 010 as 8; write text in quotes"),
        ("cohort: {only: {time: 12:30}}", r"line 1: YAML reads 12:30 as 750; write text in quotes"),
        ("cohort: {}\ntrain: {}\ncohort: {}", r"line 1: the key cohort is there more than once"),
        ("train: {seeds: [1], seeds: [2]}", r"the key seeds is there more than once, and only the last counts"),
    ],
)
def test_what_yaml_would_change_without_a_word_is_told_with_its_line(tmp_path, text, message):
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(StudyError, match=message):
        check_yaml(tmp_path / "study.yaml")


@pytest.mark.parametrize(
    "text", ["", "a: {b: [0, 0.5, '010', 1.0e-4, 10, 0x1f, 09, -1], c: {b: 1}}", "a: 1\nb: {a: 1}"]
)
def test_ordinary_yaml_passes(tmp_path, text):
    (tmp_path / "study.yaml").write_text(text)
    check_yaml(tmp_path / "study.yaml")


def test_json_with_tabs_which_yaml_cannot_read_is_left_to_snakemake(tmp_path):
    (tmp_path / "own.json").write_text('{\n\t"train": {\n\t\t"seeds": [0, 1]\n\t}\n}\n')
    check_yaml(tmp_path / "own.json")


def test_numbers_and_quoted_words_may_be_values_of_a_label(config):
    config["cohort"] |= yaml.safe_load("{patient: ['yes', 1, 0.5], control: '2020-01-31', only: {site: 'on'}}")
    check_config(config)


def test_every_key_that_is_unknown_or_missing_is_named(config):
    del config["train"]["epochs"], config["train"]["keep"]
    with pytest.raises(StudyError, match=r"train lacks the key 'epochs', 'keep'; add it"):
        check_config(config)
    config["train"] |= {"epochs": 1, "keep": "loss", "epoks": 1, "keap": "loss"}
    with pytest.raises(StudyError, match=r"unknown key 'epoks', 'keap' in train; did you mean 'epochs', 'keep'\?"):
        check_config(config)


def test_a_path_from_home_is_written_in_full_wherever_the_config_names_a_file(config, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    config["cohort"] |= {"bids": "~/my data (v1)/", "split": {"table": "~/split.tsv"}}
    config["cohort"]["simulate"]["anatomy_from"] = "~/brains"
    config["register"] |= {"template": {"T1w": "~/T1w.nii", "brain_mask": "~/mask.nii"}, "masks": "~/masks"}
    config["register"]["atlas"] = {"labels": "templateflow:MNI/atlas=x,suffix=dseg", "names": "~//names.tsv"}
    named = expand_paths(config)
    assert named["cohort"]["bids"] == "/home/me/my data (v1)"
    assert named["cohort"]["split"]["table"] == "/home/me/split.tsv"
    assert named["cohort"]["simulate"]["anatomy_from"] == "/home/me/brains"
    assert named["register"]["template"] == {"T1w": "/home/me/T1w.nii", "brain_mask": "/home/me/mask.nii"}
    assert named["register"]["masks"] == "/home/me/masks"
    assert named["register"]["atlas"] == {
        "labels": "templateflow:MNI/atlas=x,suffix=dseg",
        "names": "/home/me/names.tsv",
    }
    assert named["train"] == config["train"] and named["cohort"]["label"] == config["cohort"]["label"]


@pytest.mark.parametrize("path", ["my {data}", "{ scan }", "{x,[a-z]+}"])
def test_a_path_that_is_a_pattern_to_snakemake_is_refused_by_key(config, path):
    config["cohort"]["bids"] = path
    with pytest.raises(StudyError, match=r"cohort\.bids is .*wildcard to Snakemake; rename or link it"):
        expand_paths(config)


def test_the_home_of_nobody_is_refused_by_key(config):
    config["register"]["masks"] = "~nobody-of-this-name/masks"
    with pytest.raises(StudyError, match=r"register\.masks is .*there is no such user; write the path in full"):
        expand_paths(config)


def test_braces_without_a_word_are_no_pattern(config):
    config["cohort"]["bids"] = "a {} {b c} {1"
    assert expand_paths(config) == config


def test_a_method_that_no_one_wrote_is_told_with_those_there_are(config):
    config["attribute"]["methods"]["mine"] = config["attribute"]["methods"]["lrp"] | {"method": "rlp"}
    with pytest.raises(StudyError, match=r"mine.method is 'rlp'; the methods are gradient_input"):
        check_config(config)


def test_a_cascade_is_planned_in_parts_whatever_the_network(config):
    config["compare"] |= {"checks": ["untrained", "noise", "cascade"], "cascade_parts": 3}
    config["train"]["network"] = {"function": "elsewhere:build"}
    assert model_checks(config) == ["untrained", *(f"random_top_{part}_of_3" for part in (1, 2, 3))]


def test_the_checks_are_read_by_the_name_that_they_once_had(config):
    old = copy.deepcopy(config)
    old["compare"]["controls"] = ["untrained"]
    found = renamed(old)
    check_config(found)
    assert found == config | {"compare": config["compare"] | {"checks": ["untrained"]}}
    assert old["compare"]["controls"] == ["untrained"] and renamed(config) == config


@pytest.mark.parametrize("value", [0, 0.5, "mean_control", "blurred", {"blurred": 12.0}])
@pytest.mark.parametrize("name", ["occlusion", "integrated_gradients_mean_control"])
def test_a_baseline_is_a_number_or_names_a_reference(config, name, value):
    config["attribute"]["methods"][name]["baseline"] = value
    check_config(config)


def test_the_paper_s_preset_has_the_paper_s_four_methods(config):
    study = laid_over(config, yaml.safe_load(Path("config/paper.yaml").read_text()))
    methods = [name for name, options in study["attribute"]["methods"].items() if options]
    assert sorted(methods) == ["gradient_input", "guided_backprop", "lrp", "occlusion"]


def test_a_reference_that_there_is_not_is_told_with_those_there_are(config):
    for wrong in ("mean_controls", {"blur": 3.0}, {"blurred": -1.0}, None):
        config["attribute"]["methods"]["occlusion"]["baseline"] = wrong
        with pytest.raises(StudyError, match=r"attribute.methods.occlusion.baseline.*"):
            check_config(config)
        config["attribute"]["methods"]["occlusion"]["baseline"] = 0.0
    config["attribute"]["methods"]["gradient_input"]["reference"] = "mean_controls"
    with pytest.raises(
        StudyError, match=r"attribute.methods.gradient_input.reference: 'mean_controls' .*mean_control, "
    ):
        check_config(config)


def test_twins_are_refused_where_there_are_none(config):
    config["attribute"]["methods"]["gradient_input"]["reference"] = "twin"
    check_references(config)
    config["cohort"]["simulate"]["twins"] = False
    with pytest.raises(
        StudyError, match=r"gradient_input.reference is twin, and cohort.simulate.twins is false; set it"
    ):
        check_references(config)
    config["cohort"]["bids"] = "data/mine"
    with pytest.raises(StudyError, match=r"reference is twin, and these scans have no twin; choose mean_control"):
        check_references(config)


def test_a_method_that_is_null_is_left_out(config):
    config["attribute"]["methods"]["lrp"] = None
    check_config(config)
    config["attribute"]["methods"] = dict.fromkeys(config["attribute"]["methods"])
    with pytest.raises(StudyError, match=r"attribute\.methods leaves out every method"):
        check_config(config)


def test_effects_need_a_reference_and_recovery_needs_effects(config):
    config["attribute"]["effects"]["controls"] = 0
    check_config(config)
    config["cohort"]["bids"] = "/data/dataset"
    with pytest.raises(StudyError, match=r"attribute\.effects\.controls is 0 and this cohort has no twins"):
        check_config(config)
    config["attribute"]["effects"] = None
    with pytest.raises(StudyError, match=r"attribute\.recovery_scans needs the order of the effects"):
        check_config(config)
    config["attribute"]["recovery_scans"] = 0
    check_config(config)


@pytest.mark.parametrize("shapley", [2, 5])
def test_random_orders_come_in_pairs_of_which_there_are_two(config, shapley):
    config["attribute"]["effects"]["shapley"] = shapley
    with pytest.raises(StudyError, match=r"attribute\.effects\.shapley"):
        check_config(config)


@pytest.mark.parametrize("name", ["t_map", "t_map_test", "effects"])
def test_no_method_has_the_name_of_a_check(config, name):
    config["attribute"]["methods"][name] = config["attribute"]["methods"]["lrp"]
    with pytest.raises(StudyError, match=f"attribute.methods names '{name}', as other results are; choose another"):
        check_config(config)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cohort: {exclude: sub-01}", "cohort.exclude: 'sub-01' is no list, as [a, b]; it is: participants"),
        ("cohort: {only: [age]}", "cohort.only: ['age'] is no keys with values, as {key: value}; it is: column"),
        ("train: {seeds: 3}", "train.seeds: 3 is no list, as [a, b]"),
        ("compare: {top_k: many}", "compare.top_k: 'many' is no whole number, as 4"),
        ("cohort: {simulate: {patients: 24.0}}", "cohort.simulate.patients: 24.0 is no whole number, as 4"),
        ("train: {seeds: [0, 1.0]}", "train.seeds.1: 1.0 is no whole number, as 4"),
        ("attribute: {methods: {lrp: off}}", "lrp: False is no keys with values, as {key: value}; it is: a method and"),
        ("attribute: {methods: {lrp: 3}}", "attribute.methods.lrp: 3 is no keys with values, as {key: value}"),
        ("cohort: {patient: []}", "cohort.patient: [] is not valid under any of the given schemas; it is: a value,"),
        ("cohort: {bids: ''}", ""),
    ],
)
def test_another_type_is_told_in_words(config, text, message):
    study = typed(laid_over(config, yaml.safe_load(text)))
    if not message:
        assert study["cohort"]["bids"] == ""
        return
    with pytest.raises(StudyError, match=re.escape(message)):
        check_config(study)


def test_classes_of_a_user_take_the_place_of_the_default_s_in_their_order(config):
    above = {"cohort": {"classes": {"CN": "CN", "AD": ["AD", "Dementia"]}}}
    study = with_own_classes(laid_over(config, above), above)
    assert list(study["cohort"]["classes"].items()) == list(above["cohort"]["classes"].items())
    assert {options["target"] for options in study["attribute"]["methods"].values()} == {"AD"}
    below = {"cohort": {"classes": {"control": 0, "patient": 1, "MCI": None}}}
    assert list(with_own_classes(laid_over(config, below), below)["cohort"]["classes"]) == ["control", "patient"]


def test_of_three_classes_there_are_three_outputs_and_the_maps_of_all_groups_are_shown(config):
    above = {"cohort": {"classes": {"CN": 0, "MCI": 1, "AD": 2}}}
    study = with_outputs(with_groups(with_own_classes(laid_over(config, above), above), above))
    assert study["train"]["network"]["outputs"] == 3
    assert study["report"]["viewer_outcomes"][:2] == ["recognised-AD", "recognised-CN"]
    study["cohort"]["bids"], study["report"]["viewer_outcomes"] = "/data", ["TP"]
    with pytest.raises(
        StudyError, match=r"report.viewer_outcomes names 'TP'; choose from recognised-AD, recognised-CN,"
    ):
        check_config(study)
    assert "outputs" not in with_outputs(config)["train"]["network"]


def test_the_former_keys_name_the_values_of_patient_and_control(config):
    above = {"cohort": {"patient": "> 0", "control": 0}}
    study = with_own_classes(laid_over(config, above), above)
    assert study["cohort"]["classes"] == {"control": 0, "patient": "> 0"} and "patient" not in study["cohort"]
    above = {"cohort": {"patient": 1, "classes": {"CN": 0, "AD": 1}}}
    with pytest.raises(StudyError, match=r"cohort.patient and cohort.classes are both given; name it among"):
        with_own_classes(laid_over(config, above), above)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"cohort": {"both_classes": "MCI"}}, "cohort.both_classes is 'MCI'; write refuse, or one of the classes,"),
        ({"cohort": {"label": {"volume": "Hippocampus"}, "classes": {"MCI": 2}}}, "which makes two classes, and"),
        ({"cohort": {"bids": None}}, "cohort.simulate.participants must name each of cohort.classes, CN, AD; correct"),
        (
            {"attribute": {"methods": {"lrp": {"target": "patients"}}}},
            "methods.lrp.target is 'patients'; choose one of the classes, CN, AD, or predicted",
        ),
        (
            {"attribute": {"methods": {"lrp": {"target": "CN"}}}},
            "is AD and that of lrp is CN; explain one class in a study",
        ),
    ],
)
def test_what_names_no_class_is_refused(config, section, message):
    above = {"cohort": {"bids": "/data", "classes": {"CN": 0, "AD": 1}}}
    study = with_own_classes(laid_over(config, above), above)
    with pytest.raises(StudyError, match=message):
        check_config(laid_over(study, section))


def test_methods_are_known_without_importing_them():
    entries = dictionary_entries("src/heatproof/attribute/__init__.py", "METHODS")
    assert list(entries) == list(METHODS)
    assert entries["lrp"] == ["heatproof.attribute.lrp.lrp"]


def test_more_regions_than_there_are_cannot_be_compared(config):
    config["compare"]["top_k"] = 73
    with pytest.raises(StudyError, match=r"compare.top_k asks for more than the atlas's 72 regions"):
        check_feasibility(config)


def test_weights_are_not_imported_into_another_study(config, tmp_path):
    config |= {"study": "mine", "models": "demo"}
    config["train"]["models"] = {"0": "mine.pt"}
    with pytest.raises(StudyError, match=r"names others; .* name results/demo/register in cohort.bids"):
        check_models(config, tmp_path)


def test_models_of_another_study_must_be_made_as_the_config_says(config, tmp_path):
    made = copy.deepcopy(config)
    config |= {"study": "mine", "models": "demo"}
    check_models(config, tmp_path)
    (tmp_path / "demo/train").mkdir(parents=True)
    (tmp_path / "demo/train/dataset_description.json").write_text(json.dumps({"Configuration": made}))
    config["train"]["seeds"] = [1]
    config["attribute"]["batch_size"] = 1
    check_models(config, tmp_path)
    config["train"]["epochs"] = 7
    config["register"]["seed"] = 1
    with pytest.raises(
        StudyError, match=r"the study 'demo', which was made with another register\.seed, train\.epochs"
    ):
        check_models(config, tmp_path)


@pytest.mark.parametrize(
    ("cohort", "message"),
    [
        ({}, "register.transform is none, but simulated scans lie in the space of their scanner"),
        ({"bids": "bids", "label": {"volume": "Hippocampus"}}, "cohort.label is the volume of a region, .* is none"),
    ],
)
def test_scans_as_they_are_need_a_dataset_and_labels_of_its_tables(config, cohort, message):
    config["register"]["transform"], config["cohort"] = "none", config["cohort"] | cohort
    with pytest.raises(StudyError, match=message):
        check_config(config)
    config["cohort"] |= {"bids": "bids", "label": "group"}
    check_config(config)


@pytest.mark.parametrize("intensity", ["none", "zscore"])
def test_a_rule_that_holds_in_0_to_1_is_refused_for_other_intensities(config, intensity):
    config["train"]["intensity"] = intensity
    check_config(config)
    config["attribute"]["methods"]["lrp"]["rule"] = "epsilon_gamma_box"
    with pytest.raises(StudyError, match=f"epsilon_gamma_box of 'lrp' holds for scans in 0..1, .* is {intensity}"):
        check_config(config)


@pytest.mark.parametrize("intensity", ["minmax", [0], [0, 50, 100]])
def test_an_intensity_that_there_is_not_is_told(config, intensity):
    config["train"]["intensity"] = intensity
    with pytest.raises(StudyError, match=r"train.intensity"):
        check_config(config)


def of_a_value(config: dict, *changes: dict) -> dict:
    study, cohort = config, {"value": "age", "bids": "/data"}
    for above in ({"cohort": cohort}, *changes):
        study = laid_over(study, above)
    return with_outputs(with_groups(with_own_classes(study, {"cohort": cohort}), {}))


def test_a_value_to_learn_takes_the_place_of_the_classes(config):
    study = of_a_value(config)
    check_config(study)
    assert study["cohort"]["label"] == "age" and study["train"]["network"]["outputs"] == "value"
    explained = {(options["target"], options["output"]) for options in study["attribute"]["methods"].values()}
    assert explained == {("age", "logit")} and study["report"]["viewer_outcomes"] == ["all", "high", "low"]
    assert with_own_classes(study, {}) == study, "a config that was read once is read the same again"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cohort": {"bids": None}}, "of a simulated cohort the severity of the atrophy alone is in the scans; write"),
        (
            {"cohort": {"bids": None, "value": "severity"}},
            "cohort.simulate.participants tells of classes, and severity",
        ),
        ({"cohort": {"both_classes": "patient"}}, "both_classes is about classes, and cohort.value is a number; write"),
        ({"attribute": {"deletion_scans": 2}}, "deletion_scans follows the probability of a class, .* set it to 0"),
        (
            {"attribute": {"methods": {"lrp": {"output": "probability"}}}},
            "lrp explains a class .* write target: age, output",
        ),
        ({"attribute": {"methods": {"lrp": {"target": "predicted"}}}}, "lrp explains a class or its probability"),
    ],
)
def test_what_takes_classes_is_refused_where_a_value_is_learned(config, changes, message):
    with pytest.raises(StudyError, match=message):
        check_config(of_a_value(config, changes))


@pytest.mark.parametrize("key", ["label", "classes", "patient"])
def test_a_value_beside_classes_is_refused(config, key):
    above = {"cohort": {"value": "age", key: {"a": 1, "b": 2} if key == "classes" else "AD"}}
    with pytest.raises(StudyError, match=f"cohort.{key} and cohort.value are both given"):
        with_own_classes(laid_over(config, above), above)


def test_classes_that_are_null_are_refused_where_there_is_no_value(config):
    above = {"cohort": {"classes": None}}
    with pytest.raises(StudyError, match=r"cohort.classes is null; name classes, or the column of a number"):
        check_config(with_own_classes(laid_over(config, above), above))
