"""The pages in a real browser, at the widths of a phone, a tablet and a desk: what a reader does with them works."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from tests.report.chromium import FOUND, chromium
from tests.report.test_page import write
from tests.report.test_registration import write as write_registration
from tests.report.test_viewers import write_viewer_page

pytestmark = pytest.mark.skipif(FOUND is None, reason="no Chromium on this machine")
WIDTHS = (390, 768, 1280)
READY = "document.body.dataset.ready"
WIDER_THAN_THE_WINDOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
CANVAS = "(box => [box.x, box.y, box.width, box.height])(document.querySelector('canvas').getBoundingClientRect())"
PALE = """(() => { // texts whose contrast with what lies under them is less than 4.5 (WCAG 2.2, 1.4.3)
  const parts = colour => colour.match(/[\\d.]+/g).map(Number);
  const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = colour => colour.slice(0, 3).map(v => linear(v / 255))
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const under = part => {
    for (; part; part = part.parentElement) {
      const colour = parts(getComputedStyle(part).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const texts = [...document.querySelectorAll("body *")].filter(part =>
    !part.closest("[disabled], script, style, template, noscript, svg") && part.checkVisibility() &&
    [...part.childNodes].some(node => node.nodeType === 3 && node.data.trim()));
  return texts.filter(part => {
    const [a, b] = [light(parts(getComputedStyle(part).color)), light(under(part))].sort((one, other) => other - one);
    return (a + .05) / (b + .05) < 4.5;
  }).map(part => part.outerHTML.slice(0, 80));
})()"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("chromium")) as tab:
        yield tab


def check_page(tab, page):
    """Nothing went wrong, nothing but the page was asked for, all of it is within the window and can be read."""
    assert tab.wrong == []
    assert tab.asked == [f"file://{page}"]
    assert tab.run(WIDER_THAN_THE_WINDOW) <= 0
    assert tab.run(PALE) == []


def coloured(tab, panel):
    """Count the pixels of a panel's slices that are no grey."""
    tab.run(f"document.querySelectorAll('canvas')[{panel}].scrollIntoView()")
    tab.run("new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    box = tab.run(
        f"(({{x, y, width, height}}) => ({{x: x + scrollX, y: y + scrollY, width, height}}))"
        f"(document.querySelectorAll('canvas')[{panel}].getBoundingClientRect())"
    )
    pixels = np.asarray(Image.open(BytesIO(tab.picture(**box))).convert("RGB"), int)
    crosshair = (pixels[..., 2] > pixels[..., 0]) & (pixels[..., 2] > pixels[..., 1])
    return int(np.sum((np.ptp(pixels, axis=2) > 30) & ~crosshair))


def choose(tab, selector, value):
    tab.run(
        f"(() => {{ const select = document.querySelector({selector!r}); select.value = {value!r};"
        "return select.onchange ? select.onchange({target: select}) : select.oninput({target: select}); })()"
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_the_report_works_at_every_width(study, tab, tmp_path, width):
    page = tmp_path / "report.html"
    page.write_text(write(*study), encoding="utf-8")
    tab.open(page, width)
    tab.run(
        "table = document.getElementById('answer-table');"
        "names = () => [...table.tBodies[0].rows].map(row => row.cells[0].dataset.sort)"
    )
    first = tab.run("names()")
    press = "table.tHead.rows[0].cells[0].querySelector('button').click(); names()"
    assert tab.run(press) == sorted(first) and tab.run(press) == sorted(first)[::-1]
    text = tab.run("asText(table).split('\\n')[0]")
    assert text.startswith("Method\tRobust over retraining\tFaithful to the model\tLocalises the change")
    assert tab.run("[...document.querySelectorAll('section > details')].filter(part => !part.open).length") > 8
    tab.run("location.hash = 'distance'")
    tab.until("document.querySelector('#distance details').open")
    check_page(tab, page)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_viewer_loads_moves_and_thresholds_at_every_width(study, tab, width):
    page = write_viewer_page(*study)
    tab.open(page, width)
    tab.until(READY)
    assert tab.run(READY) == "niivue" and tab.run("document.getElementById('fallback').hidden")
    assert tab.run("document.getElementById('where').textContent") == "26, −20, −16 mm · Right Hippocampus"
    shown = coloured(tab, 0)
    assert shown > 100 and coloured(tab, 1) > 100
    choose(tab, ".threshold", "60")
    assert coloured(tab, 0) < shown / 2
    choose(tab, ".model", "seed 1")
    assert "No map" in tab.run("document.querySelector('.screen p').textContent") and coloured(tab, 0) == 0
    choose(tab, ".what", "LRP")
    assert tab.run("panels[0].map.model") == "seed 1" and coloured(tab, 0) > 100
    check_page(tab, page)


def test_both_maps_have_one_cross_that_keys_clicks_and_sliders_move(study, tab):
    tab.open(write_viewer_page(*study), 1280)
    tab.until(READY)
    tab.run("document.querySelectorAll('.screen')[1].focus()")
    for key in ("ArrowLeft", "ArrowUp", "ArrowUp", "PageDown"):
        tab.press(key)
    assert tab.run("state.mm.map(Math.round)") == [25, -21, -14]
    assert np.allclose(tab.run("panels.map(p => p.place())"), [[25, -21, -14]] * 2, atol=3.1)  # half a voxel
    choose(tab, ".axis[data-axis='0']", "-26")
    assert tab.run("document.getElementById('where').textContent") == "−26, −21, −14 mm · Left Hippocampus"
    tab.run("scrollTo(0, 0)")
    choose(tab, "#plane", "axial")
    box = tab.run(CANVAS)
    tab.click(box[0] + 0.4 * box[2], box[1] + 0.3 * box[3])
    x, y, _ = tab.run("state.mm")
    assert x < -5 and y > 0  # left is on the left, the front is up
    tab.click(box[0] + 0.6 * box[2], box[1] + 0.7 * box[3])
    x, y, _ = tab.run("state.mm")
    assert x > 5 and y < -20
    assert np.allclose(*tab.run("panels.map(p => p.place())"), atol=0.1)


def test_single_scans_are_shown_on_themselves(study, tab):
    page = write_viewer_page(*study, "--participants")
    tab.open(page, 1280)
    tab.until(READY)
    assert tab.run("panels[0].under === study.read['sub-016_ses-M00']") and coloured(tab, 0) > 100
    choose(tab, ".scans", "sub-017_ses-M00, patient, probability of a patient 0.75")
    assert tab.run("panels[0].under === study.read['sub-017_ses-M00']")
    choose(tab, ".under", "template")
    assert tab.run("panels[0].under === study.read.template")
    check_page(tab, page)


def test_without_webgl_the_same_slices_are_drawn_plainly(study, tmp_path):
    page = write_viewer_page(*study)
    with chromium(tmp_path, webgl=False) as tab:
        tab.open(page, 768)
        tab.until(READY)
        assert tab.run(READY) == "plain" and not tab.run("document.getElementById('fallback').hidden")
        shown = coloured(tab, 0)
        choose(tab, ".threshold", "60")
        assert 0 < coloured(tab, 0) < shown / 2
        choose(tab, "#plane", "axial")
        box = tab.run(CANVAS)
        tab.click(box[0] + 0.4 * box[2], box[1] + 0.3 * box[3])
        x, y, _ = tab.run("state.mm")
        assert x < -5 and y > 0
        check_page(tab, page)


@pytest.mark.parametrize("width", WIDTHS)
def test_registrations_are_compared_at_every_width(registered_study, tab, width):
    page = write_registration(registered_study, "--most", 3)
    tab.open(page, width)
    visible = "document.querySelector(`.slices .${which}`).checkVisibility({visibilityProperty: true})"
    shown = f"['before', 'after', 'template'].filter(which => {visible})"
    assert tab.run(shown) == ["after"]
    tab.press("1")
    assert tab.run(shown) == ["before"] and tab.run("document.querySelector('.state').textContent") == "before"
    tab.press("f")
    tab.until(f"{shown}.join() === 'template'")
    tab.until(f"{shown}.join() === 'before'")
    tab.press("f")
    tab.run("show('after')")
    box = tab.run("(box => [box.x, box.y])(document.querySelector('.slices').getBoundingClientRect())")
    pointer = {"x": box[0] + 50, "y": box[1] + 50, "button": "left", "clickCount": 1}
    tab.send("Input.dispatchMouseEvent", type="mousePressed", **pointer)
    assert tab.run(shown) == ["template"]
    tab.send(
        "Input.dispatchMouseEvent", type="mouseReleased", x=box[0] + 50, y=box[1] + 50, button="left", clickCount=1
    )
    assert tab.run(shown) == ["after"]
    check_page(tab, page)


def test_the_report_prints_unfolded_and_within_the_page(study, tab, tmp_path):
    page = tmp_path / "report.html"
    page.write_text(write(*study), encoding="utf-8")
    tab.open(page, 680)  # 180 mm, A4 less its margins
    tab.send("Emulation.setEmulatedMedia", media="print")
    tab.run("dispatchEvent(new Event('beforeprint'))")
    assert tab.run("[...document.querySelectorAll('details')].every(part => part.open)")
    assert tab.run(WIDER_THAN_THE_WINDOW) <= 0
    assert not tab.run("[...document.querySelectorAll('nav, .copy')].some(part => part.checkVisibility())")
    tab.send("Emulation.setEmulatedMedia", media="")
