"""Every rule runs in the environment that it names, with nothing else at hand."""

import pytest
from killing import SMALLER

pytestmark = pytest.mark.cluster


def test_each_rule_finds_what_it_imports_in_its_own_environment(apart_study):
    assert (apart_study.results / "report/report.html").is_file()


def test_the_plan_is_the_same_in_the_environment_of_make(apart_study, checkout):
    for part in ("results", ".snakemake"):
        (checkout.folder / part).symlink_to(apart_study.folder / part)
    assert checkout.jobs(*SMALLER) == {}
