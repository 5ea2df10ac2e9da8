"""Attribution: how much each voxel of a scan speaks for a class, by any of several methods.

A method is a function ``f(model, images, target, **options) -> heatmaps``: ``model`` a network in evaluation mode,
``images`` a float tensor (N, 1, x, y, z), ``target`` a class index or an (N,) tensor of them, ``heatmaps`` of the type
and shape of ``images``, signed and unscaled. A new method is one such function and one entry here.
"""

from collections.abc import Callable

from torch import Tensor

from heatproof.attribute import gradients, lrp, occlusion

METHODS: dict[str, Callable[..., Tensor]] = {
    "gradient_input": gradients.gradient_input,
    "guided_backprop": gradients.guided_backprop,
    "lrp": lrp.lrp,
    "occlusion": occlusion.occlusion,
}
