"""Try the network and every method of a config on random scans, before hours are spent on real ones: ``possible.tsv``.

Columns: what name possible note options, and before them network where the study has several. what is ``network``,
``check``, ``method``, or ``convergence`` of a method; possible is ``yes`` or ``no``; note says why not, or what is
known of the network; options are those that a method was tried with. The command ends with an error after a ``no`` of a
method or check that the user named and no network can have; what the default config brings, and convergence, is left
out then, as is what one of several networks cannot have.
"""

import argparse
import logging
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from heatproof.attribute import METHODS
from heatproof.attribute.convergence import STEPS_BACK, trace_convergence
from heatproof.attribute.explain import check_options, explain, from_template, keyword_options, with_target
from heatproof.attribute.layers import require_repeatable
from heatproof.attribute.trace_convergence import walking_options
from heatproof.command import json_option, run
from heatproof.device import prepare_device
from heatproof.errors import StudyError
from heatproof.images import load_array
from heatproof.models import networks_of, of_network
from heatproof.possible import as_text
from heatproof.references import named_references
from heatproof.running import to_device
from heatproof.tables import write_table
from heatproof.task import PATIENTS, Task, task_argument
from heatproof.train.execution import head_size, layers_in_order
from heatproof.train.fit_model import begin_training, train_epoch
from heatproof.train.layers import scan_shape
from heatproof.train.network import create_network, load_model, rescale_output, save_model
from heatproof.train.objective import objective_of

SCANS = 2
BY_LAYER = ("random_head", "initial_head", "cascade")  # checks that need to know the layers
ROUNDING = 1e-3  # of logits, relative to the largest: far above what it is, and far below what another weight does
WANTED = "it must return {what} alone, one tensor of shape (scans, {count}){first}"


def check_network(brain: Tensor, options: dict, folder: Path, task: Task = PATIENTS) -> tuple[nn.Module, Tensor]:
    """Build the network, run it forth and back on random scans, and write it to a file and read it again.

    Parameters
    ----------
    brain : Tensor of bool, shape (x, y, z)
        Voxels of the working grid that are not 0 in a scan.
    options : dict
        The config's ``train`` section: network and batch_size of it.
    folder : Path
        Where a model may be written.
    task : Task

    Returns
    -------
    network : Module
        As it was read, in evaluation mode, after a step of training that left its parameters as they were.
    scans : Tensor, shape (2, channels, x, y, z)
        Random intensities in 0..1 in the brain.

    Raises
    ------
    StudyError
        If it cannot be built, run, trained or read back, or returns anything but finite logits of each scan alone.
    """
    shape, network_options = tuple(brain.shape), options["network"]
    on_grid, scan = f"on a grid of {' x '.join(map(str, shape))} voxels", scan_shape(shape, network_options)
    scans = torch.where(brain, torch.rand((SCANS, *scan), generator=torch.Generator().manual_seed(0)), 0.0)
    with told(f"cannot be built {on_grid}", "correct its options, or choose a smaller register.voxel_size"):
        network = create_network(shape, network_options)
    several = scan[0] > 1  # channels, which it may be too few or too many for
    of_channels = f" and of {scan[0]} channels" if several else ""
    taking = f"let its function take their number as in_channels, and its layers {scan[0]}" if several else "correct it"
    with told(f"cannot be run {on_grid}{of_channels}", f"{taking}, or choose a smaller register.voxel_size"):
        logits = logits_of(network, scans)
    said = ("logits", f", {task.classes[0]} first") if task.classes else (f"the value of {task.target}", "")
    wanted = WANTED.format(what=said[0], count=task.outputs, first=said[1])
    if not isinstance(logits, Tensor):
        raise StudyError(f"train.network returns a {type(logits).__name__} for {SCANS} scans; {wanted}")
    if logits.shape != (SCANS, task.outputs):
        raise StudyError(f"train.network returns a tensor of shape {tuple(logits.shape)} for {SCANS} scans; {wanted}")
    if not logits.isfinite().all():
        raise StudyError("train.network returns logits that are not finite for random scans, untrained; correct it")
    require_repeatable(network, scans)
    with told(
        "cannot be trained", "correct it, or raise train.batch_size (or micro_batch) if one scan at once is too few"
    ):
        still = options | {"learning_rate": 0.0, "weight_decay": 0.0}
        trained, optimiser = begin_training(shape, still, 0, torch.device("cpu"))
        batch = scans[: options["batch_size"]].clone()
        targets = torch.arange(len(batch), dtype=torch.int64 if task.classes else torch.float32)
        loss = objective_of(task, options).loss
        train_epoch(trained, optimiser, [(batch, targets)], loss_of=loss, micro_batch=options.get("micro_batch"))
    if not task.classes:
        rescale_output(trained, scan, 1.0, 2.0)
    if not all(parameter.isfinite().all() for parameter in trained.parameters()):
        raise StudyError("train.network has gradients that are not finite for random scans, untrained; correct it")
    with told("cannot be written to a file and read again", "keep nothing but tensors in its state_dict"):
        save_model(trained, shape, network_options, folder / "model.safetensors")
        read = to_device(load_model(folder / "model.safetensors"), "cpu")
    before, after = logits_of(trained, scans), logits_of(read, scans)
    if (before - after).abs().max() > ROUNDING * before.abs().max():
        raise StudyError(
            "train.network, written to a file and read again, returns other logits: it computes with something that is "
            "not in its state_dict; make that a parameter or a buffer"
        )
    return read, scans


@contextmanager
def told(what: str, remedy: str) -> Iterator[None]:
    """Say in one sentence what went wrong in a network of someone's own."""
    try:
        yield
    except StudyError:
        raise
    except Exception as error:
        raise StudyError(f"train.network {what} ({described(error)}); {remedy}") from error


def described(error: Exception) -> str:
    """Return the kind of an error and the first line of what it says."""
    return ": ".join([type(error).__name__, *str(error).strip().splitlines()[:1]])


@torch.no_grad()
def logits_of(network: nn.Module, scans: Tensor) -> Tensor:
    """Run a network in evaluation mode on a copy of some scans."""
    return network.eval()(scans.clone())


def try_method(
    name: str, options: dict, network: nn.Module, scans: Tensor, template: Path, task: Task = PATIENTS
) -> None:
    """Explain one scan by one entry of the config's ``attribute.methods``.

    Raises
    ------
    StudyError
        If the method cannot explain this network, or not with these options.
    """
    options = with_target(options, task)
    check_options(name, options)
    heatmaps = explain(network, scans[:1].clone(), **quick(options, template, scans))
    if heatmaps.shape != scans[:1].shape or not heatmaps.isfinite().all():
        raise StudyError("its map of a random scan has not the scan's shape, or voxels that are not finite; correct it")


def quick(options: dict, template: Path, scans: Tensor) -> dict:
    """Return options with as little to do as can be: patches that touch one voxel, one region, step and sample.

    Reference images and controls are the second scan.
    """
    brain = scans[0, 0] > 0
    least = {"mask": torch.zeros_like(brain), "steps": 1, "samples": 1}
    least["mask"][tuple(brain.nonzero()[int(brain.sum()) // 2])] = True
    filled = from_template(options, template)
    if "regions" in filled:
        least["regions"] = torch.where(filled["regions"] == filled["regions"].max(), filled["regions"], 0)
    if "controls" in options:
        least["controls"] = scans[1:]
    filled |= dict.fromkeys(named_references(options), scans[1:])
    own = keyword_options(METHODS[options["method"]])
    return filled | {option: value for option, value in least.items() if option in own}


def try_convergence(options: dict, network: nn.Module, scans: Tensor) -> None:
    """Trace the convergence of one entry of the config's ``attribute.methods``; raises as `trace_convergence` does."""
    draws = {"draws": 2, "generator": torch.Generator().manual_seed(0)}
    trace_convergence(network, scans[:1].clone(), method=options["method"], **draws, **walking_options(options))


def describe(network: nn.Module, scan: Sequence[int]) -> str:
    """Say how deep a network is, if its layers can be followed."""
    try:
        layers = layers_in_order(network, scan)
    except StudyError as error:
        return str(error)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return f"{len(layers)} layers with weights, {head_size(layers)} of them in the head; {parameters} parameters"


def try_check(check: str, network: nn.Module, scan: Sequence[int], parts: int) -> None:
    """Find the layers that a sanity check replaces; a cascade needs as many as it has parts."""
    layers = layers_in_order(network, scan)
    if check == "cascade" and parts > len(layers):
        raise StudyError(f"the network has {len(layers)} layers with weights; set compare.cascade_parts to no more")


def attempt(make: Callable[..., None], *arguments: object) -> str:
    """Call a function; return why it could not do what it does, or nothing."""
    try:
        make(*arguments)
    except StudyError as error:
        return str(error)
    except Exception as error:
        return described(error)
    return ""


def try_all(
    network: nn.Module, scans: Tensor, template: Path, attribute: dict, compare: dict, task: Task = PATIENTS
) -> pd.DataFrame:
    """Try what a study will do with its models.

    Parameters
    ----------
    network, scans
        As `check_network` returns them.
    template : Path
        Folder of the brain mask and the regions on the working grid.
    attribute, compare : dict
        These sections of the config: methods and convergence_scans; checks and cascade_parts.
    task : Task

    Returns
    -------
    DataFrame
        what, name, possible, note, options (of a method, as text).
    """
    methods = {name: options for name, options in sorted(attribute["methods"].items()) if options}
    scan, rows = scans.shape[1:], []

    def add(what: str, name: str, *made: object) -> None:
        reason = attempt(*made)
        rows.append((what, name, "no" if reason else "yes", reason))

    rows.append(("network", type(network).__name__, "yes", describe(network, scan)))
    for check in [check for check in compare["checks"] if check in BY_LAYER]:
        add("check", check, try_check, check, network, scan, compare["cascade_parts"])
    for name, options in methods.items():
        add("method", name, try_method, name, options, network, scans, template, task)
    possible = {name for what, name, answer, _ in rows if what == "method" and answer == "yes"}
    for name, options in methods.items():
        if attribute["convergence_scans"] and options["method"] in STEPS_BACK and name in possible:
            add("convergence", name, try_convergence, options, network, scans)
    table = pd.DataFrame(rows, columns=["what", "name", "possible", "note"])
    tried = [as_text(methods[row.name]) if row.what == "method" else "" for row in table.itertuples()]
    return table.assign(options=tried)


REMEDIES = {
    "method": "attribute.methods.{name}: {note} (null in its place leaves it out)",
    "check": "compare.checks: {name}: {note}",
}


def require_possible(table: pd.DataFrame, named: Collection[str]) -> None:
    """Refuse a study if a method or check that the user named is not possible, or no method at all.

    Parameters
    ----------
    table : DataFrame
        As `try_all` returns it, of all networks.
    named : collection of str
        Methods and checks that the user's own config names. All others, and convergence, are left out if they have to,
        and so is what some of several networks can have.

    Raises
    ------
    StudyError
        With each, its key in the config and the reason.
    """
    anywhere = table.groupby(["what", "name"])["possible"].transform(lambda answers: (answers == "yes").any())
    impossible = table[~anywhere.astype(bool) & table["what"].isin(REMEDIES)].drop_duplicates(["what", "name"])
    methods = table[table["what"] == "method"]
    refused = impossible[impossible["name"].isin(named)] if (methods["possible"] == "yes").any() else impossible
    if len(refused):
        reasons = [REMEDIES[row.what].format(name=row.name, note=row.note) for row in refused.itertuples(index=False)]
        raise StudyError(f"not possible with the network of train.network: {'; '.join(reasons)}")


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--template", type=Path, required=True, help="folder of the brain mask and the regions")
    for section in ("train", "attribute", "compare"):
        parser.add_argument(f"--{section}", type=json_option, required=True, help="keys of this section, as JSON")
    task_argument(parser)
    parser.add_argument("--named", nargs="*", default=[], help="methods and checks that the user's config names")
    parser.add_argument("--out", type=Path, required=True, help="possible.tsv")
    arguments = parser.parse_args()
    prepare_device("cpu")
    brain = torch.from_numpy(load_array(arguments.template / "brain_mask.nii.gz", bool))
    tables, train = [], arguments.train
    for name, options in networks_of(train).items():
        with tempfile.TemporaryDirectory() as folder, of_network(name):
            network, scans = check_network(brain, {**train, "network": options}, Path(folder), arguments.task)
        table = try_all(network, scans, arguments.template, arguments.attribute, arguments.compare, arguments.task)
        tables.append(table.assign(network=name)[["network", *table]] if name else table)
    table = pd.concat(tables)
    for row in table.itertuples():
        logging.info("%s %s: %s %s", row.what, row.name, row.possible, row.note)
    write_table(table, arguments.out)
    require_possible(table, arguments.named)


if __name__ == "__main__":
    run(main)
