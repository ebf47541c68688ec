"""Training of MUFusion (Cheng et al., Information Fusion 2023), with its own earlier results as further targets."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from vlfusion.errors import ConfigError
from vlfusion.imaging.quantise import quantise
from vlfusion.losses import multi_scale_similarity
from vlfusion.models import FusionModel
from vlfusion.registry import MODELS
from vlfusion_mufusion.losses import deviation

Image = Float[Tensor, 'batch 1 h w']


@MODELS.register_module()
class MUFusionModel(FusionModel):
    """A FusionModel with a memory unit, which keeps the last result of each pair as a target for the next visit.

    `L = v content + (1 - v) deviation(F, R)`, with `R` the remembered result and `v = e^s(F) / (e^s(F) + e^s(R))`. Here
    `s` is the similarity to both sources over the batch, so the better image counts for more. At the first visit of a
    pair, R is F itself and adds nothing to the gradient.

    As in the released script, R is an 8-bit image stretched to its full range. The memory is a dict of this process
    (16 kB for a patch of 128x128). Checkpoints do not hold it, so a resumed run begins with an empty memory.

    Args:
        backbone, losses: as in `FusionModel`; the published loss is `ContentLoss`.
        data_preprocessor, init_cfg: as in `FusionModel`.
    """

    def __init__(self, backbone: dict, losses: Sequence[dict] = (), *, data_preprocessor: dict | None = None,
                 init_cfg: dict | list | None = None):
        super().__init__(backbone, losses, data_preprocessor, init_cfg)
        self.memory: dict[str, tuple[Tensor, Tensor]] = {}  # name: result (1, h, w), mean of both sources

    def forward(self, source_a: Tensor, source_b: Tensor, *args, name: Sequence[str] = (), mode: str = 'tensor',
                **sample) -> Tensor | dict[str, Tensor] | list[dict]:
        """Run `FusionModel.forward`; the mode `loss` recalls results and, in training mode, remembers new ones.

        Raises:
            ConfigError: the batch has no names, or a pair has changed since its result was remembered.
        """
        if mode != 'loss' or not self.losses:  # without losses, the parent raises the error
            return super().forward(source_a, source_b, *args, name=name, mode=mode, **sample)
        fused = self.backbone(source_a, source_b)
        with torch.autocast(fused.device.type, enabled=False):  # differences of nearly equal images need float32
            fused = fused.float()
            terms = self.terms(fused, source_a, source_b, name=name, **sample)
            content = sum(self.losses[key].weight * value for key, value in terms.items())
            remembered = self.recall(name, source_a, source_b, fused.detach())
            memory = deviation(fused, remembered)
            with torch.no_grad():
                quality = torch.stack([sum(multi_scale_similarity(image, source) for source in (source_a, source_b))
                                       for image in (fused, remembered)])
                share = quality.softmax(0)[0]
            total = share * content + (1 - share) * memory
        if self.training:
            self.remember(name, source_a, source_b, fused)
        terms = dict(**terms, memory=memory, share=share)
        return dict(loss=total, **{key: value.detach() for key, value in terms.items()})

    def remember(self, names: Sequence[str], source_a: Image, source_b: Image, fused: Image) -> None:
        """Store results until the next visit of their pairs."""
        results = quantise(fused, 'min-max', 'round').cpu()
        self.memory.update(zip(names, zip(results, _marks(source_a, source_b), strict=True), strict=True))

    def recall(self, names: Sequence[str], source_a: Image, source_b: Image, fused: Image) -> Image:
        """Return the last results of pairs; a new pair gets its current result."""
        if len(names) != len(fused):
            raise ConfigError(f'MUFusion stores results by name, but got {len(names)} names for {len(fused)} pairs.',
                              'End the pipeline with PackPair, which adds the names.')
        recalled = []
        for name, mark, now in zip(names, _marks(source_a, source_b), fused, strict=True):
            result, before = self.memory.get(name, (None, mark))
            if (mark - before).abs().max() > 1e-4:
                raise ConfigError(f'The pair {name} has changed since MUFusion remembered its result.',
                                  'Remove random crops and flips: cut patches beforehand, or with CenterCrop.')
            recalled.append(now if result is None else result.to(now) / 255)
        return torch.stack(recalled)


def _marks(source_a: Image, source_b: Image) -> Float[Tensor, 'batch 2']:
    """Compute the means of the sources, by which a pair is recognised."""
    return torch.cat((source_a.mean((2, 3)), source_b.mean((2, 3))), 1).cpu()
