"""What `import heatproof` gives for arrays and single files, over the functions that the stages run."""

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from torch import Tensor, nn

from heatproof.attribute import explain as command
from heatproof.compare.agreement import BrainMap
from heatproof.compare.measures import MAP, MEASURES, PAIRS_OF_MAPS
from heatproof.errors import StudyError
from heatproof.images import as_volume, load_channels, load_image
from heatproof.train import network as networks
from heatproof.train.clinicadl import folder_of, network_in, shape_in
from heatproof.train.import_model import import_model

OF_ARRAYS = {key: measure for key, measure in MEASURES.items() if measure.of in (PAIRS_OF_MAPS, MAP)}


def load_model(path: str | Path, network: dict | None = None, shape: Sequence[int] | None = None) -> nn.Module:
    """Load a model in evaluation mode: one of a study, or weights that were trained elsewhere.

    Parameters
    ----------
    path : path
        A study's ``model.safetensors``, or a model of a MAPS of ClinicaDL 2, which name their own network; or
        weights, as `train.models` takes them.
    network : dict, optional
        Of weights: as `train.network`, ``{"function": "my_package.networks:build", ...}``.
    shape : sequence of 3 int, optional
        Of weights: voxels of a scan along x, y, z.

    Raises
    ------
    StudyError
        If the file cannot be read, or is of another network.
    """
    if network is None and (folder := folder_of(path)):
        network, shape = network_in(folder), shape or shape_in(folder)
    if network is None:
        try:
            networks.read_model(path)
        except StudyError as error:
            raise StudyError(
                f"{path} is no model of a study, which names its own network; give network and shape with it, or "
                "--network on the command line"
            ) from error
        return networks.load_model(path)
    if shape is None:
        raise StudyError("load_model needs the shape of a scan beside its network; give shape=(x, y, z)")
    return import_model(Path(path), tuple(shape), network)


def explain(
    model: nn.Module, image: Tensor | np.ndarray | str | Path, *, method: str, target: int | str = "patient", **options
) -> Tensor | nib.Nifti1Image:
    """Explain what a model makes of scans by a method's name.

    Parameters
    ----------
    model : Module
        In evaluation mode, images to logits (N, classes).
    image : Tensor or ndarray, shape (N, C, x, y, z), or path
        Scans, or a NIfTI file of one, with its channels on the fourth axis, preprocessed as the model was trained.
    method : str
        A key of `heatproof.attribute.METHODS`.
    target : int or str
        A class index; ``patient``, class 1; or ``predicted``.
    **options
        output and sign, and the method's own; see `heatproof.attribute.explain.explain`. Lengths are in voxels.

    Returns
    -------
    Tensor, shape (N, C, x, y, z), or Nifti1Image
        Signed and unscaled, on the model's device; of a file an image on its own grid. The model is given a file's
        voxels in RAS order, as in a study.

    Raises
    ------
    StudyError
        If the model is in training mode, or a name or shape is none that there is.
    """
    if model.training:
        raise StudyError("the model is in training mode; call model.eval() first")
    if isinstance(target, int) and target < 0:
        raise StudyError(f"target is {target}; give a class index from 0 on, or patient or predicted")
    heatmap = command.explain(model, scans_for(model, image), method=method, target=target, **options)
    if not isinstance(image, str | Path):
        return heatmap
    return like_file(nib.Nifti1Image(as_volume(heatmap[0].float().cpu().numpy()), load_image(image).affine), image)


def like_file(image: nib.Nifti1Image, path: str | Path) -> nib.Nifti1Image:
    """Turn an image in RAS order to the order of axes that a file has."""
    order, own = (nib.io_orientation(one.affine) for one in (image, nib.load(path)))
    return image.as_reoriented(nib.orientations.ornt_transform(order, own))


def outputs(model: nn.Module, image: Tensor | np.ndarray | str | Path) -> np.ndarray:
    """Return what a model makes of scans, shape (N, classes)."""
    with torch.no_grad():
        return model(scans_for(model, image)).cpu().numpy()


def scans_for(model: nn.Module, image: Tensor | np.ndarray | str | Path) -> Tensor:
    """Return scans (N, C, x, y, z), or the one of a file, of the type and on the device of a model's weights."""
    like = next(iter(model.parameters()), torch.empty(0))
    return as_scans(load_channels(image)[None] if isinstance(image, str | Path) else image, like)


def as_scans(image: Tensor | np.ndarray, like: Tensor) -> Tensor:
    """Return scans (N, C, x, y, z), all of them finite, of the type and on the device of another tensor."""
    scans = (image if isinstance(image, Tensor) else torch.from_numpy(np.ascontiguousarray(image))).to(like)
    if scans.ndim != 5:
        raise StudyError(
            f"scans have the shape {tuple(scans.shape)}; give (scans, channels, x, y, z), as image[None, None]"
        )
    if not scans.isfinite().all():
        raise StudyError("a scan has NaN or infinite voxels; repair it")
    return scans


def measure(name: str, one: np.ndarray, other: np.ndarray, *, brain: np.ndarray, top_percent: float = 5) -> float:
    """Compare two maps, or a map with the voxels that are true, by a measure of docs/measures.md.

    Parameters
    ----------
    name : str
        ``pearson``, ``spearman``, ``ssim``, ``l2_rms``, ``dice`` of two maps; ``pr_auc``, ``true_mass``, ``true_top``
        of a map and the truth.
    one, other : ndarray, shape (x, y, z)
        Two maps; or a map, and True where it ought to have relevance.
    brain : ndarray of bool, shape (x, y, z)
        The voxels that count.
    top_percent : float
        Of the brain's voxels, which ``dice`` compares.

    Returns
    -------
    float
        NaN where a map has no relevance.

    Raises
    ------
    StudyError
        If there is no such measure, or shapes differ.
    """
    known = {key.partition("_{")[0]: key for key in OF_ARRAYS}
    if name not in known:
        raise StudyError(f"there is no measure {name!r} of maps; choose one of {', '.join(known)}")
    brain, entry = np.asarray(brain, bool), OF_ARRAYS[known[name]]
    if not np.shape(one) == np.shape(other) == brain.shape:
        raise StudyError(
            f"the maps have the shapes {np.shape(one)} and {np.shape(other)}, the brain {brain.shape}; bring all to "
            "one grid"
        )
    values = np.asarray(one, np.float32)[brain]
    if entry.of == MAP:
        return float(entry.function(values, np.asarray(other, bool)[brain], {}))
    maps = [BrainMap(part, brain, top_percent) for part in (values, np.asarray(other, np.float32)[brain])]
    return float(entry.function(*maps, {}))
