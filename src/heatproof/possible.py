"""What a study's network cannot do, as ``possible.tsv`` says it, and how results are left out for that."""

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
    """

    networks: tuple[str, ...]
    reasons: Mapping[tuple[str, str, str], str]

    def why_not(self, what: str, name: str, network: str = "") -> str:
        """Return why a network cannot have a method, its convergence or a check; an empty text where it can."""
        check = what == "check" and name.startswith("random_top_")  # a part of a cascade
        return self.reasons.get((network, what, "cascade" if check else name), "")

    def why_no_maps(self, name: str, network: str = "") -> str:
        """Return why there are no maps by ``{method}`` or ``{method}.{check}``; an empty text where there are."""
        method, _, check = name.partition(".")
        return self.why_not("method", method, network) or self.why_not("check", check, network)

    def somewhere(self, name: str) -> bool:
        """Tell whether any network has maps by ``{method}`` or ``{method}.{check}``."""
        return not all(self.why_no_maps(name, network) for network in self.networks)


def read_possible(path: str | Path | None) -> Possible:
    """Read what `heatproof.attribute.check_network` wrote; without a file all is possible."""
    if path is None:
        return Possible(("",), {})
    table = read_table(path)
    table = table if "network" in table else table.assign(network="")
    no = table[table["possible"] == "no"]
    keys = no[["network", "what", "name"]].itertuples(index=False, name=None)
    return Possible(tuple(table["network"].unique()), dict(zip(keys, no["note"], strict=True)))


def leave_out(folder: Path, reason: str) -> None:
    """Write a folder without heatmaps that says why there are none."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).write_text(f"{reason}\n")


def is_left_out(folder: Path) -> bool:
    """Tell whether the heatmaps of a folder are left out."""
    return (folder / MARK).exists()
