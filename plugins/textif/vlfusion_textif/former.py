"""Former names of parts that vlfusion has now, for checkpoints and configs that name them."""

from vlfusion.data import degrading
from vlfusion.losses import gradient
from vlfusion.registry import LOSSES, TRANSFORMS


@LOSSES.register_module()
class AxisGradientLoss(gradient.AxisGradientLoss):
    """Former name of `vlfusion.losses.AxisGradientLoss`."""


@TRANSFORMS.register_module()
class PackDegraded(degrading.PackDegraded):
    """Former name of `vlfusion.data.degrading.PackDegraded`."""
