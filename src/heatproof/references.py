"""The reference images that a config may name, and the files of the store that each is made of."""

from collections.abc import Mapping

from heatproof.cohort.twins import has_twins
from heatproof.errors import StudyError

REFERENCES = {
    "mean_control": ("mean_control.npy",),
    "blurred": (),
    "twin": ("twins.npy", "twins.tsv"),
}
CONTROLS = ("train.npy", "train.tsv")  # of which a method with an option ``controls`` is given some
OPTIONS = ("baseline", "reference")  # of methods, which may name a reference image


def name_of(value: object) -> str | None:
    """Return the reference image that an option's value names, as text or as ``{blurred: mm}``; None for a number."""
    return next(iter(value)) if isinstance(value, Mapping) else value if isinstance(value, str) else None


def named_references(options: Mapping) -> dict[str, str]:
    """Return which reference image each option of an entry of ``attribute.methods`` names, if any."""
    return {option: name for option in OPTIONS if (name := name_of(options.get(option)))}


def reference_files(options: Mapping) -> list[str]:
    """List the files of the store that the options of an entry of ``attribute.methods`` need, beside the scans."""
    files = [file for name in named_references(options).values() for file in REFERENCES[name]]
    return [*files, *(CONTROLS if "controls" in options else ())]


def check_references(config: Mapping) -> None:
    """Check that there are twins where an entry of ``attribute.methods`` begins with them.

    Raises
    ------
    StudyError
        If scans are real, labelled by a volume, or simulated without their twins.
    """
    cohort = config["cohort"]
    if has_twins(cohort):
        return
    real = cohort["bids"] is not None or isinstance(cohort["label"], dict)
    reason = "these scans have no twin; choose" if real else "cohort.simulate.twins is false; set it to true, or choose"
    for name, options in config["attribute"]["methods"].items():
        for option, reference in named_references(options or {}).items():
            if reference == "twin":
                raise StudyError(f"config: attribute.methods.{name}.{option} is twin, and {reason} mean_control")
