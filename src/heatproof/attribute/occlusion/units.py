"""How much the score drops when a unit, any set of voxels, is taken from a reference image."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from scipy.ndimage import find_objects
from torch import Tensor, nn

from heatproof.attribute.occlusion.chain import HiddenUnits
from heatproof.attribute.occlusion.chunks import measured
from heatproof.attribute.occlusion.incremental import incremental_work
from heatproof.attribute.occlusion.method import default_memory, read_network, require_finite
from heatproof.attribute.occlusion.patches import Work
from heatproof.attribute.occlusion.plain import plain_work
from heatproof.device import in_float32
from heatproof.errors import StudyError

SMALL = 2**22  # as in `incremental`; units are large, and convolving large windows in float64 takes ten times as long


class Questions(NamedTuple):
    """One question for each reference and each unit in which it differs from the image.

    Attributes
    ----------
    references, numbers : ndarray of int, shape (questions,)
        Which reference, from 0 on, and which unit, from 1 on.
    """

    references: np.ndarray
    numbers: np.ndarray


@in_float32()
@torch.no_grad()
def unit_drops(
    model: nn.Module,
    images: Tensor,
    target: int | Tensor,
    *,
    units: Tensor | np.ndarray,
    references: Tensor,
    memory: int | None = None,
) -> Tensor:
    """Take one unit after the other from a reference image and see how the score drops.

    The untouched image goes through the network once for all references. What is computed anew is what the bounding box
    of a unit touches, as in `occlusion`; a network that is no chain of known layers runs as a whole.

    Parameters
    ----------
    model : Module
        In evaluation mode; maps (N, 1, x, y, z) to scores (N, classes).
    images : Tensor, shape (N, 1, x, y, z)
    target : int or Tensor of shape (N,)
        Class whose score is explained, for all images or one for each.
    units : Tensor or ndarray of int, shape (x, y, z)
        Number of the unit that each voxel belongs to, from 1 on; 0 is none, and is never changed.
    references : Tensor, shape (K, 1, x, y, z) or (N, K, 1, x, y, z)
        Where a unit is taken from: the same for all images, or others for each.
    memory : int
        As in `occlusion`.

    Returns
    -------
    Tensor of float64, shape (N, K, units.max())
        Score of the image less that of the image with the unit of the reference, for each image, reference and unit; 0
        for a number without voxels.

    Raises
    ------
    StudyError
        If an image or a reference has a voxel that is not finite, or units or references have another shape.

    Notes
    -----
    By how much the score drops when a unit is the last to be replaced is minus what this returns with images and
    references exchanged.
    """
    units = torch.as_tensor(units, device=images.device)
    for name, shape in (("units", units.shape), ("references", references.shape[-3:])):
        if shape != images.shape[2:]:
            grids = [" x ".join(map(str, grid)) for grid in (shape, images.shape[2:])]
            raise StudyError(f"the {name} have {grids[0]} voxels and the scans {grids[1]}; give both the same grid")
    references = references.to(images.device).expand(len(images), *references.shape[-5:])
    require_finite("image", images)
    require_finite("reference", references.flatten(0, 1))
    targets = torch.as_tensor(target).expand(len(images)).tolist()
    network, boxes = read_network(model), find_objects(units.cpu().numpy())
    drops = torch.zeros(*references.shape[:2], len(boxes), dtype=torch.float64)
    for number, image in enumerate(images):
        questions = questions_of(image, references[number], units)
        if not len(questions.numbers):
            continue
        work = plan_units(network, image, targets[number], questions, units, references[number], boxes, memory=memory)
        for chunk, values in zip(work.chunks, measured(work), strict=True):
            rows = chunk[:, 0]
            drops[number, questions.references[rows], questions.numbers[rows] - 1] = torch.from_numpy(values)
    return drops


def questions_of(image: Tensor, references: Tensor, units: Tensor) -> Questions:
    """List the units (x, y, z) in which each reference (K, 1, x, y, z) differs from an image (1, x, y, z)."""
    found = [units[(reference.double() != image.double())[0] & (units > 0)].unique().cpu() for reference in references]
    counts = [len(numbers) for numbers in found]
    return Questions(np.repeat(np.arange(len(found)), counts), torch.cat(found).numpy())


def plan_units(
    network: list[nn.Module] | nn.Module,
    image: Tensor,
    target: int,
    questions: Questions,
    units: Tensor,
    references: Tensor,
    boxes: Sequence[tuple[slice, slice, slice]],
    *,
    memory: int | None = None,
) -> Work:
    """Split the questions about one image into chunks, and say how to measure one; positions are those of questions.

    Parameters
    ----------
    network : list of Module, or Module
        As `read_network` returns it.
    image : Tensor, shape (1, x, y, z)
    target, memory
        As in `unit_drops`.
    questions : Questions
    units : Tensor of int, shape (x, y, z)
    references : Tensor, shape (K, 1, x, y, z)
    boxes : list of 3 slices
        Bounding box of each unit.
    """
    memory = memory or default_memory(image.device)
    places = np.repeat(np.arange(len(questions.numbers))[:, None], 3, 1)
    if isinstance(network, list):
        asked = zip(*(boxes[number - 1] for number in questions.numbers), strict=True)
        windows = [np.array([(edge.start, edge.stop) for edge in axis]).T for axis in asked]
        begin = partial(differences_of, image, questions, units, references)
        return incremental_work(network, image, target, windows, places, begin=begin, memory=memory, small=SMALL)
    hide = partial(hide_unit, questions, units, references)
    return plain_work(network, image, target, places, hide=hide, memory=memory)


def differences_of(
    image: Tensor, questions: Questions, units: Tensor, references: Tensor, dtype: torch.dtype
) -> HiddenUnits:
    """Record by how much each reference changes each voxel of an image, and which unit is asked for by which."""
    changes = [(reference.double() - image.double())[0].to(dtype) for reference in references]
    return HiddenUnits(
        torch.cat(changes)[..., None], units[..., None].contiguous(), questions.numbers, questions.references
    )


def hide_unit(questions: Questions, units: Tensor, references: Tensor, scan: Tensor, place: np.ndarray) -> None:
    """Take one unit of a scan (1, x, y, z) from a reference."""
    inside = units == int(questions.numbers[place[0]])
    scan[0, inside] = references[questions.references[place[0]], 0, inside].to(scan)
