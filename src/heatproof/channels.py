"""The channels of a scan: several images of it, by name, that a network is given together.

The first is the T1w image, which is registered to the template; all others follow by its transform. A study without
``cohort.channels`` has that one alone.
"""

from collections.abc import Mapping

from heatproof.errors import StudyError
from heatproof.models import networks_of, with_option

FIRST = "T1w"
CLINICADL = "heatproof.train.clinicadl_networks:"
HIDING = ("occlusion", "region_occlusion")  # methods that hide all channels at once, or with ``channels: each`` one


def channels_of(cohort: Mapping) -> dict[str, dict]:
    """Return the BIDS entities of each channel of the config's ``cohort`` by name; the suffix is the name by itself."""
    named = cohort.get("channels") or {FIRST: {}}
    return {name: {"suffix": name, **(entities or {})} for name, entities in named.items()}


def tells_channels(options: Mapping) -> bool:
    """Tell whether a method's map tells channels apart, by its entry in ``attribute.methods``."""
    method = options["method"]
    return method != "grad_cam" and (method not in HIDING or options.get("channels") == "each")


def image_column(channel: str) -> str:
    """Return the column of a channel's files in the table of scans."""
    return "image" if channel == FIRST else f"image_{channel}"


def check_channels(config: Mapping) -> None:
    """Check that the first channel is the T1w image, and that each is simulated where the cohort is.

    Raises
    ------
    StudyError
        For the first that is not so, or where models or scans are named that know one channel.
    """
    cohort = config["cohort"]
    (first, entities), *further = channels_of(cohort).items()
    if (first, entities["suffix"]) != (FIRST, FIRST):
        raise StudyError(
            f"config: the first of cohort.channels is {first}, and it is the {FIRST} image that is registered to the "
            f"template; name {FIRST} first, of suffix {FIRST}"
        )
    if not further:
        return
    if cohort["scans"]:
        raise StudyError(
            "config: cohort.channels is about images, and cohort.scans names scans without any; leave it out"
        )
    if any(network["function"].startswith(CLINICADL) for network in networks_of(config["train"]).values()):
        raise StudyError(
            f"config: the networks of ClinicaDL in train.models take one image of a scan, and cohort.channels names "
            f"{1 + len(further)}; leave all but {FIRST} out"
        )
    if cohort["bids"] is not None:
        return
    contrasts = cohort["simulate"]["contrasts"]
    if lacking := next((name for name, _ in further if name not in contrasts), None):
        raise StudyError(
            f"config: cohort.channels names {lacking}, which cohort.simulate.contrasts has not; add it there, or name "
            f"one of {', '.join(contrasts)}"
        )


def with_inputs(config: Mapping) -> dict:
    """Tell networks the number of their channels where there are several."""
    train, inputs = config["train"], len(channels_of(config["cohort"]))
    if inputs == 1 or not isinstance(train, Mapping):
        return dict(config)
    return with_option(config, "inputs", inputs)
