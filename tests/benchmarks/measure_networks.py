"""Which method explains which network, whether exactly, and in which time: docs/networks.md.

    PYTHONPATH=src:tests/train python tests/benchmarks/measure_networks.py --work FILE [--times NETWORK ...]

Networks have their first weights, and scans are noise in an ellipsoid as large as a brain: neither changes what can be
done or how long it takes. With ``--times`` a part of a method's work is timed on grids of 4 and 2 mm and multiplied;
without, a first step of it, at 4 mm, tells whether it can be done. What the work file, JSON, has of a network and a
method is not measured again, so that networks may be timed one after the other.
"""

import argparse
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from heatproof.attribute import METHODS
from heatproof.attribute.explain import explain, keyword_options
from heatproof.attribute.occlusion.method import plan_work, read_network
from heatproof.attribute.occlusion.patches import Work, place_patches
from heatproof.attribute.outputs import with_margin
from heatproof.device import in_float32
from heatproof.errors import StudyError
from heatproof.train.network import create_network

GRIDS = {4: (48, 57, 48), 2: (97, 115, 97)}  # voxel size in mm, and voxels
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
CASES = {  # as in config/config.yaml and config/full.yaml; patch and stride in mm, or null for one voxel
    "gradient_input": {},
    "integrated_gradients": {"steps": 50},
    "gradient_shap": {"samples": 50},
    "deep_lift": {},
    "smooth_grad": {"samples": 25},
    "guided_backprop": {},
    "grad_cam": {},
    "lrp": {"rule": "alpha1_beta0"},
    "lrp, epsilon": {"rule": "epsilon", "epsilon": 0.25, "bias": True},
    "occlusion": {"patch": 24, "stride": 12},
    "occlusion, voxel by voxel": {"patch": None, "stride": None},
    "region_occlusion": {},
}
REGIONS = (6, 4, 3)  # boxes along each axis, together as many as there are regions
FEW = 4  # regions that are hidden, and chunks of patches that are measured
REFUSED = "refused: "


def brain(shape: tuple[int, int, int]) -> Tensor:
    """Return the voxels of an ellipsoid as large as a brain."""
    axes = np.meshgrid(*[np.linspace(-1, 1, edge) for edge in shape], indexing="ij")
    return torch.from_numpy(sum((axis / 0.85) ** 2 for axis in axes) < 1)


def regions(inside: Tensor) -> Tensor:
    """Number boxes of the brain."""
    x, y, z = (torch.arange(edge) * pieces // edge for edge, pieces in zip(inside.shape, REGIONS, strict=True))
    numbers = (x[:, None, None] * REGIONS[1] + y[:, None]) * REGIONS[2] + z + 1
    return torch.where(inside, numbers, 0)


def draw_scans(inside: Tensor) -> Tensor:
    """Return two scans of noise in a brain."""
    noise = torch.rand((2, 1, *inside.shape), generator=torch.Generator().manual_seed(0))
    return torch.where(inside, noise, 0.0)


def in_voxels(options: dict, millimetres: int) -> dict:
    """Return options with lengths in voxels."""
    lengths = {name: (options[name] or millimetres) // millimetres for name in ("patch", "stride") if name in options}
    return options | lengths


def first_step(options: dict, inside: Tensor) -> tuple[dict, float]:
    """Return options by which a method does a part of its work, and what part of it that is."""
    numbers = regions(inside)
    every = numbers.unique()[1:]
    few = every[:: len(every) // FEW][:FEW]
    one = torch.zeros_like(inside)
    one[tuple(edge // 2 for edge in inside.shape)] = True
    least = {name: 1 for name in ("steps", "samples") if name in options}
    part = 1 / max([options[name] for name in least], default=1)
    return options | least | {"mask": one, "regions": torch.where(torch.isin(numbers, few), numbers, 0)}, part


def prepare(method: str, options: dict, scans: Tensor, inside: Tensor) -> tuple[dict, float]:
    """Return the options of a first step as the method takes them, and what part of the work of a map it does."""
    options, part = first_step(options, inside)
    if method == "region_occlusion":
        part = FEW / int(regions(inside).unique()[1:].numel())
    own = keyword_options(METHODS[method])
    filled = options | {"controls": scans[1:]}
    return {name: value for name, value in filled.items() if name in own}, part


def seconds_of(work: Callable[[], object]) -> float:
    """Return the processor time that a call takes."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def occlusion_work(network: nn.Module, scan: Tensor, options: dict, inside: Tensor) -> Work:
    """Plan a whole map by occlusion."""
    patches = place_patches(inside.shape, options["patch"], options["stride"], inside.numpy())
    return plan_work(read_network(network), scan, 1, patches)


@in_float32()
def occlusion_seconds(network: nn.Module, scan: Tensor, options: dict, inside: Tensor) -> str:
    """Return the time of a whole map by occlusion, from some of its chunks, and its kind."""
    begin = time.process_time()
    work = occlusion_work(network, scan, options, inside)
    planned = time.process_time() - begin
    chosen = work.chunks[len(work.chunks) // 2 :][:FEW] if len(work.chunks[0]) < 100 else work.chunks[:FEW]
    work.measure(chosen[0][:8])  # memory, and matrices that are kept
    each = seconds_of(lambda: list(map(work.measure, chosen))) / sum(map(len, chosen))
    return f"{short(planned + each * sum(map(len, work.chunks)))} {kind_of(work)}"


def measure(network: nn.Module, name: str, millimetres: int, times: bool) -> str:
    """Say whether a method explains a network, and in how many seconds a scan; why not, else."""
    inside = brain(GRIDS[millimetres])
    scans, method = draw_scans(inside), name.partition(",")[0]
    options = in_voxels(CASES[name], millimetres)
    if times and method == "occlusion":  # for which every network will do
        return occlusion_seconds(with_margin(network), scans[0], options, inside)
    options, part = prepare(method, options, scans, inside)
    try:
        if not times or millimetres == max(GRIDS):  # there also a warm-up
            explain(network, scans[:1].clone(), method=method, **options)
    except StudyError as error:
        return f"{REFUSED}{error}"
    if not times:
        lengths = in_voxels(CASES[name], millimetres)
        return f"works {kind_of(occlusion_work(network, scans[0], lengths, inside))}" if "patch" in lengths else "works"
    explained, explainer = with_margin(network), in_float32()(METHODS[method])
    return short(seconds_of(lambda: explainer(explained, scans[:1].clone(), 1, **options)) / part)


def short(seconds: float) -> str:
    """Write two digits of a number of seconds, without an exponent."""
    rounded = float(f"{seconds:.2g}")
    return f"{rounded:,.0f}" if rounded >= 100 else f"{rounded:g}"


def kind_of(work: Work) -> str:
    """Say how patches are measured."""
    return "(a pass a patch)" if work.whole else "(windows)"


def said_of(title: str, name: str, times: bool) -> str:
    """Measure a method on a network; the reason, if it is refused."""
    found = []
    for millimetres in GRIDS if times else [4]:
        torch.manual_seed(0)
        network = create_network(GRIDS[millimetres], NETWORKS[title]).eval()
        found.append(measure(network, name, millimetres, times))
        logging.info("%s, %s at %s mm: %s", title, name, millimetres, found[-1])
        if found[-1].startswith(REFUSED):
            return found[-1]
    return " / ".join(found)


def cell_of(said: str, reasons: dict[str, int]) -> str:
    """Write what was measured as the table has it, and number the reason of what is refused."""
    if not said.startswith(REFUSED):
        return said
    return f"no [{reasons.setdefault(said.removeprefix(REFUSED), len(reasons) + 1)}]"


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", nargs="+", choices=NETWORKS, default=[], metavar="NETWORK", help="that are timed")
    parser.add_argument("--work", type=Path, required=True, help="keeps what is measured")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows, reasons = {}, {}
    done = json.loads(arguments.work.read_text()) if arguments.work.is_file() else {}
    for title in sorted(NETWORKS, key=[*arguments.times, *NETWORKS].index):
        for name in CASES:
            key = f"{title}, {name}"
            if key not in done:
                done[key] = said_of(title, name, title in arguments.times)
                arguments.work.write_text(json.dumps(done, indent=1))
    for title in NETWORKS:
        for name in CASES:
            method, _, variant = name.partition(",")
            rows.setdefault(f"`{method}`{variant}", []).append(cell_of(done[f"{title}, {name}"], reasons))
    header = ["method", *NETWORKS]
    lines = [header, ["---"] * len(header), *([name, *row] for name, row in rows.items())]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    notes = "\n".join(f"{number}. {reason}" for reason, number in reasons.items())
    command = " ".join(["--times", *arguments.times]) if arguments.times else ""
    PAGE.write_text(TEXT.read_text().format(table=table, notes=notes, command=command, torch=torch.__version__))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()
