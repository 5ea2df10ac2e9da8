"""Write the ``ro-crate-metadata.json`` that makes a study's folder an RO-Crate: what it holds and what made that.

The crate is of RO-Crate 1.1 and of the profile Process Run Crate 0.5. Its ``datePublished``, which RO-Crate demands, is
the day on which it was written; all else depends on the study alone.
"""

import argparse
import json
from datetime import UTC, datetime
from mimetypes import guess_type
from pathlib import Path

from heatproof.command import run

CONTEXT = ["https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"]
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
LICENCE = "#licence"
STAGES = {
    "cohort": "the table of scans",
    "register": "scans on the template's grid",
    "train": "one network per seed",
    "attribute": "heatmaps of every network and method",
    "compare": "mean maps, and how far models agree on them",
    "report": "figures and page",
}


def refer(*names: str) -> list[dict]:
    """Refer to entities by their names."""
    return [{"@id": name} for name in names]


def describe_file(name: str, checksum: str | None = None) -> dict:
    """Describe one file of the crate."""
    kind = {".tsv": "text/tab-separated-values", ".safetensors": "application/octet-stream"}
    encoding = kind.get(Path(name).suffix) or guess_type(name)[0]
    entity = {"@id": name, "@type": "File", "name": Path(name).name, "encodingFormat": encoding}
    return entity | ({"sha256": checksum} if checksum else {})


def own_stages(provenance: dict) -> list[str]:
    """List the stages that a study has folders of; one that explains another's models has the later ones."""
    return list(STAGES) if provenance["config"]["models"] is None else list(STAGES)[3:]


def describe_stage(stage: str, provenance: dict) -> list[dict]:
    """Describe a stage's folder, and the action that made it out of the folders before."""
    stages = own_stages(provenance)
    before = [f"{name}/" for name in stages[: stages.index(stage)]] or ["#dataset"]
    folder = {"@id": f"{stage}/", "@type": "Dataset", "name": stage, "description": STAGES[stage]}
    action = {
        "@id": f"#{stage}",
        "@type": "CreateAction",
        "name": f"the stage {stage} of the study {provenance['study']}",
        "description": f"made {STAGES[stage]}",
        "instrument": {"@id": "#heatproof"},
        "object": refer(*before, "provenance.json"),
        "result": {"@id": f"{stage}/"},
    }
    return [folder, action]


def describe_licence(licences: dict[str, str | None]) -> dict:
    """Say what binds the results: nobody gave them a licence, but what they were made from may have one."""
    told = "; ".join(f"{part}: {licence or 'not told'}" for part, licence in licences.items())
    name = "No licence was given to these results; those of what they were made from apply"
    return {"@id": LICENCE, "@type": "CreativeWork", "name": name, "description": told}


def crate(provenance: dict, day: str) -> dict:
    """Describe a study's folder.

    Parameters
    ----------
    provenance : dict
        As `heatproof.describe.write_provenance` gathers it.
    day : str
        Date of publication, YYYY-MM-DD.
    """
    version, commit = provenance["heatproof"].values()
    config, stages = provenance["config"], own_stages(provenance)
    files = {"provenance.json": None, "report/report.html": None, **provenance["results"]}
    if config["models"] is None:
        files |= provenance["models"]
    dataset = config["models"] or config["cohort"]["bids"] or config["cohort"].get("scans") or "simulated"
    root = {
        "@id": "./",
        "@type": "Dataset",
        "name": f"Heatproof: the study {provenance['study']}",
        "description": "How far explanations of brain scan classifiers agree over retraining.",
        "datePublished": day,
        "license": {"@id": LICENCE},
        "conformsTo": {"@id": PROFILE},
        "hasPart": refer(*(f"{stage}/" for stage in stages), *files),
        "mentions": refer(*(f"#{stage}" for stage in stages)),
    }
    software = {
        "@id": "#heatproof",
        "@type": "SoftwareApplication",
        "name": "Heatproof",
        "description": "implements Eitel and Ritter 2019, doi:10.1007/978-3-030-33850-3_1",
        "softwareVersion": f"{version}, commit {commit}" if commit else version,
    }
    entities = [
        {
            "@id": "ro-crate-metadata.json",
            "@type": "CreativeWork",
            "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
            "about": {"@id": "./"},
        },
        root,
        {"@id": PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"},
        describe_licence(provenance["licences"]),
        {
            "@id": "#dataset",
            "@type": "Dataset",
            "name": dataset,
            "description": "raw scans, or the study whose models are explained; provenance.json has checksums",
        },
        software,
        *(entity for stage in stages for entity in describe_stage(stage, provenance)),
        *(describe_file(name, checksum) for name, checksum in files.items()),
    ]
    return {"@context": CONTEXT, "@graph": entities}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--provenance", type=Path, required=True, help="provenance.json")
    parser.add_argument("--out", type=Path, required=True, help="ro-crate-metadata.json")
    arguments = parser.parse_args()
    described = crate(json.loads(arguments.provenance.read_text()), f"{datetime.now(UTC):%Y-%m-%d}")
    arguments.out.write_text(json.dumps(described, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    run(main)
