"""Splitting: by participant, per class, independent of the table's order."""

import numpy as np
import pandas as pd
import pytest

from heatproof.cohort.split import split_participants
from heatproof.errors import StudyError
from heatproof.task import THIRDS

COUNTS = {"test": 3, "validation": 2, "seed": 0}


@pytest.fixture
def scans() -> pd.DataFrame:
    """Ten patients and twelve controls with one to three scans each."""
    people = [f"sub-P{i}" for i in range(10)] + [f"sub-C{i}" for i in range(12)]
    rows = [(p, "patient" if "P" in p else "control") for i, p in enumerate(people) for _ in range(1 + i % 3)]
    return pd.DataFrame(rows, columns=["participant_id", "label"])


def by_person(scans, split) -> dict:
    table = scans.assign(split=split_participants(scans, split))
    assert (table.groupby("participant_id")["split"].nunique(dropna=False) == 1).all()
    return table.drop_duplicates("participant_id").set_index("participant_id")


def test_counts_hold_per_class(scans):
    counts = by_person(scans, COUNTS).groupby(["label", "split"]).size()
    assert counts["patient"].to_dict() == {"test": 3, "validation": 2, "train": 5}
    assert counts["control"].to_dict() == {"test": 3, "validation": 2, "train": 7}


def test_of_many_participants_some_may_be_left_out_and_all_others_keep_their_part(scans):
    split, few = by_person(scans, COUNTS)["split"], by_person(scans, COUNTS | {"train": 6})
    assert few.groupby(["label", "split"]).size().to_dict() == {
        (label, part): n
        for label, train in (("control", 6), ("patient", 5))
        for part, n in (("test", 3), ("validation", 2), ("train", train))
    }
    assert few["split"].isna().sum() == 1 and few["split"].dropna().equals(split[few["split"].notna()])


def test_order_of_rows_does_not_matter_but_the_seed_does(scans):
    split = by_person(scans, COUNTS)["split"]
    shuffled = by_person(scans.sample(frac=1, random_state=1), COUNTS)["split"]
    assert shuffled.sort_index().equals(split.sort_index())
    assert not by_person(scans, COUNTS | {"seed": 1})["split"].equals(split)


def test_too_few_participants_are_told(scans):
    with pytest.raises(StudyError, match=r"leaves none of the 10 patients for training"):
        split_participants(scans, {"test": 6, "validation": 4, "seed": 0})


def write_split(path, scans, **changes) -> dict:
    people = scans["participant_id"].unique()
    table = pd.DataFrame({"participant_id": people, "split": np.resize(["train", "validation", "test"], len(people))})
    table["split"] = table["participant_id"].map(changes).fillna(table["split"])
    table.to_csv(path, sep="\t", index=False)
    return {"table": str(path)}


def test_a_table_is_followed(tmp_path, scans):
    split = by_person(scans, write_split(tmp_path / "split.tsv", scans))["split"]
    assert split[["sub-P0", "sub-P1", "sub-P2"]].tolist() == ["train", "validation", "test"]


def test_a_table_that_misses_someone_or_has_a_wrong_word_is_refused(tmp_path, scans):
    (tmp_path / "a.tsv").write_text("participant_id\tsplit\nsub-P0\ttrain\n")
    with pytest.raises(StudyError, match=r"has no row for sub-C0, sub-C1, .*, sub-P9; add it"):
        split_participants(scans, {"table": str(tmp_path / "a.tsv")})
    with pytest.raises(StudyError, match="split 'valid'"):
        split_participants(scans, write_split(tmp_path / "b.tsv", scans, **{"sub-P1": "valid"}))
    with pytest.raises(StudyError, match=r"nowhere.tsv does not exist; cohort.split.table must name a table"):
        split_participants(scans, {"table": str(tmp_path / "nowhere.tsv")})


def test_all_scans_may_be_for_test_where_networks_are_trained_already(scans):
    assert (split_participants(scans, COUNTS | {"test": "all"}) == "test").all()


def brains(per_class: int) -> pd.DataFrame:
    """Make patients and controls from ten brains."""
    rows = [
        (f"sub-{label[0]}{i}", label, f"sub-{i % 10}")
        for label in ("patient", "control")
        for i in range(10 * per_class)
    ]
    return pd.DataFrame(rows, columns=["participant_id", "label", "anatomy"])


@pytest.mark.parametrize("per_class", [1, 2])
def test_all_that_is_made_from_one_brain_lies_in_one_split_with_as_many_of_each_class(per_class):
    split = {"test": 4, "validation": 2, "seed": 0}
    people = brains(per_class)
    people["split"] = split_participants(people, split)
    assert (people.groupby("anatomy")["split"].nunique() == 1).all()
    for part, count in (("test", 4), ("validation", 2), ("train", 10 * per_class - 6)):
        assert people[people["split"] == part].groupby("label").size().to_dict() == {"control": count, "patient": count}


def test_counts_that_would_cut_a_brain_in_two_and_tables_that_do_are_refused(tmp_path):
    with pytest.raises(StudyError, match="multiples of 2 participants per class"):
        split_participants(brains(2), {"test": 3, "validation": 2, "seed": 0})
    people = brains(1)
    with pytest.raises(StudyError, match=r"sub-p0 and sub-c0 into two splits, .* brain of sub-0; put them into one"):
        split_participants(people, write_split(tmp_path / "a.tsv", people, **{"sub-c0": "validation"}))


def test_people_without_labels_are_drawn_three_times_as_many(scans):
    split = by_person(scans.assign(label=""), COUNTS)["split"].value_counts().to_dict()
    assert split == {"test": 9, "validation": 6, "train": 7}


def test_of_a_value_as_many_are_drawn_from_each_third():
    values = np.random.default_rng(0).permutation(np.arange(21.0))
    scans = pd.DataFrame({"participant_id": [f"sub-{i:02d}" for i in range(21)], "label": values})
    table = scans.assign(split=split_participants(scans, COUNTS, []))
    thirds = (table["label"] // 7).map({0: "low", 1: "middle", 2: "high"})
    counts = table.groupby([thirds, "split"]).size()
    assert all(counts[third].to_dict() == {"test": 3, "validation": 2, "train": 2} for third in THIRDS)
    with pytest.raises(
        StudyError, match=r"6 test .* per third of the value, .* none of the 7 participants of the high"
    ):
        split_participants(scans, {"test": 6, "validation": 2, "seed": 0}, [])
