"""Training of Text-DiFuse in two phases, each a config of its own, because each has its own images.

The phase `diffusion` trains the U-Net to restore a degraded image (source A) to the clean one (source B). The phase
`fusion` keeps it fixed and trains the fusion control module on pairs of sources.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from vlfusion.errors import ConfigError, did_you_mean
from vlfusion.models import FusionModel
from vlfusion.models.layers.autocast import without_autocast
from vlfusion.registry import MODELS
from vlfusion_textdifuse.diffusion import WHOLE, Diffusion, seeded_noise
from vlfusion_textdifuse.losses import diffusion_loss

PHASES = ('diffusion', 'fusion')


@MODELS.register_module()
class TextDiFuseModel(FusionModel):
    """A FusionModel that trains one part of Text-DiFuse.

    In the phase `diffusion`, testing shows restored images: source A without its degradation.

    In the phase `fusion` the losses see an estimate of the fused image at a random step, and as sources what the
    diffusion model makes of each source alone: restored images. Each sample costs twice the steps of restoring and half
    the steps of fusing.

    Args:
        backbone: config of a `TextDiFuse`.
        losses: losses of the phase `fusion`, as in `FusionModel`.
        phase: `diffusion` or `fusion`; the parameters of the other part are fixed.
        data_preprocessor, init_cfg, margin: as in `FusionModel`.

    Raises:
        ConfigError: the phase is unknown.
    """

    def __init__(self, backbone: dict, losses: Sequence[dict] = (), *, phase: str,
                 data_preprocessor: dict | None = None, init_cfg: dict | list | None = None, margin: int = 0):
        super().__init__(backbone, losses, data_preprocessor, init_cfg, margin)
        if phase not in PHASES:
            raise ConfigError(f'Unknown phase {phase!r}.', did_you_mean(phase, PHASES))
        self.phase, self._whole = phase, Diffusion(WHOLE)
        self.backbone.encoder.requires_grad_(phase == 'diffusion')
        self.backbone.decoder.requires_grad_(phase == 'diffusion')
        self.backbone.control.requires_grad_(phase == 'fusion')

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'], *text,
                mode: str = 'tensor', **sample) -> Float[Tensor, 'batch 1 h w'] | dict[str, Tensor] | list[dict]:
        """Run `FusionModel.forward`, but return the total and the terms of the phase in the mode `loss`."""
        if mode != 'loss':
            return super().forward(source_a, source_b, *text, mode=mode, **sample)
        if self.phase == 'diffusion':
            return self._restoring(source_a, source_b)
        if not self.losses:
            raise ConfigError('TextDiFuseModel has no loss for the phase `fusion`.',
                              "Give model.losses, such as [dict(type='MaxIntensityLoss', weight=1.0)].")
        return self._fusing(source_a, source_b, **sample)

    def _with_margin(self, images: Mapping[str, Tensor], **texts: Tensor | None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse; in the phase `diffusion`, in which nothing can be fused yet, restore source A."""
        if self.phase == 'diffusion':
            return self.backbone.restore(images['source_a'])
        return super()._with_margin(images, **texts)

    def _restoring(self, degraded: Tensor, clean: Tensor) -> dict[str, Tensor]:
        network, diffusion = self.backbone, self._whole
        degraded, clean = (network.enlarge(2 * image - 1) for image in (degraded, clean))
        step, noise = torch.randint(WHOLE, (len(clean),)), torch.randn_like(clean)
        noisy, time = diffusion.add_noise(clean, step, noise), diffusion.times[step]
        predicted = network.decoder(network.encoder(torch.cat((noisy, degraded), 1), time), time)
        with without_autocast(clean.device):
            terms = diffusion_loss(diffusion, clean, noisy, step, noise, predicted.to(clean))
        return dict(loss=terms['noise'] + terms['bound'], **{name: term.detach() for name, term in terms.items()})

    def _fusing(self, source_a: Tensor, source_b: Tensor, **sample) -> dict[str, Tensor]:
        network = self.backbone
        sources = [network.enlarge(2 * source - 1) for source in (source_a, source_b)]
        last = int(torch.randint(network.diffusion.steps, ()))
        with torch.no_grad():
            restored = [network.sample([source], network.seed + 1 + index) for index, source in enumerate(sources)]
            noisy = seeded_noise(sources[0], network.seed)
            for step in network.steps(last + 1):
                noisy, _ = network.denoise(noisy, step, network.encode(noisy, step, sources))
            step = torch.tensor([last])
            maps = network.encode(noisy, step, sources)
        _, estimate = network.denoise(noisy, step, maps)
        height, width = source_a.shape[2:]
        images = (((image + 1) / 2)[..., :height, :width] for image in (estimate, *restored))
        terms = self.terms(*images, **sample)
        return dict(loss=sum(self.losses[name].weight * term for name, term in terms.items()),
                    **{name: term.detach() for name, term in terms.items()})
