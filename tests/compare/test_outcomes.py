"""Groups of participants that are left out in turn."""

import pandas as pd

from heatproof.compare.outcomes import participant_groups
from heatproof.task import Task


def test_groups_hold_whole_participants_and_equally_many_of_each_class():
    people = [f"sub-{i:02d}" for i in range(10)]
    table = pd.DataFrame({"participant_id": people, "label": ["patient", "control"] * 5, "split": "test"})
    table = pd.concat([table.assign(scan=table["participant_id"] + visit) for visit in ("_ses-1", "_ses-2")])
    groups = participant_groups(table.sample(frac=1, random_state=0), 5)
    table["group"] = table["scan"].map(groups)
    assert (table.groupby("participant_id")["group"].nunique() == 1).all()
    assert (table.groupby(["group", "label"])["participant_id"].nunique() == 1).all()
    assert sorted(table["group"].unique()) == [1, 2, 3, 4, 5]


def test_groups_hold_equally_many_of_each_third_of_a_value():
    people = [f"sub-{i:02d}" for i in range(12)]
    table = pd.DataFrame({"scan": people, "participant_id": people, "label": [i * 5.0 % 12 for i in range(12)]})
    groups = participant_groups(table.assign(split="test"), 4, Task([], "age"))
    thirds = table["label"] // 4
    assert (table.groupby([thirds, table["scan"].map(groups)]).size() == 1).all()
