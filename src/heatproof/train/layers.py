"""How large each layer of the paper's network is, and what other networks are told of the scans: no tensors."""

from collections.abc import Mapping, Sequence

from heatproof.errors import StudyError

PAPER_NETWORK = "heatproof.train.network:build_network"
VALUE = "value"  # in place of a number of outputs: one, which is the value that is learned
INPUTS = ("in_channels", "n_input_channels", "in_chans", "input_channels", "num_channels")  # the images of a scan
OUTPUTS = ("num_classes", "n_classes", "classes", "out_channels", "n_output_channels")  # one for each class
SHAPED = {  # arguments of networks in other packages that follow from the shape of a scan, (channels, x, y, z), by name
    "spatial_dims": lambda scan: len(scan) - 1,
    **dict.fromkeys(INPUTS, lambda scan: scan[0]),
    **dict.fromkeys(("img_size", "image_size", "input_size", "spatial_size"), lambda scan: scan[1:]),
    "in_shape": lambda scan: scan,
}


def scan_shape(shape: Sequence[int], options: Mapping) -> tuple[int, ...]:
    """Return the shape of a scan (channels, x, y, z) for a network's options: its ``inputs``, 1 where it has none."""
    return (options.get("inputs", 1), *shape)


def feature_edges(
    shape: Sequence[int], *, kernel: int, padding: int, pools: Sequence[int], **others: object
) -> tuple[int, int, int]:
    """Follow a grid through the convolutions and poolings.

    Parameters
    ----------
    shape : sequence of 3 int
        Voxels of the working grid along x, y, z.
    kernel, padding, pools
        As in `heatproof.train.network.build_network`, whose other options do not matter.

    Returns
    -------
    tuple of 3 int
        Voxels behind the last pooling.

    Raises
    ------
    StudyError
        If nothing is left behind the last pooling.
    """
    edges = tuple(shape)
    for pool in pools:
        edges = tuple((edge + 2 * padding - kernel + 1) // pool for edge in edges)
    if min(edges) < 1:
        grid = " x ".join(map(str, shape))
        raise StudyError(
            f"a working grid of {grid} voxels is too small for train.network (pools {list(pools)}, kernel {kernel}, "
            f"padding {padding}); choose a smaller register.voxel_size, smaller pools or a larger padding"
        )
    return edges
