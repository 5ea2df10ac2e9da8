"""Find the brain in a scan: tell a scan of a brain from one of a head, and extract the brain where there is a head."""

import importlib.util
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.ndimage import binary_closing, binary_fill_holes, label

from heatproof.command import threads
from heatproof.errors import StudyError
from heatproof.register.read_scan import distance, read_volume, with_space
from heatproof.space import Grid, grid_of, resample, voxel_sizes

COARSE_MM = 4.0
CLOSED_VOXELS = 3
LEAST_SOLID_BRAIN = 0.87
LARGEST_BRAIN_ML = 2300
LEAST_BRAIN_ML = 300
SAME_BRAIN = 0.9
SAME_PLACE_MM = 0.1


def find_brain(scan: nib.Nifti1Image, path: Path, extraction: str, mask: Path | None) -> tuple[np.ndarray | None, dict]:
    """Find the brain as the config's ``register.brain_extraction`` says.

    Parameters
    ----------
    scan : Nifti1Image
        As `heatproof.register.read_scan.read_scan` returns it.
    path : Path
        Its file, for messages.
    extraction : {"auto", "none", "mask", "deepbet"}
        auto chooses none for a scan of a brain, and deepbet for one of a head: no brain is larger than
        `LARGEST_BRAIN_ML`, and hardly anything in it is dark. Where something small is dark within, deepbet looks:
        what it leaves nearly whole was a brain.
    mask : Path or None
        The mask's file, for ``mask``.

    Returns
    -------
    brain : ndarray of bool, shape of the scan, or None
        None where nothing is extracted.
    decision : dict
        extraction (none, mask or deepbet), and solidity and outline_ml, which it was decided on.
    """
    solid, millilitres = outline(scan)
    decision = {"solidity": solid, "outline_ml": millilitres}
    if extraction == "mask":
        return read_mask(mask, scan), {"extraction": "mask", **decision}
    small = millilitres <= LARGEST_BRAIN_ML
    if extraction == "none" or (extraction == "auto" and small and solid >= LEAST_SOLID_BRAIN):
        return None, {"extraction": "none", **decision}
    brain = run_deepbet(scan, path)
    if extraction == "auto" and small and millilitres_of(brain, scan) >= SAME_BRAIN * millilitres:
        return None, {"extraction": "none", **decision}
    return brain, {"extraction": "deepbet", **decision}


def outline(scan: nib.Nifti1Image) -> tuple[float, float]:
    """Measure a scan's outline.

    At 4 mm, Otsu's threshold tells signal from background; the outline is the largest piece of signal, closed over gaps
    of up to 24 mm and filled. Within the outline of a head lie dark bone, air and fluid; within that of a brain
    hardly anything is dark.

    Returns
    -------
    solidity : float
        The share of the outline that gives signal.
    millilitres : float
        Its volume.
    """
    grid = grid_of(scan)
    edges = voxel_sizes(grid.affine)
    shape = tuple(int(n) for n in np.ceil(edges * grid.shape / COARSE_MM))
    coarse = Grid(shape, grid.affine @ np.diag([*(COARSE_MM / edges), 1]))
    voxels = np.asarray(scan.dataobj)
    voxels = resample(np.minimum(voxels, np.percentile(voxels, 99.9)), grid, coarse)
    signal = np.pad(largest_piece(voxels > otsu_threshold(voxels)), CLOSED_VOXELS + 1)
    ball = np.square(np.indices([2 * CLOSED_VOXELS + 1] * 3) - CLOSED_VOXELS).sum(axis=0) <= CLOSED_VOXELS**2
    filled = binary_fill_holes(binary_closing(signal, ball)).sum()
    return float(signal.sum() / filled), float(filled * COARSE_MM**3 / 1000)


def millilitres_of(brain: np.ndarray, scan: nib.Nifti1Image) -> float:
    """Return the volume of a mask on a scan's grid."""
    return float(brain.sum() * np.prod(voxel_sizes(scan.affine)) / 1000)


def otsu_threshold(voxels: np.ndarray) -> float:
    """Return the value that parts voxels into two classes of least variance within (Otsu 1979)."""
    counts, edges = np.histogram(voxels, 256)
    centres = (edges[1:] + edges[:-1]) / 2
    below, sums = np.cumsum(counts), np.cumsum(counts * centres)
    above = below[-1] - below
    between = (sums[-1] * below - sums * below[-1]) ** 2 / np.maximum(below * above, 1)
    return float(centres[between.argmax()])


def largest_piece(mask: np.ndarray) -> np.ndarray:
    """Keep the largest connected piece of a mask."""
    pieces, _ = label(mask)
    sizes = np.bincount(pieces.ravel())
    return pieces == 1 + sizes[1:].argmax()


def read_mask(path: Path, scan: nib.Nifti1Image) -> np.ndarray:
    """Read a brain mask or a segmentation that lies on the scan's grid, in any order of its axes."""
    stored = with_space(*read_volume(path)[:2])
    one, other = nib.as_closest_canonical(stored), nib.as_closest_canonical(scan)
    if one.shape != other.shape or distance(one.affine, other.affine, one.shape) > SAME_PLACE_MM:
        raise StudyError(f"{path} lies on another grid than its scan; resample it to that grid")
    mask = resample(np.asarray(stored.dataobj), grid_of(stored), grid_of(scan), labels=True) > 0.5
    if not mask.any():
        raise StudyError(f"{path} marks no voxel as brain; replace it")
    return mask


def run_deepbet(scan: nib.Nifti1Image, path: Path) -> np.ndarray:
    """Extract the brain with deepbet (Fisch et al. 2024, doi:10.1016/j.compbiomed.2024.108845) on the CPU."""
    if importlib.util.find_spec("deepbet") is None:
        raise StudyError(f"{path} shows a head, and the package deepbet, which extracts brains, is absent; install it")
    import torch
    from deepbet import BrainExtraction

    torch.set_num_threads(threads())
    try:
        _, mask, _ = BrainExtraction(no_gpu=True).run(scan)
    except (AssertionError, ValueError) as error:
        raise StudyError(f"no brain is found in {path}; give a mask or exclude the scan") from error
    brain = np.asarray(mask.dataobj) > 0
    found = millilitres_of(brain, scan)
    if found < LEAST_BRAIN_ML:
        raise StudyError(f"no brain is found in {path}, but {found:.0f} ml of it; give a mask or exclude the scan")
    return brain
