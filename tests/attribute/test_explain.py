"""One heatmap per scan of a store, on its grid; what cannot be explained is refused by name."""

import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import captum.attr
import numpy as np
import pandas as pd
import pytest
import torch

from heatproof.attribute import METHODS, explain
from heatproof.attribute.occlusion import incremental
from heatproof.errors import StudyError
from heatproof.images import load_image, save_image
from heatproof.possible import is_left_out
from heatproof.sources import dictionary_entries
from heatproof.store import Store, open_store
from heatproof.tables import write_table
from heatproof.task import PATIENTS
from heatproof.train.network import create_network, load_model, save_model

SHAPE = (14, 12, 13)
NETWORK = {"filters": [3, 4], "pools": [2, 3], "padding": 1, "hidden": 5}
AFFINE = np.array([[4.0, 0, 0, -90], [0, 4, 0, -120], [0, 0, 4, -70], [0, 0, 0, 1]])
NAMES = ["sub-01", "sub-02_ses-M00", "sub-02_ses-M06"]


class Study:
    """A model, a store of three scans and a brain mask in a folder, and the command that explains them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        self.folder, self.monkeypatch = folder, monkeypatch
        torch.manual_seed(0)
        save_model(create_network(SHAPE, NETWORK), SHAPE, NETWORK, folder / "model.safetensors")
        self.mask = np.zeros(SHAPE, bool)
        self.mask[3:9, 2:8, 4:10] = True
        save_image(self.mask, AFFINE, folder / "brain_mask.nii.gz")
        self.labels = np.random.default_rng(0).choice([0, 5, 8, 9], SHAPE).astype(np.int32)
        save_image(self.labels, AFFINE, folder / "regions.nii.gz")
        names = ["Left Hippocampus", "Right Hippocampus", "Brain Stem"]
        write_table(pd.DataFrame({"index": [5, 8, 9], "name": names}), folder / "regions.tsv")
        self.write_scans(np.random.default_rng(0).random((3, *SHAPE)))
        self.write_references()

    def write_references(self):
        """Write training scans, the mean of the controls among them, and the twins of both patients."""
        random = np.random.default_rng(1)
        np.save(self.folder / "train.npy", random.random((4, *SHAPE)).astype(np.float16))
        labels = ["patient", "control", "control", "control"]
        write_table(pd.DataFrame({"scan": list("abcd"), "label": labels}), self.folder / "train.tsv")
        np.save(self.folder / "mean_control.npy", random.random(SHAPE).astype(np.float32))
        np.save(self.folder / "twins.npy", random.random((2, *SHAPE)).astype(np.float16))
        write_table(pd.DataFrame({"scan": NAMES[::2], "label": "control"}), self.folder / "twins.tsv")

    def write_scans(self, images):
        np.save(self.folder / "test.npy", images.astype(np.float16))
        labels = ["patient", "control", "patient"]
        write_table(pd.DataFrame({"scan": NAMES, "label": labels}), self.folder / "test.tsv")

    def explain(self, out="out", batch_size=2, possible=None, **options):
        files = {"model": "model.safetensors", "scans": "test.npy", "template": "", "out-dir": out}
        values = {"name": "mine", "options": json.dumps(options), "batch-size": batch_size, "device": "cpu"}
        values |= {option: self.folder / file for option, file in files.items()}
        values |= {"task": json.dumps(PATIENTS._asdict())} | ({"possible": possible} if possible else {})
        arguments = [text for option, value in values.items() for text in (f"--{option}", str(value))]
        self.monkeypatch.setattr("sys.argv", ["explain", *arguments])
        self.monkeypatch.setattr(explain, "prepare_device", torch.device)
        explain.main()
        return {path.name: load_image(path) for path in sorted((self.folder / out).glob("*.nii.gz"))}


@pytest.fixture
def study(tmp_path, monkeypatch):
    return Study(tmp_path, monkeypatch)


def test_the_names_of_the_methods_are_read_without_importing_them():
    assert list(dictionary_entries("src/heatproof/attribute/__init__.py", "METHODS")) == list(METHODS)
    assert {"gradient_input", "guided_backprop", "lrp", "occlusion"} < METHODS.keys()


def test_every_scan_gets_a_heatmap_on_its_grid(study, capsys):
    heatmaps = study.explain(method="gradient_input", target="patient", output="logit", sign="absolute")
    assert list(heatmaps) == [f"{name}_heatmap.nii.gz" for name in NAMES]
    images = torch.from_numpy(open_store(study.folder / "test.npy").images.astype(np.float32))
    model = load_model(study.folder / "model.safetensors")
    expected = captum.attr.InputXGradient(model).attribute(images.requires_grad_(), target=1).abs()
    for heatmap, values in zip(heatmaps.values(), expected, strict=True):
        assert heatmap.get_data_dtype() == np.float32
        np.testing.assert_array_equal(heatmap.affine, AFFINE)
        np.testing.assert_allclose(heatmap.get_fdata(), values[0].detach(), rtol=1e-4, atol=1e-8)
    assert "3/3" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        {"method": "guided_backprop", "target": "predicted"},
        {"method": "lrp", "output": "probability", "rule": "gamma", "bias": True, "batch_norm": "pass"},
        {"method": "occlusion", "patch": 4, "stride": 3, "mask": "brain"},
        {"method": "smooth_grad", "samples": 3},
        {"method": "region_occlusion", "regions": "hemispheres"},
        {"method": "region_occlusion", "regions": "hemispheres", "baseline": "mean_control"},
        {"method": "integrated_gradients", "steps": 3, "baseline": {"blurred": 12.0}},
        {"method": "gradient_shap", "samples": 3, "controls": 2, "noise": 0.1, "seed": 4},
    ],
)
def test_the_same_bytes_come_out_again_and_the_same_maps_in_other_batches(study, options):
    once, other = study.explain("once", **options), study.explain("other", batch_size=3, **options)
    study.explain("again", **options)
    for name in once:
        assert (study.folder / "once" / name).read_bytes() == (study.folder / "again" / name).read_bytes()
        scale = np.abs(once[name].get_fdata()).max()
        assert scale > 0
        np.testing.assert_allclose(other[name].get_fdata(), once[name].get_fdata(), atol=1e-4 * scale)


def test_the_brain_mask_reaches_a_method_that_takes_one(study, monkeypatch):
    def masked(model, images, target, *, mask=None):
        return images * 0 + (2.0 if mask is None else mask)

    monkeypatch.setitem(METHODS, "masked", masked)
    for options, expected in (({"mask": "brain"}, study.mask), ({"mask": "none"}, 2), ({}, 2)):
        for heatmap in study.explain(method="masked", **options).values():
            np.testing.assert_array_equal(heatmap.get_fdata(), np.broadcast_to(expected, SHAPE))


@pytest.mark.parametrize(("scheme", "expected"), [("atlas", [1, 2, 3]), ("hemispheres", [1, 1, 2])])
def test_the_regions_reach_a_method_that_takes_them(study, monkeypatch, scheme, expected):
    monkeypatch.setitem(METHODS, "labelled", lambda model, images, target, *, regions: images * 0 + regions)
    for heatmap in study.explain(method="labelled", regions=scheme).values():
        np.testing.assert_array_equal(heatmap.get_fdata(), np.select([study.labels == i for i in (5, 8, 9)], expected))


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_each_scan_is_compared_with_its_own_reference(study, batch_size):
    images, twins = (np.load(study.folder / f"{name}.npy").astype(np.float32) for name in ("test", "twins"))
    mean = np.load(study.folder / "mean_control.npy")
    expected = {
        "twin": images - np.stack([twins[0], images[1], twins[1]]),
        "mean_control": images - mean,
        0.5: images - 0.5,
    }
    for reference, apart in expected.items():
        maps = study.explain(f"from {reference}", batch_size, method="input", reference=reference)
        for heatmap, values in zip(maps.values(), apart, strict=True):
            np.testing.assert_allclose(heatmap.get_fdata(), values, atol=1e-6)


def test_a_job_that_broke_off_begins_anew_with_another_reference_image(study, monkeypatch):
    def leave():
        with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
            broken.setattr(explain, "save_heatmap", Mock(side_effect=[None, KeyboardInterrupt]))
            study.explain(batch_size=1, method="gradient_input", reference="mean_control")
        return [path.name for path in (study.folder / "out.unfinished").iterdir()]

    (first,), (same,) = leave(), leave()
    np.save(study.folder / "mean_control.npy", np.zeros(SHAPE, np.float32))
    (other,) = leave()
    assert first == same != other


def test_no_more_than_a_batch_is_read_at_once(study, tmp_path):
    class Watched:
        def __init__(self, array):
            self.array, self.read = array, []

        def __getitem__(self, scans):
            self.read.append(len(self.array[scans]))
            return self.array[scans]

    store = open_store(study.folder / "test.npy")
    watched = Store(Watched(store.images), store.scans)
    model, options = load_model(study.folder / "model.safetensors"), {"method": "gradient_input"}
    conditions = {"affine": AFFINE, "device": torch.device("cpu")}
    explain.explain_store(model, watched, options, tmp_path / "maps", batch_size=2, **conditions)
    assert watched.images.read == [2, 1]


@pytest.mark.parametrize("options", [{"method": "gradient_input"}, {"method": "occlusion", "patch": 1, "stride": 1}])
def test_a_job_that_broke_off_goes_on_where_it_was_and_ends_with_the_same_bytes(study, monkeypatch, options):
    monkeypatch.setitem(incremental.ROWS, "cpu", 500)
    whole = study.explain("whole", batch_size=1, **options)
    calls = {"explain": 0, "measure": 0}

    def counted(name, function, last):
        def count(*arguments, **keywords):
            calls[name] += 1
            if calls[name] == last:
                raise KeyboardInterrupt
            return function(*arguments, **keywords)

        return count

    with monkeypatch.context() as broken:
        broken.setattr(explain, "explain", counted("explain", explain.explain, 3))
        broken.setattr(incremental, "measure", counted("measure", incremental.measure, 7))
        with pytest.raises(KeyboardInterrupt):
            study.explain("again", batch_size=1, **options)
    done = dict(calls)
    monkeypatch.setattr(explain, "explain", counted("explain", explain.explain, None))
    monkeypatch.setattr(incremental, "measure", counted("measure", incremental.measure, None))
    again = study.explain("again", batch_size=1, **options)
    assert list(again) == list(whole)
    for name in whole:
        assert (study.folder / "again" / name).read_bytes() == (study.folder / "whole" / name).read_bytes()
    assert calls["explain"] - done["explain"] == (1 if options["method"] == "gradient_input" else 2)
    if options["method"] == "occlusion":
        assert calls["measure"] - done["measure"] == 3 * -(-np.prod(SHAPE) // 500) - 6


def test_what_another_job_left_is_not_gone_on_with(study, monkeypatch):
    def leave(**options):
        with monkeypatch.context() as broken, pytest.raises(KeyboardInterrupt):
            broken.setattr(explain, "save_heatmap", Mock(side_effect=[None, KeyboardInterrupt]))
            study.explain(batch_size=1, **options)
        return [path.name for path in (study.folder / "out.unfinished").iterdir()]

    options = {"method": "lrp", "rule": "epsilon"}
    (first,), (same,), (other,) = leave(**options), leave(**options), leave(method="lrp", rule="gamma")
    study.write_scans(np.random.default_rng(1).random((3, *SHAPE)))
    (changed,) = leave(method="lrp", rule="gamma")
    assert first == same
    assert len({same, other, changed}) == 3


def test_what_the_network_cannot_have_is_left_out_and_says_why(study, tmp_path):
    (tmp_path / "possible.tsv").write_text("what\tname\tpossible\tnote\nmethod\tmine\tno\tit has gates\n")
    assert not study.explain(method="lrp", possible=tmp_path / "possible.tsv")
    assert is_left_out(study.folder / "out")


def test_a_killed_process_loses_no_chunk(study, tmp_path):
    shape = (24, 24, 24)
    save_model(create_network(shape, NETWORK), shape, NETWORK, study.folder / "model.safetensors")
    save_image(np.ones(shape, bool), AFFINE, study.folder / "brain_mask.nii.gz")
    study.write_scans(np.random.default_rng(0).random((3, *shape)))
    options = json.dumps({"method": "occlusion", "patch": 1, "stride": 1})
    files = ["--model=model.safetensors", "--scans=test.npy", "--template=."]
    command = [sys.executable, "-m", "heatproof.attribute.explain", *files, "--name=mine", f"--options={options}"]
    command += ["--batch-size=2", "--device=cpu", "--task", json.dumps(PATIENTS._asdict())]
    started = partial(subprocess.Popen, cwd=study.folder, env={**os.environ, "PYTHONPATH": str(Path("src").resolve())})

    killed = started([*command, "--out-dir=killed"], stderr=subprocess.DEVNULL)
    while not [file for file in study.folder.glob("killed.unfinished/*/journal/*.drops") if file.stat().st_size]:
        assert killed.poll() is None
        time.sleep(0.001)
    killed.kill()
    killed.wait()
    assert not list(study.folder.glob("killed/*.nii.gz"))
    for folder in ("killed", "whole"):
        assert started([*command, f"--out-dir={folder}"], stderr=subprocess.DEVNULL).wait() == 0
    for name in NAMES:
        one, other = (study.folder / folder / f"{name}_heatmap.nii.gz" for folder in ("killed", "whole"))
        assert one.read_bytes() == other.read_bytes()
    assert len(list((study.folder / "killed").iterdir())) == 3


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_scan_that_is_not_finite_is_refused_by_name(study, value):
    images = np.zeros((3, *SHAPE))
    images[2, 0, 5, 7] = value
    study.write_scans(images)
    with pytest.raises(StudyError, match="the scan sub-02_ses-M06 has NaN or infinite voxels"):
        study.explain(method="lrp")


def test_a_heatmap_that_is_not_finite_is_refused_by_name(study, monkeypatch):
    images = np.ones((3, *SHAPE))
    images[1, 3, 4, 5] = 0
    study.write_scans(images)
    monkeypatch.setitem(METHODS, "broken", lambda model, images, target: 1 / images)
    with pytest.raises(StudyError, match="the heatmap of sub-02_ses-M00 by broken has NaN or infinite voxels"):
        study.explain(method="broken")


@pytest.mark.parametrize(("value", "told"), [(0.0, True), (0.3, True), (None, False)])
def test_the_log_tells_of_heatmaps_that_are_the_same_in_all_voxels(study, monkeypatch, caplog, value, told):
    monkeypatch.setitem(METHODS, "flat", lambda model, images, target: images * (value is None) + (value or 0.0))
    study.explain(method="flat")
    assert ("3 of 3 heatmaps say nothing: they have one value in all voxels" in caplog.text) == told


def test_a_mask_on_another_grid_is_refused(study):
    save_image(np.ones((14, 12, 12), bool), AFFINE, study.folder / "brain_mask.nii.gz")
    with pytest.raises(
        StudyError, match=r"test.npy holds scans of \(14, 12, 13\) voxels.*brain_mask.nii.gz has \(14, 12, 12\)"
    ):
        study.explain(method="gradient_input")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"method": "gradcam"},
            "attribute.methods.mine.method is 'gradcam', .* choose one of gradient_input, .*, grad_cam",
        ),
        ({}, "attribute.methods.mine.method is None"),
        ({"method": "lrp", "patch": 3}, "attribute.methods.mine has no option 'patch'; lrp has .*rule, epsilon"),
        ({"method": "gradient_input", "mask": "brain"}, "has no option 'mask'; gradient_input has method, target"),
        ({"method": "occlusion", "mask": "head"}, "attribute.methods.mine.mask is 'head'; choose one of brain, none"),
        (
            {"method": "region_occlusion", "regions": "lobes"},
            "regions is 'lobes'; choose one of atlas, hemispheres, boe",
        ),
        (
            {"method": "occlusion", "baseline": "mean"},
            "mine.baseline is 'mean'; choose one of mean_control, blurred, twin",
        ),
        ({"method": "deep_lift", "reference": "twin"}, "mine has no option 'reference'; deep_lift has .*baseline"),
        ({"method": "lrp", "target": "nobody"}, "mine.target is 'nobody'; choose one of patient, predicted"),
        ({"method": "lrp", "output": "score"}, "mine.output is 'score'; choose one of margin, logit, probability"),
        ({"method": "lrp", "sign": "negative"}, "mine.sign is 'negative'; choose one of signed, absolute, positive"),
    ],
)
def test_options_that_do_not_exist_are_refused_by_their_key(study, options, message):
    with pytest.raises(StudyError, match=message):
        study.explain(**options)
