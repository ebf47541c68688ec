"""The one MMEngine model: a fusion backbone and the losses that train it."""

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from mmengine.model import BaseModel
from torch import Tensor, nn

from vlfusion.data.text import INSTRUCTION
from vlfusion.errors import ConfigError, DataError, NetworkError
from vlfusion.guards.foreign import foreign
from vlfusion.models.stacks import Mapped, Stack
from vlfusion.registry import BACKBONES, LOSSES, MODELS

_INSTRUCTED = "Train with type='InstructedModel', and set instructions=dict(vocabulary='fusion.v2') in the data set."
#: What losses may want of the reading of instructions: what a backbone reads, and the right answers.
READ = ('amounts', 'directions', 'places', 'read_ask', 'read_region')
#: Remedies for inputs of losses that do not come from files.
_REMEDIES = dict.fromkeys(('ask', 'region', 'instructions', 'reference'), _INSTRUCTED) | dict.fromkeys(
    READ, f'{_INSTRUCTED} The backbone must have a method understand, as FILM with instruction_dim.')


@MODELS.register_module()
class FusionModel(BaseModel):
    """A backbone from BACKBONES and a list of weighted losses from LOSSES.

        model = dict(type='FusionModel', backbone=dict(type='FILM', text_dim=768),
                     losses=[dict(type='MaxIntensityLoss', weight=1.0), dict(type='MaxGradientLoss', weight=20.0)])

    A backbone declares the texts that it reads by its attribute `text_dim`: a width for one text, passed as `text`, or
    a dict of widths by keyword for several (`text_a`, `instruction` ...), each with a mask (`text_a_mask`). With the
    attribute `text_optional = True` it also fuses without, with `('instruction',)` without those. It declares the maps
    of a pair that it reads, such as masks, by its attribute `maps`, a tuple of keywords: `('mask',)`. A map is optional
    if its argument of `forward` has a default. A loss gets the fused image, the sources, and whatever else its
    `forward` names (`truth`, `text`, `mask`) from the sample.

    A backbone that reads an `instruction` may also have a method `colour_strength(instruction, instruction_mask)`. It
    gives a factor `(batch,)` of the saturation, which pictures get.

    A method that trains in another way, for example in phases or with several optimizers, overrides `train_step` only.

    Args:
        backbone: config of the network.
        losses: configs of the losses. Losses of weight 0 are not computed.
        margin: number of pixels by which images are extended outside training. Border pixels are repeated, and the
            result is cropped. Without it, a network that has seen few borders may draw a frame.
        trainable: beginnings of names of parameters of the backbone, such as `correction`; all others are frozen. Empty
            trains all.
        data_preprocessor, init_cfg: as for MMEngine's `BaseModel`; by default tensors are moved to the device.
    """

    def __init__(self, backbone: dict, losses: Sequence[dict] = (), data_preprocessor: dict | None = None,
                 init_cfg: dict | list | None = None, margin: int = 0, trainable: Sequence[str] = ()):
        if isinstance(data_preprocessor, dict):
            data_preprocessor = MODELS.build(data_preprocessor)  # MMEngine would import any dotted path
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.backbone, self.margin, self.trainable = BACKBONES.build(backbone), margin, tuple(trainable)
        if trainable:
            self._freeze(trainable)
        self.losses = nn.ModuleDict()
        for config in losses:
            term = LOSSES.build(config)
            if term.weight == 0:
                continue
            name = _snake_case(type(term).__name__)
            if name in self.losses:
                raise ConfigError(f'The losses contain {type(term).__name__} twice.',
                                  'Merge them and add their weights.')
            self.losses[name] = term
        self._wants = {name: wanted(term) for name, term in self.losses.items()}

    def forward(self, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                text: Float[Tensor, 'batch token dim'] | None = None,
                text_mask: Bool[Tensor, 'batch token'] | None = None, name: Sequence[str] = (), mode: str = 'tensor',
                **sample) -> Float[Tensor, 'several 1 h w'] | dict[str, Tensor] | list[dict]:
        """Fuse a batch.

        The batch has one image for each pair; one for each instruction if a pair has several.

        Args:
            source_a, source_b: luminance in [0, 1].
            text, text_mask: token features of each pair's description, for backbones that read text.
            name: names of the pairs, required by `predict`.
            mode: `tensor` returns the fused batch in [0, 1]; `predict` a list of `dict(name=..., fused=(1, h, w))`,
                with `colour_strength` if the backbone gives it; `loss` the total as `loss` and each unweighted term
                under its own name (`max_gradient`).
            sample: further values of the pairs: other texts with their masks, `truth`, maps.

        Raises:
            NetworkError: the backbone fails, or in the mode `predict` returns NaN or infinity.
            ConfigError: the mode is unknown, or is `loss` although the model has no loss.
            DataError: the backbone needs a map, or a loss a value, that the sample lacks.
        """
        text_inputs = {} if text is None else dict(text=text, text_mask=text_mask)
        streams = {key: sample[key] for stream in text_dims(self.backbone)
                   for key in (stream, f'{stream}_mask') if key in sample}
        images = dict(source_a=source_a, source_b=source_b, **self._maps(sample))
        fused = self._with_margin(images, **text_inputs, **streams)
        if mode == 'tensor':
            return fused
        if mode == 'predict':
            if not fused.isfinite().all():
                raise NetworkError(f'The backbone {type(self.backbone).__name__} returned NaN or infinity for '
                                   f'{", ".join(name)}.', 'The model diverged. Check the losses, lower the learning '
                                   'rate, or load another checkpoint.')
            outputs = [dict(name=pair, fused=image) for pair, image in zip(name, fused.float(), strict=True)]
            strengths = colour_strength(self.backbone, sample.get(INSTRUCTION), sample.get(f'{INSTRUCTION}_mask'))
            if strengths is not None:
                outputs = [output | dict(colour_strength=strength) for output, strength in
                           zip(outputs, strengths.tolist(), strict=True)]
            return outputs
        if mode == 'loss':
            self.require_losses()
            return self.total(self.terms(fused, source_a, source_b, **text_inputs, **sample, name=name))
        raise ConfigError(f'Unknown mode {mode!r}.', "Use 'tensor', 'predict' or 'loss'.")

    def require_losses(self) -> None:
        """Raise ConfigError if no loss trains the model."""
        if not self.losses:
            raise ConfigError('The model has no loss with a weight above 0, so it cannot be trained.',
                              "Give model.losses, such as [dict(type='MaxIntensityLoss', weight=1.0)].")

    def total(self, terms: Mapping[str, Float[Tensor, '']]) -> dict[str, Float[Tensor, '']]:
        """Return the weighted sum of the losses as `loss`, and each unweighted one under its own name."""
        total = sum(self.losses[key].weight * value for key, value in terms.items())
        # MMEngine adds up the values with `loss` in their name, and logs the others.
        return dict(loss=total, **{key: value.detach() for key, value in terms.items()})

    def train(self, mode: bool = True) -> 'FusionModel':
        """Set the mode; frozen parts stay in evaluation mode, so that no batch changes their statistics."""
        super().train(mode)
        for module in self.backbone.modules() if self.trainable else ():
            parameters = list(module.parameters())
            if parameters and not any(parameter.requires_grad for parameter in parameters):
                module.eval()
        return self

    def _freeze(self, trainable: Sequence[str]) -> None:
        """Freeze the parameters of the backbone whose names begin with none of the given ones."""
        parameters = dict(self.backbone.named_parameters())
        for beginning in trainable:
            if not any(name.startswith(beginning) for name in parameters):
                raise ConfigError(f'{type(self.backbone).__name__} has no parameter whose name begins with '
                                  f'{beginning!r}, which model.trainable names.',
                                  f'Its parts are {", ".join({name.split(".")[0]: 0 for name in parameters})}.')
        for name, parameter in parameters.items():
            parameter.requires_grad_(name.startswith(tuple(trainable)))

    def _maps(self, sample: Mapping) -> dict[str, Float[Tensor, 'batch 1 h w']]:
        """Pick the maps that the backbone reads."""
        declared = map_inputs(self.backbone)
        lacking = [key for key, required in declared.items() if required and key not in sample]
        if lacking:
            raise DataError(f'{type(self.backbone).__name__} needs the map {lacking[0]!r} of every pair, but the '
                            f'samples lack it; beside the sources they hold {", ".join(sample) or "nothing"}.',
                            f"In the data set, set maps=dict({lacking[0]}='FOLDER').")
        return {key: sample[key] for key in declared if key in sample}

    def _with_margin(self, images: Mapping[str, Float[Tensor, 'batch 1 h w']],
                     **texts: Tensor | None) -> Float[Tensor, 'several 1 h w']:
        """Run the backbone on sources and maps; outside training, they are extended by the margin."""
        margin = 0 if self.training else self.margin
        if not margin:
            return run_backbone(self.backbone, **images, **texts)
        wider = {key: _widened(image, margin) for key, image in images.items()}
        return run_backbone(self.backbone, **wider, **texts)[..., margin:-margin, margin:-margin]

    def fuse_stack(self, sources: Stack) -> Float[Tensor, 'batch 1 h w']:
        """Fuse any number of sources with a backbone that takes them, see `vlfusion.models.stacks`.

        Args:
            sources: luminance in [0, 1], `(batch, 1, h, w)` each.

        Raises:
            NetworkError: the backbone fails, or returns no image of the sources' size.
        """
        margin = 0 if self.training else self.margin
        if not margin:
            return run_on_stack(self.backbone, sources)
        wider = Mapped(sources, lambda source: _widened(source, margin))
        return run_on_stack(self.backbone, wider)[..., margin:-margin, margin:-margin]

    def terms(self, fused: Float[Tensor, 'batch 1 h w'], source_a: Float[Tensor, 'batch 1 h w'],
              source_b: Float[Tensor, 'batch 1 h w'], **sample) -> dict[str, Float[Tensor, '']]:
        """Compute the unweighted losses, by their names in the log.

        Args:
            fused: the fused images in [0, 1].
            source_a, source_b: the sources in [0, 1].
            sample: further inputs that losses name, such as `truth`.

        Raises:
            DataError: a loss needs a value that the sample lacks.
        """
        with torch.autocast(fused.device.type, enabled=False):  # differences of near-equal images need float32
            return {key: term(fused.to(source_a), source_a, source_b, **self._extra(key, sample))
                    for key, term in self.losses.items()}

    def _extra(self, loss: str, sample: Mapping) -> dict:
        """Pick the inputs of a loss beside the fused image and the sources."""
        lacking = [key for key, required in self._wants[loss].items() if required and key not in sample]
        if lacking:
            remedy = _REMEDIES.get(lacking[0], "In the data set, set truth='FOLDER' for true images, maps=dict(NAME="
                                   "'FOLDER') for other images, or text_source for texts.")
            raise DataError(f'{type(self.losses[loss]).__name__} needs {lacking[0]!r} of every pair, but the samples '
                            f'lack it; they hold {", ".join(sample) or "the sources only"}.', remedy)
        return {key: sample[key] for key in self._wants[loss] if key in sample}


def run_backbone(backbone: nn.Module, source_a: Float[Tensor, 'batch 1 h w'], source_b: Float[Tensor, 'batch 1 h w'],
                 **others) -> Float[Tensor, 'several 1 h w']:
    """Fuse a batch with a backbone, which may come from a plugin. The `others` are texts, their masks and maps.

    Raises:
        NetworkError: names a backbone that raises, ends the program, or returns no image of the sources' size.
    """
    if torch.jit.is_tracing() or torch.compiler.is_compiling():  # an exporter explains failures itself
        return backbone(source_a, source_b, **others)
    with foreign(f'The backbone {type(backbone).__name__} fails', NetworkError, 'Fix it, or choose another one.'):
        fused = backbone(source_a, source_b, **others)
    several = getattr(backbone, 'several_instructions', False) and others.get(INSTRUCTION) is not None
    return _checked(backbone, fused, (len(others[INSTRUCTION]) if several else len(source_a), *source_a.shape[1:]))


def run_on_stack(backbone: nn.Module, sources: Stack) -> Float[Tensor, 'batch 1 h w']:
    """Fuse a stack with a backbone that takes any number of sources; errors as for `run_backbone`."""
    shapes = []

    def noted(source: Tensor) -> Tensor:
        shapes[:] = [tuple(source.shape)]
        return source

    with foreign(f'The backbone {type(backbone).__name__} fails', NetworkError, 'Fix it, or choose another one.'):
        fused = backbone.fuse_stack(Mapped(sources, noted))
    return _checked(backbone, fused, *shapes)


def _checked(backbone: nn.Module, fused: Any, expected: tuple[int, ...]) -> Float[Tensor, 'several 1 h w']:
    """Return the result of a backbone; raise NetworkError if it is no image of the expected shape."""
    name, remedy = type(backbone).__name__, 'A backbone returns luminance (batch, 1, h, w) in the size of its sources.'
    if not isinstance(fused, Tensor) or not fused.is_floating_point():
        what = fused.dtype if isinstance(fused, Tensor) else type(fused).__name__
        raise NetworkError(f'The backbone {name} returned {what}; expected a tensor of floats.', remedy)
    if fused.shape != expected:
        raise NetworkError(f'The backbone {name} returned the shape {tuple(fused.shape)}; expected {expected}.', remedy)
    return fused


def _widened(image: Float[Tensor, 'batch 1 h w'], margin: int) -> Float[Tensor, 'batch 1 _ _']:
    """Extend an image by repeating its border pixels."""
    return F.pad(image, (margin,) * 4, mode='replicate')


def colour_strength(backbone: nn.Module, instruction: Float[Tensor, 'several token dim'] | None = None,
                    instruction_mask: Bool[Tensor, 'several token'] | None = None) -> Float[Tensor, ' several'] | None:
    """Return the factor of the saturation that each instruction asks for, by the method of that name of a backbone.

    Networks fuse luminance, so the factor is applied where a picture gets its colour, see `vlfusion.imaging.chroma`.
    None means that there is no instruction, or that the backbone reads none or has no such method.

    Raises:
        NetworkError: the method of a plugin's backbone fails.
    """
    if instruction is None or INSTRUCTION not in text_dims(backbone) or not hasattr(backbone, 'colour_strength'):
        return None
    with foreign(f'colour_strength of the backbone {type(backbone).__name__} fails', NetworkError, 'Fix it.'):
        return backbone.colour_strength(instruction, instruction_mask)


def text_dims(backbone: Any) -> dict[str, int]:
    """Return the widths of the texts that a backbone reads, by keyword of its `forward`; empty if it reads none.

    >>> text_dims(BACKBONES.build(dict(type='FILM', text_dim=8)))
    {'text': 8}
    """
    dims = getattr(backbone, 'text_dim', None)
    return dict(dims) if isinstance(dims, Mapping) else {} if dims is None else {'text': dims}


def needed_texts(backbone: Any) -> dict[str, int]:
    """Return the widths of the texts without which a backbone cannot fuse: none if it has `text_optional = True`.

    `text_optional = ('instruction',)` names those that may be left out.
    """
    optional = getattr(backbone, 'text_optional', False)
    return {} if optional is True else {name: width for name, width in text_dims(backbone).items()
                                        if name not in (optional or ())}


def map_inputs(backbone: nn.Module) -> dict[str, bool]:
    """Return the maps that a backbone reads, by keyword of its `forward`, and whether each is required."""
    declared = getattr(backbone, 'maps', ())
    parameters = inspect.signature(backbone.forward).parameters if declared else {}
    return {name: name in parameters and parameters[name].default is inspect.Parameter.empty for name in declared}


def wanted(term: nn.Module) -> dict[str, bool]:
    """Return the inputs of a loss beside the fused image and the sources, and whether each is required."""
    parameters = list(inspect.signature(term.forward).parameters.values())[3:]
    return {parameter.name: parameter.default is parameter.empty for parameter in parameters
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)}


def _snake_case(class_name: str) -> str:
    """Return the name of a loss in the log: `max_gradient` for `MaxGradientLoss`, `clip_directional` for CLIP's."""
    stem = class_name.removesuffix('Loss')
    return re.sub(r'(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])', '_', stem).lower()
