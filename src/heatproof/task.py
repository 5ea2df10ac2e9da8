"""The task: which classes are learned, which one is explained, and which scans are averaged together, their group.

Later stages read groups, never labels. A group is of the scans of one class that a model got right, or got wrong:

===== ========= ==========
group label     recognised
===== ========= ==========
TP    patient   yes
TN    control   yes
FP    control   no
FN    patient   no
===== ========= ==========

``patient`` stands for the class that is explained and ``control`` for the other one, whatever their names are. Of more
classes there are ``recognised-{class}`` and ``missed-{class}`` of each, those of the class that is explained first.
"""

import argparse
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from heatproof.command import json_option
from heatproof.errors import StudyError

FORMER = ("control", "patient")  # keys of the config's ``cohort`` that name the values of these classes
PREDICTED = "predicted"  # in place of a class to explain: the one that a model predicts for the scan


class Group(NamedTuple):
    """Scans whose maps are averaged: those of a class that a model recognised as such, or did not.

    Attributes
    ----------
    title : str
        In words, of one scan.
    label : str
        The class.
    recognised : bool
    """

    title: str
    label: str
    recognised: bool


class Task(NamedTuple):
    """What networks learn.

    Attributes
    ----------
    classes : sequence of str
        Names in the order of the network's outputs.
    target : str
        The class that is explained, and whose scans are averaged first.
    """

    classes: Sequence[str]
    target: str

    @property
    def index(self) -> int:
        """The network's output that is of the target."""
        return self.classes.index(self.target)

    @property
    def reference(self) -> str:
        """The class that the target is held against: the first other one."""
        return next(name for name in self.classes if name != self.target)

    @property
    def shown(self) -> list[str]:
        """The classes in the order of tables and pages: the target first."""
        return [self.target, *(name for name in reversed(self.classes) if name != self.target)]

    @property
    def groups(self) -> dict[str, Group]:
        """All groups by name, in their order: that of the target, that which it is held against, and all others."""
        if len(self.classes) > 2:
            kinds = [(True, "recognised"), (False, "missed")]
            labels = [self.target, *(name for name in self.classes if name != self.target)]
            return {
                f"{kind}-{label}": Group(f"{kind} {label} scan", label, recognised)
                for recognised, kind in kinds
                for label in labels
            }
        return {
            "TP": Group("true positive", self.target, True),
            "TN": Group("true negative", self.reference, True),
            "FP": Group("false positive", self.reference, False),
            "FN": Group("false negative", self.target, False),
        }

    @property
    def compared(self) -> list[str]:
        """The groups whose maps are compared between models, that of the target first."""
        return [name for name, group in self.groups.items() if group.recognised]

    @property
    def explained(self) -> str:
        """The group of the scans of the target that were recognised: what most measures are of."""
        return self.compared[0]

    def reference_groups(self, which: str) -> list[str]:
        """The groups of the class that the target is held against: those recognised (true_negatives), or all."""
        found = {name: group for name, group in self.groups.items() if group.label == self.reference}
        return [name for name, group in found.items() if which == "all" or group.recognised]

    def output_of(self, name: str) -> int:
        """Return the network's output that is of a class.

        Raises
        ------
        StudyError
            If there is no such class.
        """
        if name not in self.classes:
            raise StudyError(f"{name!r} is no class; the classes are {', '.join(self.classes)}")
        return self.classes.index(name)


PATIENTS = Task(("control", "patient"), "patient")  # where nothing else is said


def classes_of(cohort: Mapping) -> dict[str, object]:
    """Return the values of each class, by name and in the order of the network's outputs.

    Parameters
    ----------
    cohort : mapping
        The config's ``cohort``: classes, and perhaps the former keys ``patient`` and ``control``, which go before.
    """
    return {**(cohort.get("classes") or {}), **{name: cohort[name] for name in FORMER if name in cohort}}


def task_of(config: Mapping) -> Task:
    """Return the task of a config, whose methods explain one class; of no class by name, the last one is the target."""
    classes = list(classes_of(config["cohort"]))
    return Task(classes, explained_class(config["attribute"]["methods"], classes))


def explained_class(methods: Mapping, classes: Sequence[str]) -> str:
    """Return the class that ``attribute.methods`` explain: the first one that a method names, or else the last."""
    named = [options.get("target") for options in methods.values() if isinstance(options, Mapping)]
    return next((name for name in named if name in classes), classes[-1])


def scans_by_group(predictions: pd.DataFrame, task: Task) -> dict[str, list[str]]:
    """List the test scans of each group, sorted by name.

    Parameters
    ----------
    predictions : DataFrame
        scan, split, label and predicted, both classes of the task.
    task : Task

    Returns
    -------
    dict of list of str
        One list, possibly empty, for each of the task's groups.
    """
    test = predictions[predictions["split"] == "test"]
    right = test["predicted"] == test["label"]
    return {
        name: sorted(test.loc[(test["label"] == group.label) & (right == group.recognised), "scan"])
        for name, group in task.groups.items()
    }


def plural(name: str) -> str:
    """Return the plural of a class's name, of an abbreviation the name itself."""
    return f"{name}s" if name.islower() else name


def one(name: str) -> str:
    """Return the name of a class after an article, but for an abbreviation."""
    return f"a {name}" if name.islower() else name


def whose(name: str) -> str:
    """Return the possessive of a class's plural, of an abbreviation that of the name."""
    return f"{name}s'" if name.islower() else f"{name}'s"


def as_task(value: Mapping | Sequence) -> Task:
    """Return a task that was written as JSON."""
    return Task(**value) if isinstance(value, Mapping) else Task(*value)


def task_in(options: Mapping) -> Task:
    """Return the task that a command's options carry, as JSON has it."""
    return as_task(options["task"]) if "task" in options else PATIENTS


def task_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument of a command that needs the task."""
    parser.add_argument("--task", type=lambda text: as_task(json_option(text)), required=True, help="classes, target")
