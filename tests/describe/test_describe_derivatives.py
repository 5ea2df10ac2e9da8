"""Derivatives say what made them."""

from heatproof.describe.describe_derivatives import describe


def test_version_packages_of_the_stage_s_own_jobs_and_configuration_are_named(config):
    software = {
        "heatproof.train.fit_model": [{"torch": "2.13.0"}],
        "heatproof.register.register_scan": [{"antspyx": "1"}],
    }
    provenance = {"heatproof": {"version": "0.1.0", "commit": "abc"}, "config": config, "software": software}
    description = describe("train", provenance)
    assert description["GeneratedBy"][0]["Version"] == "0.1.0" and description["GeneratedBy"][0]["Commit"] == "abc"
    assert description["Configuration"] == config and description["DatasetType"] == "derivative"
    assert description["Packages"] == {"heatproof.train.fit_model": [{"torch": "2.13.0"}]}


def test_without_a_commit_the_version_stands_alone(config):
    provenance = {"heatproof": {"version": "0.1.0", "commit": None}, "config": config, "software": {}}
    assert "Commit" not in describe("train", provenance)["GeneratedBy"][0]
