"""Which method explains which network, whether exactly, and in which time: docs/networks.md.

    PYTHONPATH=src:tests/train python tests/benchmarks/measure_networks.py [--times]

Networks have their first weights, and scans are noise in an ellipsoid as large as a brain on the grid of 4 mm: neither
changes what can be done or how long it takes. With ``--times`` methods do all their work, on a machine that does
nothing else; without, a first step of it, which tells whether they can.
"""

import argparse
import logging
import os
import platform
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from heatproof.attribute import METHODS
from heatproof.attribute.explain import explain, keyword_options
from heatproof.attribute.occlusion.method import read_network
from heatproof.attribute.occlusion.patches import place_patches
from heatproof.errors import StudyError
from heatproof.train.network import create_network

SHAPE = (48, 57, 48)
PAGE, TEXT = Path("docs/networks.md"), Path("tests/benchmarks/networks.md")
NETWORKS = {
    "paper": {"function": "heatproof.train.network:build_network", "padding": 1},
    "ResNet18": {"function": "heatproof.train.presets:resnet18"},
    "DenseNet121": {"function": "heatproof.train.presets:densenet121"},
    "SFCN": {"function": "heatproof.train.presets:sfcn"},
    "SEResNet50": {"function": "monai.networks.nets:SEResNet50"},
    "GroupNorm": {"function": "networks:by_groups"},
    "transformer": {"function": "networks:transformer"},
}
CASES = {  # as in config/config.yaml and config/full.yaml
    "gradient_input": {},
    "integrated_gradients": {"steps": 50},
    "gradient_shap": {"samples": 50},
    "deep_lift": {},
    "smooth_grad": {"samples": 25},
    "guided_backprop": {},
    "grad_cam": {},
    "lrp": {"rule": "alpha1_beta0"},
    "lrp, epsilon": {"rule": "epsilon", "epsilon": 0.25, "bias": True},
    "occlusion": {"patch": 6, "stride": 3},
    "occlusion, voxel by voxel": {"patch": 1, "stride": 1},
    "region_occlusion": {},
}
LEAST = {"steps": 1, "samples": 1}
FEW = 8  # patches that are hidden where the network runs for each


def brain() -> Tensor:
    """Return the voxels of an ellipsoid as large as a brain."""
    axes = np.meshgrid(*[np.linspace(-1, 1, edge) for edge in SHAPE], indexing="ij")
    return torch.from_numpy(sum((axis / 0.85) ** 2 for axis in axes) < 1)


def regions(inside: Tensor) -> Tensor:
    """Number 72 boxes of the brain, as many as there are regions."""
    parts = [torch.arange(edge) * pieces // edge for edge, pieces in zip(SHAPE, (6, 4, 3), strict=True)]
    numbers = parts[0][:, None, None] * 12 + parts[1][:, None] * 3 + parts[2] + 1
    return torch.where(inside, numbers, 0)


def options_of(method: str, scans: Tensor, inside: Tensor, times: bool) -> dict:
    """Return what the config would fill in, and with little to do if times do not count."""
    own = keyword_options(METHODS[method])
    filled = {"mask": inside, "regions": regions(inside), "controls": scans[1:]}
    if not times:
        filled["mask"] = torch.zeros_like(inside).index_fill_(0, torch.tensor(SHAPE[0] // 2), True) & inside
        filled["mask"] &= torch.cumsum(filled["mask"].flatten(), 0).reshape(SHAPE) == 1
        filled["regions"] = (filled["regions"] == filled["regions"].max()).int()
        filled |= LEAST
    return {option: value for option, value in filled.items() if option in own}


def measure(network: nn.Module, name: str, options: dict, scans: Tensor, inside: Tensor, times: bool) -> str:
    """Say whether a method explains a network, and in how many seconds a scan; why not, else."""
    method = name.partition(",")[0]
    options = options | options_of(method, scans, inside, times)
    whole = 1.0
    if times and method == "occlusion" and isinstance(read_network(network), nn.Module):
        placed = place_patches(SHAPE, options["patch"], options["stride"], inside.numpy())
        first = inside.flatten().nonzero()[:: int(inside.sum()) // FEW][:FEW]
        options["mask"] = torch.zeros_like(inside).flatten().index_fill_(0, first[:, 0], True).reshape(SHAPE)
        few = place_patches(SHAPE, options["patch"], options["stride"], options["mask"].numpy())
        whole = placed.placed.sum() / few.placed.sum()
    try:
        begin = time.perf_counter()
        explain(network, scans[:1].clone(), method=method, **options)
        seconds = (time.perf_counter() - begin) * whole
    except StudyError as error:
        return f"refused: {error}"
    return f"{seconds:.2g}" if times else "works"


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    inside, rows, reasons = brain(), {}, {}
    scans = torch.where(inside, torch.rand((2, 1, *SHAPE), generator=torch.Generator().manual_seed(0)), 0.0)
    for title, network_options in NETWORKS.items():
        torch.manual_seed(0)
        network = create_network(SHAPE, network_options).eval()
        for name, options in CASES.items():
            said = measure(network, name, options, scans, inside, arguments.times)
            logging.info("%s %s: %s", title, name, said)
            kind, _, reason = said.partition(": ")
            if reason:
                number = reasons.setdefault(reason, len(reasons) + 1)
                kind = f"no [{number}]"
            elif name.startswith("occlusion"):
                kind += " (a pass a patch)" if isinstance(read_network(network), nn.Module) else " (windows)"
            method, _, variant = name.partition(",")
            rows.setdefault(f"`{method}`{variant}", []).append(kind)
    header = ["method", *NETWORKS]
    lines = [header, ["---"] * len(header), *([name, *row] for name, row in rows.items())]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    notes = "\n".join(f"{number}. {reason}" for reason, number in reasons.items())
    cell = (
        f"Seconds for one scan, on one core of {platform.processor() or platform.machine()}, {os.cpu_count()} cores"
        if arguments.times
        else "`works`: a first step of the method's work ran"
    )
    PAGE.write_text(TEXT.read_text().format(table=table, notes=notes, cell=cell, torch=torch.__version__))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
