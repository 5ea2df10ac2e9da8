"""Prose whose claims are checked against the numbers that it quotes: a page says nothing that they do not.

A claim stands in double brackets before the sentences that make it::

    - [[lrp.pearson > 0.5]] **LRP agrees** ({value[lrp.pearson]}). [[lrp.pr_auc < 0.2]] It is not right.

Sentences whose claim does not hold are left out, and with the first of a paragraph the others, which lean on it,
unless words stand before it.
"""

import re
import sys
from collections.abc import Mapping
from textwrap import fill

WIDTH = 130
CLAIM = re.compile(r"\[\[(.+?)\]\]\s*", re.DOTALL)
NUMBER = re.compile(r"(?:[\w-]+:)?[a-z]\w*(?:\.\w+)+")
DIGITS = {"value": 2, "number": 3}
QUOTES = ("{value[", "{number[")


def near(a: float, b: float, by: float) -> bool:
    """Tell whether two numbers differ by no more than ``by``."""
    return abs(a - b) <= by


def holds(claim: str, numbers: Mapping[str, float]) -> bool:
    """Tell whether a claim, an expression over numbers by name, holds; one over a number that is not there does not."""
    names = NUMBER.findall(claim)
    if any(numbers.get(name, float("nan")) != numbers.get(name) for name in names):
        return False
    functions = {"near": near, "min": min, "max": max, "abs": abs, "number": numbers.__getitem__}
    return bool(eval(NUMBER.sub(lambda name: f"number({name[0]!r})", claim), {"__builtins__": {}}, functions))


def tell(text: str, numbers: Mapping[str, float], **quoted: object) -> str:
    """Fill in a text, less the sentences whose claims do not hold, which are named on standard error.

    Parameters
    ----------
    text : str
        Markdown; paragraphs and list items are parted by blank lines and by dashes.
    numbers : mapping of str to float
        What claims are about, by name. ``{value[name]}`` quotes one with two digits, ``{number[name]}`` with three.
    **quoted
        What else the text quotes.

    Raises
    ------
    ValueError
        If a paragraph quotes a number without a claim, so that no one would see when it says something else.
    """
    quoted |= {kind: {name: f"{number:.{n}f}" for name, number in numbers.items()} for kind, n in DIGITS.items()}
    blocks = re.split(r"(\n\n+|\n(?=- ))", text)
    told = "".join(tell_block(block, numbers, quoted) for block in blocks)
    return re.sub(r"\n{3,}", "\n\n", told).strip() + "\n"


def is_known(sentences: str, quoted: Mapping[str, object]) -> bool:
    """Tell whether all numbers that sentences quote are there."""
    try:
        sentences.format(**quoted)
    except KeyError:
        return False
    return True


def tell_block(block: str, numbers: Mapping[str, float], quoted: Mapping[str, object]) -> str:
    """Fill in a paragraph or list item less what does not hold; nothing where its first claim does not."""
    first, *rest = CLAIM.split(block)
    pieces = list(zip(rest[::2], rest[1::2], strict=True))
    if any(quote in first for quote in QUOTES):
        raise ValueError(f"a number is quoted without a claim: {first.strip()}")
    if not pieces:
        return block.format(**quoted)
    told = [holds(claim, numbers) and is_known(sentences, quoted) for claim, sentences in pieces]
    kept = [sentences for (_, sentences), is_told in zip(pieces, told, strict=True) if is_told]
    for (claim, _), is_told in zip(pieces, told, strict=True):
        if not is_told:
            print(f"left out, as it does not hold: {' '.join(claim.split())}", file=sys.stderr)
    leans = first.strip() in ("", "-")
    if not kept or (leans and not told[0]):
        return ""
    indent = "  " if first.startswith("- ") else ""
    text = (first + " ".join(kept)).format(**quoted)
    return fill(" ".join(text.split()), WIDTH, subsequent_indent=indent, break_long_words=False)
