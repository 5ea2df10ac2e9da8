import base64
import re
import sys
from io import BytesIO

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.io import savemat

from heatproof.report import write_registration
from heatproof.report.write_registration import PIXELS, outline, poorest_first, sample, shift_of, tile_points


def write(folder, *options, output="registration.html"):
    arguments = ["--study", "made-up", "--models", folder, "--space", "MNI", *options]
    arguments += ["--output", folder / "pages" / output]
    before, sys.argv = sys.argv, ["write_registration", *map(str, arguments)]
    write_registration.main()
    sys.argv = before
    return folder / "pages" / output


def pixels(page, scan, which):
    figure = page[page.index(f'<figure id="{scan}">') :]
    jpeg = re.search(rf'class="{which}" src="data:image/jpeg;base64,(.*?)"', figure)[1]
    return np.asarray(Image.open(BytesIO(base64.b64decode(jpeg))), int)


@pytest.fixture(scope="module")
def page(registered_study):
    return write(registered_study, "--most", 2).read_text(encoding="utf-8")


def test_slices_lie_where_they_are_said_to_lie():
    points = tile_points(np.array([0.0, -20.0, 10.0]))
    assert points.shape == (3 * PIXELS, 3 * PIXELS, 3)
    axial, coronal, sagittal = (points[row * PIXELS : (row + 1) * PIXELS, PIXELS : 2 * PIXELS] for row in range(3))
    assert np.ptp(axial[..., 2]) == 0 and np.ptp(coronal[..., 1]) == 0 and np.ptp(sagittal[..., 0]) == 0
    assert axial[0, 0, 0] < axial[0, -1, 0] and axial[0, 0, 1] > axial[-1, 0, 1]  # left on the left, the front up
    assert coronal[0, 0, 0] < coronal[0, -1, 0] and coronal[0, 0, 2] > coronal[-1, 0, 2]
    assert sagittal[0, 0, 1] < sagittal[0, -1, 1] and sagittal[0, 0, 2] > sagittal[-1, 0, 2]


def test_an_image_is_sampled_by_its_affine_and_is_black_outside():
    image = nib.Nifti1Image(np.arange(8.0).reshape(2, 2, 2), np.diag([-2.0, 2.0, 2.0, 1.0]))
    np.testing.assert_allclose(sample(image, np.array([[-2.0, 0, 0], [-1.0, 0, 0], [9.0, 0, 0]])), [4, 2, 0])


def test_the_shift_is_that_of_the_brain_s_middle_in_our_directions(tmp_path):
    assert shift_of(tmp_path, np.ones(3)).tolist() == [0, 0, 0]
    numbers = np.array([*np.eye(3).ravel(), 5, -7, 11], np.float32)[:, None]  # left, back, up in ITK
    savemat(
        tmp_path / "1_GenericAffine.mat", {"AffineTransform_float_3_3": numbers, "fixed": np.ones((3, 1))}, format="4"
    )
    np.testing.assert_allclose(shift_of(tmp_path, np.array([3.0, 4.0, 5.0])), [-5, 7, 11])


def test_poor_scans_come_first_then_outliers_then_the_least_agreement():
    table = pd.DataFrame({"scan": list("abcd"), "inside_agreement": [0.9, 0.8, 0.7, 0.95]})
    table["poor"], table["outlier"] = [np.nan, np.nan, np.nan, "brain_overlap"], ["correlation", "", np.nan, "x, y"]
    assert list(poorest_first(table)["scan"]) == ["d", "a", "c", "b"]


def test_an_outline_is_a_closed_path_around_the_mask():
    mask = np.zeros((9, 9), bool)
    mask[2:7, 3:6] = True
    numbers = np.array(re.findall(r"[\d.]+", outline(mask)), float).reshape(-1, 2)
    assert (
        outline(mask).endswith("Z") and numbers.min(0).tolist() == [3.0, 2.0] and numbers.max(0).tolist() == [6.0, 7.0]
    )


def test_a_scan_is_shown_before_and_after_and_the_others_are_named(page):
    assert page.index('id="sub-002"') < page.index('id="sub-001"') and 'id="sub-000"' not in page
    assert "The 2 most poorly registered of 3 scans are shown" in page and "<li>sub-000: " in page
    assert "registration/sub-000.html" in page and "outlier: correlation" in page and "its notes" in page
    before, after = (pixels(page, "sub-001", which) for which in ("before", "after"))
    assert before.shape == after.shape == (3 * PIXELS, 3 * PIXELS)
    middle = slice(PIXELS // 4, 3 * PIXELS // 4)
    assert np.abs(before[middle] - after[middle]).mean() < 12  # only moved
    assert np.abs(before - np.fliplr(before)).mean() > 2 * np.abs(before - after).mean()


def test_the_page_of_one_scan_shows_that_scan_alone(registered_study):
    page = write(registered_study, "--scans", "sub-000", output="registration/sub-000.html").read_text()
    assert page.count("<figure ") == 1 and 'id="sub-000"' in page and 'href="../report.html#quality"' in page


def test_the_page_loads_nothing_and_says_how_large_it_is(page):
    assert all(address.startswith("data:") for address in re.findall(r'(?:src|href)="([^#"]*:[^"]*)"', page))
    assert all(address.startswith('"data:image/jpeg') for address in re.findall(r"url\(([^)]*)", page))
    assert re.search(r"This page has \d+\.\d.MB and loads nothing from elsewhere", page) and "How to read it:" in page
