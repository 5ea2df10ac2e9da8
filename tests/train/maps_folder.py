"""A MAPS as ClinicaDL 2.0.0 lays it out, of models whose weights are drawn."""

import json
from pathlib import Path

import pandas as pd
import torch
from clinicadl_outputs import FILE, drawn

OUTPUTS = json.loads(FILE.read_text())
CROPPED = {"space": "MNI152NLin2009cSym", "desc": "Crop", "res": "1x1x1"}
SCALED = {"name_": "ZNormalization", "masking_method": None, "include": None, "exclude": None, "copy": False}


def make_maps(
    folder: Path, kind: str = "cnn", learned=((0, 1), (1, 0)), caps: Path | str = "", transforms=(SCALED,)
) -> Path:
    """Write a MAPS with a split for each pair of participants' numbers: who was learned from, and who validated."""
    model = OUTPUTS[kind]
    (folder / "training/data").mkdir(parents=True)
    (folder / "model.json").write_text(json.dumps(model["model.json"], indent=4))
    dataset = {
        "name_": "BidsDataset",
        "transforms": {
            "name_": "TransformsHandler",
            "extraction": {"name_": "Image"},
            "image_transforms": list(transforms),
            "sample_transforms": [],
            "augmentations": [{"name_": "RandomFlip"}],
        },
        "bids": {"name_": "Bids", "path": str(caps)},
        "file_type": {"suffix": "T1w", "data_type": "t1_linear", "with_entities": CROPPED, "without_entities": {}},
    }
    for split, parts in enumerate(learned):
        for part, numbers in zip(("train", "validation"), parts, strict=True):
            data = folder / f"training/data/{part}/split-{split}"
            data.mkdir(parents=True)
            people([numbers] if isinstance(numbers, int) else numbers).to_csv(data / "data.tsv", sep="\t", index=False)
            (data / "dataset.json").write_text(json.dumps(dataset, indent=4))
        weights = drawn({name: torch.zeros(shape) for name, shape in model["weights"].items()})
        for place in ("best_models/best-loss", "final"):
            (folder / f"training/split-{split}/models/{place}").mkdir(parents=True)
            torch.save(weights, folder / f"training/split-{split}/models/{place}/model.pt")
    numbers = {n for parts in learned for part in parts for n in ([part] if isinstance(part, int) else part)}
    people(sorted(numbers)).to_csv(folder / "training/data/data.tsv", sep="\t", index=False)
    return folder


def people(numbers) -> pd.DataFrame:
    names = [f"sub-{number:02d}" for number in numbers]
    return pd.DataFrame({"participant_id": names, "session_id": "ses-M000"})
