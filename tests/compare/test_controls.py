"""Controls of mean maps: noise like them, the t-map without a network, and how alike a control's maps are."""

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter, uniform_filter
from scipy.stats import spearmanr, ttest_ind

from heatproof.compare.compare_controls import similarity
from heatproof.compare.make_noise import noise_like
from heatproof.compare.make_t_map import t_map
from heatproof.store import Store

LAGS = (1, 2, 4, 8)  # voxels


@pytest.fixture(scope="module")
def ball():
    """An irregular mask with a hole, 30 thousand voxels."""
    x, y, z = np.ogrid[-1:1:38j, -1:1:44j, -1:1:40j]
    return (x**2 + y**2 + z**2 < 1) & (x**2 + (y + 0.3) ** 2 + z**2 > 0.05) & (z > -0.7)


def smoothed(random, shape, sigma):
    field = gaussian_filter(random.standard_normal(shape), sigma)
    return field / field.std()


MAPS = {
    "smooth": lambda random, shape: smoothed(random, shape, 1.5) ** 3,
    "rough": lambda random, shape: smoothed(random, shape, 0.42),
    "of another smoothness along each axis": lambda random, shape: smoothed(random, shape, (0.5, 1, 2)),
    "occlusion": lambda random, shape: uniform_filter(random.standard_normal(shape) ** 3, 6) + 0.02,
    "clustered": lambda random, shape: random.standard_normal(shape) * np.exp(smoothed(random, shape, 3)),
    "clustered, of one sign": lambda random, shape: (
        smoothed(random, shape, 0.5) ** 2 * np.exp(smoothed(random, shape, 3))
    ),
}


def autocorrelations(volume, mask):
    """Correlations of voxels in a mask at several distances along each axis, in plain numpy."""
    found = []
    for axis in range(3):
        values, inside = np.moveaxis(volume, axis, 0), np.moveaxis(mask, axis, 0)
        for lag in LAGS:
            both = inside[lag:] & inside[:-lag]
            found.append(np.corrcoef(values[lag:][both], values[:-lag][both])[0, 1])
    return np.array(found)


@pytest.mark.parametrize("kind", MAPS)
def test_noise_is_autocorrelated_as_its_map_signed_and_absolute(ball, kind):
    volume = MAPS[kind](np.random.default_rng(1), ball.shape)
    noise = noise_like(volume[None], ball, np.random.default_rng(2))[0]
    for of in (np.asarray, np.abs):
        expected, found = autocorrelations(of(volume), ball), autocorrelations(of(noise), ball)
        np.testing.assert_allclose(found, expected, atol=0.06)


@pytest.mark.parametrize("kind", MAPS)
def test_noise_has_the_map_s_values_at_other_places(ball, kind):
    volume = MAPS[kind](np.random.default_rng(1), ball.shape)
    noise = [noise_like(volume[None], ball, np.random.default_rng(seed))[0] for seed in range(6)]
    for surrogate in noise:
        assert not surrogate[~ball].any()
        np.testing.assert_array_equal(np.sort(surrogate[ball]), np.sort(volume[ball].astype(np.float32)))
    alike = np.corrcoef([volume[ball], *(surrogate[ball] for surrogate in noise)])[np.triu_indices(7, 1)]
    assert abs(alike.mean()) < 0.05


def test_maps_without_a_group_have_their_values_at_the_places_of_the_whole(ball):
    random = np.random.default_rng(3)
    whole = smoothed(random, ball.shape, 1)
    without = whole + 0.1 * smoothed(random, ball.shape, 1)
    noise = noise_like(np.stack([whole, without]), ball, random)
    np.testing.assert_array_equal(np.sort(noise[1][ball]), np.sort(without[ball].astype(np.float32)))
    assert spearmanr(noise[1][ball], noise[0][ball]).statistic == pytest.approx(1)


def test_a_map_that_is_the_same_everywhere_stays(ball):
    np.testing.assert_array_equal(noise_like(np.full((2, *ball.shape), 0.5), ball, None), 0.5 * np.stack([ball, ball]))


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
