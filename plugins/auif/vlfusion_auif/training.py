"""Training of AUIF-Net (Zhao et al., IEEE TCSVT 2021): the network restores single images."""

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from vlfusion.models import FusionModel
from vlfusion.registry import MODELS
from vlfusion_auif.losses import dissimilarity


@MODELS.register_module()
class AUIFModel(FusionModel):
    """A FusionModel that trains AUIF-Net to restore each source `I`: `|I - R|^2 + w D(I, R)`, with `R` the restoration.

    Both sources go through the network as one batch of twice the size. The authors trained on infrared and visible
    images mixed, so this gives batch normalisation the same input.

    Args:
        backbone: config of a network with `encode` and `decode`.
        ssim_weight: weight `w` of the dissimilarity of structure `D`.
        data_preprocessor, init_cfg: as in `FusionModel`.
    """

    def __init__(self, backbone: dict, *, ssim_weight: float = 5.0, data_preprocessor: dict | None = None,
                 init_cfg: dict | list | None = None):
        super().__init__(backbone, data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.ssim_weight = ssim_weight

    def forward(self, source_a: Tensor, source_b: Tensor, *args, mode: str = 'tensor',
                **sample) -> Tensor | dict[str, Tensor] | list[dict]:
        """Run `FusionModel.forward`, but restore the images instead of fusing them in the mode `loss`."""
        if mode != 'loss':
            return super().forward(source_a, source_b, *args, mode=mode, **sample)
        images = torch.cat((source_a, source_b))
        restored = self.backbone.decode(self.backbone.encode(images))
        with torch.autocast(images.device.type, enabled=False):  # differences of nearly equal images need float32
            restored = restored.to(images.dtype)
            squared, structure = mse_loss(restored, images), dissimilarity(images, restored)
        return dict(loss=squared + self.ssim_weight * structure, squared=squared.detach(), structure=structure.detach())
