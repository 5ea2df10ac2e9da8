"""Atrophy of known place and size: from a volume change per region to a flow of the brain.

A volume change is prescribed as a log-Jacobian per region. The velocity field that has it as its divergence is the
gradient of a potential, found by solving Poisson's equation; its flow over a time, the severity, is a diffeomorphism
whose log-Jacobian is the prescribed one, times severity, along the path of each point. Prescribing a change and
solving for the displacement follows Karaçali and Davatzikos 2006 (doi:10.1109/TMI.2006.870447) and Khanal et al. 2016
(doi:10.1016/j.neuroimage.2016.04.028); unlike theirs, the field here is irrotational and solved in closed form.
"""

import numpy as np
import pandas as pd
from scipy.fft import dctn, idctn
from scipy.ndimage import binary_dilation, gaussian_filter, map_coordinates

from heatproof.errors import StudyError
from heatproof.regions import without_side

EDGE_SMOOTHING = 0.5
CALIBRATION_STEPS = 5


def label_values(names: pd.DataFrame, values: dict[str, float], key: str) -> np.ndarray:
    """Return the value of each label in ``names`` from values by region, named with or without its side; else 0.

    ``key`` is the place in the config that names the regions, for the message.

    Raises
    ------
    StudyError
        If the atlas has no region of a name.
    """
    unknown = set(values) - set(names["name"]) - set(names["name"].map(without_side))
    if unknown:
        raise StudyError(
            f"{key} names {', '.join(map(repr, sorted(unknown)))}, unknown to the atlas; "
            "use names from its table, with or without Left or Right"
        )
    return names["name"].map(values).fillna(names["name"].map(without_side).map(values)).fillna(0).to_numpy()


def paint(labels: np.ndarray, names: pd.DataFrame, values: np.ndarray) -> np.ndarray:
    """Paint one value per row of ``names`` into a label image (x, y, z); 0 where there is no label."""
    lookup = np.zeros(max(int(labels.max()), int(names["index"].max())) + 1, np.float32)
    lookup[names["index"].to_numpy()] = values
    return lookup[labels]


def label_means(labels: np.ndarray, names: pd.DataFrame, image: np.ndarray) -> np.ndarray:
    """Return the mean of an image over each label in ``names``; NaN for labels without a voxel."""
    length = max(int(labels.max()), int(names["index"].max())) + 1
    sums = np.bincount(labels.ravel(), weights=image.ravel(), minlength=length)[names["index"]]
    counts = np.bincount(labels.ravel(), minlength=length)[names["index"]]
    return np.divide(sums, counts, out=np.full(len(names), np.nan), where=counts > 0)


def solve_poisson(divergence: np.ndarray, spacing: float) -> np.ndarray:
    """Solve Laplace(u) = divergence on a box through whose walls nothing flows.

    Parameters
    ----------
    divergence : ndarray, shape (x, y, z)
        Sums to 0, or its mean is lost.
    spacing : float
        Edge of a voxel in millimetres.

    Returns
    -------
    ndarray, shape (x, y, z)
        The potential in square millimetres times the unit of ``divergence``: the exact solution of the seven-point
        Laplacian with Neumann walls, which the cosine transform diagonalises.
    """
    cosines = [2 * np.cos(np.pi * np.arange(n) / n) - 2 for n in divergence.shape]
    eigenvalues = (cosines[0][:, None, None] + cosines[1][:, None] + cosines[2]) / spacing**2
    eigenvalues[0, 0, 0] = 1.0
    spectrum = dctn(divergence.astype(np.float64), type=2, norm="ortho") / eigenvalues
    spectrum[0, 0, 0] = 0.0
    return idctn(spectrum, type=2, norm="ortho")


def atrophy_velocity(log_jacobian: np.ndarray, brain: np.ndarray, spacing: float) -> np.ndarray:
    """Find the velocity whose flow over unit time changes volumes as prescribed.

    What the brain loses or gains is made up evenly outside it, where fluid takes the place of tissue.

    Parameters
    ----------
    log_jacobian : ndarray, shape (x, y, z)
        Prescribed log-Jacobian at severity 1; its edges are smoothed by half a voxel.
    brain : ndarray of bool
    spacing : float
        Edge of a voxel in millimetres.

    Returns
    -------
    ndarray of float32, shape (3, x, y, z)
        Millimetres per unit of severity, along x, y, z.
    """
    divergence = gaussian_filter(log_jacobian.astype(np.float64), EDGE_SMOOTHING)
    divergence[~brain] -= divergence.sum() / np.count_nonzero(~brain)
    potential = solve_poisson(divergence, spacing)
    return np.stack(np.gradient(potential, spacing)).astype(np.float32)


def calibrate_velocity(
    labels: np.ndarray, names: pd.DataFrame, log_change: np.ndarray, brain: np.ndarray, spacing: float
) -> tuple[np.ndarray, np.ndarray]:
    """Find the velocity whose flow changes the volume of each region by what is prescribed.

    Tissue moves through the regions' borders while it flows, so that a region gets less than its divergence: the
    divergence is raised, region by region, by what was missed, a few times over. Regions without a prescribed change
    are held as well.

    Parameters
    ----------
    labels : ndarray of int, shape (x, y, z)
    names : DataFrame
        index, name of each label.
    log_change : ndarray
        Logarithm of the volume ratio at severity 1, one per row of ``names``.
    brain : ndarray of bool, shape (x, y, z)
    spacing : float
        Edge of a voxel in millimetres.

    Returns
    -------
    velocity : ndarray of float32, shape (3, x, y, z)
        Millimetres per unit of severity.
    achieved : ndarray
        Logarithm of each region's volume ratio at severity 1, as measured; NaN for labels without a voxel.
    """
    moved, near = np.indices(labels.shape, np.float32), binary_dilation(labels > 0)  # Jacobians read the neighbours
    centres, divergence = moved[:, near], log_change.copy()
    for step in range(CALIBRATION_STEPS):
        velocity = atrophy_velocity(paint(labels, names, divergence), brain, spacing)
        moved[:, near] = flow(centres, velocity, 1.0, spacing)
        achieved = np.log(label_means(labels, names, jacobian_determinant(moved)))
        if step < CALIBRATION_STEPS - 1:
            divergence += np.nan_to_num(log_change - achieved)
    return velocity, achieved


def flow(points: np.ndarray, velocity: np.ndarray, time: float, spacing: float, steps: int = 4) -> np.ndarray:
    """Carry points along a steady velocity field by the midpoint rule.

    Parameters
    ----------
    points : ndarray, shape (3, ...)
        Voxel coordinates in the field's grid.
    velocity : ndarray, shape (3, x, y, z)
        Millimetres per unit of time.
    time : float
        Negative to go back.
    spacing : float
        Edge of a voxel in millimetres.

    Returns
    -------
    ndarray, shape (3, ...)
        Voxel coordinates.
    """
    step = time / steps / spacing
    for _ in range(steps):
        middle = points + step / 2 * sample(velocity, points)
        points = points + step * sample(velocity, middle)
    return points


def sample(field: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Interpolate a vector field (3, x, y, z) linearly at voxel coordinates (3, ...); 0 outside."""
    return np.stack([map_coordinates(component, points, order=1) for component in field])


def jacobian_determinant(points: np.ndarray) -> np.ndarray:
    """Return the volume that each voxel takes after its centre has gone to ``points`` (3, x, y, z), in voxels."""
    gradients = np.stack([np.stack(np.gradient(component)) for component in points])
    return np.linalg.det(np.moveaxis(gradients, (0, 1), (-2, -1)))
