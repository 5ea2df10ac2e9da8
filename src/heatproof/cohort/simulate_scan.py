"""Simulate one raw scan of one session: an individual brain with its atrophy, in a scanner's own space.

Further contrasts are made of the same head in the same place, by their own voxels, bias field and noise.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy.ndimage import binary_dilation, gaussian_filter, map_coordinates, zoom
from scipy.spatial.transform import Rotation

from heatproof.channels import FIRST
from heatproof.cohort.atrophy import flow, sample
from heatproof.cohort.bids_files import entity_of
from heatproof.command import json_option, run
from heatproof.generators import generator
from heatproof.images import write_image
from heatproof.space import voxel_sizes

FIELD_OF_VIEW = (192.0, 232.0, 196.0)
CENTRE = (0.5, -18.0, 18.5)
ORIENTATIONS = ("RAS", "LAS", "LPS", "PSR", "AIL")
KNOT_SPACING = 10.0
ANATOMY_SMOOTHNESS = 1.5
BIAS_SMOOTHNESS = 4.0
SIZE_VARIATION = 0.03
TILT_DEGREES = 6.0
SHIFT_MM = 5.0
SCANNER_GAIN = (600.0, 1400.0)


def smooth_field(random: np.random.Generator, shape: Sequence[int], smoothness: float) -> np.ndarray:
    """Draw a Gaussian random field of unit variance; ``smoothness`` is the kernel's sigma in voxels."""
    pad = int(np.ceil(4 * smoothness))
    noise = gaussian_filter(random.standard_normal([n + 2 * pad for n in shape]), smoothness)
    field = noise[tuple(slice(pad, pad + n) for n in shape)]
    return field / noise.std()


def scanner_affine(random: np.random.Generator, voxel_size: float) -> tuple[tuple[int, int, int], np.ndarray]:
    """Draw a scan's shape and affine (RAS): voxels of a size of its own, a tilted and shifted head."""
    edges = voxel_size * random.uniform(0.9, 1.1, 3)
    shape = tuple(int(n) for n in np.ceil(FIELD_OF_VIEW / edges))
    tilt = Rotation.from_euler("xyz", random.normal(0, TILT_DEGREES, 3), degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = tilt * edges
    affine[:3, 3] = CENTRE + random.normal(0, SHIFT_MM, 3) - affine[:3, :3] @ (np.array(shape) - 1) / 2
    return shape, affine


def other_voxels(
    random: np.random.Generator, shape: Sequence[int], affine: np.ndarray, voxel_size: float
) -> tuple[tuple[int, ...], np.ndarray]:
    """Draw the shape and affine of another image of the same head: voxels of its own, about the same centre."""
    edges = voxel_size * random.uniform(0.9, 1.1, 3)
    own, centre = affine.copy(), affine[:3, :3] @ (np.array(shape) - 1) / 2 + affine[:3, 3]
    shape = tuple(int(n) for n in np.ceil(FIELD_OF_VIEW / edges))
    own[:3, :3] *= edges / voxel_sizes(affine)
    own[:3, 3] = centre - own[:3, :3] @ (np.array(shape) - 1) / 2
    return shape, own


def individual_warp(random: np.random.Generator, points: np.ndarray, deviation: float) -> np.ndarray:
    """Carry points of an individual brain to the template: own size, and a smooth displacement.

    Parameters
    ----------
    random : Generator
        Of the participant, so that all sessions share one anatomy.
    points : ndarray, shape (3, x, y, z)
        Millimetres.
    deviation : float
        Standard deviation of the displacement along each axis in millimetres.
    """
    size = random.normal(1.0, SIZE_VARIATION, 3)
    knots = [int(np.ceil(n / KNOT_SPACING)) + 1 for n in FIELD_OF_VIEW]
    fields = np.stack([smooth_field(random, knots, ANATOMY_SMOOTHNESS) for _ in range(3)])
    fine = np.stack([zoom(field, 2, order=3, mode="nearest", grid_mode=False) for field in fields])
    spacing = np.array([(n - 1) * KNOT_SPACING / (2 * n - 1) for n in knots])
    low = np.array(CENTRE) - np.array([(n - 1) * KNOT_SPACING / 2 for n in knots])
    coordinates = (points - low[:, None, None, None]) / spacing[:, None, None, None]
    displacement = np.stack([map_coordinates(field, coordinates, order=1, mode="nearest") for field in fine])
    centre = np.array(CENTRE)[:, None, None, None]
    return centre + (points - centre) / size[:, None, None, None] + deviation * displacement


def atrophied_signal(anatomy: dict, points: np.ndarray, severity: float) -> np.ndarray:
    """Return the T1w signal of the template brain, shrunk by its atrophy, at points of its space.

    Parameters
    ----------
    anatomy : dict
        As `heatproof.cohort.prepare_anatomy.prepare_anatomy` returns it.
    points : ndarray, shape (3, ...)
        Millimetres.
    severity : float
        Time along the flow of atrophy, and factor of the loss of signal.
    """
    spacing = voxel_sizes(anatomy["field_affine"])[0]
    before = flow(to_voxels(points, anatomy["field_affine"]), anatomy["velocity"], -severity, spacing, steps=2)
    loss = sample(anatomy["signal_loss"][None], before)[0]
    brain = sample(anatomy["brain"][None], to_voxels(to_points(before, anatomy["field_affine"]), anatomy["affine"]))[0]
    return brain * (1 - severity * loss)


def to_points(voxels: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Carry voxel coordinates (3, ...) to millimetres."""
    return np.tensordot(affine[:3, :3], voxels, 1) + affine[:3, 3].reshape(3, *[1] * (voxels.ndim - 1))


def to_voxels(points: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Carry millimetres (3, ...) to voxel coordinates."""
    return to_points(points, np.linalg.inv(affine))


def simulate_scan(
    anatomy: dict, simulate: dict, participant: str, session: str, severity: float, contrast: str = FIRST
) -> nib.Nifti1Image:
    """Simulate one scan from the seed, the participant's and the session's name alone.

    Parameters
    ----------
    anatomy : dict
        As `heatproof.cohort.prepare_anatomy.prepare_anatomy` returns it.
    simulate : dict
        From the config's ``cohort.simulate`` section: seed, voxel_size, anatomy, bias_field, noise, and contrasts
        where there are any beside T1w.
    participant, session : str
        BIDS names, ``sub-P001`` and ``ses-M00``.
    severity : float
        Atrophy at this session.
    contrast : str
        T1w, or one of ``contrasts``.

    Returns
    -------
    Nifti1Image of int16
        In the scan's own orientation, voxel size and position.
    """
    head, scanner = (
        generator(simulate["seed"], participant, "anatomy"),
        generator(simulate["seed"], participant, session),
    )
    shape, affine = scanner_affine(scanner, simulate["voxel_size"])
    own = simulate if contrast == FIRST else simulate["contrasts"][contrast]
    if contrast != FIRST:
        scanner = generator(simulate["seed"], participant, session, contrast)
        shape, affine = other_voxels(scanner, shape, affine, simulate["voxel_size"])
        severity *= own["atrophy"]
    points = individual_warp(head, to_points(np.indices(shape, np.float32), affine), simulate["anatomy"])

    near = binary_dilation(anatomy["brain"] > 0, iterations=5)
    nearest = np.rint(to_voxels(points, anatomy["affine"])).astype(int)
    inside = np.all((nearest >= 0) & (nearest < np.array(near.shape)[:, None, None, None]), axis=0)
    inside[inside] = near[tuple(nearest[:, inside])]
    signal = np.zeros(shape, np.float32)
    signal[inside] = atrophied_signal(anatomy, points[:, inside], severity)
    if contrast != FIRST:
        signal = np.interp(signal, *np.transpose(own["intensities"])).astype(np.float32)

    coarse = smooth_field(scanner, [int(np.ceil(n / KNOT_SPACING)) for n in FIELD_OF_VIEW], BIAS_SMOOTHNESS)
    bias = zoom(coarse, np.array(shape) / coarse.shape, order=1)
    signal *= np.exp(simulate["bias_field"] * bias)
    noise = scanner.normal(0, own["noise"], (2, *shape))
    magnitude = np.hypot(signal + noise[0], noise[1])
    image = nib.Nifti1Image(np.rint(magnitude * scanner.uniform(*SCANNER_GAIN)).astype(np.int16), affine)
    turn = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(scanner.choice(ORIENTATIONS))
    )
    return image.as_reoriented(turn)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulate", type=json_option, required=True, help="seed, voxel_size, ... as JSON")
    parser.add_argument("--anatomy", type=Path, required=True, help="the .npz of prepare_anatomy")
    parser.add_argument("--scan", required=True, help="participant and session, as in sub-P001_ses-M00")
    parser.add_argument("--severity", type=float, required=True, help="atrophy at this session")
    parser.add_argument("--out", type=Path, nargs="+", required=True, help="images to write, of a contrast by suffix")
    arguments = parser.parse_args()
    participant, session = arguments.scan.split("_")
    anatomy = dict(np.load(arguments.anatomy))
    for path in arguments.out:
        contrast = entity_of(str(path), "suffix")
        image = simulate_scan(anatomy, arguments.simulate, participant, session, arguments.severity, contrast)
        write_image(image, path)


if __name__ == "__main__":
    run(main)
