"""Integrated gradients, GradientSHAP and SmoothGrad equal captum's, and a scan's map is the same in any company."""

import copy

import captum.attr
import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from heatproof.attribute.averaged import (
    drawn_control,
    gradient_shap,
    integrated_gradients,
    noise_key,
    normal_noise,
    ranges,
    signed,
    smooth_grad,
    splitmix64,
)

TARGETS = [1, torch.tensor([1, 0, 1])]
each_method = pytest.mark.parametrize(
    ("method", "options"),
    [
        (integrated_gradients, {"steps": 2}),
        (smooth_grad, {"samples": 2}),
        (gradient_shap, {"samples": 2, "noise": 0.1, "controls": torch.full((2, 1, 36, 38, 36), 0.3)}),
    ],
)


def range_by_channel(image):
    return image.amax((1, 2, 3), keepdim=True) - image.amin((1, 2, 3), keepdim=True)


@pytest.fixture
def captum_smooth_grad(monkeypatch):
    """SmoothGrad by captum's own loop, with the noise that is drawn for each scan, a share of each channel's range."""

    def attribute(model, images, target, samples, scale, seed):
        drawn = [
            range_by_channel(image) * normal_noise(image.shape, noise_key(image, seed) + sample, "cpu")
            for image in images
            for sample in range(samples)
        ]
        monkeypatch.setattr(torch, "normal", lambda mean, scales: scales * torch.stack(drawn).double())
        tunnel = captum.attr.NoiseTunnel(captum.attr.Saliency(copy.deepcopy(model)))
        options = {"nt_type": "smoothgrad", "nt_samples": samples, "stdevs": scale, "abs": False}
        return tunnel.attribute(images, target=target, **options)

    return attribute


@pytest.fixture
def captum_gradient_shap(monkeypatch):
    """GradientSHAP by captum's own loop, with the controls, points and noise that are drawn for each scan."""

    def attribute(model, images, target, controls, samples, scale, seed):
        keys = [noise_key(image, seed) + sample for image in images for sample in range(samples)]
        chosen, ways = zip(*(drawn_control(key, len(controls)) for key in keys), strict=True)
        drawn = torch.stack([normal_noise(images.shape[1:], key, "cpu") for key in keys]).double()
        drawn *= torch.stack([range_by_channel(image) for image in images]).repeat_interleave(samples, 0)
        monkeypatch.setattr(np.random, "choice", lambda number, size: np.array(chosen))
        monkeypatch.setattr(np.random, "uniform", lambda low, high, size: np.array(ways))
        monkeypatch.setattr(torch, "normal", lambda mean, scales: scales * drawn)
        method = captum.attr.GradientShap(copy.deepcopy(model))
        return method.attribute(images, controls, n_samples=samples, stdevs=scale, target=target)

    return attribute


def captum_rounding(expected):
    """Return how far captum may be off: it weighs the steps in float32."""
    return 1e-7 * float(expected.abs().max())


@pytest.mark.parametrize("target", TARGETS)
def test_integrated_gradients_of_the_papers_network_are_captums(paper_network, scans, target):
    reference = captum.attr.IntegratedGradients(copy.deepcopy(paper_network))
    expected = reference.attribute(scans, baselines=0.2, target=target, n_steps=4, internal_batch_size=3)
    heatmaps = integrated_gradients(paper_network, scans, target, steps=4, baseline=0.2)
    torch.testing.assert_close(heatmaps, expected, rtol=1e-6, atol=captum_rounding(expected))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31), target=st.integers(0, 2), steps=st.integers(1, 9))
def test_integrated_gradients_of_any_chain_are_captums(random_chain, seed, target, steps):
    model, images = random_chain(seed)
    expected = captum.attr.IntegratedGradients(copy.deepcopy(model)).attribute(images, target=target, n_steps=steps)
    heatmaps = integrated_gradients(model, images, target, steps=steps)
    torch.testing.assert_close(heatmaps, expected, rtol=1e-6, atol=captum_rounding(expected))


def test_integrated_gradients_sum_to_what_sets_the_scan_apart_from_the_baseline(random_chain):
    model, images = random_chain(4)
    heatmaps = integrated_gradients(model, images, 1, steps=300, baseline=0.1)
    apart = (model(images) - model(torch.full_like(images, 0.1)))[:, 1]
    torch.testing.assert_close(heatmaps.sum(dim=(1, 2, 3, 4)), apart.detach(), rtol=0.01, atol=1e-3)


@pytest.mark.parametrize("target", TARGETS)
def test_smooth_grad_of_the_papers_network_is_captums_under_the_same_noise(
    paper_network, scans, target, captum_smooth_grad
):
    expected = captum_smooth_grad(paper_network, scans, target, 3, 0.2, 7)
    torch.testing.assert_close(
        smooth_grad(paper_network, scans, target, samples=3, noise=0.2, seed=7), expected, rtol=1e-6, atol=1e-12
    )


def test_smooth_grad_of_a_chain_is_captums_under_the_same_noise(random_chain, captum_smooth_grad):
    model, images = random_chain(2)
    expected = captum_smooth_grad(model, images, 2, 20, 0.15, 0)
    torch.testing.assert_close(smooth_grad(model, images, 2, samples=20), expected, rtol=1e-6, atol=1e-12)


def test_noise_is_a_share_of_the_scan_s_range_which_is_1_for_scans_in_0_to_1(random_chain):
    _, images = random_chain(2)
    images = torch.stack([(image - image.amin((1, 2, 3), keepdim=True)) / range_by_channel(image) for image in images])
    assert ranges(images).shape == (2, 2, 1, 1, 1) and (ranges(images) == 1).all()
    assert ranges(7 * images - 3).flatten().tolist() == pytest.approx([7.0] * 4)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_gradient_shap_of_the_papers_network_is_captums_under_the_same_draws(
    paper_network, scans, target, noise, captum_gradient_shap
):
    controls = torch.rand((5, *scans.shape[1:]), dtype=scans.dtype, generator=torch.Generator().manual_seed(4))
    expected = captum_gradient_shap(paper_network, scans, target, controls, 4, noise, 7)
    found = gradient_shap(paper_network, scans, target, controls=controls, samples=4, noise=noise, seed=7)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-12)


def test_gradient_shap_sums_to_what_sets_the_scan_apart_from_the_mean_over_controls():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 2)).double().eval()
    images, controls = 2 + torch.rand((2, 1, 2, 2, 2)).double(), torch.rand((3, 1, 2, 2, 2)).double()
    options = {"controls": controls, "samples": 100}
    draws = [gradient_shap(model, images, 1, **options, seed=seed).sum(dim=(1, 2, 3, 4)) for seed in range(10)]
    apart = (model(images) - model(controls).mean(0))[:, 1].detach()
    error = torch.stack(draws).std(0) / 10**0.5
    assert ((torch.stack(draws).mean(0) - apart).abs() < 4 * error).all() and (error < 0.2 * apart.abs()).all()


def test_controls_are_drawn_evenly_and_points_uniformly():
    chosen, ways = zip(*(drawn_control(key, 3) for key in range(3000)), strict=True)
    assert scipy.stats.chisquare(np.bincount(chosen)).pvalue > 0.01
    assert scipy.stats.kstest(ways, "uniform").pvalue > 0.01


def test_noise_is_another_for_another_scan_seed_or_sample_and_leaves_the_random_state_of_torch(scans):
    def draw(image, seed, sample=0):
        return normal_noise((10**4,), noise_key(image, seed) + sample, "cpu")

    state, first = torch.get_rng_state(), draw(scans[0], 3)
    assert torch.equal(draw(scans[0].float(), 3), first)
    for other in (draw(scans[0], 4), draw(scans[1], 3), draw(scans[0] * 1.001, 3), draw(scans[0], 3, sample=1)):
        assert abs(torch.corrcoef(torch.stack([first, other]))[0, 1]) < 0.05
    assert torch.equal(torch.get_rng_state(), state)


def test_noise_is_normal_and_without_neighbours():
    draws = np.stack([normal_noise((31, 33, 35), key, "cpu").numpy() for key in range(8)])
    assert scipy.stats.kstest(draws.ravel(), "norm").pvalue > 0.01
    for axis in range(4):
        ahead, behind = np.moveaxis(draws, axis, 0)[1:].ravel(), np.moveaxis(draws, axis, 0)[:-1].ravel()
        assert abs(np.corrcoef(ahead, behind)[0, 1]) < 0.01


def test_the_hash_is_splitmix64_whose_first_numbers_are_known():
    states = torch.tensor([signed(number * 0x9E3779B97F4A7C15) for number in (1, 2, 3)])
    hashes = [int(number) % 2**64 for number in splitmix64(states)]
    assert hashes == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]  # of seed 0


@each_method
def test_a_scan_is_explained_alone_as_it_is_among_others(method, options, paper_network, scans):
    alone = [method(paper_network, scan[None], 1, **options) for scan in scans.flip(0)]
    torch.testing.assert_close(method(paper_network, scans, 1, **options), torch.cat(alone).flip(0))


@each_method
def test_the_network_runs_once_per_version_on_no_more_scans_than_given(method, options, paper_network, scans):
    seen = []
    handle = paper_network[0].register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    method(paper_network, scans, 1, **options)
    handle.remove()
    assert seen == [3, 3]


@each_method
def test_model_and_images_stay_as_they_were(method, options, paper_network, scans, untouched):
    check, before = untouched(paper_network), scans.clone()
    with torch.no_grad():
        heatmaps = method(paper_network, scans, 1, **options)
    check()
    assert torch.equal(scans, before)
    assert not heatmaps.requires_grad


@each_method
def test_heatmaps_are_of_the_type_of_the_images(method, options, paper_network, scans):
    heatmaps = method(copy.deepcopy(paper_network).float(), scans.float(), 1, **options)
    assert heatmaps.dtype == torch.float32
    assert heatmaps.shape == scans.shape
