"""Write the ``dataset_description.json`` of a stage's results, in the manner of BIDS derivatives."""

import argparse
import json
from pathlib import Path

from heatproof.command import run


def describe(stage: str, provenance: dict) -> dict:
    """Say what made a stage's results: name, version, commit, the packages of its jobs and the whole configuration.

    Parameters
    ----------
    stage : str
    provenance : dict
        As `heatproof.describe.write_provenance` gathers it.
    """
    config, version, commit = provenance["config"], *provenance["heatproof"].values()
    made_by = {"Name": "heatproof", "Version": version, "Description": f"the stage {stage}"}
    ran = {name: jobs for name, jobs in provenance["software"].items() if name.split(".")[1] == stage}
    return {
        "Name": f"Heatproof {stage} of the study {config['study']}",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [made_by | ({"Commit": commit} if commit else {})],
        "SourceDatasets": [{"URL": config["cohort"]["bids"] or config["cohort"].get("scans") or "simulated"}],
        "Packages": ran,
        "Configuration": config,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage", required=True)
    parser.add_argument("--provenance", type=Path, required=True, help="provenance.json")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    description = describe(arguments.stage, json.loads(arguments.provenance.read_text()))
    arguments.out.write_text(json.dumps(description, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
