"""The RO-Crate: as RO-Crate 1.1 and the Process Run Crate profile ask, and true of the files beside it."""

import pytest

from heatproof.describe.write_crate import PROFILE, STAGES, crate


@pytest.fixture
def provenance(config):
    return {
        "study": "demo",
        "heatproof": {"version": "0.1.0", "commit": "abc"},
        "licences": {"dataset": "CC0", "template": "free with acknowledgement", "atlas": None},
        "models": {"cohort/scans.tsv": "12", "train/seed-0/model.safetensors": "34"},
        "results": {"compare/l2.tsv": "56"},
        "config": config,
    }


def entities(provenance):
    return {entity["@id"]: entity for entity in crate(provenance, "2026-01-31")["@graph"]}


@pytest.fixture
def graph(provenance):
    return entities(provenance)


def references(value):
    """Yield every name that an entity refers to."""
    if isinstance(value, dict) and list(value) == ["@id"]:
        yield value["@id"]
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from references(item)


def test_the_root_has_what_ro_crate_demands(graph):
    descriptor, root = graph["ro-crate-metadata.json"], graph["./"]
    assert descriptor["about"] == {"@id": "./"} and descriptor["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}
    assert root["@type"] == "Dataset" and root["conformsTo"] == {"@id": PROFILE}
    assert root["datePublished"] == "2026-01-31" and {"name", "description", "license"} <= root.keys()


def test_of_licences_only_what_is_known_is_said(graph):
    licence = graph[graph["./"]["license"]["@id"]]
    assert licence["name"].startswith("No licence was given to these results")
    assert licence["description"] == "dataset: CC0; template: free with acknowledgement; atlas: not told"


def test_every_reference_is_described_and_every_file_is_a_part(graph):
    named = {name for entity in graph.values() for name in references(entity)}
    assert named - graph.keys() == {"https://w3id.org/ro/crate/1.1"}
    files = {name for name, entity in graph.items() if entity["@type"] == "File"}
    assert files | {f"{stage}/" for stage in STAGES} == set(references(graph["./"]["hasPart"]))


def test_each_stage_is_an_action_of_the_software_on_what_the_stages_before_it_made(graph):
    assert set(references(graph["./"]["mentions"])) == {f"#{stage}" for stage in STAGES}
    action = graph["#train"]
    assert action["@type"] == "CreateAction" and action["instrument"] == {"@id": "#heatproof"}
    assert action["result"] == {"@id": "train/"} and {"@id": "register/"} in action["object"]
    assert {"@id": "#dataset"} in graph["#cohort"]["object"]
    assert graph["#heatproof"]["softwareVersion"] == "0.1.0, commit abc"


def test_files_carry_their_kind_and_checksum(graph):
    assert graph["cohort/scans.tsv"]["sha256"] == "12"
    assert graph["cohort/scans.tsv"]["encodingFormat"] == "text/tab-separated-values"
    assert graph["report/report.html"]["encodingFormat"] == "text/html"


def test_a_study_of_another_s_models_holds_its_own_stages_only(provenance):
    provenance["config"] |= {"study": "patch-sweep", "models": "demo"}
    graph = entities(provenance)
    assert [stage for stage in STAGES if f"{stage}/" in graph] == ["attribute", "compare", "report"]
    assert graph["#dataset"]["name"] == "demo" and graph["#attribute"]["object"][0] == {"@id": "#dataset"}
    assert "compare/l2.tsv" in graph and "cohort/scans.tsv" not in graph
