"""Pages that quote each other agree, lead somewhere, and are tables where they look like tables."""

import re
from pathlib import Path

import pytest

import heatproof
from heatproof.errors import StudyError
from heatproof.feasibility import check_feasibility

PAGES = [Path("README.md"), *sorted(Path("docs").glob("*.md"))]
SEPARATOR = re.compile(r"\|(?:\s*:?-+:?\s*\|)+")
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)


TEMPLATES = {"benchmarks": "page", "real-scans": "real_scans", "finding-brains": "finding"} | {
    name: name
    for name in ("ages", "comparison", "determinism", "intervals", "networks", "occlusion", "running", "scale")
}
TEMPLATES = {name: Path(__file__).with_name(f"{template}.md") for name, template in TEMPLATES.items()}
TEMPLATES["reruns"] = Path("tests/workflow/reruns.md")


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_page_that_a_script_writes_says_around_its_numbers_what_its_text_says(name):
    page = Path(f"docs/{name}.md").read_text().split()
    place = 0
    for fixed in re.split(r"(?<!\{)\{[^{}]*\}(?!\})", TEMPLATES[name].read_text()):
        words = fixed.replace("{{", "{").replace("}}", "}").split()[1:-1]
        while page[place : place + len(words)] != words:
            place += 1
            assert place < len(page), f"docs/{name}.md lacks: {' '.join(words)}"


@every_page
def test_every_table_has_a_header_of_as_many_columns(page):
    lines = page.read_text().splitlines()
    for above, line, below in zip(lines, lines[1:], lines[2:], strict=False):
        if SEPARATOR.fullmatch(line):
            assert above.count("|") - above.count(r"\|") == line.count("|"), line
            assert below.startswith("|")


@every_page
def test_every_link_and_every_file_that_is_named_is_there(page):
    text = page.read_text()
    linked = [page.parent / link.partition("#")[0] for link in re.findall(r"\]\((?!https?:|#)([^)]+)\)", text)]
    named = re.findall(r"(?:config|docs|envs|profiles|tests|workflow)/[\w./-]*\w\.(?:md|py|yaml|smk)", text)
    absent = {str(path) for path in [*linked, *map(Path, named)] if not path.exists()}
    assert not absent


@every_page
def test_a_target_is_not_taken_for_a_config_file(page):
    for line in re.findall(r"^    snakemake .*$", page.read_text(), re.MULTILINE):
        for named in re.findall(r"--configfile ((?:(?!--)\S+ ?)+)", line.partition("#")[0]):
            assert all(name.endswith(".yaml") for name in named.split()), line


def test_the_grid_that_is_too_small_for_the_network_is_the_one_that_the_page_names(config):
    first = float(re.search(r"from ([\d.]+) mm on the\s+grid is too small", Path("docs/run.md").read_text())[1])
    config["register"]["voxel_size"] = first - 0.1
    check_feasibility(config)
    config["register"]["voxel_size"] = first
    with pytest.raises(StudyError, match=r"too small for train\.network"):
        check_feasibility(config)


@pytest.mark.parametrize("text", [Path("docs/extending.md").read_text(), heatproof.__doc__], ids=["docs", "package"])
def test_the_stages_are_counted_as_the_workflow_has_them(text):
    stages = re.findall(r'^include: "workflow/rules/(\w+)\.smk"$', Path("Snakefile").read_text(), re.MULTILINE)[1:]
    assert len(stages) == 7 and "is seven stages" in Path("Snakefile").read_text()
    assert "seven" in text and re.search(",\\s+(?:and )?".join(stages), text)


def test_the_benchmarks_hours_and_their_gpu_hours_are_those_of_scale():
    benchmarks, scale = Path("docs/benchmarks.md").read_text(), Path("docs/scale.md").read_text()
    rows = dict(re.findall(r"^\| ([\w: ]+?) +\| +\d+ \| +([\d.]+) \|$", benchmarks, re.MULTILINE))
    of_scale = re.findall(r"^\| ([\w: ]+?) +\| +[\d,]+ \| +([\d.]+) \| +([\d.]*) +\|$", scale, re.MULTILINE)[:6]
    assert rows == {part: hours for part, hours, _ in of_scale}
    on_gpu = {part: gpu for part, _, gpu in of_scale}["train"]
    assert f"takes about\n{on_gpu} hours on one GPU" in benchmarks
