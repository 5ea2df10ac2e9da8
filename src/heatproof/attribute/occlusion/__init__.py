"""Occlusion: how much the score drops when a patch of the scan is hidden.

`patches` places the patches and spreads their drops over voxels, and `method` makes the heatmap. Drops are measured
plainly, by running the whole network for each patch (`plain`), or for networks that are a chain of layers (`chain`) or
branch and come together again (`branches`) by window arithmetic (`windows`): what a patch changes goes through the
network as a difference (`differences`), many patches at once (`incremental`). Either way they come in `chunks`, which
may be kept on disk.
"""

from heatproof.attribute.occlusion.method import occlusion

__all__ = ["occlusion"]
