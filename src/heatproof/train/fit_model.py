"""Train one network from one seed."""

import argparse
import copy
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from heatproof.command import json_option, run
from heatproof.device import prepare_device
from heatproof.errors import StudyError
from heatproof.running import as_input, outputs, resident, to_device
from heatproof.store import Store, open_store
from heatproof.tables import write_table
from heatproof.task import task_argument
from heatproof.train.batches import training_batches
from heatproof.train.compiling import compiled
from heatproof.train.network import create_network, rescale_output, save_model
from heatproof.train.objective import Objective, objective_of
from heatproof.train.precision import lower, trusted


def begin_training(
    shape: Sequence[int], options: dict, seed: int, device: torch.device
) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Build the network from a seed, on a device, and its optimiser."""
    torch.manual_seed(seed)
    model = to_device(create_network(shape, options["network"]), device)
    rates = {"lr": options["learning_rate"], "weight_decay": options["weight_decay"]}
    return model, torch.optim.Adam(model.parameters(), **rates)


def parts_of(scans: int, micro_batch: int | None) -> int:
    """Return into how many parts a batch goes: of ``micro_batch`` scans at most, or one more for none to be alone."""
    if micro_batch is None:
        return 1
    most = scans if micro_batch == 1 else max(1, scans // 2)
    return min(-(-scans // micro_batch), most)


def train_epoch(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    batches: Iterable,
    precision: str = "float32",
    loss_of: Callable[[Tensor, Tensor], Tensor] = nn.functional.cross_entropy,
    micro_batch: int | None = None,
) -> float:
    """Take one step per batch on the loss; return its mean over scans, the only number that is waited for.

    A batch of more scans than ``micro_batch`` goes through the network in parts, whose gradients add up to its own.
    """
    model.train()
    total, count = 0.0, 0
    for images, targets in batches:
        optimiser.zero_grad()
        parts = parts_of(len(targets), micro_batch)
        for some, wanted in zip(images.tensor_split(parts), targets.tensor_split(parts), strict=True):
            with lower(precision, images.device):
                loss = loss_of(model(some), wanted)
            (loss * (len(wanted) / len(targets))).backward()
            total, count = total + loss.detach().double() * len(wanted), count + len(wanted)
        optimiser.step()
    return (total / count).item()


def evaluate(
    model: nn.Module, scans: Tensor, targets: Tensor, size: int, device: torch.device, objective: Objective
) -> tuple[float, float]:
    """Return the mean loss and the score over scans, run in batches of a size."""
    found = outputs(model, scans, size, device)
    return objective.loss(found, targets).item(), objective.score(found, targets)


def should_stop(losses: list[float], patience: dict) -> bool:
    """Tell whether the validation loss has not improved for ``epochs`` epochs, counted from ``from_epoch`` on."""
    best = int(np.argmin(losses)) + 1
    return len(losses) - max(best, patience["from_epoch"]) >= patience["epochs"]


def better(row: dict, best: dict | None, keep: str, score: str = "validation_accuracy") -> bool:
    """Tell whether an epoch's validation beats the best so far; equal scores are told apart by the loss.

    ``keep`` is ``accuracy``, by the score in that column, or ``loss``.
    """

    def rank(epoch: dict) -> list[float]:
        return [*([epoch[score]] if keep == "accuracy" else []), -epoch["validation_loss"]]

    return best is None or rank(row) > rank(best)


def timed(batches: Iterator, clock: dict[str, float]) -> Iterator:
    """Pass batches on, and add up in ``clock["loading"]`` the seconds that it takes to make them."""
    while True:
        start = time.perf_counter()
        batch = next(batches, None)
        clock["loading"] += time.perf_counter() - start
        if batch is None:
            return
        yield batch


def fit_model(train: Store, validation: Store, options: dict, seeds: dict, device: torch.device) -> tuple:
    """Train a network until the validation loss stops falling.

    A value is learned in standard deviations from the mean of the training scans. The network that is returned says it
    in the value's own unit.

    Parameters
    ----------
    train, validation : Store
    options : dict
        The config's ``train`` section.
    seeds : dict
        initialisation of the weights, and order: of batches, augmentation and dropout.
    device : torch.device

    Returns
    -------
    model : Module
        With the weights of the best epoch, as ``keep`` says.
    history : DataFrame
        epoch, train_loss, validation_loss, validation_accuracy (balanced) or validation_r2, kept. Losses of a value
        are in standard deviations of the training scans, or their squares.

    Raises
    ------
    StudyError
        If the loss becomes NaN or infinite.
    """
    model, optimiser = begin_training(train.grid, options, seeds["initialisation"], device)
    torch.manual_seed(seeds["order"])
    random = np.random.default_rng(seeds["order"])
    training, validating = resident(train.images, device), resident(validation.images, device)
    objective, (mean, deviation) = objective_of(train.task, options), spread_of(train)
    learned, wanted = scaled(train.targets, mean, deviation), scaled(validation.targets, mean, deviation)
    micro_batch = options.get("micro_batch")
    sample = as_input(training[: micro_batch or options["batch_size"]].to(device))
    precision = trusted(options["precision"], model, sample)
    trained = compiled(model, sample, precision) if options.get("compile") else model
    del sample
    history, best, weights = [], None, None
    for epoch in range(1, options["epochs"] + 1):
        start, clock = time.perf_counter(), {"loading": 0.0}
        batches = training_batches(training, learned, options["batch_size"], options["augmentation"], random, device)
        train_loss = train_epoch(trained, optimiser, timed(batches, clock), precision, objective.loss, micro_batch)
        fitting = time.perf_counter() - start
        loss, score = evaluate(model, validating, torch.from_numpy(wanted), options["batch_size"], device, objective)
        if not np.isfinite([train_loss, loss]).all():
            raise StudyError(f"the loss is no longer finite in epoch {epoch}; lower train.learning_rate")
        row = {"epoch": epoch, "train_loss": train_loss, "validation_loss": loss, objective.column: score}
        history.append(row)
        if better(row, best, options["keep"], objective.column):
            best, weights = row, copy.deepcopy(model.state_dict())
        message = (
            "epoch %d of %d: training loss %.4f, validation loss %.4f, %s %.3f "
            "(%.1f s, %.3g training scans a second, %.1f %% waiting for them)"
        )
        seconds = time.perf_counter() - start
        measured = (epoch, options["epochs"], train_loss, loss, objective.name, score, seconds, len(training) / fitting)
        logging.info(message, *measured, 100 * clock["loading"] / fitting)
        if should_stop([row["validation_loss"] for row in history], options["patience"]):
            logging.info("the validation loss has not improved for %d epochs: stopped", options["patience"]["epochs"])
            break
    model.load_state_dict(weights)
    if not train.task.classes:
        rescale_output(model, train.images.shape[1:], mean, deviation)
    logging.info("kept the weights of epoch %d", best["epoch"])
    if device.type == "cuda":
        logging.info("%.1f GB of the GPU at most", torch.cuda.max_memory_allocated(device) / 1e9)
    return model, pd.DataFrame(history).assign(kept=[row is best for row in history])


def spread_of(store: Store) -> tuple[float, float]:
    """Return mean and standard deviation of the value that is learned; of classes 0 and 1.

    Raises
    ------
    StudyError
        If all scans have the same value.
    """
    if store.task.classes:
        return 0.0, 1.0
    values = store.targets.astype(float)
    if not values.std():
        raise StudyError(f"all training scans have the same {store.task.target}; nothing can be learned from them")
    return values.mean(), values.std()


def scaled(targets: np.ndarray, mean: float, deviation: float) -> np.ndarray:
    """Return values in standard deviations from a mean, float32; classes as they are."""
    return targets if targets.dtype == np.int64 else ((targets - mean) / deviation).astype(np.float32)


def with_shuffled_labels(store: Store, seed: int) -> Store:
    """Return a store whose labels are dealt anew among its participants, all scans of one getting the same.

    Each participant gets the label of another's first scan, so that nothing about the label can be learned. Labels that
    all came back to where they were are dealt again.
    """
    first = store.scans.drop_duplicates("participant_id").set_index("participant_id")["label"]
    random = np.random.default_rng(seed)
    dealt = pd.Series(random.permutation(first), first.index)
    while dealt.equals(first) and first.nunique() > 1:
        dealt = pd.Series(random.permutation(first), first.index)
    return store._replace(scans=store.scans.assign(label=store.scans["participant_id"].map(dealt)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=Path, required=True, help="store of the training scans")
    parser.add_argument("--validation", type=Path, required=True, help="store of the validation scans")
    parser.add_argument("--options", type=json_option, required=True, help="the config's train section, as JSON")
    task_argument(parser)
    parser.add_argument("--initialisation-seed", type=int, required=True)
    parser.add_argument("--order-seed", type=int, required=True)
    parser.add_argument("--shuffle-seed", type=int, help="deals the labels of all scans anew: a sanity check")
    parser.add_argument("--model", type=Path, required=True, help="the .safetensors to write")
    parser.add_argument("--history", type=Path, required=True, help="the table of epochs to write")
    arguments = parser.parse_args()
    device = prepare_device(arguments.options["device"], precision=arguments.options["precision"])
    train, validation = (open_store(path, arguments.task) for path in (arguments.train, arguments.validation))
    if arguments.shuffle_seed is not None:
        train, validation = (with_shuffled_labels(store, arguments.shuffle_seed) for store in (train, validation))
    seeds = {"initialisation": arguments.initialisation_seed, "order": arguments.order_seed}
    logging.info("%d training scans, %d validation scans, seeds %s", len(train.images), len(validation.images), seeds)
    model, history = fit_model(train, validation, arguments.options, seeds, device)
    save_model(model, train.grid, arguments.options["network"], arguments.model)
    write_table(history, arguments.history)


if __name__ == "__main__":
    run(main)
