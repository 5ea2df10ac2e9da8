"""Time gradient methods at 2 mm and a training step at 1 mm on CPUs, against the code of another commit, in one run.

    PYTHONPATH=src python tests/benchmarks/measure_running.py --before 00347ef~1  # before one module had both

Both codes run in processes of their own, in turns, in the environment that their jobs have, on a machine that does
nothing else. Writes docs/running.md: seconds of a processor by each code, the least of all turns, and their ratio.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from heatproof.attribute.explain import explain
from heatproof.train.network import build_network

METHODS = ("gradient_input", "guided_backprop", "lrp")
GRIDS = {"explain": (97, 115, 97), "train": (193, 229, 193)}
SMALL = {"explain": (40, 40, 40), "train": (40, 40, 40)}


def network(shape: tuple[int, int, int], stage: str) -> nn.Module:
    """Return the paper's network as this code's jobs of a stage hold it."""
    torch.manual_seed(0)
    model = build_network(shape, padding=1)
    try:
        from heatproof.running import to_device
    except ImportError:  # where training alone had this memory format
        return model.to(memory_format=torch.channels_last_3d) if stage == "train" else model
    return to_device(model, "cpu")


def train_step(model: nn.Module, optimiser: torch.optim.Optimizer, images: torch.Tensor) -> None:
    """Take one step."""
    loss = nn.functional.cross_entropy(model(images), torch.arange(len(images)) % 2)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def seconds(function: Callable[[], object]) -> float:
    """Return the processor time of a call, after one that warms up."""
    function()
    start = time.process_time()
    function()
    return time.process_time() - start


def measure(grids: dict[str, tuple[int, int, int]]) -> dict[str, float]:
    """Time each method for two scans, and a step of a batch of four."""
    torch.set_num_threads(1)
    model, images = network(grids["explain"], "explain").eval(), torch.rand(2, 1, *grids["explain"])
    times = {name: seconds(partial(explain, model, images, method=name)) for name in METHODS}
    model, images = network(grids["train"], "train").train(), torch.rand(4, 1, *grids["train"])
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)
    return times | {"training step": seconds(partial(train_step, model, optimiser, images))}


def measured_by(source: Path, small: bool, environment: dict[str, str]) -> dict[str, float]:
    """Time the code of a folder in a process of its own."""
    command = [sys.executable, __file__, "--alone", *(["--small"] if small else [])]
    environment = os.environ | {"PYTHONPATH": str(source)} | environment
    return json.loads(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", help="the other commit")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="on a small grid, to try it")
    parser.add_argument("--out", type=Path, default=Path("docs/running.md"))
    parser.add_argument("--alone", action="store_true", help="time the code that is imported")
    arguments = parser.parse_args()
    if arguments.alone:
        print(json.dumps(measure(SMALL if arguments.small else GRIDS)))
        return
    from heatproof.command import HUGE_PAGES  # which the other code may lack

    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", arguments.before, "src"], check=True, stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        codes = {
            "before": (Path(folder) / "src", {}),
            "now, on single pages": (Path("src"), {}),
            "now": (Path("src"), {"GLIBC_TUNABLES": HUGE_PAGES}),
        }
        turns = [
            {name: measured_by(source, arguments.small, environment) for name, (source, environment) in codes.items()}
            for _ in range(arguments.turns)
        ]
    table = pd.DataFrame({code: pd.DataFrame([turn[code] for turn in turns]).min() for code in codes})
    table = table.assign(**{"times faster": table["before"] / table["now"]}).to_markdown(floatfmt=".3g")
    told = {"table": table, "before": arguments.before, "turns": arguments.turns, "torch": torch.__version__}
    arguments.out.write_text(Path(__file__).with_name("running.md").read_text().format(**told))


if __name__ == "__main__":
    main()
