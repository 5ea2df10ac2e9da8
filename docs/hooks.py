"""Hooks of MkDocs.

A link to a file of the repository outside of docs/ is written as its text, if the file is there. A notebook of docs/
is a page, of the same name with ``-notebook`` behind it, beside the file itself.
"""

import json
import re
from pathlib import Path

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./([^)#]+)[^)]*\)")
ROOT = Path(__file__).parents[1]


def on_page_markdown(markdown, page, **_):
    """Replace links that leave docs/."""
    for _, target in OUTSIDE.findall(markdown):
        if not (ROOT / target).exists():
            raise PluginError(f"docs/{page.file.src_path}: there is no {target}")
    return OUTSIDE.sub(lambda link: link[1] if link[1].startswith("`") else f"`{link[1]}`", markdown)


def on_files(files, config, **_):
    """Add a page for every notebook."""
    for path in sorted((ROOT / "docs").glob("*.ipynb")):
        files.append(File.generated(config, f"{path.stem}-notebook.md", content=as_markdown(path)))
    return files


def as_markdown(path):
    """Write the cells of a notebook, without outputs, as a page."""
    cells = json.loads(path.read_text())["cells"]
    fences = {"markdown": "{}", "code": "```python\n{}\n```"}
    return "\n\n".join(fences[cell["cell_type"]].format("".join(cell["source"])) for cell in cells) + "\n"
