"""Find how a brain lies in its scan, whatever its header says, so that registration starts close to the truth.

Orientations are told apart on a coarse grid by the correlation of the brain with the template. A brain is nearly
symmetric: a scan whose left and right are exchanged is no other pose, and cannot be found out.
"""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import affine_transform
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from heatproof.space import Grid, voxel_sizes

EDGE_MM = 8.0
GOOD_FIT = 0.62
TRIED = 600
REFINED = 8
SHIFT_STEP_MM = 10.0


class Brain(NamedTuple):
    """A brain on a coarse grid.

    Attributes
    ----------
    signal, inside : ndarray, shape (x, y, z)
        The brain, 0 outside it; and the share of each voxel that is brain.
    affine : ndarray, shape (4, 4)
    centre : ndarray, shape (3,)
        Of the brain, in millimetres.
    """

    signal: np.ndarray
    inside: np.ndarray
    affine: np.ndarray
    centre: np.ndarray


class Pose(NamedTuple):
    """Where points of the template lie in a scan: at ``rotation @ (point - template's centre) + centre``.

    Attributes
    ----------
    rotation : ndarray, shape (3, 3)
    centre : ndarray, shape (3,)
        Where the centre of the template's brain lies, in millimetres of the scan.
    degrees : float
        Angle of the rotation.
    fit : float
        Correlation with the template within its brain; of the scan with bright and dark exchanged, where negative.
    """

    rotation: np.ndarray
    centre: np.ndarray
    degrees: float
    fit: float


def coarse_brain(voxels: np.ndarray, inside: np.ndarray, grid: Grid) -> Brain:
    """Average a scan, shape (x, y, z), and its brain's mask over blocks of voxels with edges of about `EDGE_MM`."""
    blocks = np.maximum(1, np.rint(EDGE_MM / voxel_sizes(grid.affine))).astype(int)
    signal, share = block_mean(np.where(inside, voxels, 0), blocks), block_mean(inside, blocks)
    affine = grid.affine @ np.diag([*blocks, 1.0])
    affine[:3, 3] = grid.affine[:3, :3] @ ((blocks - 1) / 2) + grid.affine[:3, 3]
    indices = np.indices(share.shape).reshape(3, -1)
    centre = affine[:3, :3] @ (indices * share.ravel()).sum(axis=1) / share.sum() + affine[:3, 3]
    return Brain(signal, share, affine, centre)


def block_mean(array: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Average an array over blocks of voxels; what is missing in the last blocks is 0."""
    padded = np.pad(array.astype(np.float32), [(0, -n % block) for n, block in zip(array.shape, blocks, strict=True)])
    parts = [size for n, block in zip(padded.shape, blocks, strict=True) for size in (n // block, block)]
    return padded.reshape(parts).mean(axis=(1, 3, 5))


def find_pose(template: Brain, scan: Brain, start: Rotation | None = None) -> Pose:
    """Find the rotation and shift that bring the template's brain to a scan's.

    The pose that the header gives, or another start, is refined, and taken where the fit is good. Else rotations that
    cover all orientations evenly are tried, the best are refined in turn, and the first that is good is taken; where
    none is, the best. Size is fitted along, since a wrong one would hide the right pose, but is left to registration.

    Where no pose fits well, bright and dark may be exchanged, as in a T2w: where the start then fits well, it is kept,
    refined, and the fit is negative.
    """
    start = start or Rotation.identity()
    poses = [refine(template, scan, start)]
    if poses[0].fit < GOOD_FIT:
        rotations = even_rotations(TRIED)
        scores = [score(template, scan, rotation, np.zeros(9)) for rotation in rotations]
        for number in np.argsort(scores, kind="stable")[: -REFINED - 1 : -1]:
            poses.append(refine(template, scan, rotations[number]))
            if poses[-1].fit >= GOOD_FIT:
                break
    best = max(poses, key=lambda pose: pose.fit)
    if best.fit < GOOD_FIT:
        exchanged = refine(template, scan._replace(signal=scan.signal.max() * scan.inside - scan.signal), start)
        return exchanged._replace(fit=-exchanged.fit) if exchanged.fit >= GOOD_FIT else best
    return best


def refine(template: Brain, scan: Brain, start: Rotation) -> Pose:
    """Follow the correlation uphill from a rotation about the brains' centres."""
    found = minimize(
        lambda x: -score(template, scan, start, x),
        np.zeros(9),
        method="Powell",
        options={"xtol": 1e-2, "ftol": 1e-3, "maxiter": 6},
    ).x
    rotation = Rotation.from_rotvec(found[:3]) * start
    fit = score(template, scan, start, found, within=True)
    centre, degrees = scan.centre + SHIFT_STEP_MM * found[3:6], float(np.degrees(rotation.magnitude()))
    return Pose(rotation.as_matrix(), centre, degrees, fit)


def score(template: Brain, scan: Brain, start: Rotation, change: np.ndarray, within: bool = False) -> float:
    """Correlate the template with the scan that a change of pose brings to it.

    Parameters
    ----------
    template, scan : Brain
    start : Rotation
    change : ndarray, shape (9,)
        A further rotation (vector, radians), a shift in units of `SHIFT_STEP_MM`, and the logarithm of the size along
        the template's axes, relative to the brains' volumes.
    within : bool
        Over the template's brain alone, else over all that is brain in one of them.
    """
    size = np.cbrt(scan.inside.sum() / template.inside.sum()) * np.exp(change[6:])
    matrix = (Rotation.from_rotvec(change[:3]) * start).as_matrix() * size
    forth, back = template.affine, np.linalg.inv(scan.affine)
    shift = matrix @ (forth[:3, 3] - template.centre) + scan.centre + SHIFT_STEP_MM * change[3:6]
    lattice = back[:3, :3] @ matrix @ forth[:3, :3], back[:3, :3] @ shift + back[:3, 3], template.signal.shape
    compared = template.inside > 0.5
    if not within:
        compared = (template.inside > 0.1) | (affine_transform(scan.inside, *lattice, order=1) > 0.1)
    one, other = template.signal[compared], affine_transform(scan.signal, *lattice, order=1)[compared]
    return float(np.corrcoef(one, other)[0, 1]) if one.std() > 0 and other.std() > 0 else -1.0


def even_rotations(number: int) -> Rotation:
    """Spread rotations evenly over all there are, by super-Fibonacci spirals (Alexa 2022, CVPR)."""
    steps = np.arange(number) + 0.5
    low, high = np.sqrt(steps / number), np.sqrt(1 - steps / number)
    alpha, beta = 2 * np.pi * steps / np.sqrt(2), 2 * np.pi * steps / 1.533751168755204288118041
    return Rotation.from_quat(
        np.stack([low * np.sin(alpha), low * np.cos(alpha), high * np.sin(beta), high * np.cos(beta)], axis=1)
    )
