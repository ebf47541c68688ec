"""A model on its device that fuses images of any size within the free memory."""

import copy
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from jaxtyping import Float, Shaped
from mmengine.logging import print_log
from torch import Tensor, nn

from vlfusion.data.text import pad
from vlfusion.errors import ConfigError, did_you_mean
from vlfusion.inference.tiling import (
    MODES,
    Plan,
    Progress,
    fuse_any_size,
    fuse_windows,
    is_image,
    plan,
    within_memory,
)
from vlfusion.language.section import INSTRUCTION
from vlfusion.models import Locality, colour_strength, locality, needed_texts
from vlfusion.models.layers.strips import count_maps, watched
from vlfusion.models.stacks import Counted, Mapped, Stack, fuses_stacks
from vlfusion.system.devices import device_of
from vlfusion.system.footprint import available, footprint
from vlfusion.system.memory import out_of_memory
from vlfusion.system.tf32 import tf32

SOURCES = ('source_a', 'source_b')
#: Precisions of a network. `tf32` is float32 on devices without TF32, such as a CPU.
PRECISIONS = ('float32', 'tf32', 'bfloat16')
#: Bytes per pixel, more than any network here needs. If that much is free, no footprint is estimated.
_PLENTY = 32 * 1024
#: Share of the free memory that a network may use; other programs need some too.
_SHARE = 0.8
#: Images of this many pixels or more report progress within a network in strips.
LARGE = 1_000_000

#: `source_a`, `source_b` and maps by name, `(batch, 1, h, w)` in [0, 1], and the texts by name, `(batch, token, dim)`.
Inputs = Mapping[str, Shaped[Tensor, '...']]


class Network:
    """A model as a function of sources and texts. A call is one pass; `fuse` takes images of any size.

    Args:
        model: model in evaluation mode; it is moved to the device, and cast if the precision asks for it.
        device: torch's name of a device; by default CUDA if there is a GPU.
        precision: `float32`; `tf32`, see `vlfusion.system.tf32`; or `bfloat16`. For the last, the weights of a backbone
            are cast if its attribute `bfloat16_weights` is True: it then takes float32 images, and computes
            normalisations, softmax and sums over pixels in float32. Other backbones run under autocast.
        tiles: a mode in `vlfusion.inference.tiling.MODES`.
        tile_size: largest number of rows and columns fused at once; by default the most that memory allows.
        max_memory: bytes that a pass may use; by default four fifths of the free memory.
        note: called with a message if an image is approximated or memory runs out; by default messages are logged.

    Raises:
        ConfigError: the device, the precision or the mode cannot be used.
    """

    def __init__(self, model: nn.Module, *, device: str | None = None, precision: str = 'float32',
                 tiles: str = 'auto', tile_size: int | None = None, max_memory: int | None = None,
                 note: Callable[[str], None] | None = None):
        self.device = usable_device(device, precision=precision, tiles=tiles)
        self.model = model.to(self.device)
        cast = precision == 'bfloat16' and getattr(model.backbone, 'bfloat16_weights', False)
        if cast:
            model.backbone.bfloat16()
        self._autocast = precision == 'bfloat16' and not cast
        self.precision, self.tiles, self.tile_size, self.max_memory = precision, tiles, tile_size, max_memory
        self.note = note or (lambda text: print_log(text, logger='current', level=logging.WARNING))
        self._footprints = {}  # by the names of the inputs

    def __call__(self, inputs: Inputs) -> Float[Tensor, 'batch 1 h w']:
        """Run the model once. The result is on the model's device."""
        return self._run(self.model, inputs)

    def _run(self, model: nn.Module, inputs: Inputs) -> Float[Tensor, 'batch 1 h w']:
        with self._precisely():
            return model(**{name: value.to(self.device) for name, value in inputs.items()}).float()

    @contextmanager
    def _precisely(self) -> Iterator[None]:
        """Compute in the chosen precision, without gradients."""
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=self._autocast)
        # TF32 does not round numbers of bfloat16. Not inference_mode: some methods optimise at test time.
        with torch.no_grad(), autocast, tf32(self.precision != 'float32'):
            yield

    def plan(self, inputs: Inputs) -> Plan:
        """Choose how a pair is fused: whole, or in tiles that fit into the memory that is free now.

        Raises:
            ConfigError: exact tiles are requested, but the model is not local; or windows would be blended under an
                instruction.
            VLFusionError: the smallest tile does not fit into memory.
        """
        return plan(tuple(inputs['source_a'].shape[-2:]), self.locality, self.tiles, self.tile_size,
                    self._pixels(inputs), instructed=self._is_instructed(inputs))

    def fuse(self, inputs: Inputs, progress: Progress | None = None, chosen: Plan | None = None,
             trying: Callable[[Plan], None] = lambda plan: None) -> Float[Tensor, '1 1 h w']:
        """Fuse a pair of any size. If memory runs out, go on with smaller tiles.

        Args:
            inputs: inputs of one pair.
            progress: called while a large image is fused, with the parts done and the parts in total.
            chosen: the result of `plan` for this pair; by default it is planned now.
            trying: called with each plan before it is tried; the last one made the result.

        Raises:
            ConfigError, VLFusionError: as for `plan`.
        """
        size = inputs['source_a'].shape

        def fuse(part: Inputs) -> Tensor:
            with self._progress(progress if part['source_a'].shape == size else None, size.numel()):
                return self(part)
        return fuse_any_size(fuse, inputs, self.locality, self.tiles, self.tile_size, progress=progress,
                             note=self.note, chosen=chosen or self.plan(inputs), trying=trying,
                             instructed=self._is_instructed(inputs))

    @property
    def fuses_stacks(self) -> bool:
        """True if the backbone takes any number of sources, see `vlfusion.models.stacks`."""
        return fuses_stacks(self.model.backbone)

    def fuse_stack(self, sources: Stack, size: tuple[int, int],
                   progress: Progress | None = None) -> Float[Tensor, '1 1 h w']:
        """Fuse a stack of any size and number of sources, with a backbone that takes them all.

        Every tile reads the sources again, so memory holds one of them.

        Args:
            sources: luminance in [0, 1], `(1, 1, h, w)` each.
            size: height and width of the sources.
            progress: called for each source that is read, with the number of sources read and of all, once for each
                time that the method reads the stack.

        Raises:
            ConfigError, VLFusionError: as for `plan`.
        """
        read = Counted(sources, progress) if progress else sources

        def fuse(window: tuple) -> Tensor:
            with self._precisely():
                return self.model.fuse_stack(Mapped(read, lambda source: source[window].to(self.device))).float()

        def fuse_by(chosen: Plan) -> Tensor:
            return fuse((...,)) if chosen.is_whole(size) else fuse_windows(fuse, torch.zeros(1, 1, *size), chosen)

        blank = torch.empty(1, 1, 1, 1).expand(1, 1, *size)  # takes no memory; the estimate asks for the size only
        return within_memory(fuse_by, size, self.plan(dict.fromkeys(SOURCES, blank)), self.locality, self.tiles,
                             self.tile_size, note=self.note)

    def fuse_first(self, pairs: Sequence[Inputs], progress: Progress | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse the first pairs of a list at once: as many as memory allows, at least one.

        Args:
            pairs: inputs of one pair each, images all of one size; texts may have different lengths.
            progress: as for `fuse`.

        Returns:
            The fused images of these first pairs, on the device of the model or of the sources.
        """
        pairs = pairs[:self._most(pairs)]
        if len(pairs) == 1:  # one pair may need tiles
            return self.fuse(pairs[0], progress)
        try:
            return self(stacked(pairs))
        except Exception as error:
            if not out_of_memory(error):
                raise
        # Outside the handler, where the memory of the failed attempt is free again.
        self.note(f'Memory ran out for {len(pairs)} pairs at once; going on with one after another.')
        return torch.cat([self.fuse(inputs).to(inputs['source_a'].device) for inputs in pairs])

    def colour_strength(self, inputs: Inputs) -> float:
        """Return the factor of the saturation that the instruction of one pair asks for; 1 without an instruction."""
        texts = {name: inputs[name].to(self.device) for name in (INSTRUCTION, f'{INSTRUCTION}_mask') if name in inputs}
        with torch.no_grad():
            strength = colour_strength(self.model.backbone, **texts)
        return 1. if strength is None else strength.item()

    @property
    def locality(self) -> Locality | None:
        """Locality of the backbone; None if it declares no halo."""
        return locality(self.model.backbone)

    @contextmanager
    def _progress(self, progress: Progress | None, pixels: int) -> Iterator[None]:
        """Report progress within a network, in hundredths of its steps, or on a large image of its maps in strips."""
        steps = getattr(self.model.backbone, 'sampling_steps', 0)
        total = 100 * (steps + count_maps(self.model.backbone))
        if progress is None or not total or not steps and pixels < LARGE:
            yield
            return
        done = 0.

        def advance(part: float) -> None:
            nonlocal done
            done += 100 * part
            progress(min(round(done), total), total)
        with watched(advance):
            yield

    def _is_instructed(self, inputs: Inputs) -> bool:
        """Tell whether the model reads an instruction that it could do without."""
        return INSTRUCTION in inputs and INSTRUCTION not in needed_texts(self.model.backbone)

    def _most(self, pairs: Sequence[Inputs]) -> int:
        """Number of pairs that can be fused at once."""
        if len(pairs) < 2 or self.tiles not in ('auto', 'whole') or self.tile_size:
            return 1
        pixels = self._pixels(pairs[0], len(pairs))
        return len(pairs) if pixels is None else max(1, pixels // pairs[0]['source_a'].numel())

    def _pixels(self, inputs: Inputs, count: int = 1) -> int | None:
        """Pixel budget of one pass, or None if `count` pairs of this size certainly fit."""
        free = self.max_memory or available(self.device)
        if free is None or self.tiles == 'whole':
            return None
        budget = free if self.max_memory else int(_SHARE * free)
        if inputs['source_a'].numel() * count * _PLENTY <= budget:
            return None
        kind = tuple(inputs)
        if kind not in self._footprints:
            # A copy: the estimate runs on tensors without values, which the model must not cache.
            maps = [name for name, value in inputs.items() if is_image(value) and name not in SOURCES]
            self._footprints[kind] = footprint(partial(self._run, copy.deepcopy(self.model)), self.device,
                                               texts_of(inputs), maps)
        return self._footprints[kind].pixels(budget)


def usable_device(name: str | None, *, precision: str, tiles: str) -> torch.device:
    """Check the options of a `Network`, and return its device.

    Raises:
        ConfigError: the device, the precision or the mode of tiles cannot be used.
    """
    for option, value, choices in (('way to tile', tiles, MODES), ('precision', precision, PRECISIONS)):
        if value not in choices:
            raise ConfigError(f'Unknown {option} {value!r}.', did_you_mean(value, choices))
    return device_of(name)


def texts_of(inputs: Inputs) -> dict[str, Shaped[Tensor, '...']]:
    """The inputs that are no images."""
    return {name: value for name, value in inputs.items() if not is_image(value)}


def stacked(pairs: Sequence[Inputs]) -> dict[str, Shaped[Tensor, '...']]:
    """Stack the inputs of several pairs into a batch; texts of different lengths are padded and get a mask."""
    batch = {name: torch.cat([inputs[name] for inputs in pairs])
             for name, value in pairs[0].items() if is_image(value)}
    for name in texts_of(pairs[0]):
        features = [inputs[name][0].numpy() for inputs in pairs]
        lengths = [len(text) for text in features]
        rows, masks = zip(*(pad(text, max(lengths)) for text in features), strict=True)
        batch[name] = torch.stack([torch.as_tensor(row) for row in rows])
        if min(lengths) < max(lengths):
            batch[f'{name}_mask'] = torch.stack([torch.as_tensor(mask) for mask in masks])
    return batch
