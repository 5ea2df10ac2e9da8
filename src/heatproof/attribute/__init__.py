"""Attribution: how much each voxel of a scan speaks for a class, by any of several methods.

A method is a function ``f(model, images, target, **options) -> heatmaps``: ``model`` a network in evaluation mode,
``images`` a float tensor (N, C, x, y, z), ``target`` a class index or an (N,) tensor of them, ``heatmaps`` of the type
and shape of ``images``, signed and unscaled. A new method is one such function and one entry here. ``edges`` and
``input`` are baselines, which do not look at the model.
"""

from collections.abc import Callable

from torch import Tensor

from heatproof.attribute import averaged, baselines, deep_lift, grad_cam, gradients, lrp, occlusion, region_occlusion

METHODS: dict[str, Callable[..., Tensor]] = {
    "gradient_input": gradients.gradient_input,
    "integrated_gradients": averaged.integrated_gradients,
    "gradient_shap": averaged.gradient_shap,
    "deep_lift": deep_lift.deep_lift,
    "smooth_grad": averaged.smooth_grad,
    "guided_backprop": gradients.guided_backprop,
    "grad_cam": grad_cam.grad_cam,
    "lrp": lrp.lrp,
    "occlusion": occlusion.occlusion,
    "region_occlusion": region_occlusion.region_occlusion,
    "edges": baselines.edges,
    "input": baselines.input_image,
}
