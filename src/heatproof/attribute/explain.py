"""Explain what a model sees in each scan of a store: one heatmap per scan, on the working grid."""

import argparse
import logging
import shutil
from collections.abc import Callable, Sequence
from inspect import Parameter, signature
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from heatproof.attribute import METHODS
from heatproof.attribute.layers import require_repeatable
from heatproof.attribute.outputs import CONVENTIONS, OUTPUTS, SIGNS, TARGETS
from heatproof.attribute.references import for_scans, from_store
from heatproof.attribute.unfinished import unfinished
from heatproof.command import json_option, run, threads
from heatproof.device import in_float32, prepare_device
from heatproof.errors import StudyError
from heatproof.images import load_array, load_image, save_heatmap
from heatproof.possible import leave_out, read_possible
from heatproof.references import OPTIONS, REFERENCES, named_references, reference_files
from heatproof.regions import SCHEMES, merge_regions, relabel
from heatproof.running import in_background
from heatproof.space import in_voxels, voxel_sizes
from heatproof.store import Store, open_store
from heatproof.tables import read_table
from heatproof.task import Task, task_argument
from heatproof.train.network import load_model

LENGTHS = {"patch", "stride"}
JOURNAL = "journal"  # the option by which a method gets a folder, to go on where it was when it is killed
SHARED = "shared"  # the option by which it gets a dictionary, for what it finds out about the network at the first scan


def explain(
    model: nn.Module,
    images: Tensor,
    *,
    method: str,
    target: int | str = "patient",
    output: str = "margin",
    sign: str = "signed",
    **options,
) -> Tensor:
    """Explain scans by one method, under the conventions that hold for every method.

    Parameters
    ----------
    model : Module
        Network in evaluation mode, images to logits (N, classes).
    images : Tensor, shape (N, C, x, y, z)
        Scans on the working grid.
    method : str
        A key of `METHODS`.
    target : {"patient", "predicted"} or int
        Explain in every scan the class of an index, patient being 1, or the class that the model predicts for it.
    output : {"margin", "logit", "probability"}
        Explain the class's logit less the log-sum-exp of the others' (of two classes: the difference of their logits),
        its logit alone, or its probability. A logit alone is no quantity of the model: the same function added to all
        of them changes no prediction, and any map of one.
    sign : {"signed", "absolute", "positive"}
        Keep the values, their size, or what speaks for the class, negative values set to 0.
    **options
        Handed to the method.

    Returns
    -------
    Tensor, shape (N, C, x, y, z)
        Heatmaps, unscaled; on a GPU computed in full float32, without TF32. Model and images stay as they were.

    Raises
    ------
    StudyError
        If there is no such method, convention or option, or if the network's output for a scan depends on chance, on
        earlier scans or on the other scans of its batch.
    """
    named = {} if isinstance(target, int) else {"target": target}
    check_names("explain", {"method": method, "output": output, "sign": sign, **named, **options})
    require_repeatable(model, images)
    with in_float32():
        explained = OUTPUTS[output](model)
        chosen = TARGETS[target](model, images) if named else target
        return SIGNS[sign](METHODS[method](explained, images, chosen, **options))


def keyword_options(method: Callable[..., Tensor]) -> list[str]:
    """Return the names of the options of a method."""
    return [option.name for option in signature(method).parameters.values() if option.kind is Parameter.KEYWORD_ONLY]


def check_names(where: str, options: dict, *, reserved: Sequence[str] = ()) -> None:
    """Check that a method has its options, but those reserved, and each convention the value that is chosen for it."""
    method = options.get("method")
    if method not in METHODS:
        raise StudyError(f"{where}.method is {method!r}, which does not exist; choose one of {', '.join(METHODS)}")
    own = [option for option in keyword_options(METHODS[method]) if option not in reserved]
    known = ["method", *CONVENTIONS, *own]
    unknown = [option for option in options if option not in known]
    if unknown:
        raise StudyError(f"{where} has no option {unknown[0]!r}; {method} has {', '.join(known)}")
    check_choices(where, options, CONVENTIONS)


def check_choices(where: str, options: dict, choices: dict) -> None:
    """Raise a StudyError if the value of an option is none of its choices."""
    for option in options.keys() & choices.keys():
        if options[option] not in choices[option] and not (option == "target" and type(options[option]) is int):
            raise StudyError(f"{where}.{option} is {options[option]!r}; choose one of {', '.join(choices[option])}")


def with_target(options: dict, task: Task) -> dict:
    """Return options with the network's output of the class, or value, that is explained in place of its name."""
    named = options.get("target")
    return options | ({"target": task.output_of(named)} if named in (*task.classes, task.target) else {})


def check_options(name: str, options: dict) -> None:
    """Check the options of one entry of the config's ``attribute.methods``.

    Parameters
    ----------
    name : str
        Key of the entry.
    options : dict
        As `explain` takes them, but for those that `from_template` and `from_store` fill in.

    Raises
    ------
    StudyError
        If there is no such method, option or value of an option that holds for every method.
    """
    key = f"attribute.methods.{name}"
    check_names(key, options, reserved=[JOURNAL, SHARED])
    check_choices(key, options, {"mask": ["brain", "none"], "regions": SCHEMES})
    check_choices(key, named_references(options), dict.fromkeys(OPTIONS, REFERENCES))


def from_template(options: dict, template: Path) -> dict:
    """Return options with the voxels that ``mask`` (brain, none) and ``regions`` (a key of `SCHEMES`) stand for.

    ``patch`` and ``stride`` in millimetres are given in voxels.
    """
    options = dict(options)
    for name in LENGTHS & options.keys():
        edge = voxel_sizes(load_image(template / "brain_mask.nii.gz").affine)[0]
        options[name] = in_voxels(options[name], float(edge))
    if "mask" in options:
        brain = load_array(template / "brain_mask.nii.gz", bool)
        options["mask"] = torch.from_numpy(brain) if options["mask"] == "brain" else None
    if "regions" in options:
        merged = merge_regions(read_table(template / "regions.tsv"), options["regions"])
        numbers, _ = relabel(load_array(template / "regions.nii.gz", np.int32), merged)
        options["regions"] = torch.from_numpy(numbers)
    return options


def explain_store(
    model: nn.Module,
    store: Store,
    options: dict,
    folder: Path,
    *,
    affine: np.ndarray,
    batch_size: int,
    device: torch.device,
    writers: int = 0,
) -> None:
    """Write the heatmap of each scan of a store into a folder, but for batches that are there already.

    No more than one batch is explained at once. A method that keeps a journal of its own takes one scan at a time, and
    its heatmaps are written before the next.

    Parameters
    ----------
    model : Module
        On ``device``, in evaluation mode.
    store : Store
        Scans on the working grid.
    options : dict
        As `explain` takes them, or as `from_store` returns them.
    folder : Path
        Where heatmaps go, and what else a killed job leaves to be gone on with.
    affine : ndarray, shape (4, 4)
        Voxel indices of the working grid to millimetres.
    batch_size : int
        Scans that are explained at once.
    device : device
        Where the network runs.
    writers : int
        Threads that write heatmaps while the next scans are explained; with none they are written in between.

    Raises
    ------
    StudyError
        If a scan, or the heatmap of a scan, has a voxel that is not finite.
    """
    names, journal, constant = store.scans["scan"].tolist(), folder / "journal", 0
    options, batch_size, journals = for_job(options, batch_size, journal)
    writers = 0 if journals else writers
    with tqdm(total=len(names), unit="scan", mininterval=1) as progress, in_background(writers) as later:
        for first in range(0, len(names), batch_size):
            batch = slice(first, first + batch_size)
            paths = [folder / f"{name}_heatmap.nii.gz" for name in names[batch]]
            if not all(path.exists() for path in paths):
                heatmaps = explain_batch(model, store.images[batch], store.scans[batch], options, device).cpu().numpy()
                for heatmap, path in zip(heatmaps, paths, strict=True):
                    later(save_heatmap, heatmap, affine, path)
                    constant += is_constant(heatmap)
                shutil.rmtree(journal, ignore_errors=True)
            progress.update(len(paths))
    warn_of_constant(constant, len(names))


def warn_of_constant(constant: int, count: int) -> None:
    """Say in the log how many of the heatmaps have one value in all voxels, if any."""
    if constant:
        logging.warning("%d of %d heatmaps say nothing: they have one value in all voxels", constant, count)


def for_job(options: dict, batch_size: int, journal: Path) -> tuple[dict, int, bool]:
    """Return options with what a job hands to methods that ask, the batch size, and whether a method has a journal."""
    own = keyword_options(METHODS[options["method"]])
    journals = JOURNAL in own
    handed = ({JOURNAL: journal} if journals else {}) | ({SHARED: {}} if SHARED in own else {})
    return options | handed, 1 if journals else batch_size, journals


def explain_batch(
    model: nn.Module, images: np.ndarray, rows: pd.DataFrame, options: dict, device: torch.device
) -> Tensor:
    """Return the heatmaps of some scans on a device, float32 (N, C, x, y, z); all their voxels must be finite."""
    images, names = torch.from_numpy(np.asarray(images, np.float32)), rows["scan"].tolist()
    if broken := first_not_finite(images, names):
        raise StudyError(f"the scan {broken} has NaN or infinite voxels; repair it or exclude it (cohort.exclude)")
    scans = images.to(device)
    heatmaps = explain(model, scans, **for_scans(options, scans, rows)).float()
    if broken := first_not_finite(heatmaps, names):
        raise StudyError(
            f"the heatmap of {broken} by {options['method']} has NaN or infinite voxels; see in the model's "
            "history.tsv whether its training diverged"
        )
    return heatmaps


def is_constant(heatmap: np.ndarray | Tensor) -> bool:
    """Tell whether a heatmap has one value in all voxels, but for rounding."""
    return bool(heatmap.max() - heatmap.min() <= 1e-6 * abs(heatmap).max())


def first_not_finite(volumes: Tensor, names: list[str]) -> str | None:
    """Return the name of the first volume that has a NaN or infinite voxel."""
    return next((name for volume, name in zip(volumes, names, strict=True) if not volume.isfinite().all()), None)


class Job(NamedTuple):
    """What a command that explains was given, read and checked.

    Attributes
    ----------
    model : Module
        On ``device``, in evaluation mode.
    store : Store
    options : dict
        As `explain` takes them, or as `from_store` returns them.
    affine : ndarray, shape (4, 4)
    device : device
    files, settings
        All that heatmaps follow from, as `unfinished` takes it.
    """

    model: nn.Module
    store: Store
    options: dict
    affine: np.ndarray
    device: torch.device
    files: list[Path]
    settings: dict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that `why_left_out` and `read_job` read."""
    parser.add_argument("--model", type=Path, required=True, help="model.safetensors")
    parser.add_argument("--scans", type=Path, required=True, help="store of the scans, .npy")
    parser.add_argument("--template", type=Path, required=True, help="folder of the brain mask and the regions")
    parser.add_argument("--name", required=True, help="key in attribute.methods, which a check may follow")
    parser.add_argument("--options", type=json_option, required=True, help="its entry there, as JSON")
    task_argument(parser)
    parser.add_argument("--network", default="", help="name of the model's, where the study has several")
    parser.add_argument("--possible", help="possible.tsv; what is not is left out")
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--device", required=True)


def why_left_out(arguments: argparse.Namespace) -> str | None:
    """Check the options of a method, and return why it has no heatmaps, None where it has."""
    check_options(arguments.name, with_target(arguments.options, arguments.task))
    possible, named = read_possible(arguments.possible), (arguments.name, arguments.network)
    if reason := possible.why_no_maps(*named, arguments.options):
        logging.warning("%s is left out: %s", arguments.name, reason)
    return reason


def read_job(arguments: argparse.Namespace) -> Job:
    """Read the files of a command that explains."""
    targeted, device = with_target(arguments.options, arguments.task), prepare_device(arguments.device)
    store = open_store(arguments.scans, arguments.task)
    template = [arguments.template / file for file in ("brain_mask.nii.gz", "regions.nii.gz", "regions.tsv")]
    grid = load_image(template[0])
    if store.grid != grid.shape:
        raise StudyError(
            f"{arguments.scans} holds scans of {store.grid} voxels and {template[0]} has {grid.shape}; "
            "delete the older of the two to make it again"
        )
    options, folder = from_template(targeted, arguments.template), arguments.scans.parent
    brain = torch.from_numpy(np.asarray(grid.dataobj) > 0)
    options = from_store(options, folder, brain, grid.header.get_zooms(), arguments.task)
    model = load_model(arguments.model, device)
    files = [arguments.model, arguments.scans, arguments.scans.with_suffix(".tsv"), *template]
    files += [folder / file for file in reference_files(arguments.options)]
    settings = {"options": targeted, "batch_size": arguments.batch_size, "device": arguments.device}
    return Job(model, store, options, grid.affine, device, files, settings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument("--out-dir", type=Path, required=True)
    arguments = parser.parse_args()
    if reason := why_left_out(arguments):
        leave_out(arguments.out_dir, reason)
        return
    job = read_job(arguments)
    running = {"batch_size": arguments.batch_size, "device": job.device, "writers": threads() - 1}
    with unfinished(arguments.out_dir, job.files, job.settings) as folder:
        explain_store(job.model, job.store, job.options, folder, affine=job.affine, **running)


if __name__ == "__main__":
    run(main)
