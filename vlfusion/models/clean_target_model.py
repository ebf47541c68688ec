"""Training of networks that restore while they fuse, against clean pairs: Text-IF (CVPR 2024) and its successors."""

from collections.abc import Collection, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from vlfusion.data.degrading import check_kinds
from vlfusion.errors import ConfigError, did_you_mean
from vlfusion.models.fusion_model import FusionModel
from vlfusion.registry import MODELS


@MODELS.register_module()
class CleanTargetModel(FusionModel):
    """A `FusionModel` whose losses compare with the clean pair, if the sample has one.

    Args:
        degradation_weights: for some degradations, weights that replace those of some terms, by the name of the term in
            the log: `{'noisy_infrared': {'max_intensity': 6.0}}`.
        options: arguments of `FusionModel`.

    Attributes:
        degradations: names of the known degradations, which a derived class may set; empty if any name will do.

    Raises:
        ConfigError: a degradation or a term in `degradation_weights` is unknown.
    """

    degradations: Collection[str] = ()

    def __init__(self, degradation_weights: Mapping[str, Mapping[str, float]] | None = None, **options):
        super().__init__(**options)
        self.degradation_weights = degradation_weights or {}
        check_kinds(self.degradation_weights, self.degradations or self.degradation_weights)
        for weights in self.degradation_weights.values():
            for term in weights:
                if self.losses and term not in self.losses:
                    raise ConfigError(f'degradation_weights names the term {term!r}, which is not among the losses.',
                                      did_you_mean(term, self.losses))

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                target_a: Float[Tensor, 'batch 1 h w'] | None = None,
                target_b: Float[Tensor, 'batch 1 h w'] | None = None, degradation: Sequence[str] = (),
                mode: str = 'tensor', **sample) -> Float[Tensor, 'batch 1 h w'] | dict[str, Tensor] | list[dict]:
        """Run `FusionModel.forward`; with targets, the mode `loss` compares with them.

        Args:
            source_a, source_b: luminance in [0, 1], possibly degraded.
            target_a, target_b: the same pairs without degradation.
            degradation: name of the degradation of each pair.
            mode: mode of `FusionModel.forward`. The loss is averaged over the pairs, each with the weights of its
                degradation.
            sample: further arguments of `FusionModel.forward`.
        """
        if mode != 'loss' or target_a is None:
            return super().forward(source_a, source_b, mode=mode, **sample)
        fused = super().forward(source_a, source_b, mode='tensor', **sample)
        total, logged = fused.new_zeros((), dtype=torch.float32), {}
        with torch.autocast(fused.device.type, enabled=False):
            for kind in sorted(set(degradation)):
                places = [place for place, name in enumerate(degradation) if name == kind]
                share, weights = len(places) / len(degradation), self.degradation_weights.get(kind, {})
                selected = [torch.stack([images[place] for place in places]) for images in (fused, target_a, target_b)]
                for key, term in self.losses.items():
                    value = term(selected[0].float(), *selected[1:])
                    total = total + share * weights.get(key, term.weight) * value
                    logged[key] = logged.get(key, 0) + share * value.detach()
        return dict(loss=total, **logged)
