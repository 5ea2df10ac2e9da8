"""The one exception that is meant for a person."""


class StudyError(Exception):
    """What is wrong, in which file or key, and what to do: one sentence, shown without a traceback."""
