"""The units that effects and maps are measured on: regions of the atlas, and cubes over the brain."""

import numpy as np
import pytest

from heatproof.errors import StudyError
from heatproof.units import cubes, unit_table, units_of

TWO_MM = np.diag([2.0, 2.0, 2.0, 1.0])


def test_cubes_begin_at_the_first_voxel_and_are_named_by_their_centre():
    affine = TWO_MM.copy()
    affine[:3, 3] = [-7, 1, 0]
    numbers, names = cubes(np.ones((4, 4, 4), bool), affine, 4.0)
    assert names == [f"[{x} {y} {z}]" for x in (-6, -2) for y in (2, 6) for z in (1, 5)]
    for number, (x, y, z) in enumerate(np.ndindex(2, 2, 2), start=1):
        assert (numbers[2 * x : 2 * x + 2, 2 * y : 2 * y + 2, 2 * z : 2 * z + 2] == number).all()


@pytest.mark.parametrize("edge, voxels", [(0.5, 1), (2.9, 1), (3.0, 2), (4.9, 2), (6.0, 3)])
def test_an_edge_is_rounded_to_whole_voxels_at_least_one(edge, voxels):
    numbers, names = cubes(np.ones((6, 6, 6), bool), TWO_MM, edge)
    assert len(names) == numbers.max() == (6 // voxels) ** 3
    assert (np.bincount(numbers.ravel())[1:] == voxels**3).all()


def test_a_cube_with_less_than_a_tenth_of_brain_is_no_unit():
    brain = np.zeros((4, 2, 4), bool)
    brain[:2, :, :2] = True
    brain[2, 0, 2] = True  # one voxel of eight
    numbers, names = cubes(brain, TWO_MM, 4.0)
    assert len(names) == 2 and (numbers > 0).sum() == 9
    brain = np.zeros((6, 3, 3), bool)
    brain[:3] = True
    brain[3, 0, :2] = True  # two of 27
    numbers, names = cubes(brain, TWO_MM, 6.0)
    assert len(names) == 1 and (numbers > 0).sum() == 27 and not numbers[3:].any()


def test_a_cube_that_the_grid_cuts_is_measured_by_a_whole_one():
    brain = np.ones((10, 10, 11), bool)
    numbers, names = cubes(brain, TWO_MM, 20.0)  # the second layer is one voxel thick: a tenth of a cube
    assert len(names) == 2
    numbers, names = cubes(brain[:9], TWO_MM, 20.0)  # and here 90 of 1000 voxels
    assert len(names) == 1 and numbers[:, :, 10].max() == 0


def test_units_of_the_small_brain(small_brain):
    numbers, names = units_of("cubes", small_brain.folder, "hemispheres", 20.0)
    assert numbers.dtype == np.int32 and numbers.shape == small_brain.mask.shape
    assert not numbers[~small_brain.mask].any()
    assert (numbers[small_brain.mask] > 0).mean() > 0.95
    assert len(set(names)) == len(names) == numbers.max()
    where = np.argwhere(numbers == 1) @ small_brain.affine[:3, :3].T + small_brain.affine[:3, 3]
    assert (np.abs(where - np.array(names[0].strip("[]").split(), float)) <= 12).all()
    numbers, names = units_of("regions", small_brain.folder, "hemispheres", 20.0)
    both = small_brain.regions.loc[small_brain.regions["name"].str.endswith(" Hippocampus"), "index"]
    assert len(both) == 2
    assert {names[number - 1] for number in numbers[np.isin(small_brain.labels, both)]} == {"Hippocampus"}
    assert not numbers[~small_brain.mask].any()
    table = unit_table("regions", numbers, names)
    assert set(table["unit"]) <= set(names) and table["voxels"].sum() == (numbers > 0).sum()
    assert (table["unit"] == [names[number - 1] for number in table["number"]]).all()


def test_what_is_no_kind_of_unit_is_refused(small_brain):
    with pytest.raises(StudyError, match="gyri is no kind of unit; choose regions or cubes"):
        units_of("gyri", small_brain.folder, "atlas", 20.0)
