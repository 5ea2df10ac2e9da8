"""What runs again after which change: each is made on the finished tiny study, and the plan compared with the table.

python tests/workflow/test_reruns.py     # writes docs/reruns.md from the table
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = Path(__file__).with_name("reruns.md")
DOCS = ROOT / "docs/reruns.md"

JOBS = {
    **{"list_scans": 6, "prepare_anatomy": 1, "simulate_scan": 14, "describe_dataset": 1, "describe_twins": 1},
    **{"compare_groups": 1},
    **{"prepare_template": 2, "check_network": 1, "register_scan": 14, "summarise_quality": 1, "check_quality": 1},
    **{"pack_scans": 4, "average_controls": 1, "check_leakage": 2, "fit_model": 2, "predict_scans": 2},
    **{"randomise_model": 2, "predict_by_check": 2},
    **{
        "explain_scans": 20,
        "delete_regions": 20,
        "trace_convergence": 3,
        "average_maps": 20,
        "make_noise": 10,
        "make_t_map": 4,
    },
    **{"measure_effects": 2, "recover_by_effects": 2, "recover_by_map": 10, "compare_effects": 1},
    **{"measure_accuracy": 1, "measure_check_accuracy": 1},
    **{"measure_method": 15, "measure_t_map": 2, "measure_ensembles": 5, "measure_scale": 15},
    **{"make_change": 1, "compare_checks": 1, "write_tables": 1},
    **{"draw_seeds": 5, "draw_methods": 1, "draw_overlaps": 1, "draw_overlap_curve": 1, "draw_bounds": 1},
    **{"draw_scale": 1, "draw_ensembles": 1, "draw_convergence": 1, "draw_training": 1},
    **{"write_viewer": 1, "write_participants": 1, "write_registration": 1, "write_page": 1},
    **{"write_provenance": 1, "describe_derivatives": 4, "write_crate": 1},
}


def some(*rules: str, **counts: int) -> dict[str, int]:
    """Return rules with all their jobs, and rules of which only some jobs run."""
    return {rule: JOBS[rule] for rule in rules} | counts


DESCRIBED = some("write_provenance", "describe_derivatives", "write_page", "write_crate")
TABULATED = some("write_tables", "draw_bounds", "draw_overlaps", "draw_overlap_curve") | DESCRIBED
SCALED = some("measure_scale", "draw_scale")
AVERAGED = some("measure_ensembles", "draw_ensembles") | SCALED
AGREED = some("measure_method", "measure_t_map") | TABULATED
COMPARED = some("compare_checks", "draw_methods", "draw_ensembles", "draw_scale") | TABULATED
MEASURED = COMPARED | AVERAGED | AGREED | some("draw_seeds")
DRAWN = MEASURED | some("average_maps", "make_noise", "make_t_map", "compare_effects")
VIEWED = some("write_viewer", "write_participants")
DRAWN |= VIEWED
BUT_T_MAP = some("average_maps", "make_noise", "draw_seeds", "measure_method")
FOLLOWED = some("delete_regions", "recover_by_map")
REPLACED = some("measure_effects", "recover_by_effects", "compare_effects", "measure_t_map") | SCALED
WALKED = some("trace_convergence", "draw_convergence")
EXPLAINED = COMPARED | AVERAGED | BUT_T_MAP | FOLLOWED | VIEWED | some("explain_scans")
ONE_METHOD = COMPARED | VIEWED | some("check_network", explain_scans=4, average_maps=4, make_noise=2, draw_seeds=1)
ONE_METHOD |= some(measure_method=3, measure_scale=3, delete_regions=4, recover_by_map=2, measure_ensembles=1)
ONE_WALKED = ONE_METHOD | WALKED | {"trace_convergence": 1}
PREDICTED = some("predict_scans", "measure_accuracy", "predict_by_check", "measure_check_accuracy")
ONE_SEED = MEASURED | PREDICTED | VIEWED | some("draw_training", fit_model=1, randomise_model=1)
ONE_SEED |= some(predict_scans=1, predict_by_check=1)
ONE_SEED |= some(explain_scans=10, average_maps=10, make_noise=5, make_t_map=2)
ONE_SEED |= WALKED | some(
    delete_regions=10, measure_effects=1, recover_by_effects=1, recover_by_map=5, compare_effects=1
)
MODELS_KNOWN = EXPLAINED | WALKED | PREDICTED | REPLACED
ONE_TEST_SCAN = MODELS_KNOWN | some(
    "describe_dataset", "describe_twins", "compare_groups", "summarise_quality", "check_quality", list_scans=3
)
ONE_TEST_SCAN |= some(simulate_scan=2, register_scan=2, pack_scans=2, check_leakage=1)  # a patient's, and the twin
TRIED = some("check_network")
ONE_TEST_SCAN |= some("write_registration", "make_change", make_t_map=2)
TRAINED = MODELS_KNOWN | some("fit_model", "randomise_model", "draw_training")
REGISTERED = TRAINED | DRAWN | some("write_registration", "register_scan", "summarise_quality", "check_quality")
REGISTERED |= some("pack_scans", "average_controls", "make_change", "check_leakage")
ALL_BUT_COHORT = REGISTERED | TRIED | some("prepare_template")


def config(text: str) -> Callable:
    """Return a change of the config: what is laid over it."""
    return lambda checkout: ["--config", text]


def edit(file: str, old: str, new: str) -> Callable:
    """Return an edit of a file of the checkout."""

    def change(checkout):
        path = checkout.folder / "src/heatproof" / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        return []

    return change


def edit_all(append: str) -> Callable:
    """Return an edit that appends to every Python file; an empty text leaves a file as it is, but newer."""

    def change(checkout):
        for path in (checkout.folder / "src").rglob("*.py"):
            path.write_text(path.read_text() + append)
        return []

    return change


def own_template(checkout) -> list[str]:
    """Name an image file as the template."""
    shutil.copy(checkout.results / "register/template/T1w.nii.gz", checkout.folder / "mine.nii.gz")
    return ["--config", "register={template: {T1w: mine.nii.gz, brain_mask: null}}"]


Z_PLUS = "{method: lrp, target: patient, output: margin, sign: signed, rule: z_plus}"
NEW_METHOD = '"gradient_input": gradients.gradient_input,'

CHANGES: dict[str, tuple[Callable, dict[str, int]]] = {
    "nothing": (lambda checkout: [], {}),
    "another number of cores": (lambda checkout: ["--cores", "7"], {}),
    "every source file touched": (edit_all(""), {}),
    "a comment in every source file": (edit_all("\n# what a person should know\n"), {}),
    "a docstring": (edit("train/fit_model.py", "Train one network", "Train a network"), {}),
    "a new version of Heatproof": (edit("__init__.py", "__version__ =", "__version__ = 'next' or"), {}),
    "a plot option (`report.dpi`)": (
        config("report={dpi: 70}"),
        DESCRIBED
        | some("draw_seeds", "draw_methods", "draw_overlaps", "draw_overlap_curve", "draw_bounds", "draw_training")
        | some("draw_scale", "draw_ensembles", "draw_convergence"),
    ),
    "k of top-k (`compare.top_k`)": (
        config("compare={top_k: 4}"),
        AGREED | some("measure_ensembles", "draw_ensembles"),
    ),
    "a width of smoothing (`compare.smoothing`)": (
        config("compare={smoothing: [0, 6]}"),
        SCALED | some("draw_bounds") | DESCRIBED,
    ),
    "an LRP rule (`attribute.methods.lrp.rule`)": (config("attribute={methods: {lrp: {rule: epsilon}}}"), ONE_WALKED),
    "occlusion's patch": (config("attribute={methods: {occlusion: {patch: 5}}}"), ONE_METHOD),
    "another reference (`attribute.methods.integrated_gradients_mean_control.baseline`)": (
        config("attribute={methods: {integrated_gradients_mean_control: {baseline: twin}}}"),
        ONE_METHOD,
    ),
    "a further seed": (config("train={seeds: [0, 1, 2]}"), ONE_SEED),
    "a further method": (config(f"attribute={{methods: {{z_plus: {Z_PLUS}}}}}"), ONE_WALKED),
    "a further test scan": (config("cohort={exclude: []}"), ONE_TEST_SCAN),
    "a learning rate": (config("train={learning_rate: 0.002}"), TRAINED),
    "the network (`train.network`)": (config("train={network: {hidden: 9}}"), TRAINED | TRIED),
    "a template": (own_template, ALL_BUT_COHORT),
    "one function in `attribute/propagation.py`": (
        edit("attribute/propagation.py", "gamma: float = 0.25", "gamma: float = 0.5"),
        ONE_METHOD | WALKED,
    ),
    "one function in `attribute/explain.py`": (
        edit("attribute/explain.py", "progress.update(len(paths))", "progress.update()"),
        EXPLAINED | TRIED,
    ),
    "one function in `compare/regions.py`": (
        edit("compare/regions.py", "def reference_map", "later = 1\n\n\ndef reference_map"),
        DRAWN | some("write_registration"),
    ),
    "one function in `compare/measure_method.py`": (
        edit("compare/measure_method.py", "def main", "later = 1\n\n\ndef main"),
        AGREED | some("compare_effects"),
    ),
    "one function in `train/batches.py`": (
        edit("train/batches.py", "random.random() <", "random.random() <="),
        TRAINED | TRIED,
    ),
    "one function in `train/fit_model.py`": (
        edit("train/fit_model.py", "model.train()", "model.train(True)"),
        TRAINED | TRIED,
    ),
    "one function in `register/register_scan.py`": (
        edit("register/register_scan.py", "def main", "later = 1\n\n\ndef main"),
        REGISTERED,
    ),
    "one function in `report/words.py`": (
        edit("report/words.py", "def ", "later = 1\n\n\ndef "),
        some("write_page", "write_crate"),
    ),
    "a method that the config does not use yet, in the table of methods": (
        edit("attribute/__init__.py", NEW_METHOD, NEW_METHOD + ' "new": gradients.gradient_input,'),
        {},
    ),
}


@pytest.fixture
def changed_checkout(copied_study):
    """A copy of the finished study in another folder, whose sources are files of its own, newer than all results."""
    (copied_study.folder / "src").unlink()
    shutil.copytree(ROOT / "src", copied_study.folder / "src", copy_function=shutil.copyfile)
    return copied_study


def test_the_table_knows_every_job(checkout):
    assert checkout.jobs("--configfile", "tests/workflow/tiny.yaml") == JOBS | {
        "all": 1,
        "total": sum(JOBS.values()) + 1,
    }


@pytest.mark.parametrize("change", CHANGES)
def test_only_what_depends_on_a_change_runs_again(changed_checkout, change):
    make, expected = CHANGES[change]
    options = make(changed_checkout)
    planned = changed_checkout.jobs("--configfile", "tests/workflow/tiny.yaml", *options)
    assert {rule: count for rule, count in planned.items() if rule not in ("all", "total")} == expected


GROUPS = {"*comparison*": COMPARED, "*page*": DESCRIBED}


def listed(rules: dict[str, int]) -> str:
    """List rules in the order of the workflow, the last ones as a group, with their jobs where not all of them run."""
    group = next((name for name in GROUPS if GROUPS[name].items() <= rules.items()), None)
    single = [rule for rule in JOBS if rule in rules.keys() - GROUPS.get(group, {}).keys()]
    found = [rule if rules[rule] == JOBS[rule] else f"{rule} ({rules[rule]})" for rule in single]
    return ", ".join(found + [group] * bool(group)) or "nothing"


def page() -> str:
    """Write docs/reruns.md."""
    groups = {name.strip("*"): ", ".join(rule for rule in JOBS if rule in rules) for name, rules in GROUPS.items()}
    return PAGE.read_text().format(
        **groups, rows="\n".join(f"| {name} | {listed(rules)} |" for name, (_, rules) in CHANGES.items())
    )


def test_the_page_is_what_the_table_gives():
    assert DOCS.read_text() == page()


if __name__ == "__main__":
    DOCS.write_text(page())
