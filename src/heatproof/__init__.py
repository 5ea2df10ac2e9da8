"""Heatproof: can you trust the heatmap?

The study is six stages, each a sub-package of the same name as its rules, its results folder,
its tests and its section of the config: cohort, register, train, attribute, compare, report.
"""

__version__ = "0.1.0"
