"""A model on its device, which fuses images of any size in the memory that is free."""

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
from vlfusion.inference.tiling import MODES, Plan, Progress, fuse_any_size, out_of_memory, plan
from vlfusion.models import Locality, locality
from vlfusion.models.layers.strips import count_maps, watched
from vlfusion.system.devices import device_of
from vlfusion.system.footprint import available, footprint

SOURCES = ('source_a', 'source_b')
PRECISIONS = ('float32', 'bfloat16')
#: More bytes per pixel than any network here takes: where that much is free, nothing needs to be estimated.
_PLENTY = 12 * 1024
#: Share of the free memory that a network may take; other programs need some too.
_SHARE = 0.8
#: From so many pixels on a network in strips tells its progress.
LARGE = 1_000_000

#: `source_a` and `source_b`, `(batch, 1, h, w)` in [0, 1], and the texts by name, `(batch, token, dim)`.
Inputs = Mapping[str, Shaped[Tensor, '...']]


class Network:
    """A model as a function of sources and texts. A call is one pass; `fuse` takes images of any size.

    Args:
        model: in evaluation mode; it is moved to the device.
        device: by default CUDA where there is one.
        precision: `float32`, or `bfloat16` under autocast.
        tiles: of `vlfusion.inference.tiling.MODES`.
        tile_size: most rows and columns that are fused at once; by default what memory allows.
        max_memory: bytes that a pass may take; by default four fifths of what is free.
        note: told that an image is approximated, or that memory ran out; by default it is logged.

    Raises:
        ConfigError: an option has no such value.
    """

    def __init__(self, model: nn.Module, *, device: str | None = None, precision: str = 'float32',
                 tiles: str = 'auto', tile_size: int | None = None, max_memory: int | None = None,
                 note: Callable[[str], None] | None = None):
        for what, value, known in (('way to tile', tiles, MODES), ('precision', precision, PRECISIONS)):
            if value not in known:
                raise ConfigError(f'Unknown {what} {value!r}.', did_you_mean(value, known))
        self.device = device_of(device)
        self.model = model.to(self.device)
        self.precision, self.tiles, self.tile_size, self.max_memory = precision, tiles, tile_size, max_memory
        self.note = note or (lambda text: print_log(text, logger='current', level=logging.WARNING))
        self._footprint = None

    def __call__(self, inputs: Inputs) -> Float[Tensor, 'batch 1 h w']:
        """Run the model once. The result is on its device."""
        return self._run(self.model, inputs)

    def _run(self, model: nn.Module, inputs: Inputs) -> Float[Tensor, 'batch 1 h w']:
        # Not inference_mode, in which a method could not optimise anything at test time.
        enabled = self.precision == 'bfloat16'
        with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16, enabled=enabled):
            return model(**{name: value.to(self.device) for name, value in inputs.items()}).float()

    def plan(self, inputs: Inputs) -> Plan:
        """Choose how a pair is fused: whole, or in tiles that the memory has room for now.

        Raises:
            ConfigError: exact tiles are asked of a model that is not local.
            VLFusionError: there is not even memory for the smallest tile.
        """
        return plan(tuple(inputs['source_a'].shape[-2:]), self.locality, self.tiles, self.tile_size,
                    self._pixels(inputs))

    def fuse(self, inputs: Inputs, progress: Progress | None = None,
             chosen: Plan | None = None) -> Float[Tensor, '1 1 h w']:
        """Fuse a pair of any size; where memory runs out, in smaller tiles.

        Args:
            inputs: of one pair.
            progress: called while a large image is fused, with what is done and what is to do.
            chosen: as `plan` gave it for this pair; by default it is planned now.

        Raises:
            ConfigError, VLFusionError: as for `plan`.
        """
        size = inputs['source_a'].shape

        def fuse(part: Inputs) -> Tensor:
            with self._told(progress if part['source_a'].shape == size else None, size.numel()):
                return self(part)
        return fuse_any_size(fuse, inputs, self.locality, self.tiles, self.tile_size, progress=progress,
                             note=self.note, chosen=chosen or self.plan(inputs))

    def fuse_first(self, pairs: Sequence[Inputs], progress: Progress | None = None) -> Float[Tensor, 'batch 1 h w']:
        """Fuse the first of some pairs of one size: as many at once as memory allows, at least one.

        Args:
            pairs: inputs of one pair each; texts may have different lengths.
            progress: as for `fuse`.
        """
        pairs = pairs[:self._most(pairs)]
        if len(pairs) == 1:  # and is not copied
            return self.fuse(pairs[0], progress)
        try:
            return self(stacked(pairs))
        except Exception as error:
            if not out_of_memory(error):
                raise
        # Out of the handler, so that what the failed attempt held is free.
        self.note(f'Memory ran out for {len(pairs)} pairs at once; going on with one after another.')
        return torch.cat([self.fuse(inputs) for inputs in pairs])

    @property
    def locality(self) -> Locality | None:
        """Locality of the backbone; None where it declares nothing."""
        return locality(self.model.backbone)

    @contextmanager
    def _told(self, progress: Progress | None, pixels: int) -> Iterator[None]:
        """Pass on the progress of a network in strips on a large image, in hundredths of its maps."""
        total = 100 * count_maps(self.model.backbone)
        if progress is None or not total or pixels < LARGE:
            yield
            return
        done = 0.

        def advance(part: float) -> None:
            nonlocal done
            done += 100 * part
            progress(min(round(done), total), total)
        with watched(advance):
            yield

    def _most(self, pairs: Sequence[Inputs]) -> int:
        """Number of these pairs of one size that can be fused at once."""
        if len(pairs) < 2 or self.tiles not in ('auto', 'whole') or self.tile_size:
            return 1
        pixels = self._pixels(pairs[0], len(pairs))
        return len(pairs) if pixels is None else max(1, pixels // pairs[0]['source_a'].numel())

    def _pixels(self, inputs: Inputs, count: int = 1) -> int | None:
        """Pixel budget of one pass; None where `count` pairs like this one certainly fit."""
        free = self.max_memory or available(self.device)
        if free is None or self.tiles == 'whole':
            return None
        budget = free if self.max_memory else int(_SHARE * free)
        if inputs['source_a'].numel() * count * _PLENTY <= budget:
            return None
        if self._footprint is None:
            # A copy, for a model may keep what it makes at its first use, which here are tensors without numbers.
            self._footprint = footprint(partial(self._run, copy.deepcopy(self.model)), self.device, texts_of(inputs))
        return self._footprint.pixels(budget)


def texts_of(inputs: Inputs) -> dict[str, Shaped[Tensor, '...']]:
    """The inputs beside the sources."""
    return {name: value for name, value in inputs.items() if name not in SOURCES}


def stacked(pairs: Sequence[Inputs]) -> dict[str, Shaped[Tensor, '...']]:
    """The inputs of several pairs as those of a batch; texts of different lengths are padded and get a mask."""
    batch = {name: torch.cat([inputs[name] for inputs in pairs]) for name in SOURCES}
    for name in texts_of(pairs[0]):
        features = [inputs[name][0].numpy() for inputs in pairs]
        lengths = [len(text) for text in features]
        rows, masks = zip(*(pad(text, max(lengths)) for text in features), strict=True)
        batch[name] = torch.stack([torch.as_tensor(row) for row in rows])
        if min(lengths) < max(lengths):
            batch[f'{name}_mask'] = torch.stack([torch.as_tensor(mask) for mask in masks])
    return batch
