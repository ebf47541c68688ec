"""Training of networks that obey instructions: each pair is fused under several of them."""

from jaxtyping import Float
from torch import Tensor

from vlfusion.models.fusion_model import FusionModel, map_inputs, text_dims
from vlfusion.registry import MODELS


@MODELS.register_module()
class InstructedModel(FusionModel):
    """A `FusionModel` that fuses each pair under several instructions, of which the first is empty.

    The samples come from a data set with `instructions=dict(...)`, see `vlfusion.data.instructed.Instructions`. Losses
    see each instruction as a pair of its own, and may name:

    - `ask` and `region`: what it asks for, see `vlfusion.losses.asked`
    - `reference`: the fusion under the empty instruction, without gradient
    - `instructions`: the number of instructions of each pair, which stand next to each other
    - `numbers` and `places`: what the backbone reads in the instruction, if it has a method `understand`, see
      `vlfusion.models.backbones.film.FILM.understand`
    - `colour_strength`: factor of the saturation that the backbone gives for each instruction

    Outside training it is a `FusionModel`.

    Args:
        stream: name of the text that holds the instruction.
        options: arguments of `FusionModel`.
    """

    def __init__(self, stream: str = 'instruction', **options):
        super().__init__(**options)
        self.stream = stream

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                mode: str = 'tensor', **sample) -> Float[Tensor, 'batch 1 h w'] | dict[str, Tensor] | list[dict]:
        """Run `FusionModel.forward`; the mode `loss` takes several instructions for each pair.

        Args:
            source_a, source_b: luminance in [0, 1].
            mode: mode of `FusionModel.forward`.
            sample: further arguments of `FusionModel.forward`. In the mode `loss` the instruction is
                `(batch, several, token, dim)`, its mask `(batch, several, token)`, `ask` `(batch, several, 8)`, and
                `region` `(batch, several, h, w)`.
        """
        if mode != 'loss' or 'ask' not in sample:
            return super().forward(source_a, source_b, mode=mode, **sample)
        self.require_losses()
        several = sample['ask'].shape[1]
        for key in (self.stream, f'{self.stream}_mask', 'ask', 'region'):
            sample[key] = sample[key].flatten(0, 1)
        sample['region'] = sample['region'][:, None]
        shared = {key: value for name in text_dims(self.backbone) if name != self.stream
                  for key in (name, f'{name}_mask') if (value := sample.get(key)) is not None}
        shared |= {name: sample[name] for name in map_inputs(self.backbone) if name in sample}
        given = {key: sample[key] for key in (self.stream, f'{self.stream}_mask')}
        if not getattr(self.backbone, 'several_instructions', False):
            source_a, source_b = (image.repeat_interleave(several, 0) for image in (source_a, source_b))
            shared = {key: value.repeat_interleave(several, 0) for key, value in shared.items()}
        fused = super().forward(source_a, source_b, **shared, **given)
        if hasattr(self.backbone, 'understand'):
            sample['numbers'], sample['places'] = self.backbone.understand(source_a, source_b, *given.values())
        if len(source_a) < len(fused):
            source_a, source_b = (image.repeat_interleave(several, 0) for image in (source_a, source_b))
        reference = fused.detach()[::several].repeat_interleave(several, 0)
        return self.total(self.terms(fused, source_a, source_b, **sample, **self._colour_strengths(sample),
                                     reference=reference, instructions=several))
