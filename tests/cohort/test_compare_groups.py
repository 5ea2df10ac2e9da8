"""Age, sex and site of patients and controls: gathered from tables as people write them, compared as scipy compares."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from heatproof.cohort.compare_groups import compare_groups, describe_groups, read_groups
from heatproof.task import Task


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
    people = read_groups(tmp_path / "participants.tsv", scans)[0].set_index("participant_id")
    assert people["age"].iloc[[0, 1, 3, 4]].tolist() == [70.5, 71, 63.5, 61] and people["age"].iloc[[2]].isna().all()
    assert "".join(people["sex"]) == "FMFMFM" and people["site"].tolist() == ["1", "1", "2", "2", "2", "1"]


def test_a_dataset_that_tells_nothing_gives_empty_cells_and_no_warning(tmp_path, scans):
    put(tmp_path / "participants.tsv", "participant_id\n" + "\n".join(scans["participant_id"]) + "\n")
    people, _ = read_groups(tmp_path / "participants.tsv", scans)
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


def people_with(tmp_path, scans, column: str, cells: str, description: str = "") -> tuple[pd.DataFrame, list[str]]:
    """Read the people of a dataset that tells one thing of them."""
    rows = [f"{name} {cell}" for name, cell in zip(scans["participant_id"], cells.split(), strict=True)]
    put(tmp_path / "participants.tsv", f"participant_id {column}\n" + "\n".join(rows) + "\n")
    if description:
        (tmp_path / "participants.json").write_text(f'{{"{column}": {description}}}')
    return read_groups(tmp_path / "participants.tsv", scans)


@pytest.mark.parametrize(
    ("cells", "levels", "female", "counted"),
    [
        ("1 2 1 2 2 2", "", [np.nan] * 2, ["coded 1 (2), coded 2 (1)", "coded 2 (3)"]),
        ("0 1 0 1 1 1", "", [np.nan] * 2, ["coded 0 (2), coded 1 (1)", "coded 1 (3)"]),
        ("1 2 1 2 2 2", '{"1": "male", "2": "female"}', [1 / 3, 1], ["F (1), M (2)", "F (3)"]),
        ("1 2 1 2 2 2", '{"1": "Female", "2": {"Description": "a man"}}', [2 / 3, 0], ["F (2), M (1)", "M (3)"]),
        ("1.0 2 1 2 2 2", '{"1": "M", "2": "F"}', [1 / 3, 1], ["F (1), M (2)", "F (3)"]),
        ("H M H M M M", '{"H": "hombre", "M": "mujer"}', [np.nan] * 2, ["coded H (2), coded M (1)", "coded M (3)"]),
        ("f Man O women F female", "", [2 / 3, 2 / 3], ["F (2), O (1)", "F (2), M (1)"]),
        ("F M F M None NA", "", [1, 0], ["F (2)", "M (2)"]),
        ("F M F M X F", "", [np.nan] * 2, ["F (2), coded X (1)", "F (1), M (2)"]),
    ],
)
def test_women_are_counted_where_the_words_or_the_dataset_s_levels_tell_and_else_the_codes(
    tmp_path, scans, cells, levels, female, counted
):
    people, _ = people_with(tmp_path, scans, "sex", cells, f'{{"Levels": {levels}}}' if levels else "")
    table = describe_groups(people).set_index(["split", "label"]).loc["all"]
    assert table["female"].tolist() == pytest.approx(female, nan_ok=True) and table["sex"].tolist() == counted


def test_a_column_s_codes_are_read_by_its_own_levels_only(tmp_path, scans):
    rows = [f"sub-{number} {sex} {gender}" for number, (sex, gender) in enumerate(["12", "12", "21", "21", "12", ".2"])]
    put(tmp_path / "participants.tsv", "participant_id sex gender\n" + "\n".join(rows) + "\n")
    (tmp_path / "participants.json").write_text('{"gender": {"Levels": {"1": "female", "2": "male"}}}')
    assert read_groups(tmp_path / "participants.tsv", scans)[0]["sex"].tolist() == [
        *(f"coded {sex}" for sex in "11221"),
        "M",
    ]


def test_levels_that_are_no_json_or_say_nothing_are_read_over(tmp_path, scans):
    for text in ("not json", "[]", '{"sex": "male or female"}', '{"sex": {"Levels": ["1", "2"]}}', '{"sex": {}}'):
        people_with(tmp_path, scans, "sex", "1 2 1 2 1 2")
        (tmp_path / "participants.json").write_text(text)
        assert read_groups(tmp_path / "participants.tsv", scans)[0]["sex"].tolist() == ["coded 1", "coded 2"] * 3


@pytest.mark.parametrize(
    ("cells", "described", "ages", "noted"),
    [
        ("89+ 70 >=90 60-64 71y 072Y", "", [89, 70, 90, 62, 71, 72], "3 ages are bounds or spans (60-64, 89+, >=90)"),
        (
            "-9 70 999 sixty 71 72",
            "",
            [np.nan, 70, np.nan, np.nan, 71, 72],
            "3 ages are not counted, since -9, 999, ",
        ),
        ("840 852 n/a NA None .", '{"Units": "months"}', [70, 71, *[np.nan] * 4], ""),
        ("70 71 72 73 74 75", '{"Units": "full years (months left out)"}', [70, 71, 72, 73, 74, 75], ""),
    ],
)
def test_ages_that_are_no_plain_numbers_are_counted_as_what_they_tell_and_that_is_said(
    tmp_path, scans, cells, described, ages, noted
):
    people, notes = people_with(tmp_path, scans, "age", cells, described)
    assert people["age"].tolist() == pytest.approx(ages, nan_ok=True)
    assert [note[: len(noted)] for note in notes] == ([noted] if noted else [])


def test_sites_are_counted_and_compared_however_many_there_are(tmp_path, scans):
    people, _ = people_with(tmp_path, scans, "site", "a b c a NA b")
    assert describe_groups(people).set_index(["split", "label"]).loc["all", "sites"].tolist() == [2, 2]
    table = compare_groups(people).set_index("characteristic")
    assert table.at["site", "p"] == pytest.approx(stats.chi2_contingency([[1, 0, 1], [1, 2, 0]]).pvalue)


@pytest.mark.parametrize("column", ["label", "split", "scan", "image", "anatomy", "session_id", "participant"])
def test_columns_named_as_ours_are_nothing_special(tmp_path, scans, column):
    rows = [f"{name} other {sex}" for name, sex in zip(scans["participant_id"], "FFFMMM", strict=True)]
    put(tmp_path / "participants.tsv", f"participant_id {column} sex\n" + "\n".join(rows) + "\n")
    people, _ = read_groups(tmp_path / "participants.tsv", scans)
    assert "".join(people["sex"]) == "FFFMMM" and people["label"].tolist() == ["patient", "control"] * 3
    put(tmp_path / "sub-0/sub-0_sessions.tsv", f"session_id {column.replace('session_id', 'x')} sex\nses-1 z M\n")
    people, _ = read_groups(tmp_path / "participants.tsv", scans)
    assert "".join(people["sex"]) == "MFFMMM" and people["label"].tolist() == ["patient", "control"] * 3


def test_a_value_is_tested_against_every_other_characteristic():
    rng = np.random.default_rng(1)
    people = pd.DataFrame({"participant_id": range(40), "label": rng.normal(50, 10, 40), "split": "train"})
    people["age"], people["sex"], people["site"] = people["label"], ["F", "M"] * 20, [*"12"] * 20
    people["sex"] = np.where(people["label"] > 50, "F", "M")
    table = compare_groups(people, Task([], "age")).set_index("characteristic")
    assert list(table.index) == ["sex", "site"]
    groups = [people.loc[people["sex"] == sex, "label"] for sex in "FM"]
    assert table.at["sex", "p"] == pytest.approx(stats.kruskal(*groups).pvalue)
    assert table.at["sex", "warning"].startswith("Age goes with sex (Kruskal-Wallis H, p =")
    related = compare_groups(people, Task([], "severity")).set_index("characteristic")
    assert related.at["age", "test"] == "Spearman correlation" and related.at["age", "p"] == pytest.approx(0)
    described = describe_groups(people, Task([], "age"))
    assert described["label"].tolist() == ["all"] * 4 and described["participants"].tolist() == [40, 0, 0, 40]
