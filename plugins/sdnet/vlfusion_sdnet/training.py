"""Training of SDNet (Zhang and Ma, IJCV 2021): the fused image and its decomposition are compared with the sources."""

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from vlfusion.models import FusionModel
from vlfusion.registry import MODELS
from vlfusion_sdnet.losses import adaptive_gradient_loss, intensity_loss
from vlfusion_sdnet.model import Decomposition


@MODELS.register_module()
class SDNetModel(FusionModel):
    """A FusionModel that also decomposes the fused image: `L = L_int + w L_grad + L_decompose`, on images in [-1, 1].

    The first and the second source are those of the backbone's order, see `SDNet`. The released training scripts use
    `second_weight` 0.5 and `gradient_weight` 80 for `ivf`, 0.5 and 10 for `mif`, 1 and 50 for `mef`, 1 and 3 for `mff`.

    Args:
        backbone: config of the network.
        second_weight: weight of the intensity of the second source; the first source has weight 1.
        gradient_weight: weight `w` of the gradient term.
        data_preprocessor, init_cfg: as in `FusionModel`.
    """

    def __init__(self, backbone: dict, *, second_weight: float = 0.5, gradient_weight: float = 80.0,
                 data_preprocessor: dict | None = None, init_cfg: dict | list | None = None):
        super().__init__(backbone, data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.second_weight, self.gradient_weight = second_weight, gradient_weight
        self.decomposition = Decomposition(self.backbone.fuse.in_channels // 8)

    def forward(self, source_a: Tensor, source_b: Tensor, *args, mode: str = 'tensor',
                **sample) -> Tensor | dict[str, Tensor] | list[dict]:
        """Run `FusionModel.forward`; the mode `loss` also decomposes the fused image."""
        if mode != 'loss':
            return super().forward(source_a, source_b, *args, mode=mode, **sample)
        fused = self.backbone(source_a, source_b)
        images = fused, *self.backbone.in_order(source_a, source_b), *self.decomposition(fused)
        with torch.autocast(source_a.device.type, enabled=False):  # differences of nearly equal images need float32
            images = (2 * image.to(source_a.dtype) - 1 for image in images)
            fused, first, second, restored_first, restored_second = images
            terms = dict(intensity=intensity_loss(fused, first, second, self.second_weight),
                         gradient=adaptive_gradient_loss(fused, first, second),
                         decomposition=mse_loss(restored_first, first) + mse_loss(restored_second, second))
        total = terms['intensity'] + self.gradient_weight * terms['gradient'] + terms['decomposition']
        return dict(loss=total, **{name: value.detach() for name, value in terms.items()})
