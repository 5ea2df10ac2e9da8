"""The page in a real browser: nothing goes wrong, nothing is asked of a network, tables sort and can be copied."""

import json
import re
import shutil
import subprocess

import pytest
from tests.report.test_page import write

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVE = """
<script>
  const table = document.getElementById("answer-table"), body = table.tBodies[0];
  const names = () => [...body.rows].map(row => row.cells[0].dataset.sort);
  const found = {first: names()};
  table.tHead.rows[0].cells[0].querySelector("button").click();
  found.sorted = names();
  table.tHead.rows[0].cells[0].querySelector("button").click();
  found.reversed = names();
  found.text = asText(table).split("\\n")[0];
  found.overflow = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  found.folded = [...document.querySelectorAll("section > details")].filter(part => !part.open).length;
  location.hash = "distance";
  addEventListener("hashchange", () => {
    found.unfolded = document.querySelector("#distance details").open;
    const asked = performance.getEntriesByType("resource").map(entry => entry.name);
    found.asked = asked.filter(name => !name.startsWith("data:"));
    const shown = Object.assign(document.createElement("pre"), {id: "driven", textContent: JSON.stringify(found)});
    document.body.append(shown);
  });
</script>
</body>
</html>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("width", [500, 768, 1280])
def test_the_page_works_in_a_browser_at_every_width(study, tmp_path, width):
    page = write(*study)
    assert page.endswith("</body>\n</html>")
    (tmp_path / "page.html").write_text(page.removesuffix("</body>\n</html>") + DRIVE, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=5000"]
    options += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900", "--dump-dom"]
    done = subprocess.run(
        [CHROMIUM, *options, f"file://{tmp_path}/page.html"], capture_output=True, text=True, timeout=120
    )
    found = json.loads(re.search(r'<pre id="driven">(.*?)</pre>', done.stdout)[1].replace("&amp;", "&"))
    assert found["sorted"] == sorted(found["first"]) and found["reversed"] == found["sorted"][::-1]
    assert found["text"].startswith("Method\tRobust over retraining\tFaithful to the model\tLocalises the change")
    assert found["overflow"] <= 0 and found["folded"] > 8 and found["unfolded"] and found["asked"] == []
    assert "CONSOLE" not in done.stderr
