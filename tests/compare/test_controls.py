"""Controls of mean maps: noise like them, the t-map without a network, and how alike a control's maps are."""

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr, ttest_ind

from heatproof.compare.compare_controls import similarity
from heatproof.compare.make_noise import noise_like, smoothness
from heatproof.compare.make_t_map import t_map
from heatproof.store import Store


@pytest.mark.parametrize("sigmas", [(1.0, 1.0, 1.0), (0.8, 1.5, 2.5)])
def test_the_smoothness_of_smoothed_noise_is_found(sigmas):
    volume = gaussian_filter(np.random.default_rng(0).standard_normal((50, 50, 50)), sigmas, mode="wrap")
    mask = np.zeros(volume.shape, bool)
    mask[5:45, 5:45, 5:45] = True
    np.testing.assert_allclose(smoothness(volume, mask), sigmas, rtol=0.08)
    np.testing.assert_allclose(smoothness(np.exp(volume), mask), smoothness(volume, mask))


def test_noise_has_the_map_s_values_and_smoothness_but_not_its_places():
    random = np.random.default_rng(1)
    volume = gaussian_filter(random.standard_normal((40, 40, 40)), 1.5) ** 3
    mask = np.ones(volume.shape, bool)
    mask[:5] = False
    noise = noise_like(volume, mask, random)
    assert not noise[~mask].any()
    np.testing.assert_array_equal(np.sort(noise[mask]), np.sort(volume[mask].astype(np.float32)))
    np.testing.assert_allclose(smoothness(noise, mask), smoothness(volume, mask), rtol=0.1)
    assert abs(np.corrcoef(noise[mask], volume[mask])[0, 1]) < 0.1


def test_the_t_map_is_welch_s_t_of_participants():
    random = np.random.default_rng(2)
    images = random.random((9, 3, 4, 5)).astype(np.float16)
    images[:, 0, 0, 0] = 0
    people = ["a", "a", "b", "c", "d", "e", "f", "f", "g"]
    labels = ["patient"] * 4 + ["control"] * 5
    store = Store(images, pd.DataFrame({"participant_id": people, "label": labels}))
    means = {p: images[[q == p for q in people]].astype(float).mean(0) for p in set(people)}
    expected = ttest_ind(
        np.stack([means[p] for p in "abc"]), np.stack([means[p] for p in "defg"]), equal_var=False
    ).statistic
    found = t_map(store)
    assert found[0, 0, 0] == 0
    np.testing.assert_allclose(found.ravel()[1:], expected.ravel()[1:], rtol=1e-5)


def test_a_control_that_shows_the_same_is_alike_and_an_empty_one_has_no_value():
    random = np.random.default_rng(3)
    one, other = random.standard_normal((2, 5000))
    assert similarity(one, 3 * one) == pytest.approx((1, 1))
    assert similarity(one, -one) == pytest.approx((-1, 1))
    assert np.abs(similarity(one, other)).max() < 0.05
    assert similarity(one, one + other)[1] == pytest.approx(spearmanr(abs(one), abs(one + other))[0])
    assert np.isnan(similarity(one, 0 * one)).all()
