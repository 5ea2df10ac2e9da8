"""docs/your-own.ipynb, run cell by cell: what it shows holds."""

import json
import sys
from pathlib import Path

import nibabel as nib
import pytest

NOTEBOOK = json.loads(Path("docs/your-own.ipynb").read_text())


@pytest.fixture(scope="module")
def names():
    """The names that its cells define."""
    found, path = {}, list(sys.path)
    for cell in NOTEBOOK["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), found)
    yield found
    sys.path[:] = path
    sys.modules.pop("my_network")


def test_no_output_is_kept_and_every_cell_can_be_named():
    code = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    assert NOTEBOOK["nbformat"] == 4 and not any(cell["outputs"] or cell["execution_count"] for cell in code)
    assert len({cell["id"] for cell in NOTEBOOK["cells"]}) == len(NOTEBOOK["cells"])


def test_its_model_learns_and_its_maps_find_what_the_model_uses(names):
    assert float(names["loss"]) < 0.1
    assert set(names["maps"]) == set(names["localisation"]) == set(names["faithful"])
    assert names["localisation"]["integrated gradients"] > 3 * names["truth"].sum() / names["brain"].sum()
    assert names["agreement"] > 0.3
    assert names["faithful"]["integrated gradients"] > 0.9 and names["faithful"]["occlusion"] > 0.9


def test_a_file_is_explained_as_an_image_on_its_grid(names):
    heatmap = nib.load(names["folder"] / "heatmap.nii.gz")
    assert heatmap.shape == names["shape"] and heatmap.affine[0, 0] == 8
