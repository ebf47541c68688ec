"""Training of networks that obey instructions: each pair is fused under several of them."""

import math
from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from vlfusion.errors import ConfigError
from vlfusion.models.fusion_model import READ, FusionModel, map_inputs, text_dims
from vlfusion.registry import MODELS


@MODELS.register_module()
class InstructedModel(FusionModel):
    """A `FusionModel` that fuses each pair under several instructions, of which the first is empty.

    The samples come from a data set with `instructions=dict(...)`, see `vlfusion.data.instructed.Instructions`. Losses
    see each instruction as a pair of its own, and may name:

    - `ask` and `region`: what it asks for, see `vlfusion.losses.asked`
    - `reference`: the fusion under the empty instruction, without gradient
    - `instructions`: the number of instructions of each pair, which stand next to each other
    - `amounts`, `directions` and `places`: what the backbone reads in each instruction, also in those that it does not
      fuse, if it has a method `understand`, see `vlfusion.models.backbones.film.FILM.understand`; `read_ask` and
      `read_region` are the right ones

    Outside training it is a `FusionModel`.

    Args:
        stream: name of the text that holds the instruction.
        pictures: number of instructions of each pair that are fused, with the empty one; None for all. The others are
            only read, by `understand`, which costs little. 0 trains the reading alone.
        own_reference: True compares with the network's own fusion under the empty instruction, for a network whose
            other parts are frozen. False gives losses no `reference`, so that the empty instruction asks for the
            brighter source, as FILM's intensity loss does.
        options: arguments of `FusionModel`.

    Raises:
        ConfigError: `pictures` is 0, but a loss compares pictures.
    """

    def __init__(self, stream: str = 'instruction', pictures: int | None = None, own_reference: bool = True,
                 **options):
        super().__init__(**options)
        if unread := [name for name, wants in self._wants.items() if pictures == 0 and wants.keys().isdisjoint(READ)]:
            raise ConfigError(f'pictures=0 fuses nothing, but the loss {unread[0]} compares pictures.',
                              'Keep ReadingLoss and RegionLoss only, or raise pictures.')
        self.stream, self.pictures, self.own_reference = stream, pictures, own_reference

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                mode: str = 'tensor', **sample) -> Float[Tensor, 'several 1 h w'] | dict[str, Tensor] | list[dict]:
        """Run `FusionModel.forward`; the mode `loss` takes several instructions for each pair.

        Args:
            source_a, source_b: luminance in [0, 1].
            mode: mode of `FusionModel.forward`.
            sample: further arguments of `FusionModel.forward`. In the mode `loss` the instruction is
                `(batch, several, token, dim)`, its mask `(batch, several, token)`, `ask` `(batch, several, 8)`, and
                `region` `(batch, several, h, w)`.
        """
        if mode != 'loss' or 'ask' not in sample:
            if 'ask' in sample:  # its region is the right one, and no map for the backbone
                sample.pop('region', None)
            return super().forward(source_a, source_b, mode=mode, **sample)
        self.require_losses()
        instructed = {key: sample.pop(key) for key in (self.stream, f'{self.stream}_mask', 'ask', 'region')}
        instructed['region'] = instructed['region'][:, :, None]
        if hasattr(self.backbone, 'understand') and not all(wants.keys().isdisjoint(READ)
                                                            for wants in self._wants.values()):
            read = {key: value.flatten(0, 1) for key, value in instructed.items()}
            sample['read_ask'], sample['read_region'] = read['ask'], read['region']
            sample |= self.backbone.understand(source_a, source_b, read[self.stream], read[f'{self.stream}_mask'])
        if self.pictures == 0:
            return self.total(self.terms(source_a, source_a, source_b, **sample))
        several = min(instructed['ask'].shape[1], self.pictures or math.inf)
        given = {key: value[:, :several].flatten(0, 1) for key, value in instructed.items()}
        inputs = dict(source_a=source_a, source_b=source_b, **self._shared(sample))
        repeated = {key: value.repeat_interleave(several, 0) for key, value in inputs.items()}
        once = getattr(self.backbone, 'several_instructions', False)
        fused = super().forward(**(inputs if once else repeated),
                                **{key: given[key] for key in (self.stream, f'{self.stream}_mask')})
        sample = given | {key: value.repeat_interleave(several, 0) if isinstance(value, Tensor) and key not in READ
                          else value for key, value in sample.items()}
        if self.own_reference:
            sample['reference'] = fused.detach()[::several].repeat_interleave(several, 0)
        return self.total(self.terms(fused, repeated['source_a'], repeated['source_b'], **sample, instructions=several))

    def _shared(self, sample: Mapping) -> dict[str, Tensor]:
        """Pick the texts and maps that the backbone reads of a pair beside its instructions."""
        texts = [key for name in text_dims(self.backbone) if name != self.stream for key in (name, f'{name}_mask')]
        return {key: sample[key] for key in (*texts, *map_inputs(self.backbone)) if sample.get(key) is not None}
