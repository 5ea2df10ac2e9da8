"""Find the brain in a scan: tell a scan of a brain from one of a head, and extract the brain where there is a head."""

import importlib.util
from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.ndimage import binary_closing, binary_fill_holes, label
from scipy.spatial.transform import Rotation

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
COARSE_EDGE = 128
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
    try:
        _, mask, _ = load_deepbet(path).run(scan)
    except (AssertionError, ValueError) as error:
        raise StudyError(f"no brain is found in {path}; give a mask or exclude the scan") from error
    brain = np.asarray(mask.dataobj) > 0
    found = millilitres_of(brain, scan)
    if found < LEAST_BRAIN_ML:
        raise StudyError(f"no brain is found in {path}, but {found:.0f} ml of it; give a mask or exclude the scan")
    return brain


def load_deepbet(path: Path):
    """Load deepbet's two networks, which come with the package, to run on the CPU in `heatproof.command.threads`."""
    if importlib.util.find_spec("deepbet") is None:
        raise StudyError(f"{path} shows a head, and the package deepbet, which extracts brains, is absent; install it")
    import torch
    from deepbet import BrainExtraction

    torch.set_num_threads(threads())
    return BrainExtraction(no_gpu=True)


def surest_turn(scan: nib.Nifti1Image, path: Path) -> np.ndarray:
    """Find how a head lies, by right angles: as deepbet's coarse network is surest of its voxels.

    deepbet knows upright heads, and takes more than the brain of others. Its coarse network sees the whole field of
    view in 128 x 128 x 128 voxels; how unsure it is, is the variance of its verdicts over all that it takes for brain.

    Returns
    -------
    ndarray, shape (3, 3)
        The rotation that brings an upright head to the scan's.
    """
    import torch
    from deepbet.bet import normalize

    network = load_deepbet(path).bbox_model
    voxels = canonical_tensor(scan)[None, None]
    small = torch.nn.functional.interpolate(voxels, [COARSE_EDGE] * 3, mode="nearest-exact")[0, 0].numpy()
    low, high = (float(level) for level in np.quantile(small, [0.005, 0.995]))
    turns = sorted(np.rint(Rotation.create_group("O").as_matrix()), key=np.trace, reverse=True)
    unsure = []
    for turn in turns:
        turned = canonical_tensor(nib.Nifti1Image(small, turned_affine(np.eye(4), turn)))
        with torch.no_grad():
            share = network(normalize(turned, low, high)[None, None])[0, 1]
        unsure.append(float((share * (1 - share)).sum() / share.sum()))
    return turns[int(np.argmin(unsure))]


def canonical_tensor(scan: nib.Nifti1Image):
    """Return a scan's voxels as a tensor whose axes run to the right, to the front and up."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(nib.as_closest_canonical(scan).get_fdata(dtype=np.float32)))


def extract_upright(scan: nib.Nifti1Image, path: Path, turn: np.ndarray) -> np.ndarray:
    """Extract the brain of a head that a rotation, shape (3, 3), brought to where it lies, as if it lay upright."""
    there = Grid(scan.shape, turned_affine(scan.affine, turn))
    corners = nib.affines.apply_affine(there.affine, list(product(*((0, n - 1) for n in there.shape))))
    edge = np.cbrt(np.prod(voxel_sizes(there.affine)))
    shape = tuple(int(n) for n in np.rint(np.ptp(corners, axis=0) / edge) + 1)
    upright = Grid(shape, nib.affines.from_matvec(edge * np.eye(3), corners.min(axis=0)))
    voxels = resample(np.asarray(scan.dataobj), there, upright)
    brain = run_deepbet(nib.Nifti1Image(voxels, upright.affine), path)
    return resample(brain.astype(np.float32), upright, there) > 0.5


def turned_affine(affine: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Undo a rotation, shape (3, 3), of what an affine places in space."""
    return nib.affines.from_matvec(turn.T) @ affine
