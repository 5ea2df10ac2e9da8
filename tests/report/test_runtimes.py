import pytest

from heatproof.report.runtimes import duration, measure_runtimes


def write(folder, name, seconds, memory):
    path = folder / f"{name}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0:00:01\t{memory}\n")


def test_jobs_of_a_rule_are_added_up_and_stages_come_in_their_order(tmp_path):
    write(tmp_path, "train/fit_model.seed-0", 61.5, 812.0)
    write(tmp_path, "train/fit_model.seed-1", 58.5, 901.5)
    write(tmp_path, "train/fit_model_again.seed-1", 1, 2)
    write(tmp_path, "register/register_scan.sub-01_ses-M00", 2, "NA")
    write(tmp_path, "cohort/list_scans", 0.5, 10)
    table = measure_runtimes(tmp_path)
    assert table[["stage", "rule", "jobs", "seconds"]].to_numpy().tolist() == [
        ["cohort", "list_scans", 1, 0.5],
        ["register", "register_scan", 1, 2],
        ["train", "fit_model", 2, 120],
        ["train", "fit_model_again", 1, 1],
    ]
    assert table["memory_mb"].fillna(-1).tolist() == [10, -1, 901.5, 2]


def test_a_study_without_measurements_has_an_empty_table(tmp_path):
    assert measure_runtimes(tmp_path / "absent").empty


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.25, "0.2 s"), (59.9, "59.9 s"), (60, "1 min 0 s"), (3599.6, "1 h 0 min"), (11105, "3 h 5 min")],
)
def test_durations_are_written_in_two_units(seconds, words):
    assert duration(seconds) == words
