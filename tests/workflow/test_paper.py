"""The paper's preset, planned over datasets of its size and of ten times that: nothing runs, every job is counted."""

from planning import make_adni, plan


def test_the_paper_s_study_has_the_right_number_of_jobs_and_is_planned_in_seconds(checkout):
    make_adni(checkout.folder / "data/adni")
    planned = plan(checkout.folder)
    assert planned.processor_seconds < 20
    expected = {
        "list_scans": 4,
        "prepare_template": 1,
        "register_scan": 969,
        "summarise_quality": 1,
        "pack_scans": 3,
        "fit_model": 10,
        "predict_scans": 10,
        "explain_scans": 4 * 10,
        "average_maps": 4 * 10,
        "measure_accuracy": 1,
        "compare_maps": 1,
        "compare_regions": 1,
        "score_methods": 1,
        "write_page": 1,
    }
    assert {rule: planned.jobs.get(rule) for rule in expected} == expected
    assert "simulate_scan" not in planned.jobs


def test_ten_thousand_scans_and_twenty_models_are_planned_in_a_minute_or_two_and_little_memory(checkout):
    make_adni(checkout.folder / "data/adni", participants=3600, patients=2000, scans=10_000)
    planned = plan(
        checkout.folder,
        "--config",
        "cohort={split: {test: 300, validation: 200, seed: 0}}",
        f"train={{seeds: {list(range(20))}}}",
    )
    assert planned.jobs["register_scan"] == 10_000 and planned.jobs["explain_scans"] == 4 * 20
    assert planned.processor_seconds < 120 and planned.memory_gb < 2
