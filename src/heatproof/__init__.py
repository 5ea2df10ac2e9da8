"""Heatproof: can you trust the heatmap?

The study is seven stages, each a sub-package of the same name as its rules, its results folder, its tests and its
section of the config: cohort, register, train, attribute, compare, report, and describe, which has neither of its own.

From Python, `load_model`, `explain`, `measure`, `unit_effects`, `prepare_anatomy` and `simulate_scan` do on arrays what
the stages do on a study's files. Each is imported when it is first asked for, since some need torch and others do not.
"""

from importlib import import_module

__version__ = "0.2.0"
NAMES = {  # and the modules that they are of
    "load_model": "heatproof.interface",
    "explain": "heatproof.interface",
    "measure": "heatproof.interface",
    "unit_effects": "heatproof.attribute.effects",
    "prepare_anatomy": "heatproof.cohort.prepare_anatomy",
    "simulate_scan": "heatproof.cohort.simulate_scan",
    "StudyError": "heatproof.errors",
}


def __getattr__(name: str) -> object:
    if name not in NAMES:
        raise AttributeError(f"heatproof has no {name!r}; it has {', '.join(NAMES)}")
    return getattr(import_module(NAMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *NAMES])
