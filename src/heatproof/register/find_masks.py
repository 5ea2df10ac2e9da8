"""Find the brain masks that someone else made, in a folder of BIDS derivatives. No image is opened."""

from collections.abc import Iterable
from pathlib import Path

from heatproof.errors import StudyError


def find_masks(options: dict, bids: str | None, scans: Iterable[str]) -> dict[str, str]:
    """Find each scan's brain mask.

    Parameters
    ----------
    options : dict
        brain_extraction and masks of the config's ``register`` section. Without ``masks``, ``brain_extraction: mask``
        looks into the dataset's own derivatives; other ways of extraction need no masks.
    bids : str or None
        The config's ``cohort.bids``.
    scans : iterable of str
        Names of scans.

    Returns
    -------
    dict
        Scan: file. Scans without a mask are absent.

    Raises
    ------
    StudyError
        If masks are to be taken and a scan has none, if none has one in the folder named, or if one has several.
    """
    needed = options["brain_extraction"] == "mask"
    folder = options["masks"] or (f"{bids}/derivatives" if needed else None)
    if folder is None:
        return {}
    found = {scan: masks_of(scan, Path(folder)) for scan in scans}
    missing = [scan for scan, masks in found.items() if not masks]
    if needed and missing:
        raise StudyError(
            f"{folder} lacks brain masks (*_desc-brain_mask.nii.gz) of {', '.join(missing)}; "
            "name their folder in register.masks, or set register.brain_extraction to auto"
        )
    if found and len(missing) == len(found):
        raise StudyError(
            f"config: register.masks names {folder}, which has no brain mask (*_desc-brain_mask.nii.gz) of any scan; "
            "correct it, or set it to null"
        )
    several = [f"{scan} has {' and '.join(masks)}" for scan, masks in found.items() if len(masks) > 1]
    if several:
        raise StudyError(
            f"{folder} has several brain masks of a scan ({'; '.join(several)}); name one derivative in register.masks"
        )
    return {scan: masks[0] for scan, masks in found.items() if masks}


def masks_of(scan: str, folder: Path) -> list[str]:
    """List the masks of a scan in its own space, from a derivative dataset or from a folder of several such."""
    place = "/".join([*scan.split("_"), "anat", f"{scan}_*desc-brain_mask.nii*"])
    found = [*folder.glob(place), *folder.glob(f"*/{place}")]
    return sorted(str(path) for path in found if "_space-" not in path.name)
