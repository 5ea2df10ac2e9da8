"""Reading a scan: what header or background leave open is settled the same way each time; what is no scan is named."""

import gzip

import ants
import nibabel as nib
import numpy as np
import pytest

from heatproof.errors import StudyError
from heatproof.register.read_scan import read_scan

SHAPE = (20, 24, 22)
AFFINE = np.array([[-6.0, 0, 0, 60], [0, 6, 0, -70], [0, 0, 6, -50], [0, 0, 0, 1]])


@pytest.fixture
def voxels():
    return np.random.default_rng(0).integers(0, 1000, SHAPE).astype(np.int16)


@pytest.fixture
def scan(tmp_path):
    """Where the scan of a test lies."""
    return tmp_path / "sub-9_T1w.nii.gz"


def write(scan, voxels, affine=AFFINE):
    nib.save(nib.Nifti1Image(voxels, affine), scan)
    return scan


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_integers_and_floats_packed_or_not_are_read_alike(tmp_path, voxels, name, dtype):
    read, notes = read_scan(write(tmp_path / name, (voxels // 4).astype(dtype)))
    assert read.get_data_dtype() == np.float32 and notes == []
    assert np.array_equal(read.dataobj, voxels // 4) and np.array_equal(read.affine, AFFINE)


def patch(scan, **bytes_at):
    """Overwrite fields of the header in the file, which nibabel would not write: name and offset by the standard."""
    offsets = {
        "dim_x": 42,
        "datatype": 70,
        "pixdim": 80,
        "slope": 112,
        "intercept": 116,
        "units": 123,
        "qform_code": 252,
        "sform_code": 254,
        "srow_z": 312,
    }
    raw = bytearray(gzip.decompress(scan.read_bytes()))
    for field, value in bytes_at.items():
        packed = value.tobytes()
        raw[offsets[field] : offsets[field] + len(packed)] = packed
    scan.write_bytes(gzip.compress(bytes(raw)))


def test_the_scale_factor_is_applied(scan, voxels):
    patch(write(scan, voxels), slope=np.float32(0.5), intercept=np.float32(10))
    assert np.allclose(read_scan(scan)[0].dataobj, voxels * 0.5 + 10)


def test_one_volume_in_four_dimensions_is_a_scan(scan, voxels):
    assert read_scan(write(scan, voxels[..., None]))[0].shape == SHAPE


def test_voxels_of_any_edges_in_any_order_keep_their_place(scan, voxels):
    affine = np.array([[0, 0, 5.5, -60], [-4.1, 0, 0, 50], [0, 7.3, 0, -80], [0, 0, 0, 1]])
    read, notes = read_scan(write(scan, voxels, affine))
    assert np.allclose(read.affine, affine, atol=1e-5) and notes == []


def test_the_sform_rules_where_it_and_the_qform_disagree(scan, voxels):
    image = nib.Nifti1Image(voxels, AFFINE)
    moved = AFFINE.copy()
    moved[:3, 3] += [0, 30, 40]
    image.set_qform(moved, code=1)
    image.set_sform(AFFINE, code=1)
    nib.save(image, scan)
    read, notes = read_scan(scan)
    assert notes == ["sform and qform disagree by 50 mm; the sform is used"]
    for form in (read.affine, read.get_qform(), read.get_sform()):
        assert np.allclose(form, AFFINE, atol=1e-4)


def test_the_qform_rules_where_the_sform_is_no_rotation(scan, voxels):
    image = nib.Nifti1Image(voxels, AFFINE)
    image.set_qform(AFFINE, code=1)
    sheared = AFFINE.copy()
    sheared[0, 1] = 3
    image.set_sform(sheared, code=2)
    nib.save(image, scan)
    read, notes = read_scan(scan)
    assert np.allclose(read.affine, AFFINE, atol=1e-4)
    assert len(notes) == 1 and notes[0].endswith("the qform is used")


def test_a_hair_of_shear_is_straightened(scan, voxels):
    sheared = AFFINE.copy()
    sheared[0, 1] = 0.01
    read, _ = read_scan(write(scan, voxels, sheared))
    axes = read.affine[:3, :3] / 6
    assert np.allclose(axes.T @ axes, np.eye(3), atol=1e-5) and np.allclose(read.affine, sheared, atol=0.02)


def big_endian(scan, voxels):
    image = nib.Nifti1Image(voxels.astype(">i2"), AFFINE, nib.Nifti1Header(endianness=">"))
    nib.save(image, scan)


HEADERS = {
    "metres": lambda scan, voxels: patch(write(scan, voxels), units=np.uint8(1)),
    "microns": lambda scan, voxels: patch(write(scan, voxels), units=np.uint8(3)),
    "no unit": lambda scan, voxels: patch(write(scan, voxels), units=np.uint8(0)),
    "seconds and an unknown unit": lambda scan, voxels: patch(write(scan, voxels), units=np.uint8(13)),
    "edges of 1": lambda scan, voxels: patch(
        write(scan, voxels), pixdim=np.ones(3, np.float32), qform_code=np.int16(0)
    ),
    "big endian": big_endian,
    "64 bits": lambda scan, voxels: nib.save(nib.Nifti1Image(voxels, AFFINE, dtype=np.int64), scan),
    "NIfTI-2": lambda scan, voxels: nib.save(nib.Nifti2Image(voxels, AFFINE), scan),
    "five dimensions": lambda scan, voxels: write(scan, voxels[..., None, None]),
    "a scale factor": lambda scan, voxels: patch(write(scan, voxels * 2), slope=np.float32(0.5)),
}


@pytest.mark.parametrize("make", HEADERS.values(), ids=HEADERS.keys())
def test_ants_is_handed_voxels_and_millimetres_whatever_the_header_says(scan, voxels, make, tmp_path):
    make(scan, voxels)
    nib.save(read_scan(scan)[0], tmp_path / "handed.nii")
    handed = ants.image_read(str(tmp_path / "handed.nii"))
    assert np.allclose(handed.numpy(), voxels) and np.allclose(handed.spacing, 6)
    assert np.allclose(handed.origin, [-60, 70, -50])  # x and y point the other way in ITK
    assert np.allclose(handed.direction, np.diag([1, -1, 1]))


def test_freesurfer_s_format_is_read(tmp_path, voxels):
    nib.save(nib.MGHImage(voxels.astype(np.float32), AFFINE), tmp_path / "T1.mgz")
    read, notes = read_scan(tmp_path / "T1.mgz")
    assert np.allclose(read.dataobj, voxels) and np.allclose(read.affine, AFFINE, atol=1e-4) and notes == []


@pytest.fixture
def brain():
    """A ball of 100 to 1000 in an empty image; and where it is."""
    ball = np.square(np.indices(SHAPE) - np.array([9, 11, 10])[:, None, None, None]).sum(axis=0) < 60
    signal = np.random.default_rng(1).uniform(100, 1000, SHAPE).astype(np.float32)
    return np.where(ball, signal, 0), ball


def z_scored(voxels, ball):
    return (voxels - voxels[ball].mean()) / voxels[ball].std()


BACKGROUNDS = {
    "NaN": (lambda v, ball: np.where(ball, v, np.nan), "NaN is taken for background"),
    "-1000": (lambda v, ball: np.where(ball, v, -1000), "the background is -1000, the darkest value 10"),
    "everything 1000 lower": (lambda v, ball: v - 1000, "the background is -1000, the darkest value -89"),
    "brighter than the brain": (lambda v, ball: np.where(ball, v, 4095), "the background is 4095"),
    "0 within a z-scored brain's values": (
        lambda v, ball: np.where(ball, z_scored(v, ball), 0),
        "the background is 0,",
    ),
    "z-scored, NaN around": (lambda v, ball: np.where(ball, z_scored(v, ball), np.nan), "the darkest value -1."),
    "z-scored as a whole": (lambda v, ball: (v - v.mean()) / v.std(), "the background is -"),
}


@pytest.mark.parametrize(("make", "note"), BACKGROUNDS.values(), ids=BACKGROUNDS.keys())
def test_the_background_becomes_0_and_nothing_is_darker(scan, brain, make, note):
    voxels, ball = brain
    read, notes = read_scan(write(scan, make(voxels, ball).astype(np.float32)))
    settled = np.asarray(read.dataobj)
    assert (settled[~ball] == 0).all() and settled.min() == 0 and np.mean(settled[ball] > 0) > 0.99
    assert np.corrcoef(settled[ball], voxels[ball])[0, 1] > 0.9999
    assert note in "; ".join(notes)


def test_noise_about_a_level_of_its_own_is_brought_to_0(scan, brain):
    noise = np.random.default_rng(2).normal(0, 10, SHAPE).astype(np.float32)
    read, notes = read_scan(write(scan, brain[0] + noise - 500))
    assert abs(np.median(read.dataobj) - 30) < 10 and len(notes) == 1


def test_a_background_of_0_with_ringing_below_it_stays_as_it_is(scan, brain):
    voxels = brain[0].copy()
    voxels[9, 11, 10] = -20
    read, notes = read_scan(write(scan, voxels))
    assert np.array_equal(read.dataobj, voxels) and notes == []


def with_value(voxels, value):
    odd = voxels.astype(np.float32)
    odd[3, 4, 5] = value
    return odd


def with_hole(voxels, edge):
    odd = voxels.astype(np.float32)
    odd[8 : 8 + edge, 8 : 8 + edge, 8 : 8 + edge] = np.nan
    return odd


def test_nan_in_dark_spots_of_a_head_is_background(scan, brain):
    read, notes = read_scan(write(scan, with_hole(brain[0], 2)))
    settled = np.asarray(read.dataobj)
    assert (settled[8:10, 8:10, 8:10] == 0).all() and np.isfinite(settled).all()
    assert "NaN is taken for background" in "; ".join(notes)


BAD_VOXELS = {
    "NaN in much of the head": (lambda voxels: with_hole(voxels, 5), "NaN in much of the head"),
    "one infinity": (lambda voxels: with_value(voxels, np.inf), "infinite"),
    "all NaN": (lambda voxels: np.full(SHAPE, np.nan, np.float32), "one value in all or nearly all voxels"),
    "all zero": (lambda voxels: voxels * 0, "one value in all or nearly all voxels"),
    "one bright voxel": (lambda voxels: with_value(voxels * 0, 500), "nearly all voxels"),
    "several volumes": (lambda voxels: np.stack([voxels, voxels], axis=-1), "2 volumes"),
    "one slice": (lambda voxels: voxels[:, :, :1], "single slice"),
    "two dimensions": (lambda voxels: voxels[:, :, 0], "single slice"),
    "complex numbers": (lambda voxels: voxels.astype(np.complex64), "colours or complex"),
    "colours": (
        lambda voxels: np.zeros(voxels.shape, [("R", "u1"), ("G", "u1"), ("B", "u1")]),
        "colours or complex",
    ),
}


@pytest.mark.parametrize(("make", "message"), BAD_VOXELS.values(), ids=BAD_VOXELS.keys())
def test_voxels_that_are_no_t1w_are_refused_by_name(scan, voxels, make, message):
    write(scan, make(voxels))
    with pytest.raises(StudyError, match=f"{scan.name}.*{message}"):
        read_scan(scan)


def metres(scan, voxels):
    write(scan, voxels, np.diag([0.001, 0.001, 0.001, 1]) @ AFFINE)


def no_forms(scan, voxels):
    patch(write(scan, voxels), sform_code=np.int16(0), qform_code=np.int16(0))


def oblique(scan, voxels):
    affine = AFFINE.copy()
    affine[0, 1] = 3
    write(scan, voxels, affine)
    patch(scan, qform_code=np.int16(0))


def flat(scan, voxels):
    patch(write(scan, voxels), srow_z=np.zeros(4, np.float32), qform_code=np.int16(0))


BAD_HEADERS = {
    "metres for millimetres": (metres, "spans 0.12 x 0.144 x 0.132 mm"),
    "neither sform nor qform": (no_forms, "left and right are unknown"),
    "oblique axes": (oblique, "left and right are unknown"),
    "an axis of no length": (flat, "left and right are unknown"),
}


@pytest.mark.parametrize(("make", "message"), BAD_HEADERS.values(), ids=BAD_HEADERS.keys())
def test_headers_that_place_no_head_are_refused_by_name(scan, voxels, make, message):
    make(scan, voxels)
    with pytest.raises(StudyError, match=f"{scan.name}.*{message}"):
        read_scan(scan)


def truncate(scan):
    scan.write_bytes(scan.read_bytes()[:9000])


def damage(scan):
    packed = bytearray(scan.read_bytes())
    packed[5000:5050] = bytes(50)
    scan.write_bytes(packed)


BAD_FILES = {
    "truncated": truncate,
    "damaged in the middle": damage,
    "a header that promises more voxels": lambda scan: patch(scan, dim_x=np.int16(300)),
    "a header of an unknown type": lambda scan: patch(scan, datatype=np.int16(7777)),
    "no image": lambda scan: scan.write_text("not an image"),
    "empty": lambda scan: scan.write_bytes(b""),
    "absent": lambda scan: scan.unlink(),
}


@pytest.mark.parametrize("spoil", BAD_FILES.values(), ids=BAD_FILES.keys())
def test_files_that_cannot_be_read_are_refused_by_name(scan, voxels, spoil):
    spoil(write(scan, voxels))
    with pytest.raises(StudyError, match=r"sub-9_T1w\.nii\.gz"):
        read_scan(scan)
