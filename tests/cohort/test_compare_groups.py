"""Age, sex and site of patients and controls: gathered from tables as people write them, compared as scipy compares."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from heatproof.cohort.compare_groups import compare_groups, describe_groups, read_people


def put(path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.replace(" ", "\t"))


@pytest.fixture
def scans() -> pd.DataFrame:
    names = [f"sub-{i}" for i in range(6)]
    table = pd.DataFrame({"participant_id": names, "session_id": "ses-1", "label": ["patient", "control"] * 3})
    return table.assign(scan=table["participant_id"] + "_ses-1", split=["train"] * 4 + ["test"] * 2)


def test_a_session_s_age_goes_before_the_participant_s_and_words_for_sex_are_one(tmp_path, scans):
    rows = ["sub-0 70.5 f 1", "sub-1 71 Male 1", "sub-2 n/a F 2", "sub-3 60 m 2", "sub-4 61 female 2", "sub-5 90+ M 1"]
    put(tmp_path / "participants.tsv", "participant_id age_bl Gender site\n" + "\n".join(rows) + "\n")
    put(tmp_path / "sub-3/sub-3_sessions.tsv", "session_id age\nses-1 63.5\nses-2 64\n")
    people = read_people(tmp_path, scans).set_index("participant_id")
    assert people["age"].iloc[[0, 1, 3, 4]].tolist() == [70.5, 71, 63.5, 61] and people["age"].iloc[[2, 5]].isna().all()
    assert "".join(people["sex"]) == "FMFMFM" and people["site"].tolist() == ["1", "1", "2", "2", "2", "1"]


def test_a_dataset_that_tells_nothing_gives_empty_cells_and_no_warning(tmp_path, scans):
    put(tmp_path / "participants.tsv", "participant_id\n" + "\n".join(scans["participant_id"]) + "\n")
    people = read_people(tmp_path, scans)
    table = describe_groups(people)
    assert table["participants"].tolist() == [2, 2, 0, 0, 1, 1, 3, 3]
    assert table[["age_mean", "age_sd", "female", "sites"]].isna().all(axis=None)
    assert compare_groups(people).empty


def test_groups_that_differ_are_warned_of_and_groups_that_do_not_are_not():
    rng = np.random.default_rng(0)
    people = pd.DataFrame({"participant_id": range(60), "label": ["patient", "control"] * 30, "split": "train"})
    people["age"] = rng.normal(70, 5, 60) + 8 * (people["label"] == "patient")
    people["sex"] = ["F", "F", "M", "M"] * 15
    people["site"] = np.where(people["label"] == "patient", "1", ["2", "3", "1"] * 20)
    table = compare_groups(people).set_index("characteristic")
    ages = [people.loc[people["label"] == label, "age"] for label in ("patient", "control")]
    assert table.at["age", "p"] == pytest.approx(stats.mannwhitneyu(*ages).pvalue)
    assert table.at["sex", "p"] == pytest.approx(1) and table.at["sex", "warning"] == ""
    assert table.at["site", "p"] == pytest.approx(stats.chi2_contingency([[30, 0, 0], [10, 10, 10]]).pvalue)
    for name in ("age", "site"):
        assert table.at[name, "warning"].startswith(f"Patients and controls differ in {name} (")
    described = describe_groups(people)
    assert described.loc[described["split"] == "all", "female"].tolist() == [0.5, 0.5]
