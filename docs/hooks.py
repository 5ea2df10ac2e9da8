"""Hook of MkDocs: a link to a file of the repository outside of docs/ is written as its text, if the file is there."""

import re
from pathlib import Path

from mkdocs.exceptions import PluginError

OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./([^)#]+)[^)]*\)")
ROOT = Path(__file__).parents[1]


def on_page_markdown(markdown, page, **_):
    """Replace links that leave docs/."""
    for _, target in OUTSIDE.findall(markdown):
        if not (ROOT / target).exists():
            raise PluginError(f"docs/{page.file.src_path}: there is no {target}")
    return OUTSIDE.sub(lambda link: link[1] if link[1].startswith("`") else f"`{link[1]}`", markdown)
