"""What a study will cost, from what jobs of the same kind took in the studies whose results lie here."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from statistics import mean, median
from typing import NamedTuple

from heatproof.images import load_image
from heatproof.models import Model, network_of

TRAINED = ("fit_model", "fit_shuffled", "fit_alike")
GROWTH = {  # of a rule: what the time of one of its jobs is proportional to; the others are taken to cost the same
    "prepare_template": "voxels",
    "register_scan": "warp",
    "pack_scans": "voxels scans",
    "check_leakage": "voxels scans",
    "average_controls": "voxels train",
    **dict.fromkeys(TRAINED, "voxels train epochs"),
    "predict_scans": "voxels scans",
    "predict_by_check": "voxels scans",
    "explain_scans": "voxels test",
    "average_explained": "voxels test",
    "take_maps": "test",
    "delete_regions": "voxels",
    "measure_effects": "voxels test",
    "recover_by_effects": "voxels",
    "recover_by_map": "voxels",
    "trace_convergence": "voxels",
    "average_maps": "voxels test",
    "average_channels": "voxels test",
    "make_noise": "voxels test",
    "make_t_map": "voxels scans",
    "make_change": "voxels test",
    "measure_method": "voxels seeds",
    "measure_scale": "voxels seeds",
    "measure_ensembles": "voxels seeds",
    "write_viewer": "voxels seeds",
    "write_participants": "voxels seeds",
}
WRITTEN = {  # by a job of a rule, the first word: a file or a folder, and what their size is proportional to
    "simulate_scan": ("cohort/bids/sub-*/ses-*/anat/*.nii.gz", ""),
    "register_scan": ("register/sub-*/*_T1w.nii.gz", "voxels"),
    "register_scan transforms": ("register/sub-*/transforms", "warp"),
    "pack_scans": ("train/store/train.npy", "voxels train"),
    "explain_scans": ("attribute/*/seed-*/", "voxels test"),
    "average_maps": ("compare/*/seed-*/", "voxels"),
    "average_explained": ("compare/*/seed-*/", "voxels"),
}
BY_METHOD = {"explain_scans", "average_explained", "delete_regions", "recover_by_map", "trace_convergence"}
TORCH = {*TRAINED, *BY_METHOD, "predict_scans", "predict_by_check", "randomise_model", "check_network"}
TORCH |= {"measure_effects", "recover_by_effects"}  # take longer to begin
LEAST_WORK = 0.1  # of a job's time, where it took no longer than the fastest
SAMPLED = 40  # files or folders that are measured for a mean
TOO_FEW_BYTES = 1000  # of a folder whose heatmaps were deleted


class Kind(NamedTuple):
    """What jobs of about the same length share.

    Attributes
    ----------
    rule : str
    method : str
        Less its check; empty where it does not matter.
    network : str
        Whose models it is about; empty where it does not matter, or there is but one.
    """

    rule: str
    method: str = ""
    network: str = ""


class Units(NamedTuple):
    """Unit costs.

    Attributes
    ----------
    seconds : dict
        Of a job by its kind: what it takes to begin, and what one unit of `GROWTH` takes.
    bytes : dict
        That a job leaves, by the keys of `WRITTEN`, for one unit.
    jobs : int
        How many jobs were measured.
    """

    seconds: dict[Kind, tuple[float, float]]
    bytes: dict[str, float]
    jobs: int


def study_sizes(results: Path) -> dict[str, float] | None:
    """Read what costs are proportional to from a study's results; None where it has not come so far.

    Returns
    -------
    dict of str to float
        voxels of the working grid and of the warps' (warp), scans, scans of the splits train and test, epochs (mean
        over models), seeds.
    """
    mask = results / "register/template/brain_mask.nii.gz"
    histories = list(results.glob("train/seed-*/history.tsv"))
    if not mask.is_file() or not histories:
        return None
    rows = {split: lines(results / f"cohort/{split}.tsv") for split in ("train", "test", "scans")}
    epochs = sum(map(lines, histories)) / len(histories)
    voxels = math.prod(load_image(mask).shape)
    warp = next(results.glob("register/sub-*/transforms/*Warp.nii.gz"), None)
    warped = math.prod(load_image(warp).shape[:3]) if warp else voxels
    return {**rows, "voxels": voxels, "warp": warped, "epochs": epochs, "seeds": len(histories)}


def lines(table: Path) -> int:
    """Count the rows below the head of a table."""
    return max(1, table.read_text().count("\n") - 1) if table.is_file() else 1


def size_of(growth: str, sizes: dict[str, float]) -> float:
    """Multiply what a cost is proportional to."""
    return math.prod(sizes[factor] for factor in growth.split())


def measured_units(root: Path) -> Units:
    """Read unit costs from the studies that lie in a folder, ``results``.

    Parameters
    ----------
    root : path
        Of studies with ``benchmarks/{stage}/{rule}[.{wildcards}].tsv``, whose first column is seconds of the clock.

    Returns
    -------
    Units
    """
    seconds, written, jobs = {}, {}, 0
    for results in sorted(path for path in root.glob("*") if path.is_dir()):
        sizes = study_sizes(results)
        if sizes is None:
            continue
        times = times_of(results)
        jobs += sum(map(len, times.values()))
        begin = {torch: begin_of(times, torch) for torch in (True, False)}
        for kind, spent in times.items():
            fixed, size = begin[kind.rule in TORCH], size_of(GROWTH.get(kind.rule, ""), sizes)
            middle = median(spent)
            work = max(middle - fixed, LEAST_WORK * middle)
            seconds.setdefault(kind, []).append((fixed, work / size) if kind.rule in GROWTH else (0.0, middle))
        for name, (pattern, growth) in WRITTEN.items():
            found = map(bytes_of, islice(results.glob(pattern), SAMPLED))
            written.setdefault(name, []).extend(n / size_of(growth, sizes) for n in found if n > TOO_FEW_BYTES)
    return Units(
        {kind: tuple(map(mean, zip(*values, strict=True))) for kind, values in seconds.items()},
        {name: mean(values) for name, values in written.items() if values},
        jobs,
    )


def times_of(results: Path) -> dict[Kind, list[float]]:
    """Read the seconds of all jobs of a study, by kind."""
    times = {}
    for table in results.glob("benchmarks/*/*.tsv"):
        for row in table.read_text().splitlines()[1:]:
            times.setdefault(kind_of_table(table.name), []).append(float(row.split("\t")[0]))
    return times


def begin_of(times: dict[Kind, list[float]], torch: bool) -> float:
    """Return how long a job takes to begin: as long as the fastest of those that load torch, or of the others."""
    return min(
        (value for kind, spent in times.items() if (kind.rule in TORCH) == torch for value in spent), default=0.0
    )


def expected_seconds(units: Units, sizes: dict[str, float]) -> dict[Kind, float]:
    """Return the seconds of one job of each kind that was measured, in a study of some sizes."""
    return {
        kind: begin + each * size_of(GROWTH.get(kind.rule, ""), sizes) for kind, (begin, each) in units.seconds.items()
    }


def seconds_of(kind: Kind, known: dict[Kind, float]) -> float | None:
    """Return the seconds of a job of a kind, or else the mean of the same for other networks; None without these."""
    if kind in known:
        return known[kind]
    alike = [seconds for other, seconds in known.items() if other[:2] == kind[:2]]
    return mean(alike) if alike else None


def bytes_of(path: Path) -> int:
    """Return the size of a file, or of all files of a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def kind_of(rule: str, method: str = "", model: Model = "") -> Kind:
    """Return the kind of a job of a rule for a method, or a check of it, and a model."""
    of_method = method.partition(".")[0] if rule in BY_METHOD else ""
    return Kind(rule, of_method, network_of(model) if rule in TORCH else "")


def kind_of_table(name: str) -> Kind:
    """Return the kind of the job of a benchmark file: ``explain_scans.lrp.random_head_seed-0.tsv`` is one of lrp."""
    rule, _, rest = name.removesuffix(".tsv").partition(".")
    model = re.search(r"(?:^|_)seed-((?:\w+-)?\d+)", rest)
    return kind_of(rule, rest.partition("_seed-")[0], model[1] if model else "")


def describe_cost(
    jobs: Iterable[tuple[Kind, int]], sizes: dict[str, float], least_epochs: int, units: Units, keep_maps: bool
) -> str:
    """Say what jobs will cost: core hours and disk, and which of them are of a kind that was not measured.

    Parameters
    ----------
    jobs : iterable of (Kind, int)
        Kind and threads of each job.
    sizes : dict of str to float
        As of `study_sizes`, for the study that is planned, with the most epochs of a model.
    least_epochs : int
        After which training may stop.
    units : Units
    keep_maps : bool
        Whether heatmaps stay.

    Returns
    -------
    str
    """
    jobs = Counter(jobs)
    if not units.jobs:
        return (
            f"Cost: {jobs.total():,} jobs. Hours and disk are not known, for no study has run here yet; "
            "make demo measures them, and docs/benchmarks.md has those of one machine."
        )
    least, most = (expected_seconds(units, sizes | {"epochs": n}) for n in (least_epochs, sizes["epochs"]))
    hours = [core_hours(jobs, known) for known in (least, most)]
    kept = [name for name in units.bytes if keep_maps or name != "explain_scans"]
    count = Counter(kind.rule for kind, _ in jobs.elements())
    written = sum(count[name.split()[0]] * units.bytes[name] * size_of(WRITTEN[name][1], sizes) for name in kept)
    unknown = {kind for kind, _ in jobs if seconds_of(kind, most) is None}
    missing = ", ".join(by_rule([kind for kind, _ in jobs.elements() if kind in unknown]))
    text = (
        f"Cost: {jobs.total():,} jobs, roughly {span(*hours)} core hours on CPUs and {written / 1e9:.1f} GB "
        f"in results/, from {units.jobs:,} jobs that ran here."
    )
    return text + (f"\nNot in it, for none ran here: {missing}." if missing else "")


def by_rule(kinds: Sequence[Kind]) -> Iterator[str]:
    """Write how many jobs there are of each rule, and for which method, or for how many."""
    for rule, count in Counter(kind.rule for kind in kinds).most_common():
        methods = sorted({kind.method for kind in kinds if kind.rule == rule})
        of = f"of {len(methods)} methods" if len(methods) > 1 else methods[0]
        yield f"{' '.join(filter(None, [rule, of]))} ({count})"


def core_hours(jobs: Counter, known: dict[Kind, float]) -> float:
    """Add up the hours of jobs, numbers by kind and threads, each times its threads; of those not known, none."""
    return sum((seconds_of(kind, known) or 0.0) * threads * number for (kind, threads), number in jobs.items()) / 3600


def span(least: float, most: float) -> str:
    """Write a range of hours."""
    low, high = (f"{hours:,.1f}" if hours < 10 else f"{hours:,.0f}" for hours in (least, most))
    return low if low == high else f"{low} (training stops early) to {high}"
