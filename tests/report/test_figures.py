import json
import shutil
import sys
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.text import Text

from heatproof.errors import StudyError
from heatproof.images import load_array, load_image
from heatproof.models import models_of
from heatproof.report import (
    draw_bounds,
    draw_convergence,
    draw_ensembles,
    draw_methods,
    draw_overlap_curve,
    draw_overlaps,
    draw_patches,
    draw_scale,
    draw_seeds,
    draw_training,
)
from heatproof.report.answer import mean_with_interval
from heatproof.report.brains import average, colour_scale, draw_map, load_brain, panel_size, read_map, read_maps
from heatproof.report.comparison import bound_rows
from heatproof.report.figures import TITLES, method_styles
from heatproof.tables import read_table
from heatproof.task import PATIENTS


def run_command(monkeypatch, module, arguments):
    monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
    module.main()


def commands(folder, config):
    """The command line of each figure, as the rules have it, without its output."""
    seeds, methods, options = models_of(config["train"]), config["attribute"]["methods"], json.dumps(config["report"])
    task = ["--task", json.dumps(PATIENTS._asdict())]
    compare, register = folder / "compare", folder / "register/template"
    coarse = json.dumps({"T1w": str(register / "T1w.nii.gz"), "brain_mask": str(register / "brain_mask.nii.gz")})
    brain = ["--mask", register / "brain_mask.nii.gz", "--template", coarse, "--options", options]
    maps = [compare / f"guided_backprop/seed-{seed}/mean_TP.nii.gz" for seed in seeds]
    histories = [folder / f"train/seed-{seed}/history.tsv" for seed in seeds]
    one = ["--method", "guided_backprop", "--seeds", *seeds, "--maps", *maps]
    patches = json.dumps({"occlusion": 5, "lrp": 2})
    tables = ["--pairs", compare / "top_regions_pairs.tsv", "--summary", compare / "top_regions.tsv"]
    return {
        draw_seeds: [*one, "--accuracy", compare / "accuracy.tsv", *brain, *task],
        draw_methods: ["--maps", compare, "--methods", *methods, "--seeds", *seeds, *brain, *task],
        draw_overlaps: [*tables, "--methods", *methods, "--seeds", *seeds, "--options", options],
        draw_overlap_curve: [
            *["--curve", compare / "overlap_curve.tsv", "--methods", *methods, "--top-k", 10, "--options", options]
        ],
        draw_scale: [
            *["--tables", *(compare / f"{method}/scale.tsv" for method in methods), "--methods", *methods],
            *["--options", options],
        ],
        draw_bounds: [
            *task,
            *["--scores", compare / "scores.tsv", "--checks", compare / "checks.tsv", "--methods", *methods],
            *["--scale", *(compare / f"{method}/scale.tsv" for method in methods), "--options", options],
        ],
        draw_training: ["--seeds", *seeds, "--histories", *histories, "--options", options],
        draw_patches: [
            *task,
            "--scores",
            compare / "scores.tsv",
            "--patches",
            patches,
            "--voxel-size",
            6,
            "--options",
            options,
        ],
    }


@pytest.mark.parametrize("preset", ["config", "full"])
def test_the_methods_of_a_preset_have_titles(preset):
    assert yaml.safe_load(Path(f"config/{preset}.yaml").read_text())["attribute"]["methods"].keys() <= TITLES.keys()


@pytest.mark.parametrize("module", [draw_seeds, draw_methods, draw_overlaps, draw_training, draw_bounds, draw_scale])
def test_a_command_draws_models_of_several_networks(module, study_of_networks, tmp_path, monkeypatch):
    run_command(monkeypatch, module, [*commands(*study_of_networks)[module], "--output", tmp_path / "figure.png"])
    assert (tmp_path / "figure.png").stat().st_size > 5_000


@pytest.mark.parametrize(
    "module",
    [
        *[draw_seeds, draw_methods, draw_overlaps, draw_overlap_curve, draw_patches, draw_training],
        *[draw_bounds, draw_scale],
    ],
)
def test_a_command_writes_the_same_bytes_twice_in_a_sane_size(module, study, tmp_path, monkeypatch):
    arguments = commands(*study)[module]
    for name in ("once", "again"):
        outputs = [tmp_path / f"{name}.png", tmp_path / f"{name}.svg"]
        run_command(monkeypatch, module, [*arguments, "--output", *outputs])
    for suffix in ("png", "svg"):
        once = (tmp_path / f"once.{suffix}").read_bytes()
        assert once == (tmp_path / f"again.{suffix}").read_bytes()
        assert 5_000 < len(once) < 2_000_000


@pytest.mark.parametrize("rows", ["absent", "empty"])
def test_where_no_two_models_can_be_compared_a_figure_says_so_and_has_no_axes(study, rows):
    tables = {path.stem: read_table(path) for path in (study[0] / "compare").glob("*.tsv")}
    paired = [
        "l2_rms",
        "pearson",
        "agreement_pearson_cubes",
        *(f"top_10_{metric}" for metric in ("sum", "density", "gain")),
    ]
    scores = tables["scores"]
    scores.loc[scores["measure"].isin(paired), "value"] = np.nan
    scores = scores.dropna(subset="value") if rows == "absent" else scores
    top, pairs, curve = (tables[name] for name in ("top_regions", "top_regions_pairs", "overlap_curve"))
    curve = curve[:0] if rows == "absent" else curve.assign(overlap_mean=np.nan)
    head = pd.DataFrame({"method": ["lrp"], "check": "random_head", "seed": 0, "spearman": 0.3})
    ensembles = pd.DataFrame({"method": ["lrp"], "measure": "pearson", "n_models": 1, "chance": 0.0})
    scale = read_table(study[0] / "compare/lrp/scale.tsv")
    scale = scale[:0] if rows == "absent" else scale.assign(value=np.nan)
    for figure in (
        draw_bounds.draw_bounds(scores, scale, head, ["lrp", "occlusion"]),
        draw_scale.draw_scale(scale, ["lrp", "occlusion"]),
        draw_overlaps.draw_overlaps(pairs, top.assign(overlap_mean=np.nan), ["lrp"], [0]),
        draw_overlap_curve.draw_overlap_curve(curve, ["lrp"], 10),
        draw_patches.draw_patches(scores, {"occlusion": 5, "lrp": 2}, 4.0),
        draw_ensembles.draw_ensembles(ensembles.assign(value=np.nan, predicted=np.nan), ["lrp"]),
    ):
        assert not figure.axes and texts(figure) == ["no two models have maps that could be compared"]


def test_one_epoch_is_a_point():
    history = {"epoch": [1], "train_loss": [0.7], "validation_loss": [0.6], "validation_accuracy": [0.5]}
    figure = draw_training.draw_training({0: pd.DataFrame(history)})
    assert {line.get_marker() for axes in figure.axes for line in axes.get_lines()} == {"o"}


def texts(figure):
    return [text.get_text().replace("\N{NO-BREAK SPACE}", " ") for text in figure.findobj(Text)]


@pytest.fixture
def brain(study):
    folder, _ = study
    template = folder / "register/template"
    mask = load_array(template / "brain_mask.nii.gz") > 0
    return load_brain({"T1w": str(template / "T1w.nii.gz"), "brain_mask": None}, []), mask


def test_figure_1_labels_each_model_and_says_which_has_no_map(study, brain):
    folder, config = study
    template, mask = brain
    maps = {s: read_map(folder / f"compare/guided_backprop/seed-{s}/mean_TP.nii.gz", mask) for s in (0, 1)}
    assert maps[1] is None
    scale = colour_scale(maps.values(), "RdYlBu_r", 0.2)
    accuracy = pd.read_csv(folder / "compare/accuracy.tsv", sep="\t")
    figure = draw_seeds.draw_seeds(maps, accuracy, template, config["report"]["points"][0], scale, "Guided")
    found = texts(figure)
    assert "balanced accuracy 81.2 %, 9 true positives" in found
    assert "balanced accuracy 93.8 %, 0 true positives" in found
    assert found.count("no true positive, no map") == 1
    assert "Guided: mean relevance over true positives, as a share of each map’s maximum" in found
    plt.close(figure)


def test_figure_2_survives_a_method_without_any_map(brain):
    template, _ = brain
    figure = draw_methods.draw_methods({"lrp": [None]}, template, [(26, -20, -16)], "RdYlBu_r", 0.2)
    assert "no model has a map" in texts(figure)
    plt.close(figure)


def test_maps_of_channels_are_drawn_side_by_side_by_name(study, tmp_path, monkeypatch):
    (folder, config), made = study, tmp_path / "compare/lrp/seed-0"
    made.mkdir(parents=True)
    for channel in ("T1w", "FLAIR"):
        shutil.copy(folder / "compare/lrp/seed-0/mean_TP.nii.gz", made / f"mean_TP_{channel}.nii.gz")
    drawn = []
    monkeypatch.setattr(draw_methods, "save_figure", lambda figure, *_: drawn.append(texts(figure)))
    shared = commands(folder, config)[draw_methods]
    shared = shared[shared.index("--mask") :]
    words = ["--maps", tmp_path / "compare", "--methods", "lrp", "--seeds", 0, "--channels", "T1w", "FLAIR"]
    run_command(monkeypatch, draw_methods, [*words, *shared, "--output", tmp_path / "figure.png"])
    assert [text for text in drawn[0] if text.endswith(("T1w", "FLAIR"))] == ["LRP\nT1w", "FLAIR"]


def test_channels_of_a_model_share_a_scale(tmp_path):
    for name, values in (("T1w", [1, -4, 0]), ("FLAIR", [2, 0, 100]), ("none", [0, 0, 0])):
        image = nib.Nifti1Image(np.float32(values).reshape(3, 1, 1), np.eye(4))
        nib.save(image, tmp_path / f"{name}.nii.gz")
    brain = np.array([True, True, False]).reshape(3, 1, 1)
    found = read_maps([tmp_path / "T1w.nii.gz", tmp_path / "FLAIR.nii.gz"], brain)
    assert [image.get_fdata().ravel().tolist() for image in found] == [[0.25, -1, 0], [0.5, 0, 0]]
    assert read_maps([tmp_path / "none.nii.gz"] * 2, brain) == [None, None]


def test_figure_3_shows_the_mean_over_pairs_and_what_is_missing():
    pairs = pd.DataFrame([("lrp", "", "sum", 3, 7, 0.4), ("lrp", "", "gain", 3, 7, np.nan)])
    pairs.columns = ["method", "check", "metric", "seed_a", "seed_b", "overlap"]
    summary = pd.DataFrame([("lrp", "", "sum", 10, 0.4, 0.139), ("lrp", "", "gain", 10, np.nan, np.nan)])
    summary.columns = ["method", "check", "metric", "k", "overlap_mean", "chance"]
    not_drawn = summary.assign(method="t_map", chance=1.0)
    figure = draw_overlaps.draw_overlaps(pairs, pd.concat([summary, not_drawn]), ["lrp"], [3, 7])
    found = texts(figure)
    assert {"mean 40.0 %", "no pair has a value", "chance 13.9 %", "shared among the top 10 regions"} <= set(found)
    assert found.count("100") == 4 and found.count("40") == 2 and found.count("–") == 2
    plt.close(figure)


def test_a_matrix_of_overlaps_is_symmetric_with_ones_on_its_diagonal():
    pairs = pd.DataFrame({"seed_a": [5, 5, 2], "seed_b": [2, 9, 9], "overlap": [0.1, 0.2, np.nan]})
    matrix = draw_overlaps.overlap_matrix(pairs, [5, 2, 9])
    np.testing.assert_array_equal(matrix, [[1, 0.1, 0.2], [0.1, 1, np.nan], [0.2, np.nan, 1]])


def test_one_model_alone_has_a_matrix_of_one():
    none = pd.DataFrame({"seed_a": [], "seed_b": [], "overlap": []})
    assert draw_overlaps.overlap_matrix(none, [4]).tolist() == [[1]]


def image(values):
    return nib.Nifti1Image(np.asarray(values, np.float32).reshape(-1, 1, 1), np.eye(4))


def test_the_colour_scale_of_signed_maps_is_symmetric_about_zero():
    scale = colour_scale([image([-0.5, 0, 0.25]), None, image([0, 0.1])], "RdBu_r", 0.2)
    assert scale.lowest == -scale.limit
    assert scale.limit == pytest.approx(0.5, rel=1e-2)
    assert scale.threshold == pytest.approx(0.2 * scale.limit)
    assert scale.colours.name == "RdBu_r"


def test_the_colour_scale_of_maps_without_negative_values_starts_at_zero_with_the_middle_colour():
    scale = colour_scale([image([0, 0.3, 1])], "RdBu_r", 0.1)
    assert not scale.signed and scale.lowest == 0
    diverging = plt.get_cmap("RdBu_r")
    np.testing.assert_allclose(scale.colours(0.0), diverging(0.5))
    np.testing.assert_allclose(scale.colours(1.0), diverging(1.0))


def test_a_colour_scale_exists_where_every_map_is_empty():
    assert colour_scale([None, None], "RdBu_r", 0.1).limit == 1


def test_an_unknown_colormap_is_refused_by_name():
    with pytest.raises(StudyError, match=r"report\.colormap: 'RdYlBlue' is unknown"):
        colour_scale([None], "RdYlBlue", 0.1)


def test_a_map_is_scaled_by_its_largest_absolute_value_in_the_brain(tmp_path):
    nib.save(image([9, -4, 2, 0]), tmp_path / "map.nii.gz")
    mask = np.array([False, True, True, True]).reshape(-1, 1, 1)
    assert read_map(tmp_path / "map.nii.gz", mask).get_fdata().ravel().tolist() == [0, -1, 0.5, 0]


@pytest.mark.parametrize("nothing", [0, np.nan])
def test_a_map_without_relevance_is_empty(tmp_path, nothing):
    nib.save(image([nothing] * 3), tmp_path / "map.nii.gz")
    assert read_map(tmp_path / "map.nii.gz", np.ones((3, 1, 1), bool)) is None


def test_the_mean_over_models_leaves_out_models_without_a_map():
    assert average([image([1, 0]), None, image([0, 1])]).get_fdata().ravel().tolist() == [0.5, 0.5]
    assert average([None, None]) is None


def test_a_spot_at_the_right_front_top_is_drawn_there_in_each_slice(study, brain):
    """In sagittal slices the front is right, in the others the right hemisphere; in axial slices the front is up."""
    template, mask = brain
    affine = load_image(study[0] / "register/template/T1w.nii.gz").affine
    millimetres = np.moveaxis(np.indices(mask.shape), 0, -1) @ affine[:3, :3] + affine[:3, 3]
    point = np.array([30, 25, 35])
    spot = nib.Nifti1Image((np.abs(millimetres - point).max(-1) < 8).astype(np.float32), affine)
    width, height = panel_size(template)
    figure = plt.figure(figsize=(6, 6 * height / width), dpi=100)
    scale = colour_scale([spot], "RdBu_r", 0.2)
    draw_map(figure.add_axes([0, 0, 1, 1]), spot, template, point, scale, coordinates=False)
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(float)
    plt.close(figure)
    red, ink = pixels[..., 0] - pixels[..., 1] > 60, pixels.min(-1) < 250
    x, y, _ = template.shape
    edges = np.array([0, y, y + x, y + x + x]) * pixels.shape[1] // (y + x + x)
    for left, right in pairwise(edges):
        down, across = (
            np.nonzero(red[:, left:right])[axis].mean() - np.nonzero(ink[:, left:right])[axis].mean() for axis in (0, 1)
        )
        assert down < -5 and across > 5


def test_a_point_outside_of_the_brain_is_refused_by_name(study):
    template = {"T1w": str(study[0] / "register/template/T1w.nii.gz")}
    with pytest.raises(StudyError, match=r"report.points: \[26, 300, -16\] lies outside"):
        load_brain(template, [[26, -20, -16], [26, 300, -16]])


def test_distance_and_overlap_are_drawn_against_the_patch_s_edge_and_other_methods_as_lines(study):
    scores = pd.read_csv(study[0] / "compare/scores.tsv", sep="\t")
    figure = draw_patches.draw_patches(scores, {"occlusion": 8, "lrp": 1, "guided_backprop": 2}, 4.0)
    judged = scores[scores["kind"] == "method"]
    values = judged.set_index(["measure", "outcome", "method"])["value"].sort_index()
    left, right = figure.axes
    curve = {line.get_label(): line for line in left.lines}["true negatives"]
    order = ["lrp", "guided_backprop", "occlusion"]
    assert curve.get_xdata().tolist() == [1, 2, 8]
    assert curve.get_ydata().tolist() == values["l2_rms", "TN"][order].tolist()
    (level,) = [line for line in left.lines if set(line.get_ydata()) == {values["l2_rms", "TP", "gradient_input"]}]
    assert level.get_linestyle() == "--"
    assert {line.get_label() for line in right.lines} > {"sum", "density", "gain"}
    assert {"Gradient × input", "chance", "8\n32 mm", "shared among the top 10 regions"} <= set(texts(figure))
    plt.close(figure)


def test_the_overlap_curve_has_a_line_for_chance_and_for_each_method_that_has_maps():
    rows = [("lrp", metric, k, k / 4, k / 8) for metric in ("sum", "density", "gain") for k in (1, 2, 3)]
    curve = pd.DataFrame(rows, columns=["method", "metric", "k", "overlap_mean", "chance"])
    figure = draw_overlap_curve.draw_overlap_curve(curve, ["lrp", "occlusion"], 2)
    method, chance, mark = figure.axes[1].lines
    assert method.get_xydata().tolist() == [[1, 0.25], [2, 0.5], [3, 0.75]]
    assert chance.get_xydata().tolist() == [[1, 0.125], [2, 0.25], [3, 0.375]]
    assert set(mark.get_xdata()) == {2}
    plt.close(figure)


def test_measured_robustness_goes_on_as_predicted_and_localisation_has_its_chance():
    rows = [("pearson", 1, 0.5, None, 0.0), ("pearson", 2, 0.6, None, 0.0), ("pearson", 4, None, 0.8, 0.0)]
    rows += [("pr_auc", 1, 0.2, None, 0.1), ("pr_auc", 2, 0.3, None, 0.1)]
    table = pd.DataFrame(rows, columns=["measure", "n_models", "value", "predicted", "chance"]).assign(method="lrp")
    figure = draw_ensembles.draw_ensembles(table, ["lrp", "occlusion"])
    left, right = figure.axes
    measured, predicted, chance = left.lines
    assert measured.get_xydata().tolist() == [[1, 0.5], [2, 0.6]]
    assert predicted.get_xydata().tolist() == [[2, 0.6], [4, 0.8]] and predicted.get_linestyle() == ":"
    assert set(chance.get_ydata()) == {0.0}
    assert right.lines[0].get_xydata().tolist() == [[1, 0.2], [2, 0.3]] and set(right.lines[1].get_ydata()) == {0.1}
    plt.close(figure)


def test_averages_of_several_networks_have_a_row_each():
    rows = [("paper", 1, 0.5), ("paper", 2, 0.6), ("resnet", 1, 0.2), ("resnet", 2, 0.3)]
    table = pd.DataFrame(rows, columns=["network", "n_models", "value"])
    table = table.assign(method="lrp", measure="pearson", predicted=None, chance=0.0)
    figure = draw_ensembles.draw_ensembles(table, ["lrp"])
    above, below = figure.axes
    assert above.lines[0].get_ydata().tolist() == [0.5, 0.6] and below.lines[0].get_ydata().tolist() == [0.2, 0.3]
    assert above.get_title("left").startswith("paper:") and below.get_title("left").startswith("resnet:")
    plt.close(figure)


def test_convergence_ends_at_the_scan_with_the_mean_over_models():
    rows = [("linear 2", 0, 0.2), ("convolution 1", 1, 0.6)]
    table = pd.DataFrame(rows, columns=["layer", "step", "value"]).assign(method="lrp", seed=0)
    table = pd.concat([table, table.assign(seed=1, value=table["value"] + 0.2)])
    figure = draw_convergence.draw_convergence(table, ["lrp", "occlusion"])
    (axes,) = figure.axes
    assert axes.lines[-1].get_xydata() == pytest.approx(np.array([[0, 0.3], [1, 0.7]]))
    assert [label.get_text() for label in axes.get_xticklabels()] == ["into linear 2", "scan"]
    plt.close(figure)


def bounds():
    """Scores of two methods, noise like one's maps, and the t-map; agreement of absolute maps; what heads change."""
    rows = [("lrp", "", 0.9, 0.3), ("occlusion", "", 0.5, 0.6)]
    rows += [("lrp", "noise", 0.0, 0.05), ("t_map", "", 1.0, 0.7)]
    scores = pd.DataFrame(
        [
            (method, check, measure, "TP", value, value - 0.1, value + 0.05, 0.05, "method")
            for method, check, *values in rows
            for measure, value in zip(("pearson", "pr_auc"), values, strict=True)
        ],
        columns=["method", "check", "measure", "outcome", "value", "low", "high", "chance", "kind"],
    )
    names = [("lrp", "", 0.7), ("occlusion", "", 0.4), ("lrp", "noise", 0.1)]
    rows = [
        (method, check, "pearson", form, fwhm, *pair, value + fwhm / 100 - 0.2 * (form == "signed"), 0.0)
        for method, check, value in names
        for form in ("signed", "absolute")
        for fwhm in (0, 8)
        for pair in ((0, 1), (0, 2), (1, 2))
    ]
    columns = ["method", "check", "measure", "values", "fwhm", "seed_a", "seed_b", "value", "chance"]
    checks = pd.DataFrame({"method": ["lrp", "lrp", "occlusion", "occlusion"], "seed": [0, 1, 0, 1]})
    checks = checks.assign(check="random_head", spearman=[0.95, 0.85, 0.1, 0.3])
    return scores, pd.DataFrame(rows, columns=columns), checks


def faithful(scores):
    """Add faithfulness and agreement over cubes, with what bounds them."""
    rows = [("lrp", "", 0.8, 0.2), ("occlusion", "", 0.3, 0.7), ("effects", "", 0.85, None)]
    rows += [("effects", "other_model", None, 0.75), ("lrp", "noise", 0.05, 0.0)]
    rows = [
        (method, check, measure, "TP", value, value - 0.1, value + 0.1, 0.0, "method")
        for method, check, *values in rows
        for measure, value in zip(("agreement_pearson_cubes", "faithfulness_pearson_cubes"), values, strict=True)
        if value is not None
    ]
    return pd.concat([scores, pd.DataFrame(rows, columns=scores.columns)], ignore_index=True)


def points_in(axes):
    return [tuple(float(v[0]) for v in container[0].get_data()) for container in axes.containers]


def crosses_in(axes):
    return [tuple(map(float, line.get_xydata()[0])) for line in axes.lines if line.get_marker() == "x"]


def test_both_axes_of_a_panel_are_about_the_same_form_of_the_maps():
    scores, scale, checks = bounds()
    figure = draw_bounds.draw_bounds(faithful(scores), scale, checks, ["lrp", "occlusion"])
    signed, absolute = figure.axes
    assert points_in(signed) == [(0.8, 0.2), (0.3, 0.7)] and crosses_in(signed) == [(0.05, 0.0)]
    np.testing.assert_allclose(points_in(absolute), [(0.7, 0.3), (0.4, 0.6)])
    np.testing.assert_allclose(crosses_in(absolute), [(0.1, 0.05)])
    assert {"faithfulness (signed maps)", "localisation (absolute maps)", "1 LRP", "2 Occlusion"} <= set(texts(figure))
    assert {"chance", "another model's effects", "the models' effects", "sanity checks"} <= set(texts(figure))
    plt.close("all")


def test_where_neither_is_known_what_the_head_changes_is_drawn():
    scores, scale, checks = bounds()
    scores = scores[scores["measure"] == "pearson"]
    (axes,) = draw_bounds.draw_bounds(scores, scale, checks, ["lrp", "occlusion"]).axes
    np.testing.assert_allclose(points_in(axes), [(0.7, 0.1), (0.4, 0.8)])
    plt.close("all")


def test_the_interval_of_absolute_maps_agreement_is_that_of_other_trainings():
    rows = pd.DataFrame({"seed_a": [0, 0, 1], "seed_b": [1, 2, 2], "value": [0.5, 0.4, 0.6]})
    value, low, high = draw_bounds.with_interval(rows)
    assert value == pytest.approx(0.5) and low < 0.5 - 0.05 and high == pytest.approx(1 - low)
    assert np.isnan(draw_bounds.with_interval(rows[:1])[1:]).all()


def test_the_interval_of_a_mean_over_models_is_student_s():
    mean, low, high = mean_with_interval(pd.Series([1.0, 2.0, 3.0, np.nan]))
    assert (mean, low, high) == pytest.approx((2, 2 - 4.302653 / np.sqrt(3), 2 + 4.302653 / np.sqrt(3)))
    mean, *ends = mean_with_interval(pd.Series([0.4, 0.5]))
    assert mean == pytest.approx(0.45) and np.isnan(ends).all()


def test_scale_has_a_line_for_each_method_and_a_band_of_its_checks_signed_above_absolute():
    _, scale, _ = bounds()
    figure = draw_scale.draw_scale(scale, ["lrp", "occlusion", "grad_cam"])
    signed, absolute = figure.axes
    lines = {line.get_label(): line for line in absolute.lines}
    np.testing.assert_allclose(lines["LRP"].get_xydata(), [[0, 0.7], [8, 0.78]])
    np.testing.assert_allclose({line.get_label(): line for line in signed.lines}["LRP"].get_ydata(), [0.5, 0.58])
    assert set(lines) == {"chance", "LRP", "Occlusion"}
    (band,) = absolute.collections
    assert band.get_paths()[0].get_extents().extents == pytest.approx([0, 0.1, 8, 0.18])
    plt.close("all")


def test_sixteen_methods_are_told_apart_by_colour_line_or_marker():
    styles = method_styles([f"method_{i}" for i in range(16)]).values()
    assert len({tuple(style.values()) for style in styles}) == 16


def test_methods_and_checks_are_listed_by_localisation():
    heads, rows = bound_rows(bounds()[0], 10)
    assert heads == ["Localisation: PR area", "Robustness: Pearson"]
    assert [row["name"] for row in rows[:4]] == [
        "t-map of training scans (no model)",
        "Occlusion",
        "LRP",
        "LRP, noise like its maps",
    ]
