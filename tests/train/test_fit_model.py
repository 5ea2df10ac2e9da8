"""Training: it learns, it stops in time, and each of two seeds rules what it should."""

import networks
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from heatproof.errors import StudyError
from heatproof.store import Store
from heatproof.task import PATIENTS, Task
from heatproof.train.fit_model import better, evaluate, fit_model, should_stop, train_epoch
from heatproof.train.objective import objective_of
from heatproof.train.predict_scans import predict

CPU = torch.device("cpu")
CLASSES, SEVERITY = objective_of(PATIENTS, {}), Task([], "severity")
OPTIONS = {
    "network": {"filters": [4, 4], "pools": [2, 2], "padding": 1, "hidden": 8, "dropout": 0.2},
    "learning_rate": 3e-3,
    "weight_decay": 1e-4,
    "batch_size": 8,
    "epochs": 8,
    "patience": {"epochs": 8, "from_epoch": 0},
    "keep": "accuracy",
    "precision": "float32",
    "augmentation": {"flip": {"axis": "x", "probability": 0.5}, "shift": {"axis": "y", "voxels": 1}},
}


def make_store(count: int, seed: int) -> Store:
    """Scans of noise, the patients' darker in one corner."""
    images = np.random.default_rng(seed).random((count, 1, 10, 12, 10)).astype(np.float16)
    images[::2, :, 2:8, 2:6, 2:6] *= 0.3
    labels = ["patient" if i % 2 == 0 else "control" for i in range(count)]
    return Store(images, pd.DataFrame({"scan": [f"sub-{i}" for i in range(count)], "label": labels}))


@pytest.fixture(scope="module")
def stores() -> tuple[Store, Store]:
    return make_store(32, 0), make_store(16, 1)


def fit(stores, initialisation=0, order=0, **changes):
    return fit_model(*stores, OPTIONS | changes, {"initialisation": initialisation, "order": order}, CPU)


def test_a_plain_difference_is_learnt_and_predicted(stores):
    model, history = fit(stores)
    assert history["validation_accuracy"].max() == 1.0
    assert history["kept"].sum() == 1
    table = predict(model.eval(), stores[1], 4, CPU)
    assert (table["predicted"] == table["label"]).all()
    assert ((table["probability"] > 0.5) == (table["label"] == "patient")).all()


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([weight.flatten() for weight in model.state_dict().values()])


def test_the_same_seeds_give_the_same_weights_and_either_seed_others(stores):
    reference = weights(fit(stores, 0, 0, epochs=2)[0])
    assert torch.equal(reference, weights(fit(stores, 0, 0, epochs=2)[0]))
    assert not torch.equal(reference, weights(fit(stores, 0, 1, epochs=2)[0]))
    assert not torch.equal(reference, weights(fit(stores, 1, 0, epochs=2)[0]))


def test_the_initialisation_seed_alone_rules_the_first_weights(stores):
    first = [weights(fit(stores, 3, order, epochs=1, learning_rate=1e-30, weight_decay=0)[0]) for order in (0, 1)]
    same = torch.isclose(*first)
    running = sum(buffer.numel() for buffer in fit(stores, epochs=1)[0].buffers())
    assert (~same).sum() <= running


def test_parts_of_a_batch_train_as_the_whole_does():
    images, targets = torch.rand(5, 1, 2, 2, 2, dtype=torch.float64), torch.tensor([0, 1, 1, 0, 1])
    losses, trained = [], []
    for micro_batch in (None, 5, 2, 1):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(8, 4), nn.Tanh(), nn.Linear(4, 2)).double()
        optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
        losses.append(train_epoch(model, optimiser, [(images, targets)] * 3, micro_batch=micro_batch))
        trained.append(weights(model))
    assert losses == pytest.approx([losses[0]] * 4, rel=1e-12) and torch.equal(trained[0], trained[1])
    for others in trained[2:]:
        torch.testing.assert_close(others, trained[0], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("scans", "micro_batch", "expected"),
    [
        (7, 3, [3, 2, 2]),
        (4, 1, [1, 1, 1, 1]),
        (4, 2, [2, 2]),
        (3, 2, [3]),
        (5, 2, [3, 2]),
        (2, 8, [2]),
        (1, 2, [1]),
    ],
)
def test_no_more_scans_than_a_micro_batch_are_in_a_pass_but_one_that_would_be_alone(scans, micro_batch, expected):
    sizes = []

    class Watched(nn.Linear):
        def forward(self, scans):
            sizes.append(len(scans))
            return super().forward(scans)

    model = nn.Sequential(nn.Flatten(), Watched(8, 2))
    batch = (torch.rand(scans, 1, 2, 2, 2), torch.arange(scans) % 2)
    train_epoch(model, torch.optim.SGD(model.parameters()), [batch], micro_batch=micro_batch)
    assert sizes == expected


def test_a_network_that_norms_over_scans_is_trained_by_parts(stores):
    network = {"function": f"{networks.__name__}:normed_head"}
    train = Store(stores[0].images[:11], stores[0].scans[:11])
    history = fit((train, stores[1]), network=network, epochs=1, batch_size=4, micro_batch=2)[1]
    assert np.isfinite(history["train_loss"]).all()


@pytest.mark.parametrize("name", ["normed_head", "slices"])
def test_a_network_of_one_s_own_is_trained_though_a_scan_is_left_over(stores, name):
    train = Store(stores[0].images[:9], stores[0].scans[:9])
    _, history = fit((train, stores[1]), network={"function": f"{networks.__name__}:{name}"}, epochs=1)
    assert np.isfinite(history["train_loss"]).all()


def test_training_stops_when_the_loss_has_not_improved():
    patience = {"epochs": 3, "from_epoch": 0}
    assert not should_stop([3, 2, 1, 2, 2], patience)
    assert should_stop([3, 2, 1, 2, 2, 2], patience)
    assert not should_stop([3, 2, 1, 2, 2, 2], {"epochs": 3, "from_epoch": 5})
    assert should_stop([1, 2, 2, 2, 2, 2, 2, 2], {"epochs": 3, "from_epoch": 5})


def test_the_best_epoch_is_kept():
    good = {"validation_accuracy": 0.9, "validation_loss": 0.3}
    assert better(good, None, "accuracy")
    assert better({"validation_accuracy": 0.9, "validation_loss": 0.2}, good, "accuracy")
    assert not better({"validation_accuracy": 0.8, "validation_loss": 0.1}, good, "accuracy")
    assert better({"validation_accuracy": 0.8, "validation_loss": 0.1}, good, "loss")
    assert not better(good, good, "accuracy")


def test_balanced_accuracy_and_loss_by_hand():
    class Model(nn.Module):
        def forward(self, images):
            return torch.stack([torch.zeros(len(images)), images.mean((1, 2, 3, 4)) - 1], dim=1)

    labels = ["patient", "patient", "patient", "control"]
    store = Store(np.full((4, 1, 1, 1, 1), 2.0), pd.DataFrame({"label": labels}))
    store.images[0] = 0
    loss, accuracy = evaluate(Model(), torch.from_numpy(store.images), torch.from_numpy(store.targets), 3, CPU, CLASSES)
    assert accuracy == pytest.approx((2 / 3 + 0) / 2)
    one, two = np.log1p(np.exp(-1)), np.log1p(np.exp(1))
    assert loss == pytest.approx((two + one + one + two) / 4)


def test_a_loss_that_explodes_is_told(stores):
    with pytest.raises(StudyError, match=r"no longer finite in epoch \d+; lower train.learning_rate"):
        fit(stores, learning_rate=1e30)


def store_of_values(count: int, seed: int) -> Store:
    """Scans of noise, one corner darker the higher a value between 50 and 90."""
    images = np.random.default_rng(seed).random((count, 10, 12, 10)).astype(np.float16)
    values = np.linspace(50, 90, count)
    images[:, 2:8, 2:6, 2:6] *= (1 - (values - 50) / 45).astype(np.float16)[:, None, None, None]
    scans = pd.DataFrame({"scan": [f"sub-{i}" for i in range(count)], "label": values})
    return Store(images[:, None], scans, SEVERITY)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
def test_a_value_is_learned_and_said_in_its_own_unit(loss):
    stores = store_of_values(32, 0), store_of_values(16, 1)
    network = OPTIONS["network"] | {"outputs": "value", "dropout": 0.0}
    model, history = fit(stores, network=network, loss=loss, epochs=25)
    assert list(history) == ["epoch", "train_loss", "validation_loss", "validation_r2", "kept"]
    table = predict(model.eval(), stores[1], 4, CPU)
    assert list(table) == ["scan", "label", "predicted"] and table["predicted"].between(35, 105).all()
    errors = table["predicted"] - table["label"]
    best = history.loc[history["kept"], "validation_r2"].item()
    assert best > 0.6
    assert best == pytest.approx(
        1 - (errors**2).sum() / ((table["label"] - table["label"].mean()) ** 2).sum(), abs=1e-3
    )


@pytest.mark.parametrize(
    ("loss", "expected"), [("squared_error", (1 + 4 + 0) / 3), ("absolute_error", (1 + 2 + 0) / 3)]
)
def test_the_loss_of_a_value_and_r2_by_hand(loss, expected):
    objective = objective_of(SEVERITY, {"loss": loss})
    outputs, values = torch.tensor([[1.0], [4.0], [6.0]]), torch.tensor([2.0, 2.0, 6.0])
    assert objective.loss(outputs, values).item() == pytest.approx(expected)
    mean = 10 / 3
    assert objective.score(outputs, values) == pytest.approx(1 - 5 / (2 * (2 - mean) ** 2 + (6 - mean) ** 2))
    assert objective.column == "validation_r2" and CLASSES.column == "validation_accuracy"


def test_a_value_that_all_training_scans_share_is_refused():
    store = store_of_values(8, 0)
    same = store._replace(scans=store.scans.assign(label=61.0))
    with pytest.raises(StudyError, match="all training scans have the same severity"):
        fit((same, store), network=OPTIONS["network"] | {"outputs": "value"}, loss="squared_error", epochs=1)
