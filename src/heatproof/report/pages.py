"""What the pages of a report share: their template language, and NiiVue, which draws the brains in them."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

FOLDER = Path(__file__).parent
NIIVUE = "0.69.0"


def render(template: str, content: Mapping, **filters: Callable) -> str:
    """Fill a template of this folder."""
    pages = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {"megabytes": megabytes, **filters}
    return pages.get_template(template).render(content)


def niivue() -> str:
    """Return NiiVue's program, packed by gzip and written in base64."""
    return b64encode((FOLDER / f"niivue/niivue-{NIIVUE}.umd.js.gz").read_bytes()).decode()


def megabytes(count: float) -> str:
    """Write a number of bytes in megabytes."""
    return f"{count / 1e6:.1f}\N{NO-BREAK SPACE}MB"
