"""Heatproof: can you trust the heatmap?

The study is seven stages, each a sub-package of the same name as its rules, its results folder, its tests and its
section of the config: cohort, register, train, attribute, compare, report, and describe, which has neither of its own.
"""

__version__ = "0.1.0"
