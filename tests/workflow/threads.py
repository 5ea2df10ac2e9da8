"""One model trained and explained on one and on two threads: how far results differ where bytes are not promised."""

import numpy as np
import pandas as pd
import torch

from heatproof.attribute.explain import explain
from heatproof.store import Store
from heatproof.train.fit_model import fit_model
from heatproof.train.network import build_network

TOLERANCE = {"weights": 1e-2, "probabilities": 1e-2, "heatmaps": 1e-5}  # of the largest value of each
METHODS = {
    "gradient_input": {},
    "guided_backprop": {},
    "lrp": {"rule": "alpha1_beta0"},
    "occlusion": {"patch": 6, "stride": 3},
}
SHAPE = (24, 28, 24)
OPTIONS = {
    "network": {"filters": [8, 16], "pools": [2, 3], "padding": 1, "hidden": 16, "dropout": 0.4},
    **{
        "learning_rate": 5e-4,
        "weight_decay": 1e-4,
        "batch_size": 4,
        "epochs": 3,
        "keep": "accuracy",
        "precision": "float32",
    },
    "patience": {"epochs": 8, "from_epoch": 0},
    "augmentation": {"flip": {"axis": "x", "probability": 0.5}, "shift": {"axis": "y", "voxels": 1}},
}


def make_store(count: int) -> Store:
    """Scans of noise, the patients' darker in one corner."""
    images = np.random.default_rng(count).random((count, 1, *SHAPE)).astype(np.float16)
    images[::2, :, 4:16, 4:12, 4:12] *= 0.5
    labels = ["patient" if i % 2 == 0 else "control" for i in range(count)]
    return Store(images, pd.DataFrame({"scan": [f"sub-{i}" for i in range(count)], "label": labels}))


def train(threads: int) -> torch.nn.Module:
    """Train a model on some threads."""
    torch.set_num_threads(threads)
    stores = make_store(16), make_store(8)
    return fit_model(*stores, OPTIONS, {"initialisation": 0, "order": 0}, torch.device("cpu"))[0].eval()


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the largest difference, as a share of the largest value."""
    return float((one - other).abs().max() / one.abs().max())


def differences() -> dict[str, float]:
    """Measure how far the weights, probabilities and heatmaps on two threads are from those on one."""
    before, images = torch.get_num_threads(), torch.from_numpy(make_store(4).images.astype(np.float32))
    try:
        one, two = train(1), train(2)
        model = build_network(SHAPE, **OPTIONS["network"]).eval()
        model.load_state_dict(one.state_dict())
        heatmaps = {}
        for threads in (1, 2):
            torch.set_num_threads(threads)
            heatmaps[threads] = [explain(model, images, method=name, **METHODS[name]) for name in METHODS]
    finally:
        torch.set_num_threads(before)
    with torch.no_grad():
        probabilities = [torch.softmax(network(images), 1) for network in (one, two)]
    weights = [torch.cat([value.flatten() for value in network.state_dict().values()]) for network in (one, two)]
    return {
        "weights": difference(*weights),
        "probabilities": difference(*probabilities),
        "heatmaps": max(difference(*pair) for pair in zip(heatmaps[1], heatmaps[2], strict=True)),
    }
