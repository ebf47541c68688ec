"""Training of DenseFuse (Li and Wu, IEEE TIP 2019): an autoencoder restores single images."""

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from vlfusion.errors import ConfigError
from vlfusion.models import FusionModel
from vlfusion.registry import MODELS
from vlfusion_densefuse.losses import multi_scale_similarity


@MODELS.register_module()
class DenseFuseModel(FusionModel):
    """A FusionModel that trains DenseFuse to restore images.

    `L = L_pixel + w L_structure`: the mean squared error in grey levels, and 1 minus the similarity at five scales.

    Args:
        backbone: config of a network with `encode` and `decode`.
        structure_weight: weight `w`; the released training script uses 100.
        images: `ab` trains on both sources of a pair; `a` trains on source A only, for data of single images.
        data_preprocessor, init_cfg: as in `FusionModel`.

    Raises:
        ConfigError: `images` is neither.
    """

    def __init__(self, backbone: dict, *, structure_weight: float = 100.0, images: str = 'ab',
                 data_preprocessor: dict | None = None, init_cfg: dict | list | None = None):
        super().__init__(backbone, data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        if images not in ('a', 'ab'):
            raise ConfigError(f'Expected the sources to restore as `images`, but got {images!r}.', "Use 'ab' or 'a'.")
        self.structure_weight, self.images = structure_weight, images

    def forward(self, source_a: Tensor, source_b: Tensor, *args, mode: str = 'tensor',
                **sample) -> Tensor | dict[str, Tensor] | list[dict]:
        """Run `FusionModel.forward`, but restore the images instead of fusing them in the mode `loss`."""
        if mode != 'loss':
            return super().forward(source_a, source_b, *args, mode=mode, **sample)
        images = source_a if self.images == 'a' else torch.cat((source_a, source_b))
        restored = self.backbone.decode(self.backbone.encode(images))
        with torch.autocast(images.device.type, enabled=False):  # differences of nearly equal images need float32
            images, restored = 255 * images, 255 * restored.to(images.dtype)
            pixel = mse_loss(restored, images)
            structure = 1 - multi_scale_similarity(restored, images)
        total = pixel + self.structure_weight * structure
        return dict(loss=total, pixel=pixel.detach(), structure=structure.detach())
