import json
import re
import shutil
import sys
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.image import imsave

from heatproof.report import sections, write_page
from heatproof.report.answer import RULES
from heatproof.report.comparison import note_rows, quality_rows
from heatproof.tables import write_table

LOADS = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "link": "href",
    "object": "data",
    "embed": "src",
    "source": "src",
}


class Page(HTMLParser):
    """What a page loads, the cells of its tables by id, and the text of some elements."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.tables, self.texts, self.open = [], {}, {}, []
        self.rows, self.cell = None, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if attributes.get(LOADS.get(tag)) is not None:
            self.loads.append(attributes[LOADS[tag]])
        if tag == "table":
            self.rows = self.tables.setdefault(attributes.get("id"), [])
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.cell = []
        self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.rows[-1].append(" ".join(self.cell))
            self.cell = None

    def handle_data(self, data):
        text = data.replace("\N{NO-BREAK SPACE}", " ")
        self.texts.setdefault(self.open[-1] if self.open else None, []).append(text)
        if self.cell is not None and text.strip():
            self.cell.append(text.strip())


def write(folder, config):
    """Write the page of a study whose figures are blank; imported models have no figure of their training."""
    figures = [*(f"figure-1-{method}" for method in config["attribute"]["methods"]), "figure-2-methods"]
    figures += ["figure-3-overlap", "overlap-curve", "bounds", "scale"]
    figures += [] if config["train"].get("models") else ["training"]
    figures = [folder / f"report/{name}.png" for name in figures]
    for figure in figures:
        figure.parent.mkdir(exist_ok=True)
        imsave(figure, [[0.0, 1.0]])
    arguments = ["--results", folder, "--models", folder, "--figures", *figures, "--config", json.dumps(config)]
    (folder / "report/viewer.html").write_bytes(bytes(1_500_000))
    arguments += ["--checks", folder / "compare/checks.tsv", "--pages", folder / "report/viewer.html"]
    arguments += ["--check-accuracy", folder / "compare/checks_accuracy.tsv", "--output", folder / "report/report.html"]
    before, sys.argv = sys.argv, ["write_page", *map(str, arguments)]
    write_page.main()
    sys.argv = before
    return (folder / "report/report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(study):
    return write(*study)


@pytest.fixture(scope="module")
def page_of_one(study_of_one):
    return write(*study_of_one)


@pytest.fixture(scope="module")
def parsed(page):
    return Page(page)


def test_where_there_is_one_model_nothing_is_shown_that_takes_two(page_of_one):
    shown, text = Page(page_of_one), page_of_one.partition('<section id="viewer">')[0]
    assert not {"table-1", "table-2", "agreement-voxels", "agreement-regions"} & shown.tables.keys()
    assert not re.search(r'href="#(distance|regions|agreement)"|Figure [34]\.|alt="Faithfulness', text)
    assert text.count("How far models agree is not known: that takes two (train.seeds).") == 1
    assert "no value" not in text and "on average" not in text
    assert (
        shown.tables["bounds-table"][0] == ["", "Localisation: PR area"]
        and len(shown.tables["localisation-table"]) == 6
    )


def test_several_networks_stand_side_by_side_and_what_one_cannot_have_is_said(study_of_networks):
    page = write(*study_of_networks)
    parsed = Page(page)
    assert "tried on 4 models of 2 networks" in page
    assert "LRP is left out: it has gates (vit-0, vit-1)." in page
    assert "<th>paper</th><th>vit</th><th>paper and vit</th>" in page
    assert [row[0] for row in parsed.tables["accuracy-table"][1:5]] == [
        *("paper, seed 0", "paper, seed 1", "vit, seed 0", "vit, seed 1")
    ]
    assert parsed.tables["notes"][1:] == [["LRP", "vit-0, vit-1", "left out: it has gates"]]


def test_imported_models_are_said_to_have_been_trained_elsewhere(study_of_one):
    folder, config = study_of_one
    page = write(folder, {**config, "train": {**config["train"], "models": {"0": "my <best>.pt"}}})
    shown = page.partition('<section id="training">')[2].partition("</section>")[0]
    assert (
        "trained elsewhere" in shown and "(seed 0: my &lt;best&gt;.pt)" in shown and "cannot check that scans" in shown
    )
    assert "<img" not in shown and "1 network was trained elsewhere, and here explained on" in page
    assert "that takes two (train.models)" in page and "Networks that are trained again" not in page


def test_classes_are_called_by_their_own_names(study, page, tmp_path):
    folder, config = shutil.copytree(study[0], tmp_path / "named"), study[1] | {"cohort": {"label": "group"}}
    config["cohort"]["classes"] = {"CN": "CN", "AD": "AD"}
    for name in ("cohort/scans", "cohort/demographics", "cohort/group_differences", "compare/notes"):
        table = folder / f"{name}.tsv"
        text = re.sub("(?i)patients?", "AD", table.read_text())
        table.write_text(re.sub("(?i)controls?", "CN", text))
    named = write(folder, config)
    text = re.sub(r"<pre>.*?</pre>|<style>.*?</style>", "", named, flags=re.DOTALL)
    assert not re.search("(?i)patient|(?<!mean )control", text)
    assert "The class AD is explained and held against CN. A true positive is a recognised AD scan." in text
    assert "t-maps of AD scans against CN scans" in text and "sum over AD scans divided by sum over CN scans" in text
    assert "held against CN" not in page and "t-maps of patients against controls" in page


def test_scans_that_are_all_for_test_are_counted():
    scans = pd.DataFrame({"split": "test", "label": ["patient", "control"] * 2, "participant_id": list("aabc")})
    counted = {row["split"]: row["cells"] for row in sections.count_scans(scans)}
    assert counted == {"train": [(0, 0), (0, 0)], "validation": [(0, 0), (0, 0)], "test": [(2, 2), (2, 2)]}


def test_the_page_begins_with_the_answer(page, parsed):
    lead = re.search(r'<p class="lead">(.*?)</p>', page)[1]
    assert lead == (
        "Of 4 methods, tried on 2 networks that differ by chance alone, 4 with care (Occlusion, LRP, "
        "Guided backpropagation, Gradient × input)."
    )
    assert page.index(lead) < page.index("<table")
    head, *rows = parsed.tables["answer-table"]
    assert [text.split(" 0 1")[0] for text in head] == [
        *["Method", "Robust over retraining", "Faithful to the model", "Localises the change"],
        *["Depends on what was learned", "Verdict"],
    ]
    assert rows[1] == [
        *["3 LRP reference: empty scan", "0.70 0.60 to 0.80", "0.60 0.50 to 0.70", "0.70 0.60 to 0.80"],
        *["0.59 no interval", "◐ with care"],
    ]


def test_an_interval_is_drawn_from_its_lower_to_its_upper_end_with_the_floor(page):
    row = page[page.index(">3</span> LRP") :]
    cell = row[row.index('data-label="Localises the change"') : row.index('data-label="Depends on what was learned"')]
    assert (
        'class="interval" x1="60.0%" x2="80.0%"' in cell and '<circle cx="70.0%" cy="8" r="4" class="above"/>' in cell
    )
    assert 'class="floor" x1="12.0%" x2="12.0%"' in cell and 'title="floor: chance, 0.12"' in cell


def test_the_rule_of_the_verdict_is_stated_in_words_and_the_questions_are_told_apart(page):
    for rule in RULES:
        assert f"<dt>{rule.verdict}</dt><dd>{rule.words}</dd>" in page
    assert "what makes this a patient rather than healthy?" in page
    assert "what makes this a patient rather than nothing?" in page


def test_every_figure_says_how_it_is_read(page):
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page, re.S)
    assert len(captions) > 8 and all("How to read it:" in caption for caption in captions)


def test_every_anchor_of_the_contents_is_there(page, page_of_one):
    for text in (page, page_of_one):
        assert set(re.findall(r'href="#(\w+)"', text)) <= set(re.findall(r'<section id="(\w+)"', text))


def test_the_page_loads_nothing_from_anywhere(page, parsed):
    assert len(parsed.loads) > 8
    assert all(address.startswith("data:image/") for address in parsed.loads)
    assert not re.search(r"@import|url\(", "".join(parsed.texts["style"]))
    assert "default-src 'none'" in page


def test_the_page_links_to_the_pages_beside_it_and_says_how_large_they_are(page, study):
    assert '<a href="viewer.html">viewer.html</a> (1.5 MB)'.replace(" MB", "\N{NO-BREAK SPACE}MB") in page
    assert 'href="participants.html"' not in page


def test_patients_and_controls_are_described_and_a_difference_is_warned_of(parsed, page):
    rows = {row[0]: row[1:] for row in parsed.tables["groups"]}
    assert rows["Train"] == rows["All"] == ["71.2 ± 6.0", "50 %", "–"] * 2
    assert page.count('class="warning"') == 2 and "Patients and controls differ in age." in page


def test_scans_that_were_left_out_are_named_with_the_reason(page):
    assert "sub-077 is left out: sub-077_T1w.nii.gz: ends too early." in page


def test_the_accuracy_table_ends_with_mean_range_and_the_paper(parsed):
    rows = {row[0]: row[1:] for row in parsed.tables["accuracy-table"]}
    assert rows["Seed 0"][:3] + rows["Seed 0"][-4:] == ["81.2 %", "79.2 %", "83.2 %", "9", "10", "1", "2"]
    assert rows["Mean"][0] == "87.5 %"
    assert rows["Range"][0] == "81.2–93.8 %"
    assert rows["Paper, mean"][0] == "86.74 %"
    assert rows["Paper, range"][0] == "83.06 % to 90.12 %"


def test_table_1_stands_beside_the_papers(parsed, study):
    rows = {row[0]: row[1:] for row in parsed.tables["table-1"]}
    l2 = (study[0] / "compare/l2.tsv").read_text().splitlines()
    tp, tn = ([float(v) for v in line.split("\t")[4:]] for line in l2 if line.startswith("lrp"))
    found = rows["LRP"]
    assert found[0] == found[5] == "2"
    assert [found[i] for i in (1, 2, 6, 7)] == [f"{value:.1f}" for value in (*tp[:2], *tn[:2])]
    assert found[3] == f"{tp[2]:.3f} {0.9 * tp[2]:.3f}–{1.1 * tp[2]:.3f}"
    assert [found[i] for i in (4, 9)] == ["2,241", "2,196"]
    assert [rows["Gradient × input"][i] for i in (4, 9)] == ["3,102", "3,145"]
    assert [rows["Guided backpropagation"][i] for i in (4, 9)] == ["2,930", "1,992"]
    assert [rows["Occlusion"][i] for i in (4, 9)] == ["25,553", "30,774"]


def test_table_2_stands_beside_the_papers_with_and_without_the_diagonal(parsed):
    rows = parsed.tables["table-2"]
    middle = next(i for i, row in enumerate(rows) if row[0].startswith("With the diagonal"))
    pairs, whole = ({row[0]: row[1:] for row in part} for part in (rows[:middle], rows[middle:]))
    assert [pairs["Gradient × input"][i] for i in (1, 3, 5)] == ["69.56 %", "65.56 %", "40.44 %"]
    assert [pairs["Guided backpropagation"][i] for i in (1, 3, 5)] == ["96.22 %", "78.44 %", "65.11 %"]
    assert [pairs["LRP"][i] for i in (1, 3, 5)] == ["96.44 %", "87.11 %", "75.56 %"]
    assert [pairs["Occlusion"][i] for i in (1, 3, 5)] == ["82.89 %", "71.33 %", "64.22 %"]
    assert [whole["Gradient × input"][i] for i in (1, 3, 5)] == ["72.60 %", "69.00 %", "46.40 %"]
    assert [whole["Guided backpropagation"][i] for i in (1, 3, 5)] == ["96.60 %", "80.60 %", "68.60 %"]
    assert [whole["LRP"][i] for i in (1, 3, 5)] == ["96.80 %", "88.40 %", "78.00 %"]
    assert [whole["Occlusion"][i] for i in (1, 3, 5)] == ["84.60 %", "74.20 %", "67.80 %"]
    assert pairs["Chance, two random choices"][0::2] == ["13.9 %"] * 3


def test_table_2_has_this_studys_numbers(parsed, study):
    rows = parsed.tables["table-2"]
    top = [line.split("\t") for line in (study[0] / "compare/top_regions.tsv").read_text().splitlines()]
    mean, whole = next((float(row[4]), float(row[5])) for row in top if row[:3] == ["lrp", "", "density"])
    found = [row for row in rows if row[0] == "LRP"]
    assert found[0][3] == f"{100 * mean:.1f} % {100 * mean - 10:.1f}–{100 * mean + 5:.1f} %"
    assert found[1][3] == f"{100 * whole:.1f} %"


def test_measures_of_agreement_have_their_intervals_and_chance(parsed):
    rows = {row[0]: row[1:] for row in parsed.tables["agreement-voxels"]}
    assert rows["Method"] == ["Pearson", "Spearman", "SSIM", "Dice, top 5 %"]
    positives = parsed.tables["agreement-voxels"][2:7]
    assert positives[2] == ["LRP", "0.70 0.60 to 0.80", "–", "0.70 0.60 to 0.80", "0.70 0.60 to 0.80"]
    assert positives[4] == ["Chance", "0.00", "–", "0.00", "0.05"]
    assert rows["Chance"] == ["0.00", "–", "0.00", "–"]
    regions = {row[0]: row[1:] for row in parsed.tables["agreement-regions"]}
    assert regions["LRP"][0] == "0.70 0.60 to 0.80" and regions["LRP"][1] == "–"
    assert regions["Chance"][8] == "0.50"


def test_localisation_is_shown_where_it_was_measured(parsed, page, study):
    rows = {row[0]: row[1:] for row in parsed.tables["localisation-table"]}
    assert rows["LRP"][0] == "0.70 0.60 to 0.80" and rows["Chance"][0] == "0.12"
    content = write_page.gather(study[0], study[0], sorted(study[0].glob("report/*.png")), study[1])
    without = write_page.fill(content | {"localisation_rows": None})
    assert "Table 5" in page and "Table 5" not in without and 'href="#localisation"' not in without


def test_the_models_of_checks_stand_with_their_accuracy(study, tmp_path_factory):
    folder, config = study
    copied = tmp_path_factory.mktemp("checked") / "study"
    shutil.copytree(folder, copied)
    checks = pd.DataFrame({"method": ["lrp"], "check": "random_head", "seed": 0, "pearson": 0.2, "spearman": 0.3})
    write_table(checks, copied / "compare/checks.tsv")
    balanced = {"check": ["untrained"] * 2 + ["random_head"] * 2, "seed": [0, 1] * 2}
    accuracy = pd.DataFrame(balanced | {"balanced_accuracy": [0.5, 0.625, 0.25, 0.75], "auc": [0.9, 0.98, 0.2, 0.4]})
    write_table(accuracy, copied / "compare/checks_accuracy.tsv")
    text = write(copied, config)
    head, *rows = Page(text).tables["check-accuracy"]
    assert head == ["", "Balanced accuracy", "Range", "AUC"]
    assert rows == [
        ["Untrained", "56.2 %", "50.0–62.5 %", "0.94"],
        ["Re-initialised head", "50.0 %", "25.0–75.0 %", "0.30"],
    ]
    assert "Such checks here: untrained." in text


def test_no_accuracy_of_checks_is_shown_where_there_are_none(parsed):
    assert "check-accuracy" not in parsed.tables


def test_faithfulness_stands_beside_chance_and_the_checks(page, parsed):
    rows = {row[0]: row[1:] for row in parsed.tables["faithfulness-table"]}
    assert rows["LRP"] == rows["LRP, re-initialised head"] == ["0.30 0.20 to 0.40"] * 3
    assert rows["Chance"] == ["0.60", "0.40", "0.00"]
    assert "Recovery: cubes of 20.0 mm are replaced by those of the healthy twin" in page


def test_faithfulness_to_effects_stands_between_its_ceilings_and_floors(parsed):
    rows = {row[0]: row[1:] for row in parsed.tables["effects-table"]}
    names = list(rows)
    assert rows[""][1] == "Pearson, cubes" and len(rows[""]) == 6
    assert names[1] == "The models’ own effects, last replaced against first" and names[-1] == "Chance"
    assert names[2] == "Occlusion" and rows["Occlusion"][1] == "0.80 0.70 to 0.90"
    assert rows["LRP, re-initialised head"][1] == "−0.10 −0.20 to 0.00"
    single = [row[0] for row in parsed.tables["single-effects-table"]]
    assert single[1] == "Occlusion" and "The models’ own effects, last replaced against first" not in single


def test_the_agreement_of_maps_stands_beside_that_of_the_models_effects(parsed):
    rows = {row[0]: row[2] for row in parsed.tables["units-table"]}
    assert rows["LRP"] == "0.70 0.60 to 0.80" and rows["The models’ own effects"] == "0.40 0.30 to 0.50"


def test_what_models_differ_in_is_told_apart(parsed):
    rows = parsed.tables["causes"]
    first = next(i for i, row in enumerate(rows) if row[0] == "LRP")
    assert [row[1] for row in rows[first : first + 3]] == ["both", "order of batches", "initialisation"]
    assert rows[first][2] == rows[first + 1][2] == "0.70 0.60 to 0.80"
    assert {row[0]: row[1:] for row in parsed.tables["variance"]}["LRP"] == ["75 %"]


def test_more_seeds_are_said_to_narrow_the_intervals(page):
    words = "Pearson’s correlation: 0.25 with 4, 0.10 with 10, 0.03 with 30 and 0.01 with endlessly many models."
    assert words in page


def test_an_empty_cell_is_a_dash_and_has_its_reason(parsed):
    assert [row[5] for row in parsed.tables["table-2"] if row[0] == "Occlusion"] == ["–", "–"]
    assert parsed.tables["notes"][1:] == [["Occlusion", "every", "no relevance of controls to divide by"]]


def test_one_reason_for_several_models_is_one_row():
    notes = pd.DataFrame(
        [
            ("lrp", 0, "a"),
            ("lrp", 2, "a"),
            (None, 1, "b"),
            ("lrp", None, "c"),
            *(("lrp", seed, "d") for seed in range(3)),
        ],
        columns=["method", "seed", "reason"],
    )
    rows = [tuple(row.values()) for row in note_rows(notes, [0, 1, 2])]
    assert rows == [("LRP", "0, 2", "a"), ("every", "1", "b"), ("LRP", "every", "c"), ("LRP", "every", "d")]


def test_scans_are_counted_by_split_and_label(parsed):
    assert parsed.tables["scans"][1:] == [
        ["Train", "6 (6)", "6 (6)"],
        ["Validation", "2 (2)", "2 (2)"],
        ["Test", "4 (4)", "4 (4)"],
    ]


def test_outliers_of_registration_come_first_and_are_marked(page, parsed):
    rows = parsed.tables["quality-table"]
    assert rows[0] == ["Scan", "Correlation", "Brain overlap", "Folded share"]
    assert [row[0] for row in rows[1:4]] == ["sub-001_ses-M00", "sub-000_ses-M00", "sub-002_ses-M00"]
    assert rows[1][2] == "0.6100"
    assert re.findall(r'<td class="outlier">(.*?)</td>', page) == ["0.6100"]


def test_figures_of_quality_are_written_by_their_kind():
    quality = pd.DataFrame(
        {"scan": ["a"], "brain_mm3": [1258389.2], "solidity": [0.98], "extraction": ["none"], "notes": [np.nan]}
    )
    assert [text for text, _ in quality_rows(quality.assign(outlier=""))[0]["cells"]] == [
        "1,258,389",
        "0.9800",
        "none",
        "",
    ]


def test_run_times_are_added_up_by_stage_and_rule(parsed):
    rows = parsed.tables["runtimes"][1:]
    assert [row[0] for row in rows if row[0]] == ["register", "train", "compare"]
    assert ["train", "", "", "2 min 0 s", ""] in rows
    assert ["", "train_model", "2", "2 min 0 s", "901 MB"] in rows
    assert ["", "register_scan", "1", "2.0 s", "–"] in rows


def test_the_configuration_can_be_read_back_from_the_page(parsed, study):
    assert yaml.safe_load("".join(parsed.texts["pre"])) == study[1]


def test_versions_are_those_that_jobs_ran_with(parsed):
    assert dict(parsed.tables["versions"][1:]) == {"heatproof": "0.1.0", "Python": "3.11.2", "torch": "2.13.0"}


def test_the_licence_of_the_atlas_is_named(page):
    assert "Neuromorphometrics atlas, licensed CC BY-NC" in page


def test_the_same_files_give_the_same_page(page, study):
    folder, config = study
    figures = sorted(folder.glob("report/*.png"))
    of_checks = folder / "compare/checks.tsv", folder / "compare/checks_accuracy.tsv"
    pages = [folder / "report/viewer.html"]
    assert write_page.fill(write_page.gather(folder, folder, figures, config, *of_checks, pages)) == page


def test_a_method_that_is_switched_off_is_not_on_the_page():
    assert list(sections.used_methods({"attribute": {"methods": {"lrp": None, "x": {"method": "occlusion"}}}})) == ["x"]
