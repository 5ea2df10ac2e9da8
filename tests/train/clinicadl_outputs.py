"""What ClinicaDL 2.0.0 makes of its networks: the ``model.json`` of each, and outputs for drawn weights and scans.

python tests/train/clinicadl_outputs.py # where ClinicaDL is installed; writes clinicadl_outputs.json beside it
"""

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

SHAPE = (24, 32, 24)
FILE = Path(__file__).with_suffix(".json")
CHANNEL, DIMS = (1, *SHAPE), {"spatial_dims": 3, "in_channels": 1}
POOLED = {"pooling": ("max", {"kernel_size": 2}), "pooling_indices": [0, 1]}
ODD = {
    **{"channels": [4, 6, 8], "kernel_size": (3, 5, 3), "stride": [1, 2, 1], "padding": 1, "adn_ordering": "AN"},
    **{"pooling": [("avg", {"kernel_size": 2}), ("adaptivemax", {"output_size": 2})], "pooling_indices": [-1, 2]},
    **{"norm": ("group", {"num_groups": 2}), "act": ("leakyrelu", {"negative_slope": 0.2})},
}
SMALL_VIT = {"in_shape": CHANNEL, "embedding_dim": 24, "num_heads": 4, "mlp_dim": 16}
BLOCKS = {**DIMS, "n_res_blocks": (1, 2), "n_features": (8, 16)}
NETWORKS = {
    "cnn": ("CNN", {"in_shape": CHANNEL, "conv_args": {"channels": [4, 8], "dropout": 0.1, "norm": "batch", **POOLED}}),
    "cnn_of_other_layers": ("CNN", {"in_shape": CHANNEL, "conv_args": ODD}),
    "cnn_of_hidden_layers": (
        "CNN",
        {"in_shape": CHANNEL, "conv_args": {"channels": [2, 4], **POOLED}}
        | {"mlp_args": {"hidden_dims": [8, 4], "norm": "layer", "act": "elu", "dropout": 0.3, "output_act": "tanh"}},
    ),
    "mlp": ("MLP", {"num_inputs": 24 * 32 * 24, "hidden_dims": [5]}),
    "resnet": ("ResNet", BLOCKS),
    "resnet_of_bottlenecks": (
        "ResNet",
        BLOCKS | {"block_type": "bottleneck", "bottleneck_reduction": 2, "init_conv_size": 5, "act": "elu"},
    ),
    "seresnet": ("SEResNet", BLOCKS | {"se_reduction": 4}),
    "seresnet_of_bottlenecks": ("SEResNet", BLOCKS | {"block_type": "bottleneck", "se_reduction": 4}),
    "densenet": ("DenseNet", DIMS | {"n_dense_layers": (2, 2), "init_features": 8, "growth_rate": 4, "dropout": 0.2}),
    "vit": ("ViT", SMALL_VIT | {"patch_size": 8, "num_layers": 2}),
    "vit_of_fixed_positions": (
        "ViT",
        SMALL_VIT | {"patch_size": (8, 8, 12), "num_layers": 1, "pos_embed_type": "sincos", "output_act": None},
    ),
}


def drawn(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Replace weights by values that look random and follow from their names alone; variances are positive."""
    values = {}
    for number, (name, tensor) in enumerate(sorted(weights.items())):
        steps = torch.arange(tensor.numel(), dtype=torch.float64)
        value = torch.frac(torch.sin(steps * 12.9898 + number) * 43758.5453).abs().reshape(tensor.shape)
        value = value + 0.5 if "running_var" in name else 0.6 * (value - 0.4)
        values[name] = value.to(tensor.dtype) if tensor.is_floating_point() else tensor
    return values


def scans() -> Tensor:
    """Two scans (2, 1, x, y, z), drawn as weights are."""
    return drawn({"scans": torch.zeros(2, *CHANNEL)})["scans"]


def main() -> None:
    from clinicadl.losses.config import BCEWithLogitsLossConfig
    from clinicadl.models import SupervisedModel
    from clinicadl.networks import config
    from clinicadl.optim.optimizers.config import AdamConfig

    rows = {}
    for name, (kind, options) in NETWORKS.items():
        network = getattr(config, f"{kind}Config")(num_outputs=1, **options)
        model = SupervisedModel(network=network, loss=BCEWithLogitsLossConfig(), optimizer=AdamConfig()).eval()
        model.load_state_dict(drawn(model.state_dict()))
        with TemporaryDirectory() as folder, torch.no_grad():
            model.to_json(Path(folder, "model.json"))
            written = json.loads(Path(folder, "model.json").read_text())
            outputs = model.network(scans()).flatten().tolist()
        shapes = {key: list(tensor.shape) for key, tensor in model.state_dict().items()}
        rows[name] = {"model.json": written, "weights": shapes, "outputs": outputs}
    lines = [f'"{name}": {json.dumps(row)}' for name, row in rows.items()]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
