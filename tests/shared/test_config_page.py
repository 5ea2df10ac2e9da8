"""docs/config.md is made of the schema of the config and of its default.

python tests/shared/test_config_page.py     # writes the page anew
"""

from collections.abc import Iterator
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/config.md"
HEAD = """\
# Config

A study is one YAML file, laid over `config/config.yaml`: name only what differs.

    snakemake --cores 8 --configfile my-study.yaml

Every key is checked before any job runs; a misspelt one is named. `config/paper.yaml` has the choices of the paper,
`config/full.yaml` every method. A number with an exponent needs a point in YAML: `5.0e-4`.

This page is written from `workflow/schemas/config.schema.yaml` and `config/config.yaml` by
`python tests/shared/test_config_page.py`.
"""
ABSENT = object()
BOUNDS = {"minimum": "from {}", "exclusiveMinimum": "above {}", "maximum": "to {}", "exclusiveMaximum": "below {}"}
TYPES = {"object": "keys", "array": "list", "string": "text", "boolean": "true or false", "integer": "whole number"}


def values_of(schema: dict, definitions: dict) -> str:
    """Write which values a key takes."""
    if "$ref" in schema:
        return values_of(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "const" in schema or "enum" in schema:
        return ", ".join(f"`{as_yaml(value)}`" for value in schema.get("enum", [schema.get("const")]))
    alternatives = schema.get("oneOf") or ("type" not in schema and schema.get("anyOf"))
    if alternatives:
        return "; or ".join(dict.fromkeys(values_of(part, definitions) for part in alternatives))
    types = schema.get("type", [])
    words = " or ".join(TYPES.get(kind, kind) for kind in ([types] if isinstance(types, str) else types))
    return " ".join([words, *(text.format(schema[key]) for key, text in BOUNDS.items() if key in schema)])


def as_yaml(value: object) -> str:
    """Write a value as it stands in a config."""
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("...\n").strip()


def row(*cells: str) -> str:
    """Write a row of a table."""
    return "| " + " | ".join(cell.strip().replace("|", "\\|") for cell in cells) + " |"


def words_of(schema: dict, definitions: dict) -> str:
    """Return the description of a key, or of the definition that it refers to."""
    referred = definitions.get(schema.get("$ref", "").removeprefix("#/$defs/"), {})
    return schema.get("description") or referred.get("description", "")


def rows(properties: dict, defaults: object, definitions: dict, before: str = "") -> Iterator[str]:
    """Write a row for each key, and below it rows for the keys that it has."""
    for key, schema in properties.items():
        name, inner = f"{before}{key}", schema.get("properties", {})
        default = defaults.get(key, ABSENT) if isinstance(defaults, dict) else ABSENT
        long = isinstance(default, dict) and (inner or len(default) > 3)
        shown = "" if default is ABSENT or long else f"`{as_yaml(default)}`"
        yield row(f"`{name}`", values_of(schema, definitions), shown, words_of(schema, definitions))
        yield from rows(inner, default, definitions, f"{name}.")


def methods(section: dict, definitions: dict) -> Iterator[str]:
    """Write the options of each method, and before them those that all have."""
    entry = section["properties"]["methods"]["additionalProperties"]
    cases = [("every method", entry["properties"])]
    for case in entry["allOf"]:
        kind = case["if"]["properties"]["method"]
        names = ", ".join(f"`{name}`" for name in kind.get("enum", [kind.get("const")]))
        cases.append((names, case.get("then", {}).get("properties", {})))
    for names, options in cases:
        for key, schema in options.items():
            if schema is not True:
                yield row(names, f"`{key}`", values_of(schema, definitions), words_of(schema, definitions))


def written() -> str:
    """Write the page."""
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    default = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    definitions, head = schema["$defs"], "| key | values | default | what it is |\n| --- | --- | --- | --- |\n"
    parts = {key: part for key, part in schema["properties"].items() if "properties" in part}
    names = {key: part for key, part in schema["properties"].items() if key not in parts}
    page = [HEAD, "## Names\n", head + "\n".join(rows(names, default, definitions)) + "\n"]
    for key, part in parts.items():
        page += [f"## `{key}`\n", head + "\n".join(rows(part["properties"], default[key], definitions)) + "\n"]
        if key == "attribute":
            options = "| method | option | values | what it is |\n| --- | --- | --- | --- |\n"
            page += ["### `attribute.methods`\n", options + "\n".join(methods(part, definitions)) + "\n"]
    return "\n".join(page)


def test_the_page_of_the_config_is_made_of_the_schema():
    assert PAGE.read_text() == written(), "run python tests/shared/test_config_page.py"


def test_a_key_has_its_values_its_default_and_its_words():
    assert "| `study` | text | `demo` | name of the study" in written()
    assert "| `train.batch_size`" not in written() and "| `batch_size` | whole number from 1 | `4` |" in written()


def test_no_description_is_cut_at_a_comma():
    """In braces, YAML takes what follows a comma for a key of its own."""

    def keys(part):
        for key, inner in part.items() if isinstance(part, dict) else []:
            yield str(key)
            yield from keys(inner)
        for inner in part if isinstance(part, list) else []:
            yield from keys(inner)

    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
    assert [key for key in keys(schema) if key.startswith(("or ", "as "))] == []


if __name__ == "__main__":
    PAGE.write_text(written())
