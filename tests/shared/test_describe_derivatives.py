"""Derivatives say what made them."""

from heatproof import __version__
from heatproof.describe_derivatives import describe


def test_version_packages_and_configuration_are_named(config):
    description = describe("attribute", config)
    assert description["GeneratedBy"][0]["Version"] == __version__
    assert description["Configuration"] == config
    assert "torch" in description["Packages"] and description["DatasetType"] == "derivative"
