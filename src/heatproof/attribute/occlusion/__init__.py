"""Occlusion: how much the score drops when a patch of the scan is hidden.

`patches` places the patches and spreads their drops over voxels; `plain` measures drops by running the whole network.
"""

from heatproof.attribute.occlusion.method import occlusion

__all__ = ["occlusion"]
