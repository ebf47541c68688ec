"""Training of DIDFuse (Zhao et al., IJCAI 2020): an autoencoder restores both sources."""

import torch
from torch import Tensor

from vlfusion.models import FusionModel
from vlfusion.registry import MODELS
from vlfusion_didfuse.losses import decomposition_loss, gradient_loss, reconstruction_loss


@MODELS.register_module()
class DIDFuseModel(FusionModel):
    """A FusionModel that trains DIDFuse to restore each source and to separate background from detail.

    `L = L_decomposition + w_a f(A, A') + w_b f(B, B') + w_g |grad B - grad B'|`, where `f` combines squared error and
    SSIM. Only the visible image B has a gradient term, to keep its texture. Defaults are those of the released training
    script. That script uses one Adam for the encoder and one for the decoder with equal options, which is equivalent to
    one Adam for both.

    Args:
        backbone: config of a network with `encode` and `decode`.
        infrared_weight, visible_weight: weights of the reconstructions of source A and of source B.
        ssim_weight: weight of the SSIM part of a reconstruction.
        detail_weight: weight of the detail maps in the decomposition.
        gradient_weight: weight of the gradients of the visible image.
        data_preprocessor, init_cfg: as in `FusionModel`.
    """

    def __init__(self, backbone: dict, *, infrared_weight: float = 2.0, visible_weight: float = 2.0,
                 ssim_weight: float = 5.0, detail_weight: float = 0.5, gradient_weight: float = 10.0,
                 data_preprocessor: dict | None = None, init_cfg: dict | list | None = None):
        super().__init__(backbone, data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.infrared_weight, self.visible_weight = infrared_weight, visible_weight
        self.ssim_weight, self.detail_weight, self.gradient_weight = ssim_weight, detail_weight, gradient_weight

    def forward(self, source_a: Tensor, source_b: Tensor, *args, mode: str = 'tensor',
                **sample) -> Tensor | dict[str, Tensor] | list[dict]:
        """Run `FusionModel.forward`, but restore the images instead of fusing them in the mode `loss`."""
        if mode != 'loss':
            return super().forward(source_a, source_b, *args, mode=mode, **sample)
        # Visible first, as in the released script: running statistics of batch normalisation depend on the order.
        visible, infrared = self.backbone.encode(source_b), self.backbone.encode(source_a)
        restored_b, restored_a = self.backbone.decode(visible), self.backbone.decode(infrared)
        with torch.autocast(source_a.device.type, enabled=False):  # differences of nearly equal images need float32
            restored_a, restored_b = restored_a.float(), restored_b.float()
            terms = dict(
                decomposition=decomposition_loss(infrared.background.float(), visible.background.float(),
                                                 infrared.detail.float(), visible.detail.float(), self.detail_weight),
                infrared=reconstruction_loss(source_a, restored_a, self.ssim_weight),
                visible=reconstruction_loss(source_b, restored_b, self.ssim_weight),
                gradient=gradient_loss(source_b, restored_b))
        total = (terms['decomposition'] + self.infrared_weight * terms['infrared']
                 + self.visible_weight * terms['visible'] + self.gradient_weight * terms['gradient'])
        return dict(loss=total, **{name: value.detach() for name, value in terms.items()})
