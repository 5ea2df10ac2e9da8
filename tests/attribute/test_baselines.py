"""The baselines: what one gets without a network."""

import numpy as np
import torch
from torch.nn import functional

from heatproof.attribute.baselines import edges, input_image


def test_edges_are_sobels_in_three_dimensions(scans):
    smooth, slope = torch.tensor([1.0, 2, 1]), torch.tensor([-1.0, 0, 1])
    kernels = [torch.einsum("i,j,k->ijk", *(slope if i == axis else smooth for i in range(3))) for axis in range(3)]
    padded = functional.pad(scans, [1] * 6, mode="replicate")
    expected = functional.conv3d(padded, torch.stack(kernels)[:, None].double()).norm(dim=1, keepdim=True)
    torch.testing.assert_close(edges(None, scans, 1), expected)


def test_edges_of_a_slope_are_32_times_its_steepness_and_in_the_type_of_the_scan():
    x, y, z = np.indices((5, 6, 7), dtype=np.float32)
    magnitude = edges(None, torch.from_numpy(2 * x + 3 * y - 6 * z)[None, None], 1)
    assert magnitude.dtype == torch.float32
    torch.testing.assert_close(magnitude[0, 0, 1:-1, 1:-1, 1:-1], torch.full((3, 4, 5), 32.0 * 7))


def test_the_input_is_the_scan_itself_and_not_the_same_memory(scans):
    heatmaps = input_image(None, scans, 1)
    assert torch.equal(heatmaps, scans)
    assert heatmaps.data_ptr() != scans.data_ptr()


def test_the_input_less_a_reference_is_what_sets_the_scan_apart(scans):
    reference = scans.mean(0, keepdim=True)
    torch.testing.assert_close(input_image(None, scans, 1, reference=reference) + reference, scans)
    assert torch.equal(input_image(None, scans, 1, reference=0.0), scans)
