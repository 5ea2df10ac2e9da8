"""Reference images: what their names stand for, and that methods begin with an image as with a number."""

import copy

import captum.attr
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from heatproof.attribute.averaged import gradient_shap, integrated_gradients
from heatproof.attribute.deep_lift import deep_lift
from heatproof.attribute.gradients import gradient_input
from heatproof.attribute.occlusion import occlusion
from heatproof.attribute.references import for_scans, from_store
from heatproof.attribute.region_occlusion import region_occlusion
from heatproof.errors import StudyError
from heatproof.references import OPTIONS, REFERENCES, named_references, reference_files
from heatproof.tables import write_table

SHAPE = (6, 5, 7)
VOXELS = (2.0, 3.0, 4.0)  # mm
ROWS = pd.DataFrame({"scan": ["sub-3", "sub-1", "sub-2"], "label": ["control", "patient", "patient"]})


@pytest.fixture
def brain():
    inside = torch.zeros(SHAPE, dtype=torch.bool)
    inside[1:5, 1:, 2:6] = True
    return inside


@pytest.fixture
def scans(brain):
    return torch.rand((3, 1, *SHAPE), generator=torch.Generator().manual_seed(0)) * brain


@pytest.fixture
def store(tmp_path):
    """A folder with four training scans, two of them controls, their mean, and the twins of both patients."""
    random = np.random.default_rng(0)
    train = random.random((4, *SHAPE)).astype(np.float16)
    np.save(tmp_path / "train.npy", train)
    write_table(pd.DataFrame({"scan": list("abcd"), "label": ["control", "patient"] * 2}), tmp_path / "train.tsv")
    np.save(tmp_path / "mean_control.npy", train[::2].astype(np.float32).mean(0))
    np.save(tmp_path / "twins.npy", random.random((2, *SHAPE)).astype(np.float16))
    write_table(pd.DataFrame({"scan": ["sub-2", "sub-1"], "label": "control"}), tmp_path / "twins.tsv")
    return tmp_path


@pytest.fixture
def made(store, brain, scans):
    """A function from options, as a config has them, to these options for the three scans."""
    return lambda **options: for_scans(from_store(options, store, brain, VOXELS), scans, ROWS)


def test_numbers_and_what_is_no_reference_stay_as_they_are(made):
    options = {"baseline": 0.25, "reference": None, "patch": 3, "mask": "brain"}
    assert made(**options) == options


def test_the_mean_control_is_one_image_for_all_scans(made, store):
    image = made(baseline="mean_control")["baseline"]
    assert image.shape == (1, 1, *SHAPE) and image.dtype == torch.float32
    np.testing.assert_array_equal(image[0, 0], np.load(store / "mean_control.npy"))


def test_a_patient_s_reference_is_its_twin_and_a_control_s_the_control_itself(made, store, scans):
    images, twins = made(reference="twin")["reference"], np.load(store / "twins.npy")
    assert torch.equal(images[0], scans[0])
    np.testing.assert_array_equal(images[1, 0], twins[1])
    np.testing.assert_array_equal(images[2, 0], twins[0])


def test_a_patient_without_a_twin_is_refused_by_name(store, brain, scans):
    options = from_store({"baseline": "twin"}, store, brain, VOXELS)
    with pytest.raises(StudyError, match=r"the patient's scan sub-9 has no twin in .*twins.npy"):
        for_scans(options, scans, ROWS.assign(scan=["sub-3", "sub-1", "sub-9"]))


def test_a_blurred_scan_is_a_weighted_mean_of_the_brain_around_each_voxel(made, brain, scans):
    images = made(baseline={"blurred": 8.0})["baseline"]
    places = np.argwhere(brain.numpy())
    at = np.ravel_multi_index((2, 3, 4), SHAPE)
    spread = np.zeros(SHAPE)
    spread[2, 3, 4] = 1
    weights = gaussian_filter(spread, 8.0 / np.sqrt(8 * np.log(2)) / np.array(VOXELS), mode="constant")
    weights = weights[tuple(places.T)] / weights[tuple(places.T)].sum()
    for scan, image in zip(scans[:, 0].numpy(), images[:, 0].numpy(), strict=True):
        assert image.ravel()[at] == pytest.approx(weights @ scan[tuple(places.T)], rel=1e-5)
    assert not images[:, 0][:, ~brain].any()


def test_blurring_leaves_a_brain_of_one_intensity_as_it_is_and_takes_20_mm_where_no_other_is_named(store, brain, scans):
    flat = torch.full_like(scans, 0.7) * brain
    images = for_scans(from_store({"baseline": "blurred"}, store, brain, VOXELS), flat, ROWS)["baseline"]
    torch.testing.assert_close(images, flat)
    named, other = ({"baseline": value} for value in ("blurred", {"blurred": 20.0}))
    one, same = (
        for_scans(from_store(options, store, brain, VOXELS), scans, ROWS)["baseline"] for options in (named, other)
    )
    assert torch.equal(one, same)


def test_controls_are_drawn_by_a_seed_without_replacement(made, store):
    train = np.load(store / "train.npy").astype(np.float32)
    assert torch.equal(made(controls=9)["controls"][:, 0], torch.from_numpy(train[::2]))
    ones = [made(controls=1, seed=seed)["controls"] for seed in range(8)]
    assert all(torch.equal(image, made(controls=1, seed=seed)["controls"]) for seed, image in enumerate(ones))
    assert len({float(image.sum()) for image in ones}) == 2
    write_table(pd.DataFrame({"scan": list("abcd"), "label": "patient"}), store / "train.tsv")
    with pytest.raises(StudyError, match=r"train.npy has no scan of a control"):
        made(controls=1)


def test_only_entries_that_name_a_reference_need_its_files():
    assert reference_files({"method": "occlusion", "baseline": 0.0}) == []
    assert reference_files({"baseline": {"blurred": 12.0}}) == []
    assert reference_files({"baseline": "mean_control"}) == ["mean_control.npy"]
    assert reference_files({"reference": "twin"}) == ["twins.npy", "twins.tsv"]
    assert reference_files({"controls": 4}) == ["train.npy", "train.tsv"]


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("name", REFERENCES)
def test_every_reference_that_is_named_is_made(made, name, option, scans):
    assert named_references({option: name}) == {option: name}
    image = made(**{option: name})[option]
    assert image.shape[1:] == scans.shape[1:] and len(image) in (1, 3)


# Methods, from images: on the grid of the paper's small network.


@pytest.fixture(scope="module")
def images():
    return torch.rand((3, 1, 36, 38, 36), dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module", params=[1, 3], ids=["one for all", "one each"])
def references(request, images):
    return torch.rand(
        (request.param, *images.shape[1:]), dtype=images.dtype, generator=torch.Generator().manual_seed(3)
    )


def outputs_apart(model, images, references, target):
    with torch.no_grad():
        return (model(images) - model(torch.zeros_like(images) + references))[:, target]


def test_integrated_gradients_from_an_image_are_captum_s(paper_network, images, references):
    method = captum.attr.IntegratedGradients(copy.deepcopy(paper_network))
    expected = method.attribute(images, baselines=references, target=1, n_steps=4, internal_batch_size=3)
    found = integrated_gradients(paper_network, images, 1, steps=4, baseline=references)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7 * float(expected.abs().max()))


def test_integrated_gradients_from_an_image_sum_to_what_sets_the_outputs_apart(random_chain):
    model, images = random_chain(4)
    reference = torch.rand((1, *images.shape[1:]), dtype=images.dtype, generator=torch.Generator().manual_seed(3))
    sums = integrated_gradients(model, images, 1, steps=300, baseline=reference).sum(dim=(1, 2, 3, 4))
    torch.testing.assert_close(sums, outputs_apart(model, images, reference, 1), rtol=0.01, atol=1e-3)


def test_gradient_input_multiplies_what_sets_the_scan_apart(paper_network, images, references):
    slopes = captum.attr.Saliency(copy.deepcopy(paper_network)).attribute(images, target=1, abs=False)
    found = gradient_input(paper_network, images, 1, reference=references)
    torch.testing.assert_close(found, slopes * (images.detach() - references))
    assert torch.equal(
        gradient_input(paper_network, images, 1, reference=0.0), gradient_input(paper_network, images, 1)
    )


def test_region_occlusion_takes_a_region_from_the_image(paper_network, images, references):
    regions = torch.randint(0, 4, images.shape[2:], generator=torch.Generator().manual_seed(2))
    found = region_occlusion(paper_network, images, 1, regions=regions, baseline=references)
    expected = torch.zeros_like(images)
    for number, image in enumerate(images):
        for region in (1, 2, 3):
            mixed = image.clone()
            mixed[0][regions == region] = references[number % len(references), 0][regions == region]
            expected[number, 0][regions == region] = outputs_apart(paper_network, image[None], mixed[None], 1)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-12)


def test_occlusion_takes_a_patch_from_the_image(random_chain):
    model, images = random_chain(6)
    references = torch.rand(images.shape, dtype=images.dtype, generator=torch.Generator().manual_seed(3))
    found = occlusion(model, images, 1, patch=3, stride=3, baseline=references)
    expected = torch.zeros_like(images)
    for x, y, z in np.ndindex(*(-(-edge // 3) for edge in images.shape[2:])):
        place = (slice(None), slice(None), *(slice(3 * i, 3 * i + 3) for i in (x, y, z)))
        mixed = images.clone()
        mixed[place] = references[place]
        expected[place] = outputs_apart(model, images, mixed, 1).reshape(-1, 1, 1, 1, 1) / images.shape[1]
    torch.testing.assert_close(found, expected.float(), rtol=1e-5, atol=1e-6 * float(expected.abs().max()))


def test_of_a_linear_model_every_method_gives_weight_times_difference():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(8, 2)).double().eval()
    scan, reference = torch.rand((2, 1, 1, 2, 2, 2), dtype=torch.float64)
    expected = model[1].weight[1].reshape(scan.shape).detach() * (scan - reference)
    each = torch.arange(1, 9).reshape(2, 2, 2)
    maps = {
        "gradient_input": gradient_input(model, scan, 1, reference=reference),
        "integrated_gradients": integrated_gradients(model, scan, 1, steps=1, baseline=reference),
        "gradient_shap": gradient_shap(model, scan, 1, controls=reference, samples=3),
        "deep_lift": deep_lift(model, scan, 1, baseline=reference),
        "region_occlusion": region_occlusion(model, scan, 1, regions=each, baseline=reference),
        "occlusion": occlusion(model, scan, 1, patch=1, stride=1, baseline=reference).double(),
    }
    for name, heatmap in maps.items():
        assert (heatmap - expected).abs().max() < 1e-7, name


def test_a_scan_that_is_its_own_reference_has_a_map_of_zeros(paper_network, images):
    scan, each = images[:1], torch.ones(images.shape[2:], dtype=torch.int64)
    for heatmap in (
        gradient_input(paper_network, scan, 1, reference=scan),
        integrated_gradients(paper_network, scan, 1, steps=2, baseline=scan),
        deep_lift(paper_network, scan, 1, baseline=scan),
        region_occlusion(paper_network, scan, 1, regions=each, baseline=scan),
    ):
        assert not heatmap.any()


def test_a_reference_that_fits_no_scan_is_refused(paper_network, images):
    message = r"has the shape \(2, 1, 36, 38, 36\) and the scans \(3, 1, 36, 38, 36\); give one image for all"
    regions = torch.ones(images.shape[2:], dtype=torch.int64)
    for call in (
        lambda: gradient_input(paper_network, images, 1, reference=images[:2]),
        lambda: integrated_gradients(paper_network, images, 1, baseline=images[:2]),
        lambda: region_occlusion(paper_network, images, 1, baseline=images[:2], regions=regions),
    ):
        with pytest.raises(StudyError, match=message):
            call()
    for option, method in (("reference", gradient_input), ("baseline", integrated_gradients), ("baseline", deep_lift)):
        for broken in (float("nan"), torch.full_like(images[:1], torch.inf)):
            with pytest.raises(StudyError, match=f"{option} has NaN or infinite values"):
                method(paper_network, images, 1, **{option: broken})
    with pytest.raises(StudyError, match="give at least one control, on the scans' grid"):
        gradient_shap(paper_network, images, 1, controls=images[:0])
