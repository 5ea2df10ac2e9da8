"""Quality: outliers are named by their figures, and the contact sheet shows brains the right way up."""

import json

import numpy as np
import pandas as pd
from matplotlib.image import imread

from heatproof.images import save_image
from heatproof.register.summarise_quality import (
    OUTLINE,
    draw_contact_sheet,
    gather_quality,
    list_registered,
    overlap_of,
    registered_path,
    robust_score,
    three_views,
)

BRAIN = {"brain_mm3": 1.4e6, "intensity_low": 200.0, "intensity_high": 900.0, "poor": [], "notes": []}


def write_scans(folder, small_brain, correlations) -> pd.DataFrame:
    for number, correlation in enumerate(correlations):
        scan = f"sub-{number}"
        save_image(small_brain.t1w, small_brain.affine, registered_path(folder, scan, "MNI"))
        quality = {
            "inside_agreement": 0.7,
            "correlation": correlation,
            "brain_overlap": 0.95,
            "folded_share": 0.0,
            **BRAIN,
        }
        (folder / scan / "qc.json").write_text(json.dumps(quality))
    return pd.DataFrame({"scan": [f"sub-{number}" for number in range(len(correlations))]})


def test_an_outlier_is_named_by_what_is_wrong(tmp_path, small_brain):
    scans = write_scans(tmp_path, small_brain, [0.90, 0.91, 0.92, 0.93, 0.30, 0.99])
    table = gather_quality(scans, tmp_path)
    assert table["outlier"].tolist() == ["", "", "", "", "correlation", ""]


def test_twins_are_named_as_such_beside_the_scans(tmp_path, small_brain):
    write_scans(tmp_path, small_brain, [0.9, 0.9, 0.9])
    scans = pd.DataFrame({"scan": ["sub-0", "sub-1", "sub-1"], "twin": [None, None, "sub-2"]})
    table = gather_quality(list_registered(scans), tmp_path)
    assert table["scan"].tolist() == ["sub-0", "sub-1", "sub-2"] and table["twin_of"].tolist() == ["", "", "sub-1"]
    assert "twin_of" not in list_registered(scans[["scan"]])


def test_what_is_poor_by_itself_is_named_though_all_scans_are_alike(tmp_path, small_brain):
    scans = write_scans(tmp_path, small_brain, [0.2, 0.2, 0.2])
    for number, volume in enumerate([1.4e6, 1.4e6, 1.4e6]):
        path = tmp_path / f"sub-{number}/qc.json"
        quality = json.loads(path.read_text()) | {"brain_mm3": volume, "poor": ["correlation"], "notes": ["one", "two"]}
        path.write_text(json.dumps(quality))
    table = gather_quality(scans, tmp_path)
    assert table["outlier"].tolist() == ["correlation"] * 3 and table["notes"].tolist() == ["one; two"] * 3
    assert table["poor"].tolist() == ["correlation"] * 3


def test_volumes_are_outliers_on_either_side(tmp_path, small_brain):
    scans = write_scans(tmp_path, small_brain, [0.9] * 7)
    for number, volume in enumerate([1.2e6, 1.3e6, 1.4e6, 1.5e6, 1.6e6, 0.4e6, 4.2e6]):
        path = tmp_path / f"sub-{number}/qc.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"brain_mm3": volume}))
    assert gather_quality(scans, tmp_path)["outlier"].tolist() == [""] * 5 + ["brain_mm3"] * 2


def test_an_overlap_with_a_reference_may_be_there_for_some(tmp_path, small_brain):
    scans = write_scans(tmp_path, small_brain, [0.9] * 6)
    for number, overlap in enumerate([0.95, 0.96, 0.97, 0.2, 0.94]):
        path = tmp_path / f"sub-{number}/qc.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"mask_overlap": overlap}))
    table = gather_quality(scans, tmp_path)
    assert table["outlier"].tolist() == ["", "", "", "mask_overlap", "", ""] and table["mask_overlap"].isna().sum() == 1


def test_robust_score_by_hand():
    score = robust_score(pd.Series([1.0, 2, 3, 4, 100]))
    assert score[4] == 97 / 1.4826
    assert (robust_score(pd.Series([2.0] * 6)) == 0).all()
    assert (robust_score(pd.Series([1.0, 2, 3, 100])) == 0).all()


def test_views_are_upright_and_the_left_is_on_the_left():
    volume = np.zeros((21, 25, 23))
    mask = np.zeros(volume.shape, bool)
    mask[1:20, 1:24, 1:22] = True
    volume[mask] = 0.2
    volume[2:5, 10:14, 9:13] = 1.0
    volume[9:12, 10:14, 18:20] = 0.8
    views = three_views(volume, mask) / 255
    axial = views[:, :21]
    assert axial[:, :8].max() == 1.0 and not np.any(np.all(axial[:, 12:] == 1.0, axis=2))
    coronal = views[:, 21:42]
    bright = np.argwhere(np.isclose(coronal, 0.8, atol=1 / 255).all(axis=2))
    assert len(bright) and bright[:, 0].max() < 10
    assert np.isclose(axial, OUTLINE, atol=1 / 255).all(axis=2).any()


def test_pictures_of_a_fine_grid_are_no_larger_than_the_sheet_needs():
    volume = np.random.default_rng(0).random((193, 229, 193), np.float32)
    views = three_views(volume, np.ones(volume.shape, bool))
    assert views.dtype == np.uint8 and views.shape == (77, 205, 3)


def test_the_contact_sheet_is_drawn_the_same_each_time(tmp_path, small_brain):
    table = gather_quality(write_scans(tmp_path, small_brain, [0.9] * 8), tmp_path)
    save_image(small_brain.mask, small_brain.affine, tmp_path / "template/brain_mask.nii.gz")
    for name in ("a.png", "b.png"):
        draw_contact_sheet(table, tmp_path, "MNI", tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    height, width = imread(tmp_path / "a.png").shape[:2]
    assert width > height > 200


def test_scans_taken_as_they_are_have_fewer_figures_and_those_of_heads_no_overlap(tmp_path, small_brain):
    scans = write_scans(tmp_path, small_brain, [0.9, 0.9])
    taken = {"inside_agreement": 0.7, "correlation": 0.9, "brain_covered": 0.99, "intensity_high": 2.0, "poor": []}
    for number, more in enumerate([{}, {"brain_overlap": 0.95, "brain_mm3": 1.4e6}]):
        (tmp_path / f"sub-{number}/qc.json").write_text(json.dumps(taken | more | {"notes": []}))
    table = gather_quality(scans, tmp_path)
    assert table["outlier"].tolist() == ["", ""] and "folded_share" not in table
    assert [overlap_of(row) for row in table.itertuples()] == ["covers 0.99", "overlap 0.95"]
