"""Training of GIFNet (Cheng et al., CVPR 2025): two tasks alternate on the same batch, with one optimizer step each."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from mmengine.optim import OptimWrapper
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from vlfusion.errors import ConfigError
from vlfusion.models import FusionModel
from vlfusion.models.layers.window_block import to_multiples
from vlfusion.models.released import under_our_names, without_prefix
from vlfusion.registry import MODELS
from vlfusion_gifnet.losses import restoration_loss
from vlfusion_gifnet.model import DIM, SHIFT, GIFNet, decoder, released_name, stream_block


@MODELS.register_module()
class GIFNetModel(FusionModel):
    """A FusionModel that trains GIFNet on infrared-visible pairs and on focus pairs made from the same visible images.

    Each train step consists of two optimizer steps:

    - The modality stream leads. The loss is `losses` of the fused image and the sources, plus the loss of restoring the
      visible image from the common features.
    - The focus stream leads. The loss is the squared error between the fused focus pair and the visible image, plus the
      same restoration loss.

    The attention and the common features of the other stream get no gradient.

    Args:
        backbone: config of a `GIFNet`.
        losses: losses of the first step; the paper uses `InformationLoss`.
        data_preprocessor, init_cfg: as in `FusionModel`.
    """

    def __init__(self, backbone: dict, losses: Sequence[dict] = (), *, data_preprocessor: dict | None = None,
                 init_cfg: dict | list | None = None):
        super().__init__(backbone, losses, data_preprocessor, init_cfg)
        if not isinstance(self.backbone, GIFNet):
            raise ConfigError(f'GIFNetModel trains GIFNet, but got a {type(self.backbone).__name__}.',
                              "Use dict(type='vlfusion_gifnet.GIFNet'), or FusionModel for another network.")
        self.restore = decoder(DIM)
        self.last_modality = stream_block(SHIFT)
        self.exchange_modality = nn.Parameter(torch.rand(1))

    def forward(self, source_a: Tensor, source_b: Tensor, *args, mode: str = 'tensor',
                **sample) -> Tensor | dict[str, Tensor] | list[dict]:
        """Run `FusionModel.forward`. The mode `loss` is an error, because one loss cannot describe two steps."""
        if mode == 'loss':
            raise ConfigError('GIFNetModel trains only by its own train_step.', 'Train it in one process.')
        return super().forward(source_a, source_b, *args, mode=mode, **sample)

    def train_step(self, data: dict, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """Run both optimizer steps.

        Args:
            data: a batch of `PackFocusPair`.
            optim_wrapper: optimizer of all parameters.

        Returns:
            The sum of both losses under `loss`, and their terms.

        Raises:
            ConfigError: the batch has no focus pair, or the model no losses.
        """
        if not {'near', 'far'} <= data.keys():
            raise ConfigError('GIFNetModel needs a focus pair, `near` and `far`, with each pair.',
                              'End the pipeline with LoadFocusPair or BlurFocusPair, and with PackFocusPair.')
        if not self.losses:
            raise ConfigError('GIFNetModel has no loss for infrared-visible pairs.',
                              "Give model.losses, such as [dict(type='vlfusion_gifnet.InformationLoss')].")
        data = self.data_preprocessor(data, True)
        logged = {'loss': 0.}
        for task, terms_of in (('modality', self._modality_terms), ('focus', self._focus_terms)):
            with optim_wrapper.optim_context(self):
                total, terms = terms_of(data['source_a'], data['source_b'], data['near'], data['far'])
            optim_wrapper.update_params(total)
            logged['loss'] = logged['loss'] + total.detach()
            logged |= {f'{task}_{name}': value.detach() for name, value in terms.items()}
        return logged

    def _modality_terms(self, infrared: Tensor, visible: Tensor, near: Tensor,
                        far: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        common, guest = self.backbone.encode(infrared, visible), self._guest(near, far)
        fused = self.backbone.decode(common, self._refine_modality(common, guest))
        terms = self.terms(fused, infrared, visible)
        total = sum(self.losses[key].weight * value for key, value in terms.items())
        return self._with_restoration(total, terms, common, visible)

    def _focus_terms(self, infrared: Tensor, visible: Tensor, near: Tensor,
                     far: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        common, guest = self.backbone.encode(near, far), self._guest(infrared, visible)
        fused = self.backbone.decode(common, self.backbone.refine(guest, common, teaching=True))
        error = mse_loss(fused.to(visible), visible)
        return self._with_restoration(error, {'error': error}, common, visible)

    @torch.no_grad()
    def _guest(self, source_a: Tensor, source_b: Tensor) -> Tensor:
        return self.backbone.encode(source_a, source_b)

    def _with_restoration(self, total: Tensor, terms: dict[str, Tensor], common: Tensor,
                          visible: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        restored = self.restore(common).tanh()
        with torch.autocast(visible.device.type, enabled=False):
            restoration = restoration_loss(restored.to(visible), visible)
        return total + restoration, terms | {'restoration': restoration}

    def _refine_modality(self, modality: Float[Tensor, 'batch dim h w'],
                         focus: Float[Tensor, 'batch dim h w']) -> Float[Tensor, 'batch dim h4 w4']:
        """Refine features by the modality stream, with the focus stream as its guest: `GIFNet.refine`, mirrored.

        Only here, as in the released code, the depthwise convolution of the guest reads the values of the leading
        stream.
        """
        net = self.backbone
        modality, focus = (net.embed[stream](to_multiples(x, 4))
                           for stream, x in (('modality', modality), ('focus', focus)))
        modality, lent = net.first['modality'](modality, net.positions[0]())
        focus, _ = net.first['focus'](focus, net.positions[0](), query=lent.query, local_value=lent.value, frozen=True)
        modality, _ = self.last_modality(modality + self.exchange_modality * focus, net.positions[1]())
        return net.unembed(modality)

    def load_released(self, state: dict) -> None:
        """Load the whole released state, including parts for training, to continue training from it.

        Raises:
            CheckpointError: a name is missing, or GIFNet does not have it.
        """
        self.backbone.load_state_dict(GIFNet.convert_released(state))
        names = {name: released_name(name) for name in self.state_dict() if not name.startswith('backbone.')}
        own = {name: value for name, value in without_prefix(state).items() if name in names.values()}
        self.load_state_dict(under_our_names('GIFNet', own, names, 'Give the released Final.model, unchanged.'),
                             strict=False)
