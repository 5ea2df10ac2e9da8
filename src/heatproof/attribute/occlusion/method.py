"""Occlusion maps: hide one patch after the other and see how the score drops."""

import copy
import logging
import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from heatproof.attribute.graph import Node
from heatproof.attribute.layers import require_evaluation
from heatproof.attribute.occlusion.branches import as_graph
from heatproof.attribute.occlusion.chain import as_chain
from heatproof.attribute.occlusion.chunks import continued, measured
from heatproof.attribute.occlusion.incremental import incremental_work, share_of_pass, stages_for
from heatproof.attribute.occlusion.patches import Patches, Work, place_patches, spread_drops, touching
from heatproof.attribute.occlusion.plain import plain_work, quickened
from heatproof.attribute.references import by_channels, require_reference
from heatproof.device import in_float32
from heatproof.errors import StudyError

log = logging.getLogger(__name__)
MANY = 10  # chunks, from which on a trial is worth its time
TRIAL = 64  # patches, at most
FEW = 100  # patches, below which a network that branches runs as a whole: to prepare windows takes some ten passes
WORTH = 1 / 3  # of the multiply-adds of a pass that windows in such a network may take


@in_float32()
@torch.no_grad()
def occlusion(
    model: nn.Module,
    images: Tensor,
    target: int | Tensor,
    *,
    patch: int | Sequence[int] = 20,
    stride: int | Sequence[int] = 10,
    baseline: float | Tensor = 0.0,
    channels: str = "together",
    mask: np.ndarray | Tensor | None = None,
    memory: int | None = None,
    journal: Path | None = None,
    shared: dict | None = None,
) -> Tensor:
    """Hide one patch after the other and give each voxel the mean drop of the score over the patches that cover it.

    A network of convolution, batch norm, ReLU, max- or average pooling, flatten, dropout and linear layers, one after
    the other or in branches that are added or joined, with or without a softmax or a margin at the end, computes only
    what a patch changes, and carries it as a difference. Any other network runs as a whole for each patch, and so does
    one with branches where patches are few, or change most of it.

    Parameters
    ----------
    model : Module
        In evaluation mode; maps (N, C, D, H, W) to scores (N, classes).
    images : Tensor, shape (N, C, D, H, W)
    target : int or Tensor of shape (N,)
        Class whose score is explained, for all images or one for each.
    patch, stride : int or sequence of 3 int
        Edge of a patch and step from one to the next, in voxels; patches that overhang the far border are cut there.
    baseline : float or Tensor, shape (N or 1, C, D, H, W)
        What a hidden voxel is set to: a number, or its value in a reference image, one for all images or one for each.
    channels : {"together", "each"}
        Of several channels, whether a patch hides all of them, which share its drop equally, or one after the other.
    mask : ndarray or Tensor, shape (D, H, W), optional
        Only patches that touch its nonzero voxels are placed.
    memory : int
        Bytes that may be used beyond the model, the images and the kept activations of one image; by default 2 GB on a
        CPU, and a quarter of a GPU's.
    journal : Path, optional
        Folder that keeps the drops as they are measured: the same call, made again after it was killed, goes on where
        it was, and ends with the same bytes. It serves one call, and may be deleted after it.
    shared : dict, optional
        Empty at the first of several calls for one network, which leaves there what it found out about it; the others
        find it there. The maps are those of calls on their own.

    Returns
    -------
    Tensor of float32, shape (N, C, D, H, W)
        Positive where hiding lowers the score; 0 where no patch is placed. Where channels are hidden together, the sum
        over them is the mean drop.

    Raises
    ------
    StudyError
        If an image or a baseline has a voxel that is not finite, a patch is larger than the volume, steps are below 1
        or leave gaps between patches, or the mask or the baseline has another shape.

    References
    ----------
    Zeiler and Fergus 2014, doi:10.1007/978-3-319-10590-1_53.
    """
    require_finite(images)
    require_reference(images, baseline)
    references = torch.as_tensor(baseline, dtype=torch.float64, device=images.device).expand(images.shape)
    mask = mask.cpu().numpy() if isinstance(mask, Tensor) else mask
    patches = place_patches(images.shape[2:], patch, stride, mask)
    targets = torch.as_tensor(target).expand(len(images)).tolist()
    shared = {} if shared is None else shared
    heatmaps = torch.empty(images.shape, dtype=torch.float32, device=images.device)
    hidden = [
        (number, charged, reference)
        for number, image in enumerate(images)
        for charged, reference in by_channels(image, references[number], channels)
    ]
    for turn, (number, charged, reference) in enumerate(hidden):
        image, heatmap, first = images[number], heatmaps[number, charged], not shared
        if first:
            shared["network"] = read_network(model)
        work = plan_work(shared["network"], image, targets[number], patches, baseline=reference, memory=memory)
        if first and work.whole:
            name = type(vars(model).get("explained", model)).__name__
            log.warning("occlusion: windows fail in %s, or save little; the whole network runs for each patch", name)
        if first:
            log.info("occlusion: %s", expectation(work))
        found = measured(work) if journal is None else continued(work, journal / f"{turn}.drops")
        drops = np.zeros(patches.placed.shape)
        with tqdm(total=sum(map(len, work.chunks)), unit="patch", unit_scale=True, leave=False, delay=5) as progress:
            for chunk, values in zip(work.chunks, found, strict=True):
                drops[tuple(chunk.T)] = values
                progress.update(len(chunk))
        heatmap[:] = torch.from_numpy(spread_drops(patches, drops, image.shape[1:]) / len(heatmap))
    return heatmaps


class Network:
    """A network as it was when it was read, and what was found out about it: the same for all scans of one shape.

    Attributes
    ----------
    model : Module
    chain : list of Node or None
        Its layers, if it is a chain of known layers.
    found : dict
        What functions of the network and a scan returned, by the function and the shape, type and device of the scan.
    """

    def __init__(self, model: nn.Module):
        layers = as_chain(model)
        self.model, self.found = model, {}
        self.chain = None if layers is None else [Node(layer, (number,)) for number, layer in enumerate(layers)]

    def find(self, function: Callable[[nn.Module, Tensor], Any], image: Tensor) -> Any:
        """Return what a function of the network and a scan returns for the first scan of this kind."""
        key = function, image.shape, image.dtype, image.device
        if key not in self.found:
            self.found[key] = function(self.model, image)
        return self.found[key]


def read_network(model: nn.Module) -> Network:
    """Read the layers of a network in evaluation mode."""
    require_evaluation(model)
    return Network(model)


def plan_work(
    network: Network,
    image: Tensor,
    target: int,
    patches: Patches,
    *,
    baseline: float | Tensor = 0.0,
    memory: int | None = None,
) -> Work:
    """Split the patches of one image into chunks, and say how to measure one.

    Patches that hide only what equals the baseline are in no chunk: their drop is 0. The chunks, their order and the
    bytes of their drops depend on the arguments alone, so that chunks measured at different times fit together.

    Parameters
    ----------
    network : Network
    image : Tensor, shape (C, D, H, W)
    target, memory
        As in `occlusion`.
    patches : Patches
    baseline : float or Tensor, shape (C, D, H, W)
    """
    wanted = patches.placed & touching(patches, (image.double() != baseline).any(dim=0).cpu().numpy())
    places, memory = np.argwhere(wanted), memory or default_memory(image.device)
    nodes = network.chain
    if nodes is None and len(places) >= FEW:
        nodes = network.find(as_graph, image)
    if nodes is not None:
        windows = [np.stack(ends) for ends in zip(patches.starts, patches.stops, strict=True)]
        changed = nodes, image, baseline - image.double()
        if network.chain or share_of_pass(stages_for(*shapes_of(*changed), windows, len(places)), places) < WORTH:
            stages = stages_for(*changed, windows, len(places))
            return incremental_work(stages, target, places, memory=memory)
    hide = partial(hide_patch, patches, baseline)
    return plain_work(network.find(quickened, image), image, target, places, hide=hide, memory=memory)


def shapes_of(nodes: Sequence[Node], image: Tensor, change: Tensor) -> tuple[list[Node], Tensor, Tensor]:
    """Return what `stages_for` takes without the values: of these it finds the windows, and computes nothing."""
    weights = [weight for node in nodes for weight in (*node.layer.parameters(), *node.layer.buffers())]
    shapes = {id(weight): weight.to("meta") for weight in weights}
    outlines = [Node(copy.deepcopy(layer, dict(shapes)), sources) for layer, sources in nodes]
    return outlines, image.to("meta"), change.to("meta")


def hide_patch(patches: Patches, baseline: float | Tensor, scan: Tensor, place: np.ndarray) -> None:
    """Hide one patch of a scan (C, D, H, W)."""
    x, y, z = (slice(a[i], b[i]) for a, b, i in zip(patches.starts, patches.stops, place, strict=True))
    scan[:, x, y, z] = baseline[:, x, y, z] if isinstance(baseline, Tensor) else baseline


def expectation(work: Work) -> str:
    """Say how many patches an image has, and where there are many chunks, by a trial, how long they will take."""
    count = sum(map(len, work.chunks))
    if len(work.chunks) < MANY:
        return f"{count} patches an image"
    sample = work.chunks[len(work.chunks) // 2][: max(1, min(TRIAL, count // 50))]
    start = time.perf_counter()
    work.measure(sample)
    seconds = (time.perf_counter() - start) / len(sample) * count / (work.workers or 1)
    return f"{count} patches an image, for which some {max(1, math.ceil(seconds))} s are expected"


def default_memory(device: torch.device) -> int:
    """Return how many bytes occlusion may use on a device."""
    return torch.cuda.get_device_properties(device).total_memory // 4 if device.type == "cuda" else 2 * 10**9


def require_finite(images: Tensor) -> None:
    """Refuse images with a voxel that is NaN or infinite, naming the first."""
    wrong = torch.nonzero(~torch.isfinite(images))
    if len(wrong):
        number, _, *voxel = wrong[0].tolist()
        raise StudyError(
            f"occlusion: image {number} is {images[tuple(wrong[0])]} at voxel {tuple(voxel)}, where a finite number "
            "is needed; repair or exclude that scan"
        )
