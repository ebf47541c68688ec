"""Training against clean targets, with weights that depend on the degradation."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from vlfusion.errors import ConfigError, did_you_mean
from vlfusion.models.fusion_model import FusionModel
from vlfusion.registry import MODELS
from vlfusion_textif.degradations import check_kinds


@MODELS.register_module()
class TextIFModel(FusionModel):
    """A `FusionModel` whose losses see the clean pair where the sample has one.

    Args:
        degradation_weights: for some degradations, the weights of some terms in place of their own, by the name that
            the log prints: `{'noisy_infrared': {'max_intensity': 6.0}}`.
        options: as for `FusionModel`.

    Raises:
        ConfigError: a degradation or a term in `degradation_weights` is not known.
    """

    def __init__(self, degradation_weights: Mapping[str, Mapping[str, float]] | None = None, **options):
        super().__init__(**options)
        self.degradation_weights = degradation_weights or {}
        check_kinds(list(self.degradation_weights))
        for weights in self.degradation_weights.values():
            for term in weights:
                if self.losses and term not in self.losses:
                    raise ConfigError(f'degradation_weights names the term {term!r}, which is not among the losses.',
                                      did_you_mean(term, self.losses))

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                target_a: Float[Tensor, 'batch 1 h w'] | None = None,
                target_b: Float[Tensor, 'batch 1 h w'] | None = None, degradation: Sequence[str] = (),
                mode: str = 'tensor', **sample) -> Float[Tensor, 'batch 1 h w'] | dict[str, Tensor] | list[dict]:
        """As `FusionModel.forward`, to which all samples without targets go.

        Args:
            source_a, source_b: luminance in [0, 1], perhaps degraded.
            target_a, target_b: the same pairs before that.
            degradation: its name, for each pair.
            mode: likewise; `loss` averages over the pairs, each with its degradation's weights.
            sample: likewise.
        """
        if mode != 'loss' or target_a is None:
            return super().forward(source_a, source_b, mode=mode, **sample)
        fused = super().forward(source_a, source_b, mode='tensor', **sample)
        total, logged = fused.new_zeros((), dtype=torch.float32), {}
        with torch.autocast(fused.device.type, enabled=False):
            for kind in sorted(set(degradation)):
                of_kind = torch.tensor([name == kind for name in degradation], device=fused.device)
                share, weights = of_kind.float().mean(), self.degradation_weights.get(kind, {})
                for key, term in self.losses.items():
                    value = term(fused[of_kind].float(), target_a[of_kind], target_b[of_kind])
                    total = total + share * weights.get(key, term.weight) * value
                    logged[key] = logged.get(key, 0) + share * value.detach()
        return dict(loss=total, **logged)
