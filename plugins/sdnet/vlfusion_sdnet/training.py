"""Training of SDNet (Zhang and Ma, IJCV 2021): the fused image is compared with the sources, and so are its parts."""

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from vlfusion.models import FusionModel
from vlfusion.registry import MODELS
from vlfusion_sdnet.losses import adaptive_gradient_loss, intensity_loss
from vlfusion_sdnet.model import Decomposition


@MODELS.register_module()
class SDNetModel(FusionModel):
    """A FusionModel that also decomposes what it fuses: `L = L_int + w L_grad + L_decompose`, images in [-1, 1].

    First and second are the sources in the order of the backbone, see `SDNet`. Weights are those of the released
    training scripts: 0.5 and 80 for `ivf`, 0.5 and 10 for `mif`, 1 and 50 for `mef`, 1 and 3 for `mff`.

    Args:
        backbone: config of the network.
        second_weight: of the second source's intensity; the first source's is 1.
        gradient_weight: of the gradient term.
        data_preprocessor, init_cfg: as in `FusionModel`.
    """

    def __init__(self, backbone: dict, *, second_weight: float = 0.5, gradient_weight: float = 80.0,
                 data_preprocessor: dict | None = None, init_cfg: dict | list | None = None):
        super().__init__(backbone, data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.second_weight, self.gradient_weight = second_weight, gradient_weight
        self.decomposition = Decomposition(self.backbone.fuse.in_channels // 8)

    def forward(self, source_a: Tensor, source_b: Tensor, *args, mode: str = 'tensor',
                **sample) -> Tensor | dict[str, Tensor] | list[dict]:
        """As `FusionModel.forward`; in the mode `loss` the fused image is decomposed too."""
        if mode != 'loss':
            return super().forward(source_a, source_b, *args, mode=mode, **sample)
        fused = self.backbone(source_a, source_b)
        images = fused, *self.backbone.in_order(source_a, source_b), *self.decomposition(fused)
        with torch.autocast(source_a.device.type, enabled=False):  # differences of nearly equal images need float32
            fused, first, second, again_first, again_second = (2 * image.to(source_a.dtype) - 1 for image in images)
            terms = dict(intensity=intensity_loss(fused, first, second, self.second_weight),
                         gradient=adaptive_gradient_loss(fused, first, second),
                         decomposition=mse_loss(again_first, first) + mse_loss(again_second, second))
        total = terms['intensity'] + self.gradient_weight * terms['gradient'] + terms['decomposition']
        return dict(loss=total, **{name: value.detach() for name, value in terms.items()})
