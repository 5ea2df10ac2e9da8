"""A method that the network cannot have has empty results, no row in the stage's tables, and a reason in the notes."""

import pytest

from heatproof.possible import leave_out
from heatproof.tables import read_table

TABLES = ("l2", "l2_pairs", "top_regions", "top_regions_pairs", "overlap_curve", "scores", "seeds", "variance")


@pytest.fixture(scope="module")
def left_out(make_study, tmp_path_factory):
    """A finished study with the method ``gated``, which its network cannot have, and the folder of one without it."""
    folders = []
    for name, methods in {"with": ("smooth", "rough", "gated"), "without": ("smooth", "rough")}.items():
        study = make_study(tmp_path_factory.mktemp(name))
        study.methods = methods
        for seed in (5, 2, 9):
            study.add_model(seed, {f"sub-{i}": "TP" if i % 2 else "TN" for i in range(6)})
            for heatmap in (study.root / "attribute").glob(f"gated/seed-{seed}/*.nii.gz"):
                heatmap.unlink()
            if "gated" in methods:
                leave_out(study.root / f"attribute/gated/seed-{seed}", "it has gates")
                curves = study.root / f"attribute/gated/deletion_seed-{seed}.tsv"
                curves.write_text(curves.read_text().splitlines()[0] + "\n")
        study.possible.write_text("what\tname\tpossible\tnote\nmethod\tgated\tno\tit has gates\n")
        folders.append(study.finish(top_k=2))
    return folders


def test_no_scan_is_behind_its_maps(left_out):
    maps = read_table(left_out[0] / "gated/seed-5/mean_maps.tsv")
    assert (maps["n_scans"] == 0).all() and (maps["peak_grid"] == 0).all()


@pytest.mark.parametrize("table", TABLES)
def test_tables_are_those_of_a_study_without_it(left_out, table):
    made, without = ((folder / f"{table}.tsv").read_text() for folder in left_out)
    assert made == without


def test_the_notes_say_why(left_out):
    notes = read_table(left_out[0] / "notes.tsv")
    (row,) = notes[notes["method"] == "gated"].itertuples()
    assert row.reason == "left out: it has gates" and row.seed != row.seed
