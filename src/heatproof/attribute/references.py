"""Reference images: what a method compares a scan with, an image in place of an empty scan.

An empty scan is nothing that a network has ever seen, and asks what makes a scan that of a patient rather than nothing;
a healthy reference asks what makes it that of a patient rather than of a control.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from heatproof.errors import StudyError
from heatproof.generators import generator
from heatproof.references import OPTIONS, name_of
from heatproof.store import open_store, with_channels
from heatproof.task import PATIENTS, Task
from heatproof.voxels import smoother

FWHM = 20.0  # mm, of what blurs a scan where a config names no other

CHANNELS = ("together", "each")  # how methods that hide parts of a scan hide its channels
Maker = Callable[[Tensor, pd.DataFrame], Tensor]


def reference_of(
    value: object, store: Path, brain: Tensor, voxel_size: Sequence[float], task: Task = PATIENTS
) -> object:
    """Return what an option's value stands for: itself, or of a name the function that makes the reference images.

    Parameters
    ----------
    value : float, str, dict or None
        As in the config: a number, a key of `heatproof.references.REFERENCES`, or ``{blurred: mm}``.
    store : Path
        Folder of the packed scans.
    brain : Tensor of bool, shape (x, y, z)
    voxel_size : sequence of 3 float
        mm, of the working grid.
    task : Task

    Returns
    -------
    float, None or callable
        The function takes scans (N, C, x, y, z) and their rows of the store's table, and returns the reference of
        each, (N or 1, C, x, y, z), of the scans' type.
    """
    name = name_of(value)
    if name is None:
        return value
    fwhm = value[name] if isinstance(value, Mapping) else FWHM
    return {
        "mean_control": lambda: mean_control(store / "mean_control.npy"),
        "blurred": lambda: blurred(brain, voxel_size, fwhm),
        "twin": lambda: twin(store / "twins.npy", task),
    }[name]()


def mean_control(path: Path) -> Maker:
    """Give every scan the mean of the training controls."""
    image = torch.from_numpy(with_channels(np.load(path), 4))[None]
    return lambda scans, rows: image.to(scans)


def blurred(brain: Tensor, voxel_size: Sequence[float], fwhm: float) -> Maker:
    """Give every scan itself, smoothed by a Gaussian within the brain.

    Parameters
    ----------
    brain : Tensor of bool, shape (x, y, z)
    voxel_size : sequence of 3 float
        mm.
    fwhm : float
        mm, full width at half maximum. What lies outside of the brain has no weight, and stays 0.
    """
    inside = brain.cpu().numpy()
    smooth = smoother(inside, voxel_size, fwhm)

    def make(scans: Tensor, rows: pd.DataFrame) -> Tensor:
        images = np.zeros(scans.shape)
        for image, scan in zip(images.reshape(-1, *brain.shape), scans.flatten(0, 1).cpu().numpy(), strict=True):
            image[inside] = smooth(scan[inside].astype(np.float64))
        return torch.from_numpy(images).to(scans)

    return make


def twin(path: Path, task: Task = PATIENTS) -> Maker:
    """Give every scan of the target its twin: the same scan without the disease. Another scan without one is its own.

    Raises
    ------
    StudyError
        By the function, if a scan of the target has no twin.
    """
    twins = open_store(path)
    places = {scan: place for place, scan in enumerate(twins.scans["scan"])}

    def make(scans: Tensor, rows: pd.DataFrame) -> Tensor:
        images = scans.detach().clone()
        for image, scan, needed in zip(images, rows["scan"], needing_twins(rows, task), strict=True):
            if scan in places:
                image.copy_(torch.from_numpy(twins.images[places[scan]].astype(np.float32)))
            elif needed:
                whose = f"the {task.target}'s scan" if task.classes else "the scan"
                raise StudyError(f"{whose} {scan} has no twin in {path}; delete that file to make it again")
        return images

    return make


def needing_twins(rows: pd.DataFrame, task: Task) -> pd.Series:
    """Tell which scans must have a twin: those explained, but of a simulated severity those without atrophy."""
    explained = task.is_explained(rows)
    return explained if task.classes else explained & (rows["label"] != 0)


def chosen_controls(path: Path, count: int, seed: int, task: Task = PATIENTS) -> Tensor:
    """Draw scans of what the target is held against, without replacement; all where there are no more.

    Returns
    -------
    Tensor of float32, shape (K, C, x, y, z)

    Raises
    ------
    StudyError
        If the store has none.
    """
    store = open_store(path)
    controls = np.flatnonzero(task.strata(store.scans) == task.reference)
    if not len(controls):
        raise StudyError(
            f"{path} has no scan of {task.in_words(task.reference)}; a method with an option controls needs some"
        )
    chosen = np.sort(generator(seed, "controls").permutation(controls)[:count])
    return torch.from_numpy(store.images[chosen].astype(np.float32))


def from_store(
    options: Mapping, store: Path, brain: Tensor, voxel_size: Sequence[float], task: Task = PATIENTS
) -> dict:
    """Return options with what ``baseline``, ``reference`` and ``controls`` stand for.

    Parameters
    ----------
    options : mapping
        Of an entry of ``attribute.methods``.
    store, brain, voxel_size, task
        As for `reference_of`.

    Returns
    -------
    dict
        Where a reference image was named, the function that makes it for some scans; see `for_scans`.
    """
    options = dict(options)
    for option in options.keys() & set(OPTIONS):
        options[option] = reference_of(options[option], store, brain, voxel_size, task)
    if "controls" in options:
        seed = options.get("seed", 0)
        options["controls"] = chosen_controls(store / "train.npy", options["controls"], seed, task)
    return options


def for_scans(options: Mapping, scans: Tensor, rows: pd.DataFrame) -> dict:
    """Return options with the reference images of some scans, on their device.

    Parameters
    ----------
    options : mapping
        As `from_store` returns them.
    scans : Tensor, shape (N, C, x, y, z)
    rows : DataFrame
        scan and label of each.
    """
    made = {name: value(scans, rows) if callable(value) else value for name, value in options.items()}
    return made | ({"controls": made["controls"].to(scans)} if "controls" in made else {})


def by_channels(image: Tensor, reference: Tensor, channels: str) -> list[tuple[slice, Tensor]]:
    """Return what is taken from a reference at once, and which channels are charged for it.

    Parameters
    ----------
    image, reference : Tensor, shape (C, x, y, z)
    channels : {"together", "each"}
        All channels are taken at once, or one after the other, the others being the scan's.

    Returns
    -------
    list of tuple
        A range of channels, and an image that is the reference in these and the scan in all others.

    Raises
    ------
    StudyError
        If ``channels`` is no such word.
    """
    if channels not in CHANNELS:
        raise StudyError(f"channels is {channels!r}; choose one of {', '.join(CHANNELS)}")
    if channels == "together":
        return [(slice(None), reference)]
    chosen = torch.eye(len(image), dtype=torch.bool, device=image.device)[:, :, None, None, None]
    return [(slice(i, i + 1), torch.where(one, reference, image)) for i, one in enumerate(chosen)]


def require_reference(images: Tensor, reference: object, what: str = "baseline") -> None:
    """Refuse a reference on another grid than the scans, neither one for all nor one for each, or not finite."""
    if reference is None:
        return
    reference = torch.as_tensor(reference)
    if reference.ndim and (reference.shape[1:] != images.shape[1:] or len(reference) not in (1, len(images))):
        raise StudyError(
            f"{what} has the shape {tuple(reference.shape)} and the scans {tuple(images.shape)}; give one image for "
            "all scans or one for each, on their grid"
        )
    if not reference.isfinite().all():
        raise StudyError(f"{what} has NaN or infinite values, where finite numbers are needed; correct it")
