"""Measure the networks on a GPU; each section writes its table as soon as it is done."""

import argparse
import os
import platform
import statistics
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.fx.experimental.optimization import fuse

from heatproof import running
from heatproof.attribute import METHODS as METHODS_OF
from heatproof.attribute.explain import explain
from heatproof.attribute.gradients import gradient
from heatproof.attribute.occlusion import incremental
from heatproof.attribute.occlusion.method import default_memory, plan_work, read_network
from heatproof.attribute.occlusion.patches import place_patches
from heatproof.attribute.outputs import PATIENT, with_margin
from heatproof.device import set_tf32
from heatproof.images import save_image
from heatproof.store import Store
from heatproof.train.batches import training_batches
from heatproof.train.fit_model import fit_model, train_epoch
from heatproof.train.network import build_network
from heatproof.train.precision import largest_difference, lower

FULL, SMALL = (193, 229, 193), (48, 57, 48)
AUGMENTATION = {"flip": {"axis": "x", "probability": 0.5}, "shift": {"axis": "y", "voxels": 2}}
METHODS = {
    "gradient_input": {"method": "gradient_input"},
    "guided_backprop": {"method": "guided_backprop"},
    "integrated_gradients": {"method": "integrated_gradients"},
    "smooth_grad": {"method": "smooth_grad"},
    "grad_cam": {"method": "grad_cam", "layer": -1},
    "deep_lift": {"method": "deep_lift"},
    "lrp": {"method": "lrp"},
    "lrp_batch_norm_passed": {"method": "lrp", "batch_norm": "pass"},
    "lrp_epsilon": {"method": "lrp", "rule": "epsilon", "epsilon": 0.25, "bias": True},
    "lrp_epsilon_gamma_box": {"method": "lrp", "rule": "epsilon_gamma_box", "bias": True},
}
SHORT = {
    "integrated_gradients": {"method": "integrated_gradients", "steps": 5},
    "smooth_grad": {"method": "smooth_grad", "samples": 3},
    "occlusion": {"method": "occlusion", "patch": 8, "stride": 8},
}
FROM_SCANS = {  # options, and the one that other scans are
    "integrated_gradients, an image": ({"method": "integrated_gradients", "steps": 5}, "baseline"),
    "gradient_shap": ({"method": "gradient_shap", "samples": 3}, "controls"),
    "deep_lift, an image": ({"method": "deep_lift"}, "baseline"),
    "occlusion, an image": ({"method": "occlusion", "patch": 8, "stride": 8}, "baseline"),
}


def ellipsoid(shape: tuple[int, int, int]) -> np.ndarray:
    """Return a mask as large as a brain."""
    axes = [((np.arange(n) - n / 2) / n) ** 2 for n in shape]
    return axes[0][:, None, None] / 0.36**2 + axes[1][:, None] / 0.40**2 + axes[2] / 0.38**2 < 1


def scans(shape: tuple[int, int, int], number: int) -> torch.Tensor:
    """Return scans of uniform noise in an ellipsoid, (N, 1, x, y, z), on the CPU."""
    draws = torch.rand(number, 1, *shape, generator=torch.Generator().manual_seed(0))
    return draws * torch.from_numpy(ellipsoid(shape))


def network(shape: tuple[int, int, int], *, padding: int) -> nn.Sequential:
    """Return the paper's network with weights that move its batch norms and logits off their first values."""
    torch.manual_seed(0)
    model = build_network(shape, padding=padding)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm3d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model.eval()


def store(shape: tuple[int, int, int], number: int, folder: Path) -> Store:
    """Write scans as a store does, float16 in a memory-mapped file, and open it."""
    images = scans(shape, number).half().numpy()
    np.save(folder / "store.npy", images)
    labels = [("patient", "control")[i % 2] for i in range(number)]
    table = pd.DataFrame({"scan": [f"sub-{i:03}" for i in range(number)], "label": labels})
    return Store(np.load(folder / "store.npy", mmap_mode="c"), table)


def seconds(function: Callable[[], object], repeats: int = 5, warm: int = 2) -> float:
    """Return the median time of a call, the GPU's work included."""
    times = []
    for _ in range(warm + repeats):
        torch.cuda.synchronize()
        start = time.perf_counter()
        function()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[warm:])


def relative(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Return the size of a difference as a share of the size of what was wanted."""
    found, wanted = found.detach().double().cpu(), wanted.detach().double().cpu()
    return ((found - wanted).norm() / wanted.norm()).item()


def measure_environment() -> list[dict]:
    """Name the card and the versions, and measure the card's memory bandwidth and its rates of multiplication."""
    card = torch.cuda.get_device_properties(0)
    rows = [
        ("card", card.name),
        ("memory, GB", round(card.total_memory / 1e9)),
        ("torch", torch.__version__),
        ("CUDA", torch.version.cuda),
        ("cuDNN", torch.backends.cudnn.version()),
        ("Python", platform.python_version()),
        ("CPU cores", os.cpu_count()),
    ]
    block, copy = torch.rand(2, 2**29, device="cuda")
    rows.append(("copy, TB/s read and written", 2 * block.nbytes / seconds(lambda: copy.copy_(block)) / 1e12))
    square = torch.rand(8192, 8192, device="cuda")
    for name, tf32, dtype in (("float32", False, None), ("TF32", True, None), ("bfloat16", False, torch.bfloat16)):
        set_tf32(tf32)
        matrix = square if dtype is None else square.to(dtype)
        rate = 2 * 8192**3 / seconds(lambda matrix=matrix: matrix @ matrix) / 1e12
        rows.append((f"matrix product in {name}, TFLOP/s", rate))
    return [{"what": what, "value": value} for what, value in rows]


def measure_answers() -> list[dict]:
    """Compare each method on the GPU, with and without TF32, with float64 on the CPU, and with a second run."""
    model, images, rows = network(SMALL, padding=1), scans(SMALL, 1), []
    on_card, images_there = network(SMALL, padding=1).cuda(), images.cuda()
    others = scans(SMALL, 2)[1:]
    plain = {name: (options, None) for name, options in (METHODS | SHORT).items()}
    for name, (options, of_scans) in (plain | FROM_SCANS).items():

        def options_for(images: torch.Tensor, options=options, of_scans=of_scans) -> dict:
            return options | ({of_scans: others.to(images)} if of_scans else {})

        wanted = explain(model.double(), images.double(), **options_for(images.double()))
        on_cpu = explain(model.float(), images, **options_for(images))
        row = {"method": name, "CPU, float32": relative(on_cpu, wanted)}
        first, second = (explain(on_card, images_there, **options_for(images_there)) for _ in range(2))
        row |= {"GPU, float32": relative(first, wanted), "same bytes twice": torch.equal(first, second)}
        set_tf32(True)
        method, *rest = options_for(images_there).items()
        in_tf32 = METHODS_OF[method[1]](with_margin(on_card), images_there, PATIENT, **dict(rest))
        row["GPU, TF32"] = relative(in_tf32, wanted)
        set_tf32(False)
        rows.append(row)
        print(row)
    return rows


def measure_bytes() -> list[dict]:
    """Train a small model twice from one seed on the card, in three ways, and compare weights."""
    rows = []
    options = {"network": {"padding": 1}, "learning_rate": 5e-4, "weight_decay": 1e-4, "batch_size": 4, "epochs": 3}
    options |= {
        "patience": {"epochs": 8, "from_epoch": 15},
        "keep": "accuracy",
        "precision": "float32",
        "augmentation": AUGMENTATION,
    }
    seeds = {"initialisation": 0, "order": 0}
    set_tf32(False)
    with tempfile.TemporaryDirectory() as folder:
        data = store(SMALL, 16, Path(folder))
        for mode, settings in {
            "default": {"deterministic": False, "warn": 0},
            "as the stages do, and cuDNN's deterministic algorithms": {"deterministic": True, "warn": 1},
        }.items():
            torch.backends.cudnn.deterministic = settings["deterministic"]
            torch.set_deterministic_debug_mode(settings["warn"])
            models = [fit_model(data, data, options, seeds, torch.device("cuda"))[0] for _ in range(2)]
            pairs = list(zip(*(model.state_dict().values() for model in models), strict=True))
            equal = [torch.equal(a, b) for a, b in pairs]
            largest = max(relative(a, b) for a, b in pairs if b.dtype.is_floating_point)
            rows.append({"training": mode, "same bytes": all(equal), "largest relative difference": largest})
            print(rows[-1])
    torch.backends.cudnn.deterministic = False
    torch.set_deterministic_debug_mode(0)
    return rows


def traffic(model: nn.Module, images: torch.Tensor) -> float:
    """Count the bytes that a training step must move if each layer reads its input and writes its output.

    Forward: inputs and outputs of each layer once. Backward: the gradient of its output, its input, and the gradient of
    its input, which the first layer need not write. Two bytes more per number pooled are not counted.
    """
    moved = []

    def count(layer: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        into, out = inputs[0].nbytes, output.nbytes
        moved.append((into + out) + (out + into + (into if moved else 0)))

    hooks = [layer.register_forward_hook(count) for layer in model.modules() if not list(layer.children())]
    model(images)
    for hook in hooks:
        hook.remove()
    return float(sum(moved))


def measure_training() -> list[dict]:
    """Time a training step at 1 mm on data that is there, by precision, memory format and compiler."""
    rows = []
    for batch in (4, 16):
        images, classes = scans(FULL, batch).cuda(), torch.arange(batch, device="cuda") % 2
        for precision, layout, compiled in (
            ("float32", "channels last", False),
            ("tf32", "contiguous", False),
            ("tf32", "channels last", False),
            ("bfloat16", "channels last", False),
            ("bfloat16", "channels last", True),
        ):
            if precision == "float32" and batch > 4:
                continue
            set_tf32(precision != "float32")
            model = network(FULL, padding=0).train().cuda()
            inputs = images
            if layout == "channels last":
                model = model.to(memory_format=torch.channels_last_3d)
                inputs = images.to(memory_format=torch.channels_last_3d)
            bytes_moved = traffic(model, inputs)
            optimiser = torch.optim.Adam(model.parameters(), lr=1e-4, weight_decay=1e-4)
            called = torch.compile(model) if compiled else model

            def step(called=called, inputs=inputs, classes=classes, optimiser=optimiser, precision=precision) -> None:
                with lower(precision, inputs.device):
                    loss = nn.functional.cross_entropy(called(inputs), classes)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()

            torch.cuda.reset_peak_memory_stats()
            start = time.perf_counter()
            step()
            torch.cuda.synchronize()
            first = time.perf_counter() - start
            taken = seconds(step)
            rows.append(
                {
                    "batch": batch,
                    "precision": precision,
                    "layout": layout,
                    "compiled": compiled,
                    "first step, s": first,
                    "step, ms": 1000 * taken,
                    "scans/s": batch / taken,
                    "traffic in float32, GB": bytes_moved / 1e9,
                    "traffic per second, TB/s": bytes_moved / taken / 1e12,
                    "peak memory, GB": torch.cuda.max_memory_allocated() / 1e9,
                }
            )
            print(rows[-1])
            del model, optimiser, called, step
            torch.cuda.empty_cache()
    return rows


def measure_epoch() -> list[dict]:
    """Time an epoch at 1 mm as the stage runs it, from a store that lies on the card or not, and its steps alone."""
    rows, device = [], torch.device("cuda")
    with tempfile.TemporaryDirectory() as folder:
        data = store(FULL, 16, Path(folder))
        for tf32, batch, share in ((True, 4, 0.5), (True, 4, 0), (True, 16, 0.5), (True, 16, 0)):
            set_tf32(tf32)
            running.SHARE = share
            start = time.perf_counter()
            scans_there = running.resident(data.images, device)
            torch.cuda.synchronize()
            moving = time.perf_counter() - start
            model = running.to_device(network(FULL, padding=0), device)
            optimiser = torch.optim.Adam(model.parameters(), lr=1e-4, weight_decay=1e-4)
            there = [(scans(FULL, batch).cuda(), torch.arange(batch, device="cuda") % 2)] * (16 // batch)

            def as_stage(batch=batch, scans_there=scans_there, model=model, optimiser=optimiser) -> None:
                random = np.random.default_rng(0)
                made = training_batches(scans_there, data.targets, batch, AUGMENTATION, random, device)
                train_epoch(model, optimiser, made)

            compute, whole = seconds(partial(train_epoch, model, optimiser, there), 3, 1), seconds(as_stage, 3, 1)
            row = {"batch": batch, "store": "card" if scans_there.is_cuda else "disk", "moving it, s": moving}
            row |= {"steps alone, scans/s": 16 / compute, "as the stage, scans/s": 16 / whole}
            rows.append({**row, "ratio": whole / compute})
            print(rows[-1])
    return rows


def measure_gradients() -> list[dict]:
    """Time one gradient at 1 mm, the step of integrated gradients and SmoothGrad, in ways that may be faster."""
    rows, scan = [], scans(FULL, 1).cuda()
    exact = network(FULL, padding=0).double().cuda()
    wanted = gradient(exact, scan.double(), PATIENT)
    del exact
    for layout, merged, chosen, tf32 in product(("channels last", "contiguous"), *[(False, True)] * 3):
        model = network(FULL, padding=0).cuda()
        if layout == "channels last":
            model = running.to_device(model, torch.device("cuda"))
        model = fuse(model) if merged else model
        torch.backends.cudnn.benchmark = chosen
        set_tf32(tf32)
        found = gradient(model, scan, PATIENT)
        row = {"layout": layout, "batch norms merged": merged, "cuDNN chooses": chosen, "TF32": tf32}
        rate = 1 / seconds(partial(gradient, model, scan, PATIENT), 3, 1)
        rows.append({**row, "gradients/s": rate, "off by": relative(found, wanted)})
        print(rows[-1])
        torch.backends.cudnn.benchmark = False
        set_tf32(False)
    return rows


def measure_methods() -> list[dict]:
    """Count the scans a second that each method explains at 1 mm, nothing written."""
    rows, model, images = [], running.to_device(network(FULL, padding=0), torch.device("cuda")), scans(FULL, 2).cuda()
    for name, options in METHODS.items():
        torch.cuda.reset_peak_memory_stats()
        taken = seconds(partial(explain, model, images, **options), 2, 1)
        memory = torch.cuda.max_memory_allocated() / 1e9
        rows.append({"method": name, "scans/s": len(images) / taken, "peak memory, GB": memory})
        print(rows[-1])
    return rows


def measure_writing() -> list[dict]:
    """Time the writing of maps at 1 mm, in between and by threads, as ``explain`` does."""
    rows, image = [], network(FULL, padding=0)[0](scans(FULL, 1))[0, 0].detach().numpy()
    with tempfile.TemporaryDirectory() as folder:
        for writers in (0, 3, os.cpu_count() - 1):
            paths = [Path(folder) / f"{writers}-{i}.nii.gz" for i in range(2 * max(writers, 1))]
            start = time.perf_counter()
            with running.in_background(writers) as later:
                for path in paths:
                    later(save_image, image, np.eye(4), path)
            rows.append({"writers": writers, "maps/s": len(paths) / (time.perf_counter() - start)})
            print(rows[-1])
    return rows


def measure_occlusion(limit: float = 12) -> list[dict]:
    """Time voxel-by-voxel occlusion at 1 mm on some chunks, by the memory allowed; then captum by position."""
    from captum.attr import Occlusion

    set_tf32(False)
    model, image, mask = network(FULL, padding=0).cuda(), scans(FULL, 1)[0].cuda(), ellipsoid(FULL)
    patches, rows = place_patches(FULL, 1, 1, mask), []
    positions = int(patches.placed.sum())
    first = plan_work(read_network(model), image, 1, patches, memory=10**9)
    first.measure(first.chunks[0])
    del first
    for memory, most in ((2 * 10**9, 2**19), (16 * 10**9, 2**17), (16 * 10**9, 2**19), (None, 2**20)):
        incremental.ROWS["cuda"] = most
        start = time.perf_counter()
        work = plan_work(read_network(model), image, 1, patches, memory=memory)
        torch.cuda.synchronize()
        planned, order = time.perf_counter() - start, np.random.default_rng(0).permutation(len(work.chunks))
        done, start = 0, time.perf_counter()
        for number in order:
            done += len(work.chunks[number])
            work.measure(work.chunks[number])
            if time.perf_counter() - start > limit:
                break
        taken = time.perf_counter() - start
        whole = planned + taken / done * positions
        allowed = (memory or default_memory(image.device)) / 1e9
        row = {"memory, GB": allowed, "most in a chunk": most, "chunks": len(work.chunks), "planning, s": planned}
        row["measured"] = done
        rows.append({**row, "whole brain, s": whole})
        print(rows[-1])
        del work
    half = tuple(-(-edge // 2) for edge in FULL)
    times = []
    for batch in (1, 2, 4, 8):
        run = lambda batch=batch: Occlusion(model).attribute(  # noqa: E731
            image[None], target=1, sliding_window_shapes=(1, *half), strides=(1, *half), perturbations_per_eval=batch
        )
        with torch.no_grad():
            times.append(seconds(run, 2, 1) / 9)
    for row in rows:
        row["captum, s a position"] = min(times)
        row["times faster"] = min(times) * positions / row["whole brain, s"]
    print(rows)
    return rows


def profile_occlusion() -> list[dict]:
    """Count what one chunk of voxel-by-voxel occlusion asks of the card."""
    model, image, mask = network(FULL, padding=0).cuda(), scans(FULL, 1)[0].cuda(), ellipsoid(FULL)
    work = plan_work(read_network(model), image, 1, place_patches(FULL, 1, 1, mask), memory=20 * 10**9)
    chunk = work.chunks[len(work.chunks) // 2]
    work.measure(chunk)
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        work.measure(chunk)
        torch.cuda.synchronize()
    found = sorted(profile.key_averages(), key=lambda event: -event.self_device_time_total)[:25]
    columns = {"calls": "count", "GPU, us": "self_device_time_total", "CPU, us": "self_cpu_time_total"}
    rows = [{"what": e.key[:60], **{name: getattr(e, column) for name, column in columns.items()}} for e in found]
    total_cpu = sum(event.self_cpu_time_total for event in profile.key_averages())
    total_gpu = sum(event.self_device_time_total for event in profile.key_averages())
    return [*rows, {"what": f"all, {len(chunk)} positions", "GPU, us": total_gpu, "CPU, us": total_cpu}]


def measure_bfloat16() -> list[dict]:
    """Compare the network's convolutions in bfloat16 with float32 at 1 mm: silent faults of cuDNN would show here."""
    model = running.to_device(network(FULL, padding=0), torch.device("cuda"))
    return [
        {"batch": batch, "largest difference of a convolution": largest_difference(model, scans(FULL, batch).cuda())}
        for batch in (4, 16)
    ]


SECTIONS: dict[str, Callable[[], list[dict]]] = {
    "environment": measure_environment,
    "epoch": measure_epoch,
    "occlusion": measure_occlusion,
    "methods": measure_methods,
    "writing": measure_writing,
    "bfloat16": measure_bfloat16,
    "training": measure_training,
    "bytes": measure_bytes,
    "answers": measure_answers,
    "gradients": measure_gradients,
    "profile": profile_occlusion,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder for the tables")
    parser.add_argument("sections", nargs="*", help=f"of {', '.join(SECTIONS)}; all of them by default")
    arguments = parser.parse_args()
    for name in arguments.sections or SECTIONS:
        start = time.perf_counter()
        try:
            rows = SECTIONS[name]()
        except Exception:
            (arguments.out / f"{name}.error.txt").write_text(traceback.format_exc())
            traceback.print_exc()
        else:
            pd.DataFrame(rows).to_csv(arguments.out / f"{name}.tsv", sep="\t", index=False, float_format="%.4g")
        torch.cuda.empty_cache()
        print(f"--- {name}: {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
