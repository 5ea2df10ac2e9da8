"""Reading and writing NIfTI images so that arrays are (x, y, z) in RAS order and equal data gives equal bytes."""

import gzip
import math
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np

from heatproof.errors import StudyError

CHUNK = 2**20  # bytes
DAMAGED = (EOFError, OSError, ValueError, zlib.error)
NOT_AN_IMAGE = (nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError, *DAMAGED)


def open_image(path: str | Path) -> nib.Nifti1Image:
    """Open an image as it is stored; its voxels are not read yet.

    Raises
    ------
    StudyError
        If the file is absent or is not an image that nibabel reads.
    """
    try:
        return nib.load(path)
    except FileNotFoundError as error:
        raise StudyError(f"{path} does not exist; name a file that does, or make it first") from error
    except NOT_AN_IMAGE as error:
        raise StudyError(f"{path} cannot be read as an image ({error}); replace the file") from error


def read_voxels(image: nib.Nifti1Image, path: str | Path, dtype: type = np.float32) -> np.ndarray:
    """Read the voxels of an image that was opened from a path.

    nibabel stops at the last voxel, before the checksum that ends a gzip file, so that it reads other values from a
    damaged file without a word: the file is read to its end as well.

    Raises
    ------
    StudyError
        If the file ends too early or is damaged.
    """
    try:
        voxels = np.asarray(image.dataobj, dtype=dtype)
        if str(path).endswith(".gz"):
            with gzip.open(path) as file:
                while file.read(CHUNK):
                    pass
        return voxels
    except DAMAGED as error:
        raise StudyError(f"{path} ends too early or is damaged ({error}); replace the file") from error


def check_whole(path: str | Path) -> None:
    """Open an image and check that the file does not end before its voxels do, which are read only in doubt.

    A gzip file ends with the length of what is in it (RFC 1952): in one that was cut off, other bytes stand there.

    Raises
    ------
    StudyError
        If the file is no image, or is not whole.
    """
    image = open_image(path)
    needed = image.dataobj.offset + image.dataobj.dtype.itemsize * math.prod(image.shape)
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        length = file.seek(-4, 2) + 4
        whole = int.from_bytes(file.read(4), "little") == needed % 2**32 if packed else length >= needed
    if not whole:
        read_voxels(image, path)


def load_image(path: str | Path) -> nib.Nifti1Image:
    """Load an image, reoriented so that its axes run to the right, to the front and up; errors as `open_image`."""
    image = open_image(path)
    try:
        return nib.as_closest_canonical(image)
    except NOT_AN_IMAGE as error:
        raise StudyError(f"{path} cannot be read as an image ({error}); replace the file") from error


def load_array(path: str | Path, dtype: type = np.float32) -> np.ndarray:
    """Load the voxels of an image as an array (x, y, z) in RAS order."""
    return read_voxels(load_image(path), path, dtype)


def load_heatmap(path: str | Path) -> np.ndarray:
    """Load a heatmap as (x, y, z): of several channels, the sum of their relevance."""
    heatmap = load_array(path)
    return heatmap if heatmap.ndim == 3 else heatmap.sum(axis=3)


def load_channels(path: str | Path) -> np.ndarray:
    """Load a heatmap as (channels, x, y, z)."""
    heatmap = load_array(path)
    return heatmap[None] if heatmap.ndim == 3 else np.moveaxis(heatmap, 3, 0)


def save_heatmap(heatmap: np.ndarray, affine: np.ndarray, path: str | Path) -> None:
    """Write a heatmap (channels, x, y, z) as (x, y, z, channels), of one channel as (x, y, z); see `save_image`."""
    save_image(as_volume(heatmap), affine, path)


def as_volume(heatmap: np.ndarray) -> np.ndarray:
    """Turn a heatmap (channels, x, y, z) into the voxels of an image: (x, y, z, channels), of one channel (x, y, z)."""
    return heatmap[0] if len(heatmap) == 1 else np.moveaxis(heatmap, 0, 3)


def save_image(array: np.ndarray, affine: np.ndarray, path: str | Path) -> None:
    """Write an array (x, y, z) as gzipped NIfTI; the bytes depend on the data alone, not on name or time.

    Parameters
    ----------
    array : ndarray
        Voxel values; float64 becomes float32, booleans become uint8.
    affine : ndarray, shape (4, 4)
        Voxel indices to millimetres.
    path : path
        A name that ends in ``.nii.gz``.
    """
    dtype = {"f": np.float32, "b": np.uint8}.get(array.dtype.kind, array.dtype)
    image = nib.Nifti1Image(np.asarray(array, dtype=dtype), affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, code=4)
    image.set_qform(affine, code=4)
    write_image(image, path)


def write_image(image: nib.Nifti1Image, path: str | Path) -> None:
    """Write an image as ``.nii.gz`` whose bytes depend on the image alone, not on its name or the time.

    The file appears under its name when it is whole.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with open(part, "wb") as file, gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as packed:
        packed.write(image.to_bytes())
    part.replace(path)
