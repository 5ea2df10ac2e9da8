"""What can be known of methods and networks without importing them is told before any job."""

import re
from contextlib import nullcontext
from pathlib import Path

import pytest

from heatproof.config_checks import check_config
from heatproof.errors import StudyError
from heatproof.sources import dictionary_entries


def test_options_are_known_from_the_functions_themselves(config, monkeypatch):
    known = dictionary_entries("src/heatproof/attribute/__init__.py", "METHODS")
    with_mine = known | {"mine": ["functools.partial", "heatproof.attribute.occlusion.occlusion"]}
    entries = {"METHODS": with_mine, "CONVENTIONS": ["target", "output", "sign"]}
    monkeypatch.setattr("heatproof.functions.dictionary_entries", lambda path, name: entries[name])
    mine = {"method": "mine", "target": "patient", "output": "logit", "sign": "signed", "patch": 3}
    config["attribute"]["methods"]["my_own"] = mine
    check_config(config)
    mine["ptach"] = 3
    with pytest.raises(
        StudyError, match=r"methods.my_own has no option 'ptach'; mine has method, target, .* patch, str"
    ):
        check_config(config)


NETWORKS = """
from math import prod as product
from torch import nn


class Whole(nn.Module): ...


def build(shape, depth, *, width=3): ...


def any_options(shape, **options): ...
"""
TOLD = [
    ("mine:build", {"depth": 2}, None),
    ("mine:any_options", {"whatever": 2}, None),
    ("mine:Whole", {"whatever": 2}, None),
    ("elsewhere.networks:build", {"whatever": 2}, None),
    ("mine:biuld", {}, "train.network.function 'mine:biuld' is not found below src/; name it module:function"),
    ("mine.networks:build", {}, "'mine.networks:build' is not found below src/"),
    ("heatproof.trian.network:build", {}, "'heatproof.trian.network:build' is not found below src/"),
    (
        "mine:build",
        {"depth": 2, "wdith": 3, "x": 1},
        "mine:build has no option 'wdith', 'x'; it has shape, depth, width",
    ),
    ("mine:build", {"width": 3}, "train.network lacks 'depth', which mine:build needs; add it"),
]


@pytest.mark.parametrize(("name", "options", "message"), TOLD)
def test_what_can_be_known_of_a_network_is_told_without_importing_it(
    name, options, message, config, tmp_path, monkeypatch
):
    (tmp_path / "src").mkdir()
    (tmp_path / "src/mine.py").write_text(NETWORKS)
    for path in ("workflow", "src/heatproof"):
        (tmp_path / path).symlink_to(Path(path).resolve())
    monkeypatch.chdir(tmp_path)
    config["train"]["network"] |= {"function": name} | options
    with pytest.raises(StudyError, match=re.escape(message)) if message else nullcontext():
        check_config(config)
