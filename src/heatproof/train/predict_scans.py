"""Predict the class, or value, of validation and test scans with one model; without a row where it is left out."""

import argparse
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from heatproof.command import run
from heatproof.device import prepare_device
from heatproof.running import outputs, resident
from heatproof.store import Store, open_store
from heatproof.tables import write_table
from heatproof.task import task_argument
from heatproof.train.network import load_model


def predict(model: nn.Module, store: Store, batch_size: int, device: torch.device) -> pd.DataFrame:
    """Return scan, participant_id, label, probability (of the target) and predicted, a class.

    Where a value is learned, predicted is a number and there is no probability. Scans without a label have no row.
    """
    logits = outputs(model, resident(store.images, device), batch_size, device)
    if not store.task.classes:
        return store.scans.assign(predicted=logits[:, 0].double().numpy()).dropna(subset="label")
    probability = logits.double().softmax(1)[:, store.task.index].numpy()
    predicted = pd.Series(logits.argmax(1).numpy()).map(dict(enumerate(store.task.classes)))
    return store.scans.assign(probability=probability, predicted=predicted).dropna(subset="label")


def nothing(store: Store) -> pd.DataFrame:
    """Return the columns that `predict` returns, without a row."""
    columns = {"probability": 0.0, "predicted": ""} if store.task.classes else {"predicted": 0.0}
    return store.scans[:0].assign(**columns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--stores", type=Path, nargs="+", required=True, help="stores, named by their split")
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--device", required=True)
    task_argument(parser)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    device = prepare_device(arguments.device)
    model = load_model(arguments.model, device) if arguments.model.stat().st_size else None
    tables = []
    for path in arguments.stores:
        store = open_store(path, arguments.task)
        table = predict(model, store, arguments.batch_size, device) if model else nothing(store)
        table.insert(2, "split", path.stem)
        tables.append(table)
    write_table(pd.concat(tables), arguments.out)


if __name__ == "__main__":
    run(main)
