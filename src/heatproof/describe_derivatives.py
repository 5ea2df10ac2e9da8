"""Write the ``dataset_description.json`` of a stage's results, in the manner of BIDS derivatives."""

import argparse
import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from heatproof import __version__
from heatproof.command import json_option, run

PACKAGES = ("antspyx", "deepbet", "nibabel", "nilearn", "numpy", "pandas", "scipy", "snakemake", "torch", "zennit")


def installed(package: str) -> str | None:
    """Return a package's version; None where it is not installed in this environment."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def describe(stage: str, config: dict) -> dict:
    """Say what made a stage's results: name, version, packages and the whole configuration."""
    versions = {package: installed(package) for package in PACKAGES}
    return {
        "Name": f"Heatproof {stage} of the study {config['study']}",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "heatproof", "Version": __version__, "Description": f"the stage {stage}"}],
        "SourceDatasets": [{"URL": config["cohort"]["bids"] or "simulated"}],
        "Packages": {package: number for package, number in versions.items() if number},
        "Configuration": config,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage", required=True)
    parser.add_argument("--config", type=json_option, required=True, help="the whole config, as JSON")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.write_text(json.dumps(describe(arguments.stage, arguments.config), indent=2) + "\n")


if __name__ == "__main__":
    run(main)
