"""What a study's network cannot do, as ``possible.tsv`` says it, and how results are left out for that."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from heatproof.tables import read_table

MARK = "not_possible.txt"  # in a folder of heatmaps that are left out


class Possible(NamedTuple):
    """What cannot be done, and why.

    Attributes
    ----------
    networks : tuple of str
        Names of the study's networks; an empty text where there is one network without a name.
    reasons : mapping
        Network, what (method, check or convergence) and name to the reason.
    options : mapping
        Network and name to the options, as text, that a method was tried with.
    """

    networks: tuple[str, ...]
    reasons: Mapping[tuple[str, str, str], str]
    options: Mapping[tuple[str, str], str]

    def why_not(self, what: str, name: str, network: str = "", options: Mapping | None = None) -> str:
        """Return why a network cannot have a method, its convergence or a check; an empty text where it can.

        Options are those that a method has now; what was tried with others says nothing of it.
        """
        tried = self.options.get((network, name), "")
        if options is not None and tried and tried != as_text(options):
            return ""
        check = what == "check" and name.startswith("random_top_")  # a part of a cascade
        return self.reasons.get((network, what, "cascade" if check else name), "")

    def why_no_maps(self, name: str, network: str = "", options: Mapping | None = None) -> str:
        """Return why there are no maps by ``{method}`` or ``{method}.{check}``; an empty text where there are."""
        method, _, check = name.partition(".")
        return self.why_not("method", method, network, options) or self.why_not("check", check, network)

    def somewhere(self, name: str) -> bool:
        """Tell whether any network has maps by ``{method}`` or ``{method}.{check}``."""
        return not all(self.why_no_maps(name, network) for network in self.networks)


def as_text(options: Mapping) -> str:
    """Write a method's options in one way."""
    return json.dumps(options, sort_keys=True)


def read_possible(path: str | Path | None) -> Possible:
    """Read what `heatproof.attribute.check_network` wrote; without a file all is possible."""
    if path is None or not Path(path).is_file():
        return Possible(("",), {}, {})
    table = read_table(path)
    table = table if "network" in table else table.assign(network="")
    no = table[table["possible"] == "no"]
    keys = no[["network", "what", "name"]].itertuples(index=False, name=None)
    tried = table[table["what"] == "method"] if "options" in table else table[:0].assign(options="")
    options = {(row.network, row.name): row.options for row in tried.itertuples()}
    return Possible(tuple(table["network"].unique()), dict(zip(keys, no["note"], strict=True)), options)


def leave_out(folder: Path, reason: str) -> None:
    """Write a folder without heatmaps that says why there are none."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).write_text(f"{reason}\n")


def is_left_out(folder: Path) -> bool:
    """Tell whether the heatmaps of a folder are left out."""
    return (folder / MARK).exists()
