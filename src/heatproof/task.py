"""The task: which classes, or which value, are learned, what is explained, and which scans are averaged, their group.

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

Where a value is learned (regression), the groups are ``all`` scans, and those of the participants in the highest and in
the lowest third of the value, ``high`` and ``low``. What is held against controls elsewhere is held against ``low``.
"""

import argparse
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from heatproof.command import json_option
from heatproof.errors import StudyError

FORMER = ("control", "patient")  # keys of the config's ``cohort`` that name the values of these classes
PREDICTED = "predicted"  # in place of a class to explain: the one that a model predicts for the scan
THIRDS = ("low", "middle", "high")


class Group(NamedTuple):
    """Scans whose maps are averaged: those of a class that a model recognised as such, or did not.

    Attributes
    ----------
    title : str
        In words, of one scan.
    stratum : str
        The class, or the third of the value; empty for all scans.
    recognised : bool
        True for every group of a regression.
    """

    title: str
    stratum: str
    recognised: bool


class Task(NamedTuple):
    """What networks learn.

    Attributes
    ----------
    classes : sequence of str
        Names in the order of the network's outputs; none where a value is learned.
    target : str
        The class that is explained, and whose scans are averaged first; or the value.
    """

    classes: Sequence[str]
    target: str

    @property
    def outputs(self) -> int:
        """Outputs that the network has: one for each class, or the value."""
        return len(self.classes) or 1

    @property
    def index(self) -> int:
        """The network's output that is explained."""
        return self.output_of(self.target)

    @property
    def reference(self) -> str:
        """The stratum that the target is held against: the first other class, or the lowest third of the value."""
        return next((name for name in self.classes if name != self.target), THIRDS[0])

    @property
    def shown(self) -> list[str]:
        """The strata in the order of tables and pages: the target first."""
        if not self.classes:
            return list(reversed(THIRDS))
        return [self.target, *(name for name in reversed(self.classes) if name != self.target)]

    def strata(self, scans: pd.DataFrame) -> pd.Series:
        """Return the class of each scan, or the third of the value that its participant is in; see `thirds`.

        Parameters
        ----------
        scans : DataFrame
            participant_id and label; thirds are those of the participants in it.
        """
        return scans["label"] if self.classes else thirds(scans)

    def in_words(self, stratum: str) -> str:
        """Return a stratum after an article: a patient, AD, the low third of age."""
        return one(stratum) if self.classes else f"the {stratum} third of {self.target}"

    def is_explained(self, scans: pd.DataFrame) -> pd.Series:
        """Tell which scans, of whatever stratum, are of the target: those of the class, or all that have a value."""
        return scans["label"] == self.target if self.classes else scans["label"].notna()

    @property
    def groups(self) -> dict[str, Group]:
        """All groups by name, in their order: that of the target, that which it is held against, and all others."""
        if not self.classes:
            ends = {THIRDS[-1]: "highest", THIRDS[0]: "lowest"}
            whole = {"all": Group("scan", "", True)}
            return whole | {name: Group(f"{end}-third scan", name, True) for name, end in ends.items()}
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
        """The group that most measures are of: the target's recognised scans, or all where a value is learned."""
        return self.compared[0]

    def reference_groups(self, which: str) -> list[str]:
        """The groups of what the target is held against: those recognised (true_negatives), or all."""
        found = {name: group for name, group in self.groups.items() if group.stratum == self.reference}
        return [name for name, group in found.items() if which == "all" or group.recognised]

    def output_of(self, name: str) -> int:
        """Return the network's output that is of a class, or the value.

        Raises
        ------
        StudyError
            If there is no such class.
        """
        known = self.classes or [self.target]
        if name not in known:
            raise StudyError(f"{name!r} is no class; the classes are {', '.join(known)}")
        return known.index(name)


PATIENTS = Task(("control", "patient"), "patient")  # where nothing else is said


def classes_of(cohort: Mapping) -> dict[str, object]:
    """Return the values of each class, by name and in the order of the network's outputs.

    Parameters
    ----------
    cohort : mapping
        The config's ``cohort``: classes, and perhaps the former keys ``patient`` and ``control``, which go before.
        Where it names a value, there is none.
    """
    if cohort.get("value"):
        return {}
    return {**(cohort.get("classes") or {}), **{name: cohort[name] for name in FORMER if name in cohort}}


def task_of(config: Mapping) -> Task:
    """Return the task of a config, whose methods explain one class, or the value; see `explained_class`."""
    classes = list(classes_of(config["cohort"]))
    if not classes:
        return Task(classes, config["cohort"]["value"])
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
        scan, split, label and predicted, both classes of the task; where a value is learned, participant_id as well.
    task : Task

    Returns
    -------
    dict of list of str
        One list, possibly empty, for each of the task's groups.
    """
    test = predictions[predictions["split"] == "test"]
    strata, found = task.strata(test), {}
    right = test["predicted"] == test["label"] if task.classes else pd.Series(True, test.index)
    for name, group in task.groups.items():
        members = right == group.recognised
        found[name] = sorted(test.loc[members & (strata == group.stratum) if group.stratum else members, "scan"])
    return found


def thirds(scans: pd.DataFrame) -> pd.Series:
    """Return the third that the mean value of each scan's participant is in, among the participants that have one.

    Parameters
    ----------
    scans : DataFrame
        participant_id, and label, a number.

    Returns
    -------
    Series of str
        Of `THIRDS`, aligned with ``scans``; empty without a value. Lowest and highest third have as many participants;
        of equal values those of participants that come first by name are lower.
    """
    means = scans["label"].astype(float).groupby(scans["participant_id"]).mean().dropna().sort_values(kind="stable")
    third = len(means) // 3
    names = [THIRDS[0]] * third + [THIRDS[1]] * (len(means) - 2 * third) + [THIRDS[-1]] * third
    return scans["participant_id"].map(dict(zip(means.index, names, strict=True))).fillna("")


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
